"""Emitted Verilog computes what the gateware says, whatever the signedness of its signals."""

import itertools

import pytest
from amaranth.hdl import Module, Signal, signed
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from flows.verilog import check_names, emit, port_table
from hdl.common.axi import packet_stream
from sim.common.harness import Harness, build_harness


class Mixed(wiring.Component):
    """Signed signals used as signed and as unsigned numbers."""

    def __init__(self):
        super().__init__(
            {
                "a": In(signed(4)),
                "b": In(signed(4)),
                "signed_product": Out(signed(8)),
                "unsigned_product": Out(8),
                "mixed_sum": Out(signed(6)),
                "unsigned_less": Out(1),
                "i": In(packet_stream(8)),
                "o": Out(stream.Signature(8)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        held_a, held_b = Signal(signed(4)), Signal(signed(4))
        m.d.sync += [held_a.eq(self.a), held_b.eq(self.b)]
        m.d.comb += [
            self.signed_product.eq(held_a * held_b),
            self.unsigned_product.eq(held_a.as_unsigned() * held_b.as_unsigned()),
            self.mixed_sum.eq(held_a + held_b.as_unsigned()),
            self.unsigned_less.eq(held_a.as_unsigned() < held_b.as_unsigned()),
            self.o.payload.eq(self.i.payload.data),
            self.o.valid.eq(self.i.valid),
            self.i.ready.eq(self.o.ready),
        ]
        return m


def test_verilog_keeps_signed_and_unsigned_apart(tmp_path):
    component = Mixed()
    ports = {"top": "mixed", "clock": "clk", "reset": "rst", "ports": port_table(component)}
    verilog = tmp_path / "mixed.v"
    verilog.write_text(emit(component, "mixed"))
    with Harness(build_harness(verilog, ports, tmp_path / "build"), ports) as harness:
        for a, b in itertools.product(range(-8, 8), repeat=2):
            harness.poke("a", a % 16)
            harness.poke("b", b % 16)
            harness.step()
            assert harness.peek("signed_product") == a * b % 256
            assert harness.peek("unsigned_product") == (a % 16) * (b % 16)
            assert harness.peek("mixed_sum") == (a + b % 16) % 64
            assert harness.peek("unsigned_less") == (a % 16 < b % 16)


class Buffer(wiring.Component):
    """A port that is a gate of Verilog's."""

    def __init__(self):
        super().__init__({"i": In(1), "buf": Out(1)})

    def elaborate(self, platform):
        m = Module()
        m.d.comb += self.buf.eq(self.i)
        return m


def test_a_port_that_cannot_have_its_name_is_refused():
    verilog = emit(Buffer(), "buffer")
    table = [port for port in port_table(Buffer()) if port["interface"] == "signal"]
    check_names(verilog, "buffer", [port for port in table if port["name"] == "i"])
    with pytest.raises(ValueError, match="port buf of buffer: the name is a word of Verilog"):
        check_names(verilog, "buffer", table)
