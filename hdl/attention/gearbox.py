"""Elements of 6 bits get a byte each: three memory words become four."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.attention.config import ArrayConfig
from hdl.common.arithmetic import wire

ELEMENT_BITS = 6


class Gearbox(wiring.Component):
    """Without latency; it keeps the word before.

    Members
    -------
    word, take : a memory word, and that it is used up
    phase : which of the four; the last one needs no memory word
    bytes : elements with two zeros above each
    """

    def __init__(self, config: ArrayConfig):
        self._bits = config.bus_bits
        super().__init__({"word": In(self._bits), "take": In(1), "phase": In(2), "bytes": Out(self._bits)})

    def elaborate(self, platform):
        m = Module()
        before = Signal(self._bits, reset_less=True)
        with m.If(self.take):
            m.d.sync += before.eq(self.word)
        both = Cat(before, self.word)
        bits = self._bits * ELEMENT_BITS // 8
        starts = [self._bits, bits, self._bits // 2, self._bits - bits]
        parts = [both[start : start + bits] for start in starts]
        chosen = wire(m, Cat(parts).word_select(self.phase, bits), "chosen")
        elements = [chosen.word_select(place, ELEMENT_BITS) for place in range(self._bits // 8)]
        m.d.comb += self.bytes.eq(Cat(Cat(element, Const(0, 2)) for element in elements))
        return m
