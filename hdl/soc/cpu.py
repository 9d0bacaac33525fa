"""The processor's core behind one interface: a Wishbone manager and an interrupt."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from sentinel_cpu.top import Top

from hdl.common.wishbone import WishboneSignature


class Cpu(wiring.Component):
    """Sentinel: RV32I with CSRs and the machine external interrupt, microcoded; it begins at address 0.

    A bus error has no meaning to it: whoever answers with `err` in place of `ack` must tell software in another way.

    Members
    -------
    bus : Out(WishboneSignature(32))
    irq : In(1)
        Level; of the same clock.
    """

    def __init__(self):
        super().__init__({"bus": Out(WishboneSignature(32)), "irq": In(1)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.core = core = Top()
        bus = core.bus
        m.d.comb += [
            self.bus.adr.eq(Cat(Const(0, 2), bus.adr)),
            self.bus.dat_w.eq(bus.dat_w),
            self.bus.sel.eq(bus.sel),
            self.bus.we.eq(bus.we),
            self.bus.cyc.eq(bus.cyc),
            self.bus.stb.eq(bus.stb),
            bus.dat_r.eq(self.bus.dat_r),
            bus.ack.eq(self.bus.ack | self.bus.err),
            core.irq.eq(self.irq),
        ]
        return m
