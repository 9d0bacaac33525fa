"""The Verilog edge of a block: its ports under the standard names that other tools and other people's IP expect.

    member of the signature              name at the edge
    stream.Signature, role `a`, input    s_axis_a_tdata, s_axis_a_tvalid, s_axis_a_tready [, s_axis_a_tlast]
    stream.Signature, role `y`, output   m_axis_y_...
    AXI4LiteSignature, role `csr`, input s_axil_...
    AXI4Signature, role `mem`, output    m_axi_...
    WishboneSignature, role `wb`, input  s_wb_adr_i, s_wb_dat_i, s_wb_dat_o, s_wb_we_i, ..., s_wb_ack_o, s_wb_err_o
    WishboneSignature, role `wb`, output m_wb_adr_o, m_wb_dat_o, m_wb_dat_i, ...
    any other port                       its own name (`irq`)

A second AXI4-Lite, memory or Wishbone port carries its role: `s_axil_<role>_...`, `m_axi_<role>_...`.
"""

from __future__ import annotations

from dataclasses import dataclass

from amaranth.hdl import Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In

from hdl.common.axi import AXI4LiteSignature, AXI4Signature, is_packet
from hdl.common.wishbone import WishboneSignature


@dataclass(frozen=True)
class Port:
    """One port of the Verilog module. `interface` is `axi4-stream`, `axi4-lite`, `axi4`, `wishbone` or `signal`."""

    name: str
    direction: str
    width: int
    value: Value
    interface: str
    role: str


def ports(component: wiring.Component) -> list[Port]:
    """The edge of `component`, in the order of its signature. Clock and reset are not among them.

    Raises
    ------
    TypeError
        If a stream's data is not a whole number of bytes (AXI4-Stream's TDATA is), or an interface has no name here.
    """
    found: list[Port] = []
    for name, member in component.signature.members.items():
        value = getattr(component, name)
        if member.is_port:
            found.append(_port(name, member.flow, Value.cast(value), "signal", name))
        elif isinstance(member.signature, stream.Signature):
            found += _stream_ports(name, member, value)
        elif isinstance(member.signature, AXI4LiteSignature):
            found += _bus_ports(_prefix("axil", "csr", name, member.flow), "axi4-lite", name, member, value)
        elif isinstance(member.signature, AXI4Signature):
            found += _bus_ports(_prefix("axi", "mem", name, member.flow), "axi4", name, member, value)
        elif isinstance(member.signature, WishboneSignature):
            found += _wishbone_ports(_prefix("wb", "wb", name, member.flow), name, member, value)
        else:
            raise TypeError(f"member {name} of {type(component).__name__} has no standard name at the Verilog edge")
    return found


def _port(name: str, flow: wiring.Flow, value: Value, interface: str, role: str) -> Port:
    return Port(name, "input" if flow == In else "output", len(value), value, interface, role)


def _prefix(bus: str, default_role: str, role: str, flow: wiring.Flow) -> str:
    side = "s" if flow == In else "m"
    return f"{side}_{bus}" if role == default_role else f"{side}_{bus}_{role}"


def _stream_ports(role: str, member: wiring.Member, value: stream.Interface) -> list[Port]:
    flow, prefix = member.flow, f"{'s' if member.flow == In else 'm'}_axis_{role}"
    payload = value.payload
    packetised = is_packet(member.signature.members["payload"].shape)
    tdata = Value.cast(payload.data if packetised else payload)
    if len(tdata) % 8:
        raise TypeError(f"stream {role} is {len(tdata)} bits wide, not a whole number of bytes")
    found = [_port(f"{prefix}_tdata", flow, tdata, "axi4-stream", role)]
    if packetised:
        found.append(_port(f"{prefix}_tlast", flow, Value.cast(payload.last), "axi4-stream", role))
    found.append(_port(f"{prefix}_tvalid", flow, value.valid, "axi4-stream", role))
    found.append(_port(f"{prefix}_tready", flow.flip(), value.ready, "axi4-stream", role))
    return found


def _bus_ports(
    prefix: str, interface: str, role: str, member: wiring.Member, value: wiring.PureInterface
) -> list[Port]:
    found = []
    for name, inner in member.signature.members.items():  # a member's signature is flipped already where it is an input
        found.append(_port(f"{prefix}_{name}", inner.flow, Value.cast(getattr(value, name)), interface, role))
    return found


def _wishbone_ports(prefix: str, role: str, member: wiring.Member, value: wiring.PureInterface) -> list[Port]:
    """The standard's names end in the direction: what one side calls DAT_O is the other's DAT_I."""
    found = []
    for name, inner in member.signature.members.items():
        tag = f"{name.split('_')[0]}_{'i' if inner.flow == In else 'o'}"
        found.append(_port(f"{prefix}_{tag}", inner.flow, Value.cast(getattr(value, name)), "wishbone", role))
    return found
