"""A count of what there is."""

from __future__ import annotations

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out


class Counter(wiring.Component):
    """How many of something there are: `more` and `less` are pulses."""

    def __init__(self, most: int, init: int = 0):
        self._most, self._init = most, init
        super().__init__({"more": In(1), "less": In(1), "any": Out(1)})

    def elaborate(self, platform):
        m = Module()
        count = Signal(range(self._most + 1), init=self._init)
        m.d.sync += count.eq(count + self.more - self.less)
        m.d.comb += self.any.eq(count.any())
        return m
