"""When the array of `simd.matmul` takes what: beat after beat of the steps that are there."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.common.arithmetic import wire
from hdl.simd.config import MatmulConfig
from hdl.simd.matmul_chunks import HALF_BITS, STEP, Chunks, log2
from hdl.simd.matmul_job import LAST_BIT_BITS
from hdl.simd.modes import OPERAND_BITS


class Sequencer(wiring.Component):
    """Gives a beat a cycle, without a pause between chunks and tiles.

    What is behind the array never waits. So the last beat of a tile is held back until the array's results can leave
    undisturbed: those of the tile before are gone from the chain when these come, and there is room for all of these.

    Members
    -------
    last_bit, half, go : of `Job`
    steps : what is in the buffers
    take : a beat is taken now
    first, last : it is the first, the last of its tile
    address_a, address_b : of its word in the buffers
    place : of its half operand word within that word
    step_done : the beat is the last of its step
    result_taken : a result has left the queue behind the array
    """

    def __init__(self, config: MatmulConfig):
        self._config = config
        address = range(2 * config.chunk_words)
        super().__init__(
            {
                "last_bit": In(LAST_BIT_BITS),
                "half": In(1),
                "go": In(1),
                "steps": In(stream.Signature(STEP)),
                "take": Out(1),
                "first": Out(1),
                "last": Out(1),
                "address_a": Out(address),
                "address_b": Out(address),
                "place": Out(log2(config.bus_bits // HALF_BITS)),
                "step_done": Out(1),
                "result_taken": In(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config, step = self._config, self.steps.payload
        chunks = Chunks(config, self.last_bit)
        position = Signal(range(config.depth_beats * OPERAND_BITS // HALF_BITS))  # in halves of an operand word
        end = wire(m, chunks.last_half | (~step.last).replicate(len(position)), "end")
        at_end = wire(m, (position[1:] == end[1:]) & (~self.half | (position[0] == end[0])), "at_end")

        engines = config.engines
        pause = Signal(range(max(2, engines)))  # until the chain can be empty
        room = Signal(range(config.result_depth + 1), init=config.result_depth)
        allowed = wire(m, ~(at_end & step.last) | (~pause.any() & (room >= engines)), "allowed")
        m.d.comb += [
            self.take.eq(self.steps.valid & allowed),
            self.first.eq(step.first & ~position.any()),
            self.last.eq(step.last & at_end),
            self.step_done.eq(self.take & at_end),
            self.steps.ready.eq(at_end & allowed),
            self.place.eq(position),
        ]
        with m.If(self.take):
            m.d.sync += position.eq(Mux(at_end, 0, position + Mux(self.half, 1, 2)))
        ends = wire(m, self.take & self.last, "ends")
        if engines > 1:
            with m.If(ends):
                m.d.sync += pause.eq(engines - 1)
            with m.Elif(pause.any()):
                m.d.sync += pause.eq(pause - 1)
        m.d.sync += room.eq(room + self.result_taken - Mux(ends, engines, 0))

        # Parts of the buffers are used in turns, as they were filled.
        word = position[log2(config.bus_bits // HALF_BITS) :]
        for name, freed, address in (("a", step.frees_a, self.address_a), ("b", step.frees_b, self.address_b)):
            slot = Signal.like(address, name=f"slot_{name}")
            m.d.comb += address.eq(slot | word)
            with m.If(self.go):
                m.d.sync += slot.eq(0)
            with m.Elif(self.step_done & freed):
                m.d.sync += slot.eq(slot + chunks.slot_words)
        return m
