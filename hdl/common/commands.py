"""Commands of the host link: their layout, as the gateware reads them.

The protocol is on `docs/host-link.md`.
"""

from __future__ import annotations

from hdl.common.host_protocol import Opcode

ARGUMENTS = {
    Opcode.READ: ("option", "count_low", "address", "address", "address", "address"),
    Opcode.WRITE: ("option", "count_low", "address", "address", "address", "address"),
    Opcode.SEND: ("channel", "option", "count_low", "count_high"),
    Opcode.RECV: ("channel", "count_low", "count_high"),
}
"""Bytes that follow an opcode. The words of WRITE and the bytes of SEND come after them."""

HEADS = {
    Opcode.READ: ("status", "count_low"),
    Opcode.WRITE: ("status", "count_low"),
    Opcode.SEND: ("status", "count_low", "count_high"),
    Opcode.RECV: ("status", "ended", "count_low", "count_high"),
}
"""Bytes that an answer begins with, known when the command is done. The words of READ and the bytes of RECV follow."""
