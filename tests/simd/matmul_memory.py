"""A memory on the AXI4 port of a Verilated design, which holds the design to the protocol."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

import numpy as np

OKAY, SLVERR = 0, 2


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
    reads, writes : byte address and beats of every burst
    """

    data: np.ndarray
    words_a_cycle: float = 1.0
    stall: float = 0.0
    latency_cycles: int = 4
    failing: frozenset[int] = frozenset()
    seed: int = 0
    reads: list[tuple[int, int]] = field(default_factory=list)
    writes: list[tuple[int, int]] = field(default_factory=list)

    def __post_init__(self):
        self._rng = np.random.default_rng(self.seed)
        self._cycle = 0
        self._due = deque()  # (cycle, byte address, last) of words to come
        self._bursts = deque()  # [byte address, beats left, failed] of writes
        self._words = deque()  # of writes, as they can come before their burst
        self._held = {}

    def ready(self) -> bool:
        return self.stall == 0 or self._rng.random() >= self.stall

    def run(self, harness, cycles, until="irq"):
        """Cycles until an output of the design is high."""
        for cycle in range(cycles):
            if harness.peek(until):
                self.idle(harness)
                return cycle
            self.step(harness)
        raise AssertionError(f"no {until} in {cycles} cycles")

    @staticmethod
    def idle(harness):
        """Takes and gives nothing while others let the clock run."""
        for name in ("arready", "awready", "wready", "rvalid", "bvalid"):
            harness.poke(f"m_axi_{name}", 0)

    def step(self, harness):
        """A clock cycle."""
        ready = {channel: self.ready() for channel in ("ar", "aw", "w")}
        # A word offered stays until it is taken.
        offered = bool(self._due) and self._due[0][0] <= self._cycle
        offered = offered and (
            self._held.get("r") or self.words_a_cycle == 1 or self._rng.random() < self.words_a_cycle
        )
        self._held["r"] = offered
        bytes_ = harness.ports.widths["m_axi_wstrb"]
        for channel, value in ready.items():
            harness.poke(f"m_axi_{channel}ready", int(value))
        harness.poke("m_axi_rvalid", int(offered))
        if offered:
            _, address, last = self._due[0]
            harness.poke("m_axi_rdata", int.from_bytes(self.data[address : address + bytes_].tobytes(), "little"))
            harness.poke("m_axi_rlast", int(last))
            harness.poke("m_axi_rresp", SLVERR if self.fails(address, bytes_) else OKAY)
        answered = bool(self._bursts) and self._bursts[0][1] == 0 and self.ready()
        harness.poke("m_axi_bvalid", int(answered))
        if answered:
            harness.poke("m_axi_bresp", SLVERR if self._bursts[0][2] else OKAY)
        self._observe(harness, ready, bytes_)
        if offered and harness.peek("m_axi_rready"):
            self._due.popleft()
            self._held["r"] = False
        if answered:
            assert harness.peek("m_axi_bready")
            self._bursts.popleft()
        harness.step()
        self._cycle += 1

    def fails(self, address, count):
        return any(address <= one < address + count for one in self.failing)

    def _observe(self, harness, ready, bytes_):
        for channel in ("ar", "aw"):
            got = self._request(harness, channel, ready, ("addr", "len", "size", "burst", "id"))
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
                self._bursts.append([address, beats, False])
        word = self._request(harness, "w", ready, ("data", "strb", "last"))
        if word is not None:
            self._words.append(word)
        while self._words and any(burst[1] for burst in self._bursts):
            self._write(self._words.popleft(), next(burst for burst in self._bursts if burst[1]), bytes_)

    def _write(self, word, burst, bytes_):
        assert word["last"] == (burst[1] == 1)
        raw = word["data"].to_bytes(bytes_, "little")
        for byte in range(bytes_):
            if word["strb"] >> byte & 1:
                self.data[burst[0] + byte] = raw[byte]
        burst[2] |= self.fails(burst[0], bytes_)
        burst[0] += bytes_
        burst[1] -= 1

    def _request(self, harness, channel, ready, fields):
        """What is taken in this cycle; what is offered must stay until it is."""
        if not harness.peek(f"m_axi_{channel}valid"):
            assert channel not in self._held, f"{channel} was withdrawn"
            return None
        now = {name: harness.peek(f"m_axi_{channel}{name}") for name in fields}
        assert self._held.get(channel, now) == now, f"{channel} changed"
        self._held[channel] = now
        return self._held.pop(channel) if ready[channel] else None
