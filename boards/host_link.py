"""Commands, answers and frames of the host link as the host makes and reads them (protocol: `docs/host-link.md`)."""

from __future__ import annotations

import binascii
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hdl.common.host_protocol import Opcode, Status

MOST_WORDS = 255
PING_CONTENT_BYTES = 15
"""Answer to PING after its status: version, identity, buffer, channels in and out, channel size."""


@dataclass(frozen=True)
class Identity:
    """What a device says of itself. Sizes in bytes; `inputs` and `outputs` count channels to and from the design."""

    version: int
    identity: bytes
    buffer_bytes: int
    inputs: int
    outputs: int
    channel_bytes: int


@dataclass(frozen=True)
class Command:
    """A command's bytes, and the most payload bytes that its answer holds."""

    request: bytes
    payload_bytes: int = 0

    @property
    def opcode(self) -> Opcode:
        """Which command."""
        return Opcode(self.request[0])


@dataclass(frozen=True)
class Answer:
    """A command's answer: `count` words or bytes were done; `ended` is that the last byte given ended a packet."""

    status: Status
    count: int = 0
    ended: bool = False
    content: bytes = b""


def ping() -> Command:
    """Ask who is there."""
    return Command(bytes([Opcode.PING]))


def read(address: int, count: int, *, fixed: bool = False) -> Command:
    """Read up to 255 words from rising addresses, or all from one."""
    return Command(bytes([Opcode.READ, fixed, count]) + address.to_bytes(4, "little"), 4 * count)


def write(address: int, words: Sequence[int] | npt.NDArray[Any], *, fixed: bool = False) -> Command:
    """Write up to 255 words to rising addresses, or all to one."""
    content = np.asarray(words, dtype="<u4").tobytes()
    return Command(bytes([Opcode.WRITE, fixed, len(words)]) + address.to_bytes(4, "little") + content)


def send(channel: int, content: bytes, *, last: bool) -> Command:
    """Give bytes to an input channel; `last` ends a packet with them."""
    return Command(bytes([Opcode.SEND, channel, last]) + len(content).to_bytes(2, "little") + content)


def recv(channel: int, count: int) -> Command:
    """Take up to `count` bytes from an output channel, up to a packet's end at most."""
    return Command(bytes([Opcode.RECV, channel]) + count.to_bytes(2, "little"), count)


def crc(body: bytes) -> int:
    """CRC-16/IBM-SDLC, by the standard library's CRC of the same polynomial that takes the other bit order."""
    remainder = binascii.crc_hqx(body.translate(_MIRROR), 0xFFFF) ^ 0xFFFF
    return int.from_bytes(remainder.to_bytes(2, "big").translate(_MIRROR), "little")


_MIRROR = bytes(int(f"{octet:08b}"[::-1], 2) for octet in range(256))


def encode(body: bytes) -> bytes:
    """The frame that carries a body."""
    whole = body + crc(body).to_bytes(2, "little")
    return b"\x7e" + whole.replace(b"\x7d", b"\x7d\x5d").replace(b"\x7e", b"\x7d\x5e") + b"\x7e"


def decode(stuffed: bytes) -> bytes | None:
    """The body between two flags, or None when it is no good frame."""
    whole = stuffed.replace(b"\x7d\x5e", b"\x7e").replace(b"\x7d\x5d", b"\x7d")
    body = whole[:-2]
    return body if body and whole[-2:] == crc(body).to_bytes(2, "little") else None


def head_bytes(opcode: Opcode) -> int:
    """Bytes of an answer before its payload."""
    return {Opcode.PING: 16, Opcode.READ: 2, Opcode.WRITE: 2, Opcode.SEND: 3, Opcode.RECV: 4}[opcode]


def parse_answer(command: Command, body: bytes) -> tuple[Answer, bytes]:
    """The answer to a command that a response goes on with, and the rest of the response.

    Raises
    ------
    IndexError, ValueError
        If that is no answer to this command.
    """
    status = Status(body[0])
    if status in (Status.MALFORMED, Status.NO_ROOM):
        return Answer(status), body[1:]
    head, rest = body[: head_bytes(command.opcode)], body[head_bytes(command.opcode) :]
    if len(head) < head_bytes(command.opcode):
        raise ValueError("cut off")
    if command.opcode == Opcode.PING:
        return Answer(status, content=head[1:]), rest
    ended = command.opcode == Opcode.RECV and bool(head[1] & 1)
    count = head[1] if len(head) == 2 else int.from_bytes(head[-2:], "little")
    content_bytes = {Opcode.READ: 4 * count, Opcode.RECV: count}.get(command.opcode, 0)
    if content_bytes > min(len(rest), command.payload_bytes):
        raise ValueError("cut off")
    return Answer(status, count, ended, rest[:content_bytes]), rest[content_bytes:]
