"""Results of windows, word by word."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.common.arithmetic import wire
from hdl.common.axi import packet_stream
from hdl.common.stream import Fifo
from hdl.pulse.cnn_config import CnnConfig
from hdl.pulse.cnn_outputs import result_layout

PARTS_KEPT = 32
"""More than a pipeline full."""


class Results(wiring.Component):
    """Keeps parts of results until the stream takes them. A part that was not given leave has no room.

    Members
    -------
    begin, reference : a window's result begins
    leave : the parts of one more output will come
    room : for the parts of one more output
    valid, part : `result_layout`
    result : Out(packet_stream(32))
    """

    def __init__(self, config: CnnConfig):
        self._config = config
        super().__init__(
            {
                "begin": In(1),
                "reference": In(config.code_bits),
                "leave": In(1),
                "room": Out(1),
                "valid": In(1),
                "part": In(result_layout(config)),
                "result": Out(packet_stream(config.result_bits)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self._config
        bits, turns = config.result_bits, config.output_cycles
        m.submodules.queue = queue = Fifo(result_layout(config), PARTS_KEPT)
        m.d.comb += [
            queue.i.valid.eq(self.valid | self.begin),
            queue.i.payload.eq(self.part),
        ]
        with m.If(self.begin):
            m.d.comb += [
                queue.i.payload.count.eq(1),
                queue.i.payload.last.eq(0),
                queue.i.payload.words.eq(self.reference),
            ]

        held = Signal(len(self.part.words), reset_less=True)
        left, last = Signal.like(self.part.count), Signal(reset_less=True)
        given = wire(m, self.result.valid & self.result.ready, "given")
        takes = wire(m, (left == 0) | (given & (left == 1)), "takes")
        taken = wire(m, takes & queue.o.valid, "taken")
        m.d.comb += [
            queue.o.ready.eq(takes),
            self.result.valid.eq(left != 0),
            self.result.payload.data.eq(held[:bits]),
            self.result.payload.last.eq(last & (left == 1)),
        ]
        with m.If(taken):
            m.d.sync += [
                held.eq(queue.o.payload.words),
                left.eq(queue.o.payload.count),
                last.eq(queue.o.payload.last),
            ]
        with m.Elif(given):
            m.d.sync += [held.eq(held[bits:] if len(held) > bits else 0), left.eq(left - 1)]

        promised = Signal(range(PARTS_KEPT + 1))  # parts that are kept, or will come
        added = wire(m, Mux(self.leave, turns, 0) + self.begin, "added")
        m.d.sync += promised.eq(promised + added - taken)
        m.d.comb += self.room.eq(promised <= PARTS_KEPT - turns)
        return m
