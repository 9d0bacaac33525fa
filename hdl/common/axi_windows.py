"""One AXI4-Lite port for several subordinates, each in a window of addresses."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.common.axi import AXI4LiteSignature, Response


class AddressWindows(wiring.Component):
    """Hands each access to the window in which its address lies; where there is none the answer is DECERR.

    For any manager: address and data are held until the window has answered. One write and one read may be under way,
    side by side. Every READY and VALID comes from registers alone.

    Latency: 2 cycles more than the window's own, one each way.

    Parameters
    ----------
    address_bits : int
        Of the port.
    windows : dict of name to (base, address_bits)
        Windows of 2**address_bits bytes, each at a multiple of its size, none overlapping.

    Members
    -------
    bus : In(AXI4LiteSignature(address_bits))
    <name> : Out(AXI4LiteSignature(address_bits of the window))

    Raises
    ------
    ValueError
        If a window does not begin at a multiple of its size, or two overlap.
    """

    def __init__(self, address_bits: int, windows: dict[str, tuple[int, int]]):
        taken: list[range] = []
        for name, (base, bits) in windows.items():
            span = range(base, base + (1 << bits))
            if base % len(span) or span.stop > 1 << address_bits:
                raise ValueError(f"window {name} of {len(span)} bytes cannot begin at 0x{base:x}")
            if any(span.start < other.stop and other.start < span.stop for other in taken):
                raise ValueError(f"window {name} at 0x{base:x} overlaps another")
            taken.append(span)
        self._windows = windows
        outward = {name: Out(AXI4LiteSignature(bits)) for name, (_, bits) in windows.items()}
        super().__init__({"bus": In(AXI4LiteSignature(address_bits)), **outward})

    def elaborate(self, platform):
        m = Module()
        self._write(m)
        self._read(m)
        return m

    def _chosen(self, m, address, name):
        """A bit for each window: whether the address lies in it."""
        bits = [address[bits:] == base >> bits for base, bits in self._windows.values()]
        chosen = Signal(len(bits), name=name)
        m.d.comb += chosen.eq(Cat(bits))
        return chosen

    def _write(self, m):
        bus = self.bus
        address, prot = Signal.like(bus.awaddr, name="write_address"), Signal(3, name="write_prot")
        data, strobe = Signal.like(bus.wdata, name="write_data"), Signal.like(bus.wstrb, name="write_strobe")
        has_address, has_data, gave_address, gave_data = (Signal(name=f"write_{number}") for number in range(4))
        chosen = self._chosen(m, address, "write_chosen")
        both = has_address & has_data & ~bus.bvalid
        m.d.comb += [bus.awready.eq(~has_address), bus.wready.eq(~has_data)]
        with m.If(bus.awvalid & bus.awready):
            m.d.sync += [address.eq(bus.awaddr), prot.eq(bus.awprot), has_address.eq(1)]
        with m.If(bus.wvalid & bus.wready):
            m.d.sync += [data.eq(bus.wdata), strobe.eq(bus.wstrb), has_data.eq(1)]
        with m.If(bus.bvalid & bus.bready):
            m.d.sync += bus.bvalid.eq(0)
        answered, response = Signal(name="write_answered"), Signal(2, name="write_response")
        m.d.comb += [answered.eq(both & ~chosen.any()), response.eq(Response.DECERR)]
        for place, name in enumerate(self._windows):
            window = getattr(self, name)
            m.d.comb += [
                window.awaddr.eq(address),
                window.awprot.eq(prot),
                window.wdata.eq(data),
                window.wstrb.eq(strobe),
                window.awvalid.eq(both & chosen[place] & ~gave_address),
                window.wvalid.eq(both & chosen[place] & ~gave_data),
                window.bready.eq(both & chosen[place] & gave_address & gave_data),
            ]
            with m.If(window.awvalid & window.awready):
                m.d.sync += gave_address.eq(1)
            with m.If(window.wvalid & window.wready):
                m.d.sync += gave_data.eq(1)
            with m.If(window.bready & window.bvalid):
                m.d.comb += [answered.eq(1), response.eq(window.bresp)]
        with m.If(answered):
            m.d.sync += [bus.bvalid.eq(1), bus.bresp.eq(response)]
            m.d.sync += [one.eq(0) for one in (has_address, has_data, gave_address, gave_data)]

    def _read(self, m):
        bus = self.bus
        address, prot = Signal.like(bus.araddr, name="read_address"), Signal(3, name="read_prot")
        has_address, gave_address = Signal(name="read_0"), Signal(name="read_1")
        chosen = self._chosen(m, address, "read_chosen")
        m.d.comb += bus.arready.eq(~has_address & ~bus.rvalid)
        with m.If(bus.arvalid & bus.arready):
            m.d.sync += [address.eq(bus.araddr), prot.eq(bus.arprot), has_address.eq(1)]
        with m.If(bus.rvalid & bus.rready):
            m.d.sync += bus.rvalid.eq(0)
        with m.If(has_address & ~chosen.any()):
            m.d.sync += [bus.rvalid.eq(1), bus.rdata.eq(0), bus.rresp.eq(Response.DECERR), has_address.eq(0)]
        for place, name in enumerate(self._windows):
            window = getattr(self, name)
            m.d.comb += [
                window.araddr.eq(address),
                window.arprot.eq(prot),
                window.arvalid.eq(has_address & chosen[place] & ~gave_address),
                window.rready.eq(has_address & chosen[place] & gave_address),
            ]
            with m.If(window.arvalid & window.arready):
                m.d.sync += gave_address.eq(1)
            with m.If(window.rready & window.rvalid):
                m.d.sync += [bus.rvalid.eq(1), bus.rdata.eq(window.rdata), bus.rresp.eq(window.rresp)]
                m.d.sync += [has_address.eq(0), gave_address.eq(0)]
