"""Commands of the host link: codes and layout, as the gateware reads them.

The protocol is on `docs/host-link.md`.
"""

from __future__ import annotations

from amaranth.lib import enum

PROTOCOL_VERSION = 1
ANSWER_RESERVE_BYTES = 16
"""Room that a command asks for in the response besides the payload that it returns: the longest answer without one."""


class Opcode(enum.Enum, shape=3):
    """First byte of a command."""

    PING = 1
    READ = 2
    WRITE = 3
    SEND = 4
    RECV = 5


class Status(enum.Enum, shape=3):
    """First byte of an answer. Any but OK makes it the last answer of its frame."""

    OK = 0
    MALFORMED = 1
    BUS_ERROR = 2
    TIMEOUT = 3
    BUS_BUSY = 4
    NO_ROOM = 5


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
