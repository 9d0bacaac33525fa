"""An AXI4-Lite manager that makes single accesses and survives a subordinate that never answers."""

from __future__ import annotations

from amaranth.hdl import Module, Mux
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.common.axi import AXI4LiteSignature


class BusAccess(wiring.Component):
    """One 32-bit access at a time.

    Whoever started an access may stop waiting for it. The bus stays legal all the same: VALID stays until READY, a late
    response is taken, and `busy` lasts until then.

    Members
    -------
    start : In(1)
        Begins an access; only while not `busy`.
    write : In(1), address : In(32), data : In(32)
        What to do. `address`, and `data` when writing, must stay while `busy`, `write` until the cycle after `start`.
    busy : Out(1)
        From the cycle after `start` up to that of the response.
    done : Out(1), failed : Out(1), read_data : Out(32)
        `done` is high in the cycle of the response; then `failed` says whether it is SLVERR or DECERR.
    bus : Out(AXI4LiteSignature(32))
    """

    def __init__(self):
        super().__init__(
            {
                "start": In(1),
                "write": In(1),
                "address": In(32),
                "data": In(32),
                "busy": Out(1),
                "done": Out(1),
                "failed": Out(1),
                "read_data": Out(32),
                "bus": Out(AXI4LiteSignature(32)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        bus = self.bus
        for mine, theirs in (
            (bus.awvalid, bus.awready),
            (bus.wvalid, bus.wready),
            (bus.bready, bus.bvalid),
            (bus.arvalid, bus.arready),
            (bus.rready, bus.rvalid),
        ):
            with m.If(theirs):
                m.d.sync += mine.eq(0)
        with m.If(self.start):
            m.d.sync += [mine.eq(self.write) for mine in (bus.awvalid, bus.wvalid, bus.bready)]
            m.d.sync += [mine.eq(~self.write) for mine in (bus.arvalid, bus.rready)]
        m.d.comb += [
            bus.awaddr.eq(self.address),
            bus.araddr.eq(self.address),
            bus.wdata.eq(self.data),
            bus.wstrb.eq(0b1111),
            self.busy.eq(bus.bready | bus.rready),
            self.done.eq((bus.bready & bus.bvalid) | (bus.rready & bus.rvalid)),
            self.failed.eq(Mux(bus.bready, bus.bresp[1], bus.rresp[1])),
            self.read_data.eq(bus.rdata),
        ]
        return m
