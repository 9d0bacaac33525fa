"""What resets a processor that hangs."""

from __future__ import annotations

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.soc.config import RESET_CYCLES


class Watchdog(wiring.Component):
    """Counts from `cycles` down to 0, and begins anew with each `kick`; at 0 it holds `reset` for `RESET_CYCLES`.

    Members
    -------
    cycles : In(32)
        0: off.
    kick : In(1)
    fired : Out(1)
        In the first cycle of `reset`.
    reset : Out(1)
    """

    def __init__(self):
        super().__init__({"cycles": In(32), "kick": In(1), "fired": Out(1), "reset": Out(1)})

    def elaborate(self, platform):
        m = Module()
        left, held = Signal(32), Signal(range(RESET_CYCLES + 1))
        with m.If(self.kick | (self.cycles == 0)):
            m.d.sync += left.eq(self.cycles)
        with m.Elif(left != 0):
            m.d.sync += left.eq(left - 1)
        m.d.comb += [
            self.fired.eq((left == 1) & ~self.kick & (self.cycles != 0)),
            self.reset.eq(held != 0),
        ]
        with m.If(self.fired):
            m.d.sync += held.eq(RESET_CYCLES)
        with m.Elif(held != 0):
            m.d.sync += held.eq(held - 1)
        return m
