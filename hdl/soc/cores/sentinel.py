"""Sentinel: RV32I with CSRs and the machine external interrupt, microcoded, in Amaranth."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, ResetInserter
from sentinel_cpu.top import Top

from hdl.soc.cores.interface import Core


class Sentinel(Core):
    """Four cycles an instruction or more, a shift up to 69."""

    def elaborate(self, platform):
        m = Module()
        core = Top()
        m.submodules.core = ResetInserter(self.reset)(core)
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
