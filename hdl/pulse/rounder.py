"""Rounding by a power of two that is known at run time."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.common.arithmetic import register, wire


class Rounder(wiring.Component):
    """rs(value, amount): floor(value / 2**amount + 1/2).

    Latency: 3 cycles.

    Members
    -------
    value : In(signed(bits))
    amount : In(amount_bits)
    rounded : Out(signed(bits))
    """

    def __init__(self, bits: int, amount_bits: int = 5):
        super().__init__({"value": In(signed(bits)), "amount": In(amount_bits), "rounded": Out(signed(bits))})

    def elaborate(self, platform):
        m = Module()
        # One more bit below: the half that is rounded. Of an amount of 0 it is 0.
        doubled = Signal(signed(len(self.value) + 1))
        m.d.comb += doubled.eq(self.value << 1)
        coarse = register(m, self._shifted(m, doubled, range(len(self.amount) - 1, 2, -1)), "coarse")
        fine_bits = register(m, self.amount[:3], "fine_bits")
        fine = register(m, self._shifted(m, coarse, (2, 1, 0), fine_bits), "fine")
        m.d.sync += self.rounded.eq((fine >> 1) + fine[0])
        return m

    def _shifted(self, m, value, places, amount=None):
        amount = self.amount if amount is None else amount
        for place in places:
            value = wire(m, Mux(amount[place], value >> (1 << place), value), f"by_{1 << place}")
        return value
