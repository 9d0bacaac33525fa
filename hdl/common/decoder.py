"""Divides a bus among address windows."""

from __future__ import annotations

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.common.axi import AXI4LiteSignature, Response

_CARRIED = ("awaddr", "awprot", "wdata", "wstrb", "araddr", "arprot")
_WRITE = (("awvalid", "wvalid", "bready"), ("awready", "wready", "bresp", "bvalid"))
_READ = (("arvalid", "rready"), ("arready", "rdata", "rresp", "rvalid"))


class AddressDecoder(wiring.Component):
    """Gives each access to the window in which its address lies, and answers DECERR where there is none.

    For a manager with one access at a time that keeps its address until the response, as `hdl.common.bus_access`: the
    address alone chooses, combinationally, and a window adds no latency.

    Parameters
    ----------
    windows : list of (base, address_bits)
        Windows of 2**address_bits bytes, address_bits in 2..31, each at a multiple of its size.

    Members
    -------
    bus : In(AXI4LiteSignature(32))
    windows : list of Out(AXI4LiteSignature(address_bits)), named window_0, window_1, ...

    Raises
    ------
    ValueError
        If a window does not begin at a multiple of its size, or two overlap.
    """

    def __init__(self, windows: list[tuple[int, int]]):
        taken: list[range] = []
        for base, bits in windows:
            span = range(base, base + (1 << bits))
            if base % len(span) or span.stop > 1 << 32:
                raise ValueError(f"a window of {len(span)} bytes cannot begin at 0x{base:08x}")
            if any(span.start < other.stop and other.start < span.stop for other in taken):
                raise ValueError(f"the window at 0x{base:08x} overlaps another")
            taken.append(span)
        self._windows = windows
        outward = {f"window_{number}": Out(AXI4LiteSignature(bits)) for number, (_, bits) in enumerate(windows)}
        super().__init__({"bus": In(AXI4LiteSignature(32)), **outward})
        self.windows = [getattr(self, name) for name in outward]

    def elaborate(self, platform):
        m = Module()
        bus = self.bus
        write_chosen, read_chosen = Signal(len(self._windows)), Signal(len(self._windows))
        for number, (window, (base, bits)) in enumerate(zip(self.windows, self._windows, strict=True)):
            m.d.comb += [getattr(window, name).eq(getattr(bus, name)) for name in _CARRIED]
            for (outward, inward), address, chosen in (
                (_WRITE, bus.awaddr, write_chosen),
                (_READ, bus.araddr, read_chosen),
            ):
                m.d.comb += chosen[number].eq(address[bits:] == base >> bits)
                with m.If(chosen[number]):
                    m.d.comb += [getattr(window, name).eq(getattr(bus, name)) for name in outward]
                    m.d.comb += [getattr(bus, name).eq(getattr(window, name)) for name in inward]

        aw_taken, w_taken, ar_taken = Signal(), Signal(), Signal()
        with m.If(~write_chosen.any()):
            m.d.comb += [bus.awready.eq(~aw_taken), bus.wready.eq(~w_taken)]
            m.d.comb += [bus.bvalid.eq(aw_taken & w_taken), bus.bresp.eq(Response.DECERR)]
            m.d.sync += [aw_taken.eq(aw_taken | bus.awvalid), w_taken.eq(w_taken | bus.wvalid)]
            with m.If(bus.bvalid & bus.bready):
                m.d.sync += [aw_taken.eq(0), w_taken.eq(0)]
        with m.If(~read_chosen.any()):
            m.d.comb += [bus.arready.eq(~ar_taken), bus.rvalid.eq(ar_taken), bus.rresp.eq(Response.DECERR)]
            m.d.sync += ar_taken.eq(bus.arvalid | (ar_taken & ~bus.rready))
        return m
