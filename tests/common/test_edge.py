"""Port names at the Verilog edge, held to the names in ARM's and OpenCores' specifications."""

import pytest
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.common.axi import AXI4LiteSignature, AXI4Signature, packet_stream
from hdl.common.edge import ports

# IHI 0022, chapter A2 (AXI4) and B1 (AXI4-Lite); `o` is driven by the manager.
AXI4 = {
    "o": "awid awaddr awlen awsize awburst awlock awcache awprot awqos awvalid wdata wstrb wlast wvalid bready "
    "arid araddr arlen arsize arburst arlock arcache arprot arqos arvalid rready",
    "i": "awready wready bid bresp bvalid arready rid rdata rresp rlast rvalid",
}
AXI4_LITE = {
    "o": "awaddr awprot awvalid wdata wstrb wvalid bready araddr arprot arvalid rready",
    "i": "awready wready bresp bvalid arready rdata rresp rvalid",
}


class Block(wiring.Component):
    """A component of the given signature and nothing else."""

    def elaborate(self, platform):
        raise AssertionError("only its ports are asked for")


def edge(**members):
    return {port.name: port for port in ports(Block(members))}


def directions(found, direction):
    return {name for name, port in found.items() if port.direction == direction}


def test_edge_names_axi4_as_arm_does():
    found = edge(mem=Out(AXI4Signature(32, 64, 4)))
    assert directions(found, "output") == {f"m_axi_{name}" for name in AXI4["o"].split()}
    assert directions(found, "input") == {f"m_axi_{name}" for name in AXI4["i"].split()}
    widths = {name: found[f"m_axi_{name}"].width for name in ("awaddr", "wdata", "wstrb", "rdata", "awid", "awlen")}
    assert widths == {"awaddr": 32, "wdata": 64, "wstrb": 8, "rdata": 64, "awid": 4, "awlen": 8}
    assert {port.interface for port in found.values()} == {"axi4"}


def test_edge_names_axi4_lite_as_arm_does():
    found = edge(csr=In(AXI4LiteSignature(6)))
    assert directions(found, "input") == {f"s_axil_{name}" for name in AXI4_LITE["o"].split()}
    assert directions(found, "output") == {f"s_axil_{name}" for name in AXI4_LITE["i"].split()}
    assert (found["s_axil_awaddr"].width, found["s_axil_wdata"].width, found["s_axil_wstrb"].width) == (6, 32, 4)


def test_edge_second_bus_carries_its_role():
    found = edge(csr=In(AXI4LiteSignature(6)), debug=In(AXI4LiteSignature(4)), bus=Out(AXI4LiteSignature(32)))
    assert {"s_axil_awaddr", "s_axil_debug_awaddr", "m_axil_bus_awaddr"} <= set(found)
    assert len(found) == 3 * 19


def test_edge_names_streams_as_arm_does():
    found = edge(a=In(packet_stream(16)), y=Out(stream.Signature(24)), irq=Out(1))
    assert {name: (port.direction, port.width) for name, port in found.items()} == {
        "s_axis_a_tdata": ("input", 16),
        "s_axis_a_tlast": ("input", 1),
        "s_axis_a_tvalid": ("input", 1),
        "s_axis_a_tready": ("output", 1),
        "m_axis_y_tdata": ("output", 24),
        "m_axis_y_tvalid": ("output", 1),
        "m_axis_y_tready": ("input", 1),
        "irq": ("output", 1),
    }
    assert {port.role for port in found.values()} == {"a", "y", "irq"}


def test_edge_refuses_a_stream_of_part_of_a_byte():
    with pytest.raises(TypeError, match=r"^stream a is 12 bits wide, not a whole number of bytes$"):
        edge(a=In(stream.Signature(12)))


def test_edge_refuses_an_interface_without_a_name():
    with pytest.raises(TypeError, match=r"^member odd of Block has no standard name at the Verilog edge$"):
        edge(odd=In(wiring.Signature({"x": Out(1)})))
