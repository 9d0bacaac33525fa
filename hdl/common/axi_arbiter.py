"""One AXI4-Lite subordinate for two managers."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.common.axi import AXI4LiteSignature

SIDES = ("first", "second")

_WRITE = (("awvalid", "awready", ("awaddr", "awprot")), ("wvalid", "wready", ("wdata", "wstrb")))
_READ = (("arvalid", "arready", ("araddr", "arprot")),)


class AxiArbiter(wiring.Component):
    """Lets one access through at a time, from its address to its response, and then the other manager's, if it has one.

    A manager that asks for a write and a read at once has the write first.

    Latency: 1 cycle more than the subordinate's where the other manager is at rest.

    Parameters
    ----------
    address_bits : int
        Of all three ports.

    Members
    -------
    first, second : In(AXI4LiteSignature(address_bits))
    bus : Out(AXI4LiteSignature(address_bits))
    """

    def __init__(self, address_bits: int):
        port = AXI4LiteSignature(address_bits)
        super().__init__({"first": In(port), "second": In(port), "bus": Out(port)})

    def elaborate(self, platform):
        m = Module()
        bus, ports = self.bus, [getattr(self, name) for name in SIDES]
        busy, writes, owner = Signal(), Signal(), Signal()
        asks = Signal(len(SIDES))
        m.d.comb += [asks[side].eq(port.awvalid | port.arvalid) for side, port in enumerate(ports)]
        chosen = Signal()  # the one that was not last, if it asks
        m.d.comb += chosen.eq(Mux(asks.all(), ~owner, asks[1]))
        with m.If(~busy & asks.any()):
            write = Mux(chosen, ports[1].awvalid, ports[0].awvalid)
            m.d.sync += [busy.eq(1), owner.eq(chosen), writes.eq(write)]

        done = Signal()
        for side, port in enumerate(ports):
            mine = Signal(name=f"{SIDES[side]}_owns")
            m.d.comb += mine.eq(busy & (owner == side))
            m.d.comb += [port.bresp.eq(bus.bresp), port.rdata.eq(bus.rdata), port.rresp.eq(bus.rresp)]
            with m.If(mine & writes):
                m.d.comb += [port.bvalid.eq(bus.bvalid), bus.bready.eq(port.bready)]
                m.d.comb += done.eq(bus.bvalid & port.bready)
            with m.If(mine & ~writes):
                m.d.comb += [port.rvalid.eq(bus.rvalid), bus.rready.eq(port.rready)]
                m.d.comb += done.eq(bus.rvalid & port.rready)
        with m.If(done):
            m.d.sync += busy.eq(0)
        self._requests(m, ports, busy, owner, writes, done)
        return m

    def _requests(self, m, ports, busy, owner, writes, done):
        """Address and data of the access, each once."""
        for kind, channels in ((writes, _WRITE), (~writes, _READ)):
            for valid, ready, payload in channels:
                gave = Signal(name=f"{valid[:-5]}_given")
                offer = getattr(self.bus, valid)
                with m.If(done):
                    m.d.sync += gave.eq(0)
                with m.Elif(offer & getattr(self.bus, ready)):
                    m.d.sync += gave.eq(1)
                for side, port in enumerate(ports):
                    with m.If(owner == side):
                        m.d.comb += [getattr(self.bus, name).eq(getattr(port, name)) for name in payload]
                        with m.If(busy & kind & ~gave):
                            m.d.comb += [
                                offer.eq(getattr(port, valid)),
                                getattr(port, ready).eq(getattr(self.bus, ready)),
                            ]
