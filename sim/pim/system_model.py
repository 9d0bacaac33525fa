"""Golden model of `pim.system`: the golden models of device and vector unit, and the queues between them, without a
clock.

Fetch, channel and vector unit are three processes that take from queues and put into queues, each in an order that the
program alone gives. What such a network computes, and whether it comes to a stop, does not depend on time (G. Kahn,
1974). So each process here runs until it must wait, in turn; where all wait, so does the gateware, whatever its stalls.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from hdl.pim.commands import Instruction, Op, encode_program
from hdl.pim.system_config import SystemConfig, SystemInstruction
from hdl.pim.vector_config import BANK, LINK, LOADS, Illegal, VectorInstruction, VectorOp
from sim.pim import channel_vectors
from sim.pim.channel_run import is_legal
from sim.pim.device_model import Device
from sim.pim.vector_model import VectorUnit, beats_of

Beats = npt.NDArray[np.uint16]


class Stuck(ValueError):
    """A program in which each unit waits for another for ever."""


@dataclass
class SystemRun:
    """What a program did.

    Attributes
    ----------
    beats : list of uint16 (lanes,)
        What the stores gave to the host.
    last : list of bool
        Which of them end a packet.
    illegal : list of (index, Illegal)
        Instructions that the vector unit skipped, and their places among its own.
    channel_illegal : list of int
        The same of the channel: places since its last EOC.
    ended, eocs : int
        ENDs and EOCs.
    """

    beats: list[Beats] = field(default_factory=list)
    last: list[bool] = field(default_factory=list)
    illegal: list[tuple[int, Illegal]] = field(default_factory=list)
    channel_illegal: list[int] = field(default_factory=list)
    ended: int = 0
    eocs: int = 0


class Link:
    """A queue of beats that become wider or narrower; a gathered beat ends where a packet does, its rest is zero.

    Parameters
    ----------
    from_lanes, to_lanes : elements of a beat put in, and of one taken
    columns : a beat's share of the queue's room, in columns
    room : columns that the queue holds
    """

    def __init__(self, from_lanes: int, to_lanes: int, columns: int, room: int):
        self.from_lanes, self.to_lanes, self.columns, self.most = from_lanes, to_lanes, columns, room
        self.part: list[Beats] = []
        self.beats: deque[Beats] = deque()

    @property
    def room(self) -> bool:
        """Whether one more may be put in."""
        return len(self.beats) * self.columns < self.most

    def put(self, beat: Beats, last: bool) -> None:
        """One beat, (from_lanes,)."""
        self.part.append(beat)
        gathered = np.concatenate(self.part)
        if len(gathered) >= self.to_lanes or last:
            self.beats.extend(np.pad(gathered, (0, -len(gathered) % self.to_lanes)).reshape(-1, self.to_lanes))
            self.part = []


class System:
    """The system with its memories, all zeros at first; programs go on from what the ones before left there.

    Parameters
    ----------
    config : SystemConfig
    """

    def __init__(self, config: SystemConfig):
        self.config = config
        self.device, self.unit = Device(config.channel), VectorUnit(config.vector)
        column, beat, room = config.channel.lanes, config.vector.lanes, config.link_beats
        self.links = {name: Link(beat, column, 1, room) for name in ("load", "write")}
        self.links |= {name: Link(column, beat, max(1, beat // column), room) for name in ("result", "read")}

    def run(self, program: Sequence[SystemInstruction], data: Beats | None = None) -> SystemRun:
        """Executes a program. `data` has the beats of its loads from the host, uint16 (beats, lanes).

        Raises
        ------
        Stuck
            If it stops before its end: where, and what each unit waits for.
        """
        self._run, self._moves, self._waits = SystemRun(), 0, dict.fromkeys(("fetch", "channel", "vector unit"), "")
        self._data = deque(np.zeros((0, self.config.vector.lanes), np.uint16) if data is None else data)
        self._channel_queue: deque[Instruction | None] = deque()
        self._vector_queue: deque[VectorInstruction | None] = deque()
        processes = [self._fetch(program), self._channel(), self._vector()]
        while processes:
            before, left = self._moves, []
            for process in processes:
                if next(process, None) is not None:
                    left.append(process)
            if len(left) == len(processes) and self._moves == before:
                raise Stuck("; ".join(f"{name} waits for {what}" for name, what in self._waits.items() if what))
            processes = left
        return self._run

    def _until(self, name: str, what: str) -> Iterator[bool]:
        """Tells that a process waits."""
        self._waits[name] = what
        yield True
        self._waits[name] = ""

    def _fetch(self, program: Sequence[SystemInstruction]) -> Iterator[bool]:
        for index, one in enumerate(program):
            if isinstance(one, VectorInstruction):
                while len(self._vector_queue) >= self.config.queue_depth:
                    yield from self._until("fetch", f"room for word {index} of the vector unit")
                self._vector_queue.append(one)
            else:
                while len(self._channel_queue) >= self.config.channel.queue_depth:
                    yield from self._until("fetch", f"room for word {index} of the channel")
                self._channel_queue.append(one)
            self._moves += 1
        self._vector_queue.append(None)
        self._channel_queue.append(None)

    def _channel(self) -> Iterator[bool]:
        config, index = self.config.channel, 0
        while True:
            while not self._channel_queue:
                yield from self._until("channel", "instructions")
            one = self._channel_queue.popleft()
            self._moves += 1
            if one is None:
                return
            if not is_legal(one, config) and one.ch_mask >> config.channel & 1:
                self._run.channel_illegal.append(index)
            index = 0 if one.op == Op.EOC else index + 1
            needs = channel_vectors.beats_of(config, [one])
            arrays = {"program": encode_program([one])}
            for name in channel_vectors.ROLES_IN:
                columns: list[Beats] = []
                while len(columns) < needs[name]:
                    while not self.links[name].beats:
                        yield from self._until(
                            "channel", f"{name} {len(columns)} of {needs[name]} of {Op(one.op).name}"
                        )
                    columns.append(self.links[name].beats.popleft())
                    self._moves += 1
                arrays[name] = np.array(columns, np.uint16).reshape(-1, config.lanes).view(np.uint8)
            self._run.eocs += one.op == Op.EOC
            for name, given in channel_vectors.run(self.device, config, arrays).items():
                for place, column in enumerate(given):
                    while not self.links[name].room:
                        yield from self._until(
                            "channel", f"room for {name} {place} of {len(given)} of {Op(one.op).name}"
                        )
                    self.links[name].put(column.view(np.uint16), bool(one.last and place == len(given) - 1))
                    self._moves += 1

    def _vector(self) -> Iterator[bool]:
        config, index = self.config.vector, 0
        while True:
            while not self._vector_queue:
                yield from self._until("vector unit", "instructions")
            one = self._vector_queue.popleft()
            self._moves += 1
            if one is None:
                return
            link = ("read" if one.flags & BANK else "result") if one.flags & LINK else ""
            source = self.links[link].beats if link else self._data
            taken: list[Beats] = []
            needs = beats_of(config, one) if one.op in LOADS else 0
            while len(taken) < needs:
                while not source:
                    yield from self._until(
                        "vector unit", f"{link or 'data'} {len(taken)} of {needs} of {VectorOp(one.op).name}"
                    )
                taken.append(source.popleft())
                self._moves += 1
            run = self.unit.run([one], np.array(taken, np.uint16).reshape(-1, config.lanes))
            self._run.illegal += [(index, reason) for _, reason in run.illegal]
            self._run.ended += one.op == VectorOp.END
            index += 1
            if not link:
                self._run.beats += run.beats
                self._run.last += run.last
                continue
            name, what = "write" if one.flags & BANK else "load", VectorOp(one.op).name
            for place, (beat, last) in enumerate(zip(run.beats, run.last, strict=True)):
                while not self.links[name].room:
                    yield from self._until("vector unit", f"room for {name} {place} of {len(run.beats)} of {what}")
                self.links[name].put(beat, last)
                self._moves += 1
