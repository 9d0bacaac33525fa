"""On-chip memory that a block reaches in AXI4 bursts and a host word by word."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In

from hdl.common.axi import AXI4LiteSignature, AXI4Signature, Response

HOST_BITS = 32


class AxiMemory(wiring.Component):
    """One memory in block RAM with one read and one write port, which the host's single accesses and a block's bursts
    share. The host goes first in each; it waits only for a beat that the block was offered and has not taken.

    Throughput: a beat a cycle in each direction inside a burst; one burst at a time in each, with a cycle between two.

    Answers: SLVERR to beats outside of the memory, which write nothing and read 0. Bursts are of full width and
    incrementing (INCR); others are taken for such.

    Parameters
    ----------
    address_bits : int
        The memory has 2**address_bits bytes.
    data_bits : int
        Width of the block's port, 32 or a power of two above.

    Members
    -------
    mem : In(AXI4Signature(32, data_bits))
    window : In(AXI4LiteSignature(address_bits))
    """

    def __init__(self, address_bits: int, data_bits: int):
        self._word_bits = (data_bits // 8).bit_length() - 1
        self._depth = 1 << (address_bits - self._word_bits)
        super().__init__(
            {"mem": In(AXI4Signature(32, data_bits)), "window": In(AXI4LiteSignature(address_bits))},
        )

    def elaborate(self, platform):
        m = Module()
        data_bits = len(self.mem.wdata)
        m.submodules.words = words = memory.Memory(shape=data_bits, depth=self._depth, init=[])
        self._read(m, words.read_port())
        self._write(m, words.write_port(granularity=8))
        return m

    def _place(self, address):
        """Index of an address's word, and whether there is none."""
        index_bits = (self._depth - 1).bit_length()
        return address[self._word_bits :][:index_bits], address[self._word_bits + index_bits :].any()

    def _part(self, address):
        """Which of the host's words of a memory word."""
        return address[2 : self._word_bits] if self._word_bits > 2 else Const(0, 1)

    def _read(self, m, port):
        mem, window = self.mem, self.window
        active, address, left = Signal(), Signal(32, reset_less=True), Signal(8, reset_less=True)
        advance, host, burst = Signal(), Signal(), Signal()
        fetched, part = Signal(), Signal.like(self._part(window.araddr))
        index, outside = self._place(address)
        m.d.comb += [
            # The memory's own output register holds the beat on offer.
            advance.eq(~mem.rvalid | mem.rready),
            window.arready.eq(~fetched & ~window.rvalid & advance),
            host.eq(window.arvalid & window.arready),
            burst.eq(active & advance & ~host),
            port.en.eq(host | burst),
            port.addr.eq(Mux(host, self._place(window.araddr)[0], index)),
            mem.arready.eq(~active),
            mem.rdata.eq(Mux(mem.rresp[1], 0, port.data)),
        ]
        with m.If(mem.arvalid & mem.arready):
            m.d.sync += [active.eq(1), address.eq(mem.araddr), left.eq(mem.arlen), mem.rid.eq(mem.arid)]
        with m.If(advance):
            m.d.sync += mem.rvalid.eq(burst)
        with m.If(burst):
            m.d.sync += [
                address.eq(address + (1 << self._word_bits)),
                left.eq(left - 1),
                active.eq(left != 0),
                mem.rlast.eq(left == 0),
                mem.rresp.eq(Mux(outside, Response.SLVERR, Response.OKAY)),
            ]
        m.d.sync += fetched.eq(host)
        with m.If(host):
            m.d.sync += part.eq(self._part(window.araddr))
        with m.If(window.rready):
            m.d.sync += window.rvalid.eq(0)
        with m.If(fetched):
            m.d.sync += [window.rvalid.eq(1), window.rdata.eq(port.data.word_select(part, HOST_BITS))]

    def _write(self, m, port):
        mem, window = self.mem, self.window
        taken, host_address = Signal(), Signal.like(window.awaddr)
        active, address, left = Signal(), Signal(32, reset_less=True), Signal(8, reset_less=True)
        host, burst = Signal(), Signal()
        index, outside = self._place(address)
        part = self._part(host_address)
        bytes_each = HOST_BITS // 8
        m.d.comb += [
            window.awready.eq(~taken & ~window.bvalid),
            window.wready.eq(taken),
            host.eq(window.wvalid & taken),
            mem.awready.eq(~active & ~mem.bvalid),
            mem.wready.eq(active & ~host),
            burst.eq(mem.wvalid & mem.wready),
        ]
        with m.If(host):
            m.d.comb += [
                port.addr.eq(self._place(host_address)[0]),
                port.data.eq(Cat([window.wdata] * (len(mem.wdata) // HOST_BITS))),
                port.en.word_select(part, bytes_each).eq(window.wstrb),
            ]
        with m.Else():
            m.d.comb += [
                port.addr.eq(index),
                port.data.eq(mem.wdata),
                port.en.eq(mem.wstrb & (burst & ~outside).replicate(len(mem.wstrb))),
            ]
        with m.If(window.awvalid & window.awready):
            m.d.sync += [taken.eq(1), host_address.eq(window.awaddr)]
        with m.If(window.bready):
            m.d.sync += window.bvalid.eq(0)
        with m.If(host):
            m.d.sync += [taken.eq(0), window.bvalid.eq(1)]
        with m.If(mem.awvalid & mem.awready):
            m.d.sync += [active.eq(1), address.eq(mem.awaddr), left.eq(mem.awlen), mem.bid.eq(mem.awid)]
            m.d.sync += mem.bresp.eq(Response.OKAY)
        with m.If(mem.bready):
            m.d.sync += mem.bvalid.eq(0)
        with m.If(burst):
            m.d.sync += [address.eq(address + (1 << self._word_bits)), left.eq(left - 1), active.eq(left != 0)]
            m.d.sync += mem.bvalid.eq(left == 0)
            with m.If(outside):
                m.d.sync += mem.bresp.eq(Response.SLVERR)
