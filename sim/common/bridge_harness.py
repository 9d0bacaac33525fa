"""What surrounds the host bridge in `bridge_bench`: stream ends, a bus, and the model that says what it must answer."""

from __future__ import annotations

import json
import os
import random
from collections import deque
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, Event, RisingEdge
from cocotbext.axi import AxiLiteBus, AxiLiteSlave

from sim.common import host_link_model as link
from sim.common.pauses import pause_all
from sim.common.runner import CLOCK_PERIOD_NS

IDENTITY = b"bench\x7d\x7e\x00"
WINDOW = 0x8000_0000
ERROR_FROM = 0xF000_0000
QUIET_CYCLES = 60
PATIENCE_CYCLES = 60_000

CONFIG: dict[str, Any] = json.loads(os.environ.get("NIELLO_CONFIG", "{}"))


class Words:
    """What answers on the bus: words that the model's `MemoryBus` holds as well, errors, and silence on demand."""

    def __init__(self) -> None:
        self.words: dict[int, int] = {}
        self.accesses: list[tuple[str, int]] = []
        self.silent = Event()
        self.silent.set()

    async def _answer(self, kind: str, address: int) -> None:
        self.accesses.append((kind, address))
        await self.silent.wait()
        if address >= ERROR_FROM:
            raise ValueError("an access that the test wants to fail")

    async def read(self, address: int, length: int) -> bytes:
        """Answer a read."""
        await self._answer("read", address)
        return self.words.get(address, 0).to_bytes(length, "little")

    async def write(self, address: int, content: bytes) -> None:
        """Answer a write."""
        await self._answer("write", address)
        self.words[address] = int.from_bytes(content, "little")


class Stream:
    """Pins of one stream."""

    def __init__(self, dut: Any, prefix: str, *, packets: bool):
        self.data = getattr(dut, f"{prefix}_tdata")
        self.valid = getattr(dut, f"{prefix}_tvalid")
        self.ready = getattr(dut, f"{prefix}_tready")
        self.last = getattr(dut, f"{prefix}_tlast") if packets else None


class Source:
    """Offers queued (byte, last), with stalls; what is offered stays until it is taken."""

    def __init__(self, stream: Stream, stall: float):
        self.pins, self.stall = stream, stall
        self.queue: deque[tuple[int, bool]] = deque()
        self.offered = False
        stream.valid.value = 0

    def edge(self) -> None:
        """What happens at a clock edge."""
        if self.offered and self.pins.ready.value == 1:
            self.queue.popleft()
            self.offered = False
            self.pins.valid.value = 0
        if not self.offered and self.queue and random.random() >= self.stall:
            octet, last = self.queue[0]
            self.pins.data.value = octet
            if self.pins.last is not None:
                self.pins.last.value = int(last)
            self.offered = True
            self.pins.valid.value = 1

    def forget(self) -> None:
        """The other end was reset: withdraw the offer."""
        self.offered = False
        self.pins.valid.value = 0


class Sink:
    """Takes bytes, with stalls, or none while `blocked`; checks that an offer stays until it is taken."""

    def __init__(self, stream: Stream, stall: float):
        self.pins, self.stall = stream, stall
        self.taken: list[tuple[int, bool]] = []
        self.blocked = False
        self.ready = False
        self.waiting: tuple[int, bool] | None = None
        stream.ready.value = 0

    def edge(self) -> None:
        """What happens at a clock edge."""
        if self.pins.valid.value == 1:
            item = (int(self.pins.data.value), self.pins.last is not None and self.pins.last.value == 1)
            assert self.waiting in (None, item), f"an offer changed from {self.waiting} to {item}"
            self.waiting = item
            if self.ready:
                self.taken.append(item)
                self.waiting = None
        else:
            assert self.waiting is None, "an offer was withdrawn"
        ready = not self.blocked and random.random() >= self.stall
        if ready != self.ready:
            self.ready = ready
            self.pins.ready.value = int(ready)


