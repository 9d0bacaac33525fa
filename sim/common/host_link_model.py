"""The device's side of the host link (`docs/host-link.md`), in plain Python, byte for byte.

Written from the protocol page alone, to judge the gateware and the host driver; it shares no code with either.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Protocol

OK, MALFORMED, BUS_ERROR, TIMEOUT, BUS_BUSY, NO_ROOM = range(6)
PING, READ, WRITE, SEND, RECV = range(1, 6)
RESERVE_BYTES = 16


def fcs(body: bytes) -> int:
    """CRC-16/IBM-SDLC of `body`, bit by bit: x^16 + x^12 + x^5 + 1, least significant bit first, begun and ended with
    all ones."""
    remainder = 0xFFFF
    for octet in body:
        for position in range(8):
            feedback = (remainder ^ (octet >> position)) & 1
            remainder = (remainder >> 1) ^ (0x8408 if feedback else 0)
    return remainder ^ 0xFFFF


def frame(body: bytes) -> bytes:
    """The bytes on the line that carry `body`."""
    line = bytearray([0x7E])
    for octet in body + fcs(body).to_bytes(2, "little"):
        line += bytes([0x7D, octet ^ 0x20]) if octet in (0x7D, 0x7E) else bytes([octet])
    return bytes(line) + b"\x7e"


class FrameDecoder:
    """Bodies of the good frames in a byte stream. What comes before the first flag is skipped."""

    def __init__(self) -> None:
        self._octets = bytearray()
        self._open = False
        self._escape = False

    def feed(self, octet: int) -> bytes | None:
        """Take one byte from the line; the body of the frame that it completes, if it is a good one."""
        if octet == 0x7E:
            whole, aborted, was_open = bytes(self._octets), self._escape, self._open
            self._open, self._escape = True, False
            self._octets.clear()
            good = was_open and not aborted and len(whole) >= 3
            return whole[:-2] if good and fcs(whole[:-2]) == int.from_bytes(whole[-2:], "little") else None
        if self._escape:
            self._octets.append(octet ^ 0x20)
            self._escape = False
        elif octet == 0x7D:
            self._escape = True
        else:
            self._octets.append(octet)
        return None

    def gap(self) -> None:
        """The line was silent for longer than the frame time-out."""
        self._open = self._escape = False
        self._octets.clear()


class Bus(Protocol):
    """What READ and WRITE reach. Both give the response: 0 for OKAY, 2 for an error, 3 for none within the time-out."""

    busy: bool
    """An access that timed out still waits for its response."""

    def read(self, address: int) -> tuple[int, int]:
        """Response and word."""

    def write(self, address: int, word: int) -> int:
        """Response."""


@dataclass
class MemoryBus:
    """Words at any address, zero at first; any access from `error_from` on gives a bus error. The two lowest bits of an
    address say nothing."""

    words: dict[int, int] = field(default_factory=dict)
    error_from: int = 1 << 32
    busy: bool = False
    accesses: list[tuple[str, int]] = field(default_factory=list)

    def read(self, address: int) -> tuple[int, int]:
        address &= ~3
        self.accesses.append(("read", address))
        return (BUS_ERROR, 0) if address >= self.error_from else (OK, self.words.get(address, 0))

    def write(self, address: int, word: int) -> int:
        address &= ~3
        self.accesses.append(("write", address))
        if address >= self.error_from:
            return BUS_ERROR
        self.words[address] = word
        return OK


@dataclass
class InputChannel:
    """Bytes from the host to the design: `taken` grows, as (byte, last), while there is `room` (None: always)."""

    room: int | None = None
    taken: list[tuple[int, bool]] = field(default_factory=list)

    def take(self, octet: int, last: bool) -> bool:
        """Whether the byte was taken within the time-out."""
        if self.room is not None:
            if self.room <= 0:
                return False
            self.room -= 1
        self.taken.append((octet, last))
        return True


@dataclass
class OutputChannel:
    """Bytes from the design to the host, as (byte, last)."""

    waiting: deque[tuple[int, bool]] = field(default_factory=deque)


class _Refused(Exception):
    """A command is not executed."""

    def __init__(self, status: int):
        super().__init__(status)
        self.status = status


class DeviceModel:
    """A device on the host link.

    Parameters
    ----------
    identity : bytes
        8 bytes.
    bus : Bus
    inputs, outputs : list of channels
    buffer_bytes : int
        Longest body.
    channel_bytes : int
        Depth that PING reports.
    """

    def __init__(
        self,
        identity: bytes,
        bus: Bus,
        inputs: list[InputChannel],
        outputs: list[OutputChannel],
        *,
        buffer_bytes: int = 1024,
        channel_bytes: int = 512,
    ):
        self.identity = identity
        self.bus = bus
        self.inputs = inputs
        self.outputs = outputs
        self.buffer_bytes = buffer_bytes
        self.channel_bytes = channel_bytes
        self.executions = 0
        self.commands = 0
        self._decoder = FrameDecoder()
        self._last: bytes | None = None

    def feed(self, line: bytes) -> bytes:
        """The bytes that the device answers to `line`."""
        answer = b""
        for octet in line:
            body = self._decoder.feed(octet)
            if body is not None and len(body) <= self.buffer_bytes:
                answer += frame(self.respond(body))
        return answer

    def gap(self) -> None:
        """The line was silent for longer than the frame time-out."""
        self._decoder.gap()

    def reset(self) -> None:
        """The device was reset."""
        self._decoder.gap()
        self._last = None

    def respond(self, body: bytes) -> bytes:
        """The response's body to a request's body."""
        if self._last is None or body[0] == 0 or body[0] != self._last[0]:
            self.executions += 1
            self._last = self._execute(body)
        return self._last

    def _execute(self, body: bytes) -> bytes:
        response, rest = body[:1], body[1:]
        while rest:
            self.commands += 1
            try:
                answer, rest = self._command(rest, self.buffer_bytes - 1 - RESERVE_BYTES - len(response))
            except _Refused as refusal:
                answer, rest = bytes([refusal.status]), b""
            response += answer
            if answer[0] != OK:
                break
        return response

    def _command(self, rest: bytes, room: int) -> tuple[bytes, bytes]:
        """The answer to the first command of `rest`, and what follows it."""
        opcode = rest[0]
        argument_bytes = {PING: 0, READ: 6, WRITE: 6, SEND: 4, RECV: 3}.get(opcode)
        if argument_bytes is None or len(rest) <= argument_bytes:
            raise _Refused(MALFORMED)
        arguments, rest = rest[1 : 1 + argument_bytes], rest[1 + argument_bytes :]
        count = arguments[1] * 4 if opcode in (READ, WRITE) else int.from_bytes(arguments[-2:], "little")
        channels = {SEND: len(self.inputs), RECV: len(self.outputs)}
        if opcode in channels and arguments[0] >= channels[opcode]:
            raise _Refused(MALFORMED)
        if room < (count if opcode in (READ, RECV) else 0):
            raise _Refused(NO_ROOM)
        content_bytes = count if opcode in (WRITE, SEND) else 0
        if len(rest) < content_bytes:
            raise _Refused(MALFORMED)
        content, rest = rest[:content_bytes], rest[content_bytes:]
        if opcode == PING:
            sizes = self.buffer_bytes.to_bytes(2, "little") + bytes([len(self.inputs), len(self.outputs)])
            answer = bytes([OK, 1]) + self.identity + sizes + self.channel_bytes.to_bytes(2, "little")
        elif opcode == SEND:
            answer = self._send(self.inputs[arguments[0]], content, bool(arguments[1] & 1))
        elif opcode == RECV:
            answer = self._recv(self.outputs[arguments[0]], count)
        else:
            answer = self._access(arguments, content)
        return answer, rest

    def _access(self, arguments: bytes, content: bytes) -> bytes:
        if self.bus.busy:
            return bytes([BUS_BUSY, 0])
        address, words, status, done = int.from_bytes(arguments[2:], "little"), b"", OK, 0
        for index in range(arguments[1]):
            if content:
                status = self.bus.write(address, int.from_bytes(content[4 * index : 4 * index + 4], "little"))
            else:
                status, word = self.bus.read(address)
                words += word.to_bytes(4, "little") if status == OK else b""
            if status != OK:
                break
            done += 1
            address = (address + (0 if arguments[0] & 1 else 4)) % (1 << 32)
        return bytes([status, done]) + words

    @staticmethod
    def _send(channel: InputChannel, content: bytes, ends: bool) -> bytes:
        accepted = 0
        for octet in content:
            if not channel.take(octet, ends and accepted == len(content) - 1):
                break
            accepted += 1
        return bytes([OK if accepted == len(content) else TIMEOUT]) + accepted.to_bytes(2, "little")

    @staticmethod
    def _recv(channel: OutputChannel, count: int) -> bytes:
        content, ended = b"", False
        while channel.waiting and len(content) < count and not ended:
            octet, ended = channel.waiting.popleft()
            content += bytes([octet])
        return bytes([OK, ended]) + len(content).to_bytes(2, "little") + content
