"""What a core is to the processor."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from amaranth.hdl import Module, ResetSignal, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.common.arithmetic import wire
from hdl.common.wishbone import WishboneSignature


class Core(wiring.Component):
    """A core of RV32I, which begins at address 0.

    A bus error has no meaning to it: whoever answers with `err` in place of `ack` must tell software in another way.

    Members
    -------
    bus : Out(WishboneSignature(32))
    irq : In(1)
        Level; of the same clock. How software takes it is the core's: ../README.md.
    reset : In(1)
        As the clock domain's, for the core alone.
    """

    def __init__(self):
        super().__init__({"bus": Out(WishboneSignature(32)), "irq": In(1), "reset": In(1)})

    def stopped(self, m):
        """The reset of a core that is Verilog: as asked for, and for a cycle after configuration, as a board's clock
        domain may have none."""
        started = Signal()
        m.d.sync += started.eq(1)
        return wire(m, self.reset | ResetSignal(allow_reset_less=True) | ~started, "stopped")


class TwoBuses(wiring.Component):
    """One bus of two: a transfer at a time, data's first where both are asked for.

    Latency: none.

    Members
    -------
    code : In(WishboneSignature(32)), data : In(WishboneSignature(32))
        Of a core that fetches apart from what it loads and stores.
    bus : Out(WishboneSignature(32))
    """

    def __init__(self):
        bus = WishboneSignature(32)
        super().__init__({"code": In(bus), "data": In(bus), "bus": Out(bus)})

    def elaborate(self, platform):
        m = Module()
        held, holds_data = Signal(), Signal()  # a transfer is under way, and it is data's
        asked = wire(m, self.data.cyc & self.data.stb, "asked")
        of_data = wire(m, (held & holds_data) | (~held & asked), "of_data")
        for side, chosen in ((self.code, ~of_data), (self.data, of_data)):
            with m.If(chosen):
                m.d.comb += [
                    getattr(self.bus, name).eq(getattr(side, name))
                    for name in ("adr", "dat_w", "sel", "we", "cyc", "stb")
                ]
            m.d.comb += [
                side.dat_r.eq(self.bus.dat_r),
                side.ack.eq(self.bus.ack & chosen),
                side.err.eq(self.bus.err & chosen),
            ]
        m.d.sync += [
            held.eq(self.bus.cyc & self.bus.stb & ~self.bus.ack & ~self.bus.err),
            holds_data.eq(of_data),
        ]
        return m


def packaged(package: str, *names: str) -> tuple[Path, ...]:
    """Verilog files of an installed package that is nothing but files."""
    folder = Path(str(files(package))) / "verilog"
    return tuple(folder / name for name in names)