class Bench:
    """The design, what surrounds it, and the model that says what it must answer."""

    def __init__(self, dut: Any, stall: float = 0.3):
        self.dut = dut
        Clock(dut.clk, CLOCK_PERIOD_NS, "ns").start()
        self.rx = Source(Stream(dut, "s_axis_rx", packets=False), stall)
        self.tx = Sink(Stream(dut, "m_axis_tx", packets=False), stall)
        self.inputs = [Sink(Stream(dut, f"m_axis_input{k}", packets=True), stall) for k in range(CONFIG["inputs"])]
        self.outputs = [Source(Stream(dut, f"s_axis_output{k}", packets=True), stall) for k in range(CONFIG["outputs"])]
        self.target = Words()
        self.bus = AxiLiteSlave(AxiLiteBus.from_prefix(dut, "m_axil"), dut.clk, dut.rst, target=self.target)
        for side in (self.bus.write_if, self.bus.read_if):
            side.log.setLevel("ERROR")
        if stall:  # far shorter than the bus may take
            pause_all(self.bus, stall)
        self.memory = link.MemoryBus(error_from=ERROR_FROM)
        self.model = link.DeviceModel(
            IDENTITY,
            self.memory,
            [link.InputChannel() for _ in self.inputs],
            [link.OutputChannel() for _ in self.outputs],
            buffer_bytes=CONFIG["buffer_bytes"],
            channel_bytes=CONFIG["channel_bytes"],
        )

    async def start(self) -> None:
        """Reset, then let everything run."""
        self.dut.rst.value = 1
        await ClockCycles(self.dut.clk, 3)
        self.dut.rst.value = 0
        cocotb.start_soon(self._run())

    async def _run(self) -> None:
        edge = RisingEdge(self.dut.clk)
        parts: list[Source | Sink] = [self.rx, self.tx, *self.inputs, *self.outputs]
        while True:
            await edge
            for part in parts:
                part.edge()

    async def reset(self) -> None:
        """Reset the design in the middle of things; both ends of its streams forget what was under way."""
        self.dut.rst.value = 1
        self.rx.queue.clear()
        for source in [self.rx, *self.outputs]:
            source.forget()
        await ClockCycles(self.dut.clk, 2)
        self.dut.rst.value = 0
        for sink in [self.tx, *self.inputs]:
            sink.waiting = None
        self.tx.taken.clear()
        self.model.reset()

    def offer(self, channel: int, items: list[tuple[int, bool]]) -> None:
        """The design behind the bridge has these bytes to give."""
        self.outputs[channel].queue.extend(items)
        self.model.outputs[channel].waiting.extend(items)

    async def send(self, line: bytes) -> None:
        """Put bytes on the line and wait until they are taken."""
        self.rx.queue.extend((octet, False) for octet in line)
        for _ in range(PATIENCE_CYCLES):
            if not self.rx.queue:
                return
            await RisingEdge(self.dut.clk)
        raise AssertionError("the bridge takes no bytes")

    async def receive(self, expected: int, quiet_cycles: int = QUIET_CYCLES) -> bytes:
        """What comes back: at least the expected number of bytes, and all that follows within the quiet time."""
        waited = 0
        while len(self.tx.taken) < expected:
            await RisingEdge(self.dut.clk)
            waited += 1
            assert waited < PATIENCE_CYCLES, f"{len(self.tx.taken)} of {expected} bytes came"
        await ClockCycles(self.dut.clk, quiet_cycles)
        line = bytes(octet for octet, _ in self.tx.taken)
        self.tx.taken.clear()
        return line

    async def check(self, line: bytes, *, quiet_cycles: int = 4) -> bytes:
        """Send bytes; the bridge must answer, do to the bus and give to the channels what the model does."""
        expected = self.model.feed(line)
        await self.send(line)
        given = await self.receive(len(expected), quiet_cycles if expected else QUIET_CYCLES)
        assert given == expected, f"{line.hex(' ')} gave {given.hex(' ')}, the model says {expected.hex(' ')}"
        assert self.target.words == self.memory.words
        assert self.target.accesses == self.memory.accesses
        self.target.accesses.clear()
        self.memory.accesses.clear()
        await self._check_inputs()
        return given

    async def _check_inputs(self) -> None:
        for sink, channel in zip(self.inputs, self.model.inputs, strict=True):
            for _ in range(PATIENCE_CYCLES):
                if len(sink.taken) >= len(channel.taken) or sink.blocked:
                    break
                await RisingEdge(self.dut.clk)
            assert sink.taken == channel.taken[: len(sink.taken)]
            assert sink.blocked or len(sink.taken) == len(channel.taken)
            if not sink.blocked:
                sink.taken.clear()
                channel.taken.clear()
