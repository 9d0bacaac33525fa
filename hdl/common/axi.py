"""AMBA AXI interfaces as Amaranth signatures, with ARM's names (IHI 0022 for AXI4, IHI 0051 for AXI4-Stream).

Data streams inside the gateware are `amaranth.lib.stream`; `valid` never waits for `ready`, and a payload
holds until it is taken, which is AXI4-Stream's handshake. At the Verilog edge they get AXI4-Stream's names
(`hdl.common.edge`), so no logic stands between the two.
"""

from __future__ import annotations

from amaranth.hdl import Shape, ShapeLike
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out


def packet(shape: ShapeLike) -> data.StructLayout:
    """Payload of a packetised stream: `data`, of the given shape, and `last` (TLAST), set in a packet's last beat."""
    return data.StructLayout({"data": shape, "last": 1})


def packet_stream(shape: ShapeLike) -> stream.Signature:
    """A stream of packets; see `packet`."""
    return stream.Signature(packet(shape))


class AXI4LiteSignature(wiring.Signature):
    """AXI4-Lite from the manager's side: 32-bit data, byte addresses of `address_bits`.

    PROT is carried because vendor tools look for it; no subordinate of ours reads it.
    """

    def __init__(self, address_bits: int, data_bits: int = 32):
        self.address_bits = address_bits
        self.data_bits = data_bits
        super().__init__(
            {
                "awaddr": Out(address_bits),
                "awprot": Out(3),
                "awvalid": Out(1),
                "awready": In(1),
                "wdata": Out(data_bits),
                "wstrb": Out(data_bits // 8),
                "wvalid": Out(1),
                "wready": In(1),
                "bresp": In(2),
                "bvalid": In(1),
                "bready": Out(1),
                "araddr": Out(address_bits),
                "arprot": Out(3),
                "arvalid": Out(1),
                "arready": In(1),
                "rdata": In(data_bits),
                "rresp": In(2),
                "rvalid": In(1),
                "rready": Out(1),
            }
        )


class AXI4Signature(wiring.Signature):
    """AXI4 from the manager's side, for memory: INCR, WRAP and FIXED bursts of up to 256 beats."""

    def __init__(self, address_bits: int, data_bits: int, id_bits: int = 1):
        self.address_bits = address_bits
        self.data_bits = data_bits
        self.id_bits = id_bits
        request = {"id": id_bits, "addr": address_bits, "len": 8, "size": 3, "burst": 2}
        request |= {"lock": 1, "cache": 4, "prot": 3, "qos": 4, "valid": 1}
        members: dict[str, wiring.Member] = {}
        for channel in ("aw", "ar"):
            members |= {f"{channel}{name}": Out(bits) for name, bits in request.items()}
            members[f"{channel}ready"] = In(1)
        members |= {"wdata": Out(data_bits), "wstrb": Out(data_bits // 8), "wlast": Out(1), "wvalid": Out(1)}
        members |= {"wready": In(1)}
        members |= {"bid": In(id_bits), "bresp": In(2), "bvalid": In(1), "bready": Out(1)}
        members |= {"rid": In(id_bits), "rdata": In(data_bits), "rresp": In(2), "rlast": In(1), "rvalid": In(1)}
        members |= {"rready": Out(1)}
        super().__init__(members)


class Response:
    """Codes of BRESP and RRESP."""

    OKAY = 0
    SLVERR = 2
    DECERR = 3


def is_packet(shape: ShapeLike) -> bool:
    """Whether a stream's payload shape is a `packet`."""
    return isinstance(shape, data.StructLayout) and set(shape.members) == {"data", "last"}


def data_shape(shape: ShapeLike) -> Shape:
    """The plain shape of a stream's TDATA, packetised or not."""
    return Shape.cast(shape.members["data"] if is_packet(shape) else shape)  # type: ignore[attr-defined]
