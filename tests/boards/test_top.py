"""The board top in Verilator, behind a pseudo-terminal, driven by the real host driver."""

from __future__ import annotations

import re

import numpy as np
import pytest
from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from boards.board_sim import BoardSim, build_board_sim
from boards.host import Host, HostError
from boards.top import MEMORY_BASE, BoardTop
from flows.verilog import emit, port_table
from hdl.common.axi import AXI4LiteSignature, AXI4Signature, packet_stream
from sim.common.beats import Beats

CLOCK_HZ, BAUD = 8_000_000, 1_000_000
IDENTITY = b"toyblock"
SILENT, REFUSED = 0x8, 0xC


class Toy(wiring.Component):
    """Adds the packets of two inputs of 4 and 4 bytes, and inverts a third stream, of 2 bytes without packets.

    Registers: 0 is written and read, 4 counts the third stream's beats, 8 never answers, 12 answers SLVERR.
    """

    def __init__(self):
        super().__init__(
            {
                "a": In(packet_stream(32)),
                "total": Out(packet_stream(32)),
                "flip": In(stream.Signature(16)),
                "b": In(packet_stream(32)),
                "flipped": Out(stream.Signature(16)),
                "csr": In(AXI4LiteSignature(4)),
                "irq": Out(1),
                "echo": Out(stream.Signature(8)),
                "octet": In(packet_stream(8)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        both = self.a.valid & self.b.valid
        m.d.comb += [
            self.total.valid.eq(both),
            self.total.payload.data.eq(self.a.payload.data + self.b.payload.data),
            self.total.payload.last.eq(self.a.payload.last),
            self.a.ready.eq(both & self.total.ready),
            self.b.ready.eq(both & self.total.ready),
            self.flipped.valid.eq(self.flip.valid),
            self.flipped.payload.eq(~self.flip.payload),
            self.flip.ready.eq(self.flipped.ready),
            self.echo.valid.eq(self.octet.valid),
            self.echo.payload.eq(Cat(self.octet.payload.data[:7], self.octet.payload.last)),
            self.octet.ready.eq(self.echo.ready),
        ]
        count, word = Signal(32), Signal(32)
        m.d.sync += count.eq(count + (self.flip.valid & self.flip.ready))
        bus = self.csr
        m.d.comb += [bus.awready.eq(bus.wvalid & ~bus.bvalid), bus.wready.eq(bus.awvalid & ~bus.bvalid)]
        m.d.comb += bus.arready.eq(~bus.rvalid)
        with m.If(bus.bready):
            m.d.sync += bus.bvalid.eq(0)
        with m.If(bus.awvalid & bus.awready):
            m.d.sync += [bus.bvalid.eq(bus.awaddr != SILENT), bus.bresp.eq(Cat(0, bus.awaddr == REFUSED))]
            with m.If(bus.awaddr == 0):
                m.d.sync += word.eq(bus.wdata)
        with m.If(bus.rready):
            m.d.sync += bus.rvalid.eq(0)
        with m.If(bus.arvalid & bus.arready):
            m.d.sync += [bus.rvalid.eq(bus.araddr != SILENT), bus.rresp.eq(Cat(0, bus.araddr == REFUSED))]
            with m.Switch(bus.araddr):
                with m.Case(0):
                    m.d.sync += bus.rdata.eq(word)
                with m.Case(4):
                    m.d.sync += bus.rdata.eq(count)
        return m


class Inverter(wiring.Component):
    """Inverts a word of 64 bits in memory, whatever is written to whatever register being its address."""

    def __init__(self):
        super().__init__({"csr": In(AXI4LiteSignature(4)), "mem": Out(AXI4Signature(32, 64)), "irq": Out(1)})

    def elaborate(self, platform):
        m = Module()
        bus, mem, address = self.csr, self.mem, Signal(32)
        m.d.comb += [bus.awready.eq(bus.wvalid & ~bus.bvalid), bus.wready.eq(bus.awvalid & ~bus.bvalid)]
        m.d.comb += [mem.araddr.eq(address), mem.awaddr.eq(address), mem.arsize.eq(3), mem.awsize.eq(3)]
        m.d.comb += [mem.arburst.eq(1), mem.awburst.eq(1), mem.wlast.eq(1), mem.wstrb.eq(0xFF)]
        m.d.comb += [mem.rready.eq(1), mem.bready.eq(1)]
        for request, taken in ((mem.arvalid, mem.arready), (mem.awvalid, mem.awready), (mem.wvalid, mem.wready)):
            with m.If(taken):
                m.d.sync += request.eq(0)
        with m.If(bus.bready):
            m.d.sync += bus.bvalid.eq(0)
        with m.If(bus.awvalid & bus.awready):
            m.d.sync += [bus.bvalid.eq(1), address.eq(bus.wdata), mem.arvalid.eq(1), self.irq.eq(0)]
        with m.If(mem.rvalid):
            m.d.sync += [mem.wdata.eq(~mem.rdata), mem.wvalid.eq(1), mem.awvalid.eq(1)]
        with m.If(mem.bvalid):
            m.d.sync += self.irq.eq(1)
        return m


@pytest.fixture(scope="module")
def memory_library(tmp_path_factory):
    folder = tmp_path_factory.mktemp("inverter")
    top = BoardTop(Inverter(), clock_hz=CLOCK_HZ, baud=BAUD, identity=IDENTITY, memory_bytes=4096)
    assert top.memories_bits == (8192, 8192, 32768)
    verilog = folder / "inverter.v"
    verilog.write_text(emit(top, "niello_board_inverter"))
    return build_board_sim(verilog, "niello_board_inverter", folder / "build")


def test_board_memory_is_the_block_s_and_the_host_s(memory_library):
    words = np.random.default_rng(1).integers(1 << 32, size=1024, dtype=np.uint32)
    with BoardSim(memory_library, CLOCK_HZ, BAUD) as port, Host.open(port, BAUD, timeout_s=5) as host:
        host.write(MEMORY_BASE, words)
        for place in (0, 6, 1022):
            host.write(0, [4 * place])
            words[place : place + 2] ^= 0xFFFF_FFFF
        assert host.read(MEMORY_BASE, 1024) == words.tolist()
        with pytest.raises(HostError, match=r"^bus error at 0x80001000 \(read\)$"):
            host.read(MEMORY_BASE + 4096, 1)
        host.reset_design()  # memory is no state of the block
        assert host.read(MEMORY_BASE + 24, 2) == words[6:8].tolist()


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    folder = tmp_path_factory.mktemp("toy")
    top = BoardTop(Toy(), clock_hz=CLOCK_HZ, baud=BAUD, identity=IDENTITY, channel_bytes=64, buffer_bytes=256)
    verilog = folder / "toy.v"
    verilog.write_text(emit(top, "niello_board_toy"))
    return build_board_sim(verilog, "niello_board_toy", folder / "build")


@pytest.fixture
def host(library):
    with BoardSim(library, CLOCK_HZ, BAUD) as port, Host.open(port, BAUD, timeout_s=5) as host:
        yield host


def test_board_says_what_it_is(host):
    identity = host.expect_identity(IDENTITY)
    assert (identity.version, identity.buffer_bytes, identity.channel_bytes) == (1, 256, 64)
    assert (identity.inputs, identity.outputs) == (4, 3)


def test_board_registers_and_faults_on_the_bus(host):
    host.write(0, [0x7E7D1234])
    assert host.read(0, 2) == [0x7E7D1234, 0]
    for address in (REFUSED, 0x10, 0x7FFF_FFFC, 0x8000_0000, 0xFFFF_FFFC):
        with pytest.raises(HostError, match=rf"^bus error at 0x{address:08x} \(read\)$"):
            host.read(address, 1)
        with pytest.raises(HostError, match=rf"^bus error at 0x{address:08x} \(write\)$"):
            host.write(address, [1])
    assert host.read(0, 1) == [0x7E7D1234]
    with pytest.raises(HostError, match=r"^no response from the bus at 0x00000008 \(read\)$"):
        host.read(SILENT, 1)
    busy = "the bus is still busy with an access that timed out earlier, at 0x00000000 (read)"
    with pytest.raises(HostError, match=f"^{re.escape(busy)}$"):
        host.read(0, 1)
    host.send(3, b"\x41", last=True)  # the streams go on
    assert host.recv(2, 3) == (b"\xc1", False)


def test_board_ends_a_packet_in_mid_beat_with_zeros(host):
    host.send(0, bytes([1, 2, 3, 4, 5]), last=True)
    host.send(2, bytes([10, 10, 10, 10, 10, 10]), last=True)
    assert host.recv(0, 100) == (bytes([11, 12, 13, 14, 15, 10, 0, 0]), True)
    assert host.recv(0, 100) == (b"", False)
    host.send(1, bytes([0xFF, 0x0F]), last=False)
    assert host.recv(1, 100) == (bytes([0x00, 0xF0]), False)
    assert host.read(4, 1) == [1]


def test_board_streams_every_beat_of_every_channel(host):
    generator = np.random.default_rng(3)
    beats = 300
    last = generator.random(beats) < 0.2
    last[-1] = True
    a, b = generator.integers(0, 1 << 32, (2, beats), dtype=np.uint32)
    flip = generator.integers(0, 1 << 16, 500, dtype=np.uint16)
    octets = generator.integers(0, 256, 700, dtype=np.uint8)
    ends = generator.random(700) < 0.1
    inputs = {
        "a": Beats(a.astype("<u4").view(np.uint8).reshape(-1, 4), last),
        "b": Beats(b.astype("<u4").view(np.uint8).reshape(-1, 4), last),
        "flip": Beats(flip.astype("<u2").view(np.uint8).reshape(-1, 2)),
        "octet": Beats(octets.reshape(-1, 1), ends),
    }
    given = host.run_streams(inputs, {"total": beats, "flipped": 500, "echo": 700}, port_table(Toy()))
    np.testing.assert_array_equal(given["total"].data.view("<u4").ravel(), a + b)
    np.testing.assert_array_equal(given["total"].last, last)
    np.testing.assert_array_equal(given["flipped"].data.view("<u2").ravel(), ~flip)
    np.testing.assert_array_equal(given["echo"].data.ravel(), octets % 128 + 128 * ends)
    assert (given["flipped"].last, given["echo"].last) == (None, None)


def test_board_finds_the_frame_after_garbage(host):
    assert host.read(0, 1) == [0]
    for garbage in (b"\x00", b"\x7e\x01", b"\x7d", bytes(range(256)) * 2, b"\x7e" * 9):
        host._port.write(garbage)
        host.write(0, [len(garbage)])
        assert host.read(0, 1) == [len(garbage)]


class WithPort(wiring.Component):
    """A block whose only member is given."""

    def elaborate(self, platform):
        return Module()


@pytest.mark.parametrize(
    ("member", "message"),
    [
        ({"go": In(1)}, "member go of WithPort has no place on a board top"),
        ({"control": In(AXI4LiteSignature(4))}, "member control of WithPort has no place on a board top"),
        ({"csr": Out(AXI4LiteSignature(4))}, "member csr of WithPort has no place on a board top"),
        ({"x": In(stream.Signature(12))}, "stream x is 12 bits wide, not a whole number of bytes"),
    ],
)
def test_block_that_has_no_place_is_refused(member, message):
    with pytest.raises(TypeError, match=f"^{message}$"):
        BoardTop(WithPort(member), clock_hz=CLOCK_HZ, baud=BAUD, identity=IDENTITY)


@pytest.mark.parametrize("member", [{}, {"external": In(1)}])
def test_block_without_anything_has_a_board_top(member):
    verilog = emit(BoardTop(WithPort(member), clock_hz=CLOCK_HZ, baud=BAUD, identity=IDENTITY), "niello_board_nothing")
    ports = set(re.findall(r"^  (?:input|output) (?:reg |wire )?(\w+);$", verilog, re.MULTILINE))
    assert {"clk", "rst", "uart_rx", "uart_tx", "activity"} <= ports
