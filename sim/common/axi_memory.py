"""A memory for the AXI4 port of a design in the bulk harness; it holds the design to the protocol (IHI 0022)."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt

from sim.common.design_ports import DesignPorts

OKAY, SLVERR = 0, 2


@dataclass
class _WriteBurst:
    """The next word's byte address, words to come, whether one failed."""

    address: int
    beats: int
    failed: bool = False


class Pins(Protocol):
    """Ports by name with their widths, and a clock; `Harness` is one."""

    @property
    def ports(self) -> DesignPorts: ...

    def peek(self, name: str) -> int: ...

    def poke(self, name: str, value: int) -> None: ...

    def step(self, cycles: int = 1) -> None: ...


@dataclass
class Memory:
    """AXI4 memory: in order, with a latency, and with any stalls on any channel.

    Attributes
    ----------
    data : uint8, all bytes
    words_a_cycle : share of the cycles in which a word of a read can come
    stall : share of the cycles in which the address and write channels are not ready
    latency_cycles : from a read burst's address to its first word
    failing : byte addresses, words that hold one are answered with an error
    seed : of the stalls
    reads, writes : byte address and beats of every burst

    Raises
    ------
    AssertionError
        In the methods, where the design breaks the protocol: a request changed or withdrawn before it is taken, a burst
        over a 4 KiB boundary or beyond the memory, a last word in the wrong place.
    """

    data: npt.NDArray[np.uint8]
    words_a_cycle: float = 1.0
    stall: float = 0.0
    latency_cycles: int = 4
    failing: frozenset[int] = frozenset()
    seed: int = 0
    reads: list[tuple[int, int]] = field(default_factory=list)
    writes: list[tuple[int, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._rng = np.random.default_rng(self.seed)
        self._cycle = 0
        self._due: deque[tuple[int, int, bool]] = deque()  # (cycle, byte address, last) of words to come
        self._bursts: deque[_WriteBurst] = deque()
        self._words: deque[dict[str, int]] = deque()  # of writes, as they can come before their burst
        self._held: dict[str, dict[str, int]] = {}
        self._offered = False

    def ready(self) -> bool:
        """Whether a channel is, in this cycle."""
        return self.stall == 0 or bool(self._rng.random() >= self.stall)

    def run(self, pins: Pins, cycles: int, until: str = "irq") -> int:
        """Cycles until an output of the design is high."""
        for cycle in range(cycles):
            if pins.peek(until):
                self.idle(pins)
                return cycle
            self.step(pins)
        raise AssertionError(f"no {until} in {cycles} cycles")

    @staticmethod
    def idle(pins: Pins) -> None:
        """Takes and gives nothing while others let the clock run."""
        for name in ("arready", "awready", "wready", "rvalid", "bvalid"):
            pins.poke(f"m_axi_{name}", 0)

    def step(self, pins: Pins) -> None:
        """A clock cycle."""
        ready = {channel: self.ready() for channel in ("ar", "aw", "w")}
        # A word offered stays until it is taken.
        offered = bool(self._due) and self._due[0][0] <= self._cycle
        offered = offered and (self._offered or self.words_a_cycle == 1 or self._rng.random() < self.words_a_cycle)
        self._offered = offered
        bytes_ = pins.ports.widths["m_axi_wstrb"]
        for channel, value in ready.items():
            pins.poke(f"m_axi_{channel}ready", int(value))
        pins.poke("m_axi_rvalid", int(offered))
        if offered:
            _, address, last = self._due[0]
            pins.poke("m_axi_rdata", int.from_bytes(self.data[address : address + bytes_].tobytes(), "little"))
            pins.poke("m_axi_rlast", int(last))
            pins.poke("m_axi_rresp", SLVERR if self.fails(address, bytes_) else OKAY)
        answered = bool(self._bursts) and self._bursts[0].beats == 0 and self.ready()
        pins.poke("m_axi_bvalid", int(answered))
        if answered:
            pins.poke("m_axi_bresp", SLVERR if self._bursts[0].failed else OKAY)
        self._observe(pins, ready, bytes_)
        if offered and pins.peek("m_axi_rready"):
            self._due.popleft()
            self._offered = False
        if answered:
            assert pins.peek("m_axi_bready")
            self._bursts.popleft()
        pins.step()
        self._cycle += 1

    def fails(self, address: int, count: int) -> bool:
        """Whether an access to so many bytes is answered with an error."""
        return any(address <= one < address + count for one in self.failing)

    def _observe(self, pins: Pins, ready: dict[str, bool], bytes_: int) -> None:
        for channel in ("ar", "aw"):
            got = self._request(pins, channel, ready, ("addr", "len", "size", "burst", "id"))
            if got is None:
                continue
            address, beats = got["addr"], got["len"] + 1
            assert got["size"] == bytes_.bit_length() - 1 and got["burst"] == 1 and got["id"] == 0
            assert address % bytes_ == 0
            assert address // 4096 == (address + beats * bytes_ - 1) // 4096, f"{channel} {address:#x}, {beats} beats"
            assert address + beats * bytes_ <= len(self.data)
            if channel == "ar":
                self.reads.append((address, beats))
                start = self._cycle + self.latency_cycles
                self._due += [(start, address + beat * bytes_, beat == beats - 1) for beat in range(beats)]
            else:
                self.writes.append((address, beats))
                self._bursts.append(_WriteBurst(address, beats))
        word = self._request(pins, "w", ready, ("data", "strb", "last"))
        if word is not None:
            self._words.append(word)
        while self._words and any(burst.beats for burst in self._bursts):
            self._write(self._words.popleft(), next(burst for burst in self._bursts if burst.beats), bytes_)

    def _write(self, word: dict[str, int], burst: _WriteBurst, bytes_: int) -> None:
        assert word["last"] == (burst.beats == 1)
        raw = word["data"].to_bytes(bytes_, "little")
        for byte in range(bytes_):
            if word["strb"] >> byte & 1:
                self.data[burst.address + byte] = raw[byte]
        burst.failed |= self.fails(burst.address, bytes_)
        burst.address += bytes_
        burst.beats -= 1

    def _request(
        self, pins: Pins, channel: str, ready: dict[str, bool], fields: tuple[str, ...]
    ) -> dict[str, int] | None:
        """What is taken in this cycle; what is offered must stay until it is."""
        if not pins.peek(f"m_axi_{channel}valid"):
            assert channel not in self._held, f"{channel} was withdrawn"
            return None
        now = {name: pins.peek(f"m_axi_{channel}{name}") for name in fields}
        assert self._held.get(channel, now) == now, f"{channel} changed"
        self._held[channel] = now
        return self._held.pop(channel) if ready[channel] else None
