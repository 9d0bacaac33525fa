"""Biases of the tiles at work in `simd.matmul`, and each where its result needs it."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal, signed, unsigned
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

from hdl.common.arithmetic import shift_left, wire
from hdl.simd.config import MatmulConfig
from hdl.simd.matmul_chunks import BIAS_SLOTS, bias_panels, bias_words, log2
from hdl.simd.modes import BIAS_BITS


class Biases(wiring.Component):
    """Gives a bias a cycle, those of a tile's columns again for each of its rows.

    Latency: `config.bias_cycles`, from `start` to the first bias of a tile.

    Members
    -------
    go, enable, shift : of `Job`: enable is `has_bias`; without it the biases are 0
    write, address, data : of `Filler`; the tiles' biases in the order of the tiles
    start : a pulse, a tile's results come
    valid : a result comes, with its bias
    bias : signed, shifted by `shift` modulo the accumulator's segments
    tile_done : a pulse, the last bias of a tile was read
    """

    def __init__(self, config: MatmulConfig):
        self._config = config
        super().__init__(
            {
                "go": In(1),
                "enable": In(1),
                "shift": In(log2(config.segment_bits)),
                "write": In(1),
                "address": In(range(BIAS_SLOTS * bias_words(config))),
                "data": In(config.bus_bits // bias_panels(config)),
                "start": In(1),
                "valid": Out(1),
                "bias": Out(signed(BIAS_BITS + config.segment_bits - 1)),
                "tile_done": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self._config
        bits = len(self.data)
        m.submodules.words = words = memory.Memory(shape=unsigned(bits), depth=BIAS_SLOTS * bias_words(config), init=[])
        write_port, read_port = words.write_port(), words.read_port()
        m.d.comb += [write_port.en.eq(self.write), write_port.addr.eq(self.address), write_port.data.eq(self.data)]

        slot, index = Signal(range(BIAS_SLOTS)), Signal(range(max(2, config.engines)))
        busy = Signal()
        reading, final = wire(m, self.start | busy, "reading"), wire(m, index == config.engines - 1, "final")
        m.d.comb += self.tile_done.eq(reading & final)
        with m.If(reading):
            m.d.sync += [index.eq(Mux(final, 0, index + 1)), busy.eq(~final)]
        with m.If(self.go):
            m.d.sync += slot.eq(0)
        with m.Elif(self.tile_done):
            m.d.sync += slot.eq(slot + 1)
        column = index[: log2(config.columns)]
        lanes = log2(bits // BIAS_BITS)
        m.d.comb += read_port.addr.eq(Cat(column[lanes:], slot))

        lane = Signal(max(1, lanes), reset_less=True)
        bias = Signal(signed(BIAS_BITS), reset_less=True)
        shifted = Signal.like(self.bias, reset_less=True)
        valid = [Signal(name=f"valid_{cycle}") for cycle in range(config.bias_cycles)]
        m.d.sync += [
            lane.eq(column[:lanes]),
            bias.eq(read_port.data.word_select(lane, BIAS_BITS) & self.enable.replicate(BIAS_BITS)),
            shifted.eq(shift_left(m, bias, self.shift, len(self.bias), "shifted_bias")),
            Cat(valid).eq(Cat(reading, valid[:-1])),
        ]
        m.d.comb += [self.bias.eq(shifted), self.valid.eq(valid[-1])]
        return m
