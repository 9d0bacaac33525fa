"""Codes of the host link that both ends need, the gateware and the host driver (protocol: `docs/host-link.md`)."""

from __future__ import annotations

from enum import IntEnum

PROTOCOL_VERSION = 1
ANSWER_RESERVE_BYTES = 16
"""Room that a command asks for in the response besides the payload that it returns: the longest answer without one."""


class Opcode(IntEnum):
    """First byte of a command."""

    PING = 1
    READ = 2
    WRITE = 3
    SEND = 4
    RECV = 5


class Status(IntEnum):
    """First byte of an answer. Any but OK makes it the last answer of its frame."""

    OK = 0
    MALFORMED = 1
    BUS_ERROR = 2
    TIMEOUT = 3
    BUS_BUSY = 4
    NO_ROOM = 5
