"""Host driver: talks over a serial port to a board that runs `boards.top.BoardTop` (protocol: `docs/host-link.md`).

with Host.open("/dev/ttyUSB1", 1_000_000) as host:
    print(host.identity)
    host.write(0x0C, [1])
    status = host.read(0x08, 1)
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, Self

import numpy.typing as npt

from boards.host_link import (
    MOST_WORDS,
    PING_CONTENT_BYTES,
    Answer,
    Command,
    Identity,
    decode,
    encode,
    head_bytes,
    parse_answer,
    ping,
    read,
    recv,
    send,
    write,
)
from boards.host_streams import StreamStall, run_streams
from boards.link import LINK_BASE, link_registers
from hdl.common.host_protocol import ANSWER_RESERVE_BYTES, PROTOCOL_VERSION, Status
from sim.common.beats import Beats


class HostError(Exception):
    """The link, the board or the design on it fails. `str()` is one line."""


class SerialPort(Protocol):
    """What the driver uses of a `serial.Serial`; `in_waiting` and `reset_input_buffer` too, where there are such."""

    timeout: float | None

    def read(self, size: int = 1) -> bytes:
        """Up to `size` bytes; fewer, or none, when no more came within the time-out."""

    def write(self, data: bytes) -> int | None:
        """Send bytes."""


class Host:
    """The host's end of the link. Not for several threads at once.

    Parameters
    ----------
    port : SerialPort
        An open `serial.Serial`, or anything that reads and writes as it does.
    name : str
        How error messages call the port.
    timeout_s : float
        Silence after which a request is repeated. A repeated request is not executed again.
    attempts : int
        Times that a request is sent before the link is given up.
    """

    def __init__(self, port: SerialPort, *, name: str = "the port", timeout_s: float = 0.5, attempts: int = 5):
        self._port = port
        self._name = name
        self._timeout_s = timeout_s
        self._attempts = attempts
        self._sequence = 0
        self._identity: Identity | None = None
        self._line = b""
        port.timeout = timeout_s

    @classmethod
    def open(cls, path: str, baud: int, *, timeout_s: float = 0.5, attempts: int = 5) -> Self:
        """A host on the serial port `path` (a device's path, or a URL that pyserial knows).

        Raises
        ------
        HostError
            If the port cannot be opened.
        """
        import serial

        try:
            port = serial.serial_for_url(path, baudrate=baud, timeout=timeout_s)
        except (serial.SerialException, ValueError) as error:
            number = getattr(error, "errno", None)
            raise HostError(f"cannot open {path}: {os.strerror(number) if number else error}") from None
        with contextlib.suppress(AttributeError, NotImplementedError, ValueError, OSError):
            port.set_low_latency_mode(True)  # or each answer waits up to 16 ms in an FTDI chip's driver
        return cls(port, name=f"{path} at {baud} baud", timeout_s=timeout_s, attempts=attempts)

    def close(self) -> None:
        """Close the port, if it can be closed."""
        getattr(self._port, "close", lambda: None)()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def identity(self) -> Identity:
        """What the device said to the first ping."""
        return self._identity or self.ping()

    def ping(self) -> Identity:
        """Begin anew: forget what is on the line, and ask the device who it is.

        Raises
        ------
        HostError
            If nothing answers, or it speaks another version of the protocol.
        """
        getattr(self._port, "reset_input_buffer", lambda: None)()
        self._line = b""
        content = self._exchange(0, ping().request)
        answer = self._parse([ping()], content)[0].content
        if answer[0] != PROTOCOL_VERSION:
            raise HostError(
                f"the device on {self._name} speaks version {answer[0]} of the link, not {PROTOCOL_VERSION}"
            )
        if len(answer) != PING_CONTENT_BYTES:
            raise HostError(f"the device on {self._name} gave no sensible answer to PING")
        sizes = answer[9:]
        buffer_bytes, channel_bytes = (int.from_bytes(sizes[i : i + 2], "little") for i in (0, 4))
        self._identity = Identity(answer[0], answer[1:9], buffer_bytes, sizes[2], sizes[3], channel_bytes)
        return self._identity

    def expect_identity(self, identity: bytes) -> Identity:
        """Check that the board runs the design with this identity.

        Raises
        ------
        HostError
            If it runs another.
        """
        found = self.ping()
        if found.identity != identity:
            raise HostError(
                f"the board on {self._name} runs another design: "
                f"identity {found.identity.hex()}, expected {identity.hex()}; program it again"
            )
        return found

    def reset_design(self) -> None:
        """Reset the block and its queues, so that nothing of an earlier, perhaps cut-off, run is left in them."""
        control = link_registers()["control"]
        self.write(LINK_BASE + control.offset_bytes, [control["reset_design"].mask])

    def fits(self, commands: Sequence[Command]) -> bool:
        """Whether one frame holds these commands, and its response their longest answers."""
        size = self.identity.buffer_bytes
        used = 1
        for command in commands:
            if used + ANSWER_RESERVE_BYTES + command.payload_bytes >= size:
                return False
            used += head_bytes(command.opcode) + command.payload_bytes
        return 1 + sum(len(command.request) for command in commands) <= size

    def transact(self, commands: Sequence[Command]) -> list[Answer]:
        """Execute commands in one frame. Any status but OK is the last answer: what follows was not executed.

        Raises
        ------
        HostError
            If no answer comes, or it makes no sense.
        ValueError
            If the commands do not fit one frame.
        """
        if not self.fits(commands):
            raise ValueError(f"{len(commands)} commands do not fit a frame of {self.identity.buffer_bytes} bytes")
        self._sequence = self._sequence % 255 + 1
        body = self._exchange(self._sequence, b"".join(command.request for command in commands))
        return self._parse(commands, body)

    def read(self, address: int, count: int = 1, *, fixed: bool = False) -> list[int]:
        """`count` words from the bus, from rising addresses or (fixed) all from one.

        Raises
        ------
        HostError
            On a bus error or time-out, naming the address.
        """
        content = b""
        most = min(MOST_WORDS, (self.identity.buffer_bytes - 2 - ANSWER_RESERVE_BYTES) // 4)
        for first in range(0, count, most):
            place = address if fixed else address + 4 * first
            command = read(place, min(most, count - first), fixed=fixed)
            content += self._bus_answer(command, place, fixed).content
        return [int.from_bytes(content[i : i + 4], "little") for i in range(0, len(content), 4)]

    def write(self, address: int, words: Sequence[int] | npt.NDArray[Any], *, fixed: bool = False) -> None:
        """Words to the bus, to rising addresses or (fixed) all to one.

        Raises
        ------
        HostError
            On a bus error or time-out, naming the address.
        """
        most = min(MOST_WORDS, (self.identity.buffer_bytes - 8) // 4)
        for first in range(0, len(words), most):
            place = address if fixed else address + 4 * first
            self._bus_answer(write(place, words[first : first + most], fixed=fixed), place, fixed)

    def send(self, channel: int, content: bytes, last: bool, *, stall_s: float = 2.0) -> None:
        """All of `content` to an input channel; `last` ends a packet with it.

        Raises
        ------
        HostError
            If the channel takes nothing for `stall_s`.
        """
        most, sent, since = self.identity.buffer_bytes - 6, 0, time.monotonic()
        while sent < len(content):
            part = content[sent : sent + most]
            accepted = self._done(send(channel, part, last=last and sent + len(part) == len(content))).count
            sent += accepted
            since = time.monotonic() if accepted else since
            if time.monotonic() - since > stall_s:
                raise HostError(
                    f"input channel {channel} took {sent} of {len(content)} bytes, then none for {stall_s} s"
                )

    def recv(self, channel: int, count: int) -> tuple[bytes, bool]:
        """Up to `count` bytes that an output channel has now, and whether the last of them ended a packet."""
        most = self.identity.buffer_bytes - 2 - ANSWER_RESERVE_BYTES
        content, ended = b"", False
        while len(content) < count and not ended:
            asked = min(most, count - len(content))
            answer = self._done(recv(channel, asked))
            content, ended = content + answer.content, answer.ended
            if answer.count < asked:
                break
        return content, ended

    def run_streams(
        self,
        inputs: Mapping[str, Beats],
        expected_beats: Mapping[str, int],
        ports: Sequence[Mapping[str, Any]],
        *,
        progress: Callable[[int, int], None] | None = None,
        stall_s: float = 5.0,
    ) -> dict[str, Beats]:
        """All beats of all inputs through the design; what its outputs gave. See `boards.host_streams.run_streams`.

        Raises
        ------
        HostError
            If the link fails, or the design stops, or gives more than expected.
        """
        try:
            return run_streams(self, inputs, expected_beats, ports, progress=progress, stall_s=stall_s)
        except StreamStall as error:
            raise HostError(str(error)) from None

    def _done(self, command: Command) -> Answer:
        answer = self.transact([command])[0]
        if answer.status not in (Status.OK, Status.TIMEOUT):
            raise HostError(f"the device refused {command.opcode.name}: {answer.status.name}")
        return answer

    def _bus_answer(self, command: Command, address: int, fixed: bool) -> Answer:
        answer = self.transact([command])[0]
        at = f"at 0x{address + (0 if fixed else 4 * answer.count):08x} ({command.opcode.name.lower()})"
        if answer.status == Status.OK:
            return answer
        raise HostError(
            {
                Status.BUS_ERROR: f"bus error {at}",
                Status.TIMEOUT: f"no response from the bus {at}",
                Status.BUS_BUSY: f"the bus is still busy with an access that timed out earlier, {at}",
            }.get(answer.status, f"the device refused the access {at}: {answer.status.name}")
        )

    def _exchange(self, sequence: int, commands: bytes) -> bytes:
        """Send a request until its answer comes; the answer's body without the sequence number."""
        line = encode(bytes([sequence]) + commands)
        for _ in range(self._attempts):
            try:
                self._port.write(line)
                body = self._receive(sequence)
            except OSError as error:
                raise HostError(f"{self._name} failed: {error}") from None
            if body is not None:
                return body[1:]
        raise HostError(f"no answer from {self._name} after {self._attempts} attempts of {self._timeout_s:g} s")

    def _receive(self, sequence: int) -> bytes | None:
        """The next good frame of this number, or None when the line falls silent, or brings nothing but noise."""
        limit = 4 * (self._identity.buffer_bytes if self._identity else 1024)
        # The longest frame takes milliseconds on the line; a device that trickles something else must not hold us up.
        deadline = time.monotonic() + 10 * self._timeout_s
        while limit > 0 and time.monotonic() < deadline:
            chunk = self._port.read(max(1, getattr(self._port, "in_waiting", 0)))
            if not chunk:
                return None
            limit -= len(chunk)
            *frames, self._line = (self._line + chunk).split(b"\x7e")
            for stuffed in frames:
                body = decode(stuffed)
                if body is not None and body[0] == sequence:
                    return body
        return None

    def _parse(self, commands: Sequence[Command], body: bytes) -> list[Answer]:
        answers: list[Answer] = []
        for command in commands:
            if answers and answers[-1].status != Status.OK:
                break
            try:
                answer, body = parse_answer(command, body)
            except (IndexError, ValueError):
                raise HostError(
                    f"the device on {self._name} gave no sensible answer to {command.opcode.name}"
                ) from None
            answers.append(answer)
        if body:
            raise HostError(f"the device on {self._name} answered {len(body)} bytes too many")
        return answers
