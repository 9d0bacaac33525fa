"""Streams whole arrays through a design behind the host link, as fast as the line allows."""

from __future__ import annotations

import bisect
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from boards.host_link import Answer, Command, Identity, head_bytes, recv, send
from hdl.common.host_protocol import ANSWER_RESERVE_BYTES, Opcode, Status
from sim.common.beats import Beats

SEND_REQUEST_BYTES = 5
SMALLEST_PIECE_BYTES = 8
MOST_RECVS = 32


class StreamStall(Exception):
    """The design took or gave nothing for too long, or gave more than expected. `str()` is one line."""


class Transactor(Protocol):
    """What is used of `boards.host.Host`."""

    @property
    def identity(self) -> Identity:
        """Sizes of the device's buffers."""

    def transact(self, commands: Sequence[Command]) -> list[Answer]:
        """Execute commands in one frame."""


@dataclass(frozen=True)
class Channel:
    """A stream of the design: its role, the bytes of a beat, and whether it has packets (TLAST)."""

    role: str
    beat_bytes: int
    packets: bool


def channels(ports: Sequence[Mapping[str, Any]], direction: str) -> list[Channel]:
    """The streams of a design in the order of their channels.

    Parameters
    ----------
    ports : the list `ports` of the design's `ports.json`
    direction : `input` (host to design) or `output`
    """
    streams = [port for port in ports if port["interface"] == "axi4-stream"]
    packets = {port["role"] for port in streams if port["name"].endswith("_tlast")}
    return [
        Channel(port["role"], port["width"] // 8, port["role"] in packets)
        for port in streams
        if port["name"].endswith("_tdata") and port["direction"] == direction
    ]


@dataclass
class _Feed:
    """An input channel: bytes to send, the places where packets end, and how far it is."""

    number: int
    role: str
    content: bytes
    ends: list[int]
    sent: int = 0
    stalled: bool = False

    def piece(self, position: int, most: int) -> Command:
        """The SEND of up to `most` bytes from `position` on, up to the end of the packet."""
        index = bisect.bisect_right(self.ends, position)
        end = self.ends[index] if index < len(self.ends) else len(self.content) + 1
        stop = min(position + most, end, len(self.content))
        return send(self.number, self.content[position:stop], last=stop == end)

    def accept(self, command: Command, answer: Answer) -> None:
        """Take note of an answer."""
        if answer.status not in (Status.OK, Status.TIMEOUT):
            raise StreamStall(f"the device refused {command.opcode.name}: {answer.status.name}")
        self.sent += answer.count
        self.stalled = answer.status == Status.TIMEOUT


@dataclass
class _Collector:
    """An output channel: what it gave, and how many RECVs a frame are worth their bytes."""

    number: int
    channel: Channel
    expected_beats: int
    content: bytearray = field(default_factory=bytearray)
    ends: list[int] = field(default_factory=list)
    slots: int = 1
    dry: bool = False

    @property
    def missing(self) -> int:
        """Bytes that must still come."""
        return self.expected_beats * self.channel.beat_bytes - len(self.content)

    def accept(self, command: Command, answer: Answer) -> None:
        """Take what a RECV gave."""
        if answer.status != Status.OK:
            raise StreamStall(f"the device refused {command.opcode.name}: {answer.status.name}")
        self.content += answer.content
        if answer.ended:
            self.ends.append(len(self.content))
        self.dry = not answer.ended and answer.count < command.payload_bytes

    def adapt(self) -> None:
        """After a frame: short packets need a RECV each, an empty channel costs a time-out each."""
        self.slots = min(2 * self.slots, MOST_RECVS) if self.channel.packets and not self.dry else 1

    def beats(self) -> Beats:
        """All that came."""
        size = self.channel.beat_bytes
        data = np.frombuffer(bytes(self.content), dtype=np.uint8).reshape(-1, size)
        if not self.channel.packets:
            return Beats(data)
        last = np.zeros(len(data), dtype=np.bool_)
        last[np.array(self.ends, dtype=np.intp) // size - 1] = True
        return Beats(data, last)


def run_streams(
    host: Transactor,
    inputs: Mapping[str, Beats],
    expected_beats: Mapping[str, int],
    ports: Sequence[Mapping[str, Any]],
    *,
    progress: Callable[[int, int], None] | None = None,
    stall_s: float = 5.0,
) -> dict[str, Beats]:
    """Give all beats of all inputs to a design, and collect what it gives.

    Inputs advance together, in proportion to their lengths, in pieces of at most half a channel's queue, so that a
    design that takes them together never fills one queue while it waits for another. Each frame first takes what the
    outputs hold, then carries as many pieces as fit. A piece that a full queue did not take is sent again.

    Parameters
    ----------
    inputs : Beats by role; one that is left out gets none
    expected_beats : beats that each output will give, by role; one that is left out gives none
    ports : the list `ports` of the design's `ports.json`
    progress : callable, optional
        Called after each frame with the bytes that went in and came out so far, and with their total.
    stall_s : float
        Seconds without any byte in or out after which the design is given up.

    Raises
    ------
    StreamStall
        If the design stops, or gives more than expected.
    ValueError
        If the roles or beats are not the design's, or the board has other numbers of channels.
    """
    device = host.identity
    into, out = channels(ports, "input"), channels(ports, "output")
    for received, known in ((inputs, into), (expected_beats, out)):
        unknown = set(received) - {channel.role for channel in known}
        if unknown:
            raise ValueError(f"streams must be of {[channel.role for channel in known]}, not {sorted(unknown)}")
    if (device.inputs, device.outputs) != (len(into), len(out)):
        raise ValueError(
            f"the board has {device.inputs} inputs and {device.outputs} outputs, the design {len(into)} and {len(out)}"
        )
    none = {channel.role: Beats(np.zeros((0, channel.beat_bytes), np.uint8)) for channel in into}
    given, wanted = {**none, **inputs}, {channel.role: 0 for channel in out} | {**expected_beats}
    feeds = [_feed(number, channel, given[channel.role]) for number, channel in enumerate(into)]
    collectors = [_Collector(number, channel, wanted[channel.role]) for number, channel in enumerate(out)]
    total = sum(len(feed.content) for feed in feeds) + sum(collector.missing for collector in collectors)
    done, since = 0, time.monotonic()
    while done < total:
        plan = _plan_recvs(device, collectors, alone=all(feed.sent == len(feed.content) for feed in feeds))
        plan += _plan_sends(device, feeds, [command for command, _ in plan])
        answers = host.transact([command for command, _ in plan])
        for (command, end), answer in zip(plan, answers, strict=False):  # a refused command is the last one
            end.accept(command, answer)
        for collector in collectors:
            collector.adapt()
        before = done
        done = total - sum(len(feed.content) - feed.sent for feed in feeds) - sum(end.missing for end in collectors)
        since = time.monotonic() if done > before else since
        if progress is not None:
            progress(done, total)
        if time.monotonic() - since > stall_s:
            raise StreamStall(_describe_stall(feeds, collectors, stall_s))
    for collector in collectors:
        if host.transact([recv(collector.number, 1)])[0].count:
            beats = collector.expected_beats
            raise StreamStall(f"output {collector.channel.role} gave more than the {beats} beats expected")
    return {collector.channel.role: collector.beats() for collector in collectors}


def _feed(number: int, channel: Channel, beats: Beats) -> _Feed:
    width = beats.data.shape[1]
    if width != channel.beat_bytes:
        raise ValueError(f"beats of {channel.role} must have {channel.beat_bytes} bytes, not {width}")
    ends = [] if beats.last is None else [int(beat + 1) * width for beat in np.flatnonzero(beats.last)]
    return _Feed(number, channel.role, beats.data.tobytes(), ends)


def _plan_recvs(
    device: Identity, collectors: Sequence[_Collector], *, alone: bool
) -> list[tuple[Command, _Feed | _Collector]]:
    """RECVs for what is missing. Unless they are alone, half of the response stays for the answers to SENDs."""
    budget = (device.buffer_bytes if alone else device.buffer_bytes // 2) - ANSWER_RESERVE_BYTES - 2
    waiting = [collector for collector in collectors if collector.missing]
    plan: list[tuple[Command, _Feed | _Collector]] = []
    for place, collector in enumerate(waiting):
        share = budget // (len(waiting) - place)
        slots = max(1, min(collector.slots, share // (head_bytes(Opcode.RECV) + 1)))
        each = share // slots - head_bytes(Opcode.RECV)
        missing = collector.missing
        for _ in range(slots):
            count = min(missing, max(1, each))
            if count:
                plan.append((recv(collector.number, count), collector))
                budget -= head_bytes(Opcode.RECV) + count
                missing -= count
    return plan


def _plan_sends(
    device: Identity, feeds: Sequence[_Feed], before: Sequence[Command]
) -> list[tuple[Command, _Feed | _Collector]]:
    """SENDs for the rest of the frame: always the channel that is furthest behind, stalled ones last and once."""
    free = device.buffer_bytes - 1 - sum(len(command.request) for command in before)
    answered = 1 + sum(head_bytes(command.opcode) + command.payload_bytes for command in before)
    most = max(1, device.channel_bytes // 2)
    positions = {feed.number: feed.sent for feed in feeds if feed.sent < len(feed.content)}
    plan: list[tuple[Command, _Feed | _Collector]] = []
    while positions and answered + ANSWER_RESERVE_BYTES < device.buffer_bytes:
        feed = min(
            (feed for feed in feeds if feed.number in positions),
            key=lambda feed: (feed.stalled, positions[feed.number] / len(feed.content)),
        )
        position = positions[feed.number]
        command = feed.piece(position, most)
        if len(command.request) > free:
            command = feed.piece(position, max(0, free - SEND_REQUEST_BYTES))
            positions.clear()
            if len(command.request) > free or len(command.request) < SMALLEST_PIECE_BYTES + SEND_REQUEST_BYTES:
                break
        free -= len(command.request)
        answered += head_bytes(Opcode.SEND)
        plan.append((command, feed))
        position += len(command.request) - SEND_REQUEST_BYTES
        if feed.number in positions:
            positions[feed.number] = position
            if feed.stalled or position == len(feed.content):
                del positions[feed.number]
    return plan


def _describe_stall(feeds: Sequence[_Feed], collectors: Sequence[_Collector], stall_s: float) -> str:
    taken = [f"input {feed.role} took {feed.sent} of {len(feed.content)} bytes" for feed in feeds]
    given = [
        f"output {end.channel.role} gave {len(end.content)} of {len(end.content) + end.missing}" for end in collectors
    ]
    return f"the design stopped for {stall_s:g} s: " + ", ".join(taken + given)
