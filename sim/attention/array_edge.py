"""The edges of `attention.array` in a cocotb bench: registers, a memory behind cocotbext-axi's bus model, a watch."""

from __future__ import annotations

import json
import os
import random
from typing import Any

import cocotb
import numpy as np
from cocotb.triggers import ClockCycles, RisingEdge, with_timeout
from cocotbext.axi import AxiBus, AxiSlave

from hdl.attention.config import ArrayConfig
from hdl.common.registers import REGISTER_BYTES, load_registers
from sim.attention.array_stimulus import Bytes, Case
from sim.common.axi_watch import BusWatch
from sim.common.pauses import pause_all
from sim.common.runner import CLOCK_PERIOD_NS
from sim.common.streams import Edge

CONFIG = ArrayConfig.parse(json.loads(os.environ["NIELLO_CONFIG"]))
REGISTERS = load_registers(*CONFIG.register_source)
BIT = {field.name: field.mask for field in REGISTERS["status"].fields}
"""Bits of the status register, by name."""

ACCESS_TIMEOUT_CYCLES = 2000


class Memory:
    """What AxiSlave reads and writes: bytes from 0 on, of which those from `broken_from` on answer with an error.

    Attributes
    ----------
    content : uint8 (bytes,)
    """

    def __init__(self) -> None:
        self.content: Bytes = np.zeros(0, np.uint8)
        self.broken_from: int | None = None

    async def read(self, address: int, length: int) -> bytes:
        return self.content[self._part(address, length)].tobytes()

    async def write(self, address: int, data: bytes) -> None:
        self.content[self._part(address, len(data))] = np.frombuffer(data, np.uint8)

    def _part(self, address: int, length: int) -> slice:
        if address + length > len(self.content):
            raise ValueError(f"no memory at {address:#x}")
        if self.broken_from is not None and address + length > self.broken_from:
            raise ValueError(f"broken memory at {address:#x}")
        return slice(address, address + length)


class Bench(Edge):
    """The block with a manager on its registers and a memory on its bus."""

    def __init__(self, dut: Any):
        super().__init__(dut)
        self.memory = Memory()
        self.slave = AxiSlave(AxiBus.from_prefix(dut, "m_axi"), self.clock, dut.rst, target=self.memory)
        self.watch = BusWatch(CONFIG.bus_bytes)
        cocotb.start_soon(self.watch.run(dut))

    @classmethod
    async def start(cls, dut: Any, pauses: float = 0) -> Bench:
        """Reset the block; every channel of both buses rests for that share of the cycles, each by itself."""
        bench = cls(dut)
        await bench.reset()
        if pauses:
            pause_all(bench.slave, pauses)
            pause_all(bench.registers["csr"], pauses)
        await bench.write("irq_enable", BIT["done"])
        return bench

    async def read(self, register: str) -> int:
        access = self.registers["csr"].read(REGISTERS[register].offset_bytes, REGISTER_BYTES)
        return int.from_bytes((await self._answered(access)).data, "little")

    async def write(self, register: str, value: int) -> None:
        data = value.to_bytes(REGISTER_BYTES, "little")
        await self._answered(self.registers["csr"].write(REGISTERS[register].offset_bytes, data))

    async def _answered(self, access: Any) -> Any:
        answer = await with_timeout(cocotb.start_soon(access), ACCESS_TIMEOUT_CYCLES * CLOCK_PERIOD_NS, "ns")
        assert int(answer.resp) == 0, f"{answer}"
        return answer

    async def command(self, name: str) -> None:
        await self.write("control", REGISTERS["control"][name].mask)

    async def begin(self, case: Case) -> None:
        """Fill the memory, and start the list."""
        self.memory.content, self.memory.broken_from = case.before.copy(), None
        await self.write("list_address", case.list_address)
        await self.write("list_length", case.length)
        await self.write("window", case.window)
        await self.command("clear_counters")
        self.watch.expect(case.reads, case.writes)
        await self.command("start")

    async def finish(self, case: Case) -> None:
        """Wait for the interrupt, which `done` alone must be enabled for; then nothing is on its way any more."""
        work = case.cost.mac_cycles + case.cost.words_read + case.cost.words_written + 2000 * len(case.jobs)
        if not int(self.dut.irq.value):
            await with_timeout(RisingEdge(self.dut.irq), (5000 + 60 * work) * CLOCK_PERIOD_NS, "ns")
        assert self.watch.idle, f"done with {self.watch.pending} on the bus"

    async def run(self, case: Case) -> None:
        """A list from start to end: memory and status as the model says."""
        await self.begin(case)
        await self.finish(case)
        self.check_memory(case)
        await self.check_status(case.status)

    async def check_status(self, wanted: set[str]) -> None:
        """The bits that are set, all of them; clears them, and with them the interrupt."""
        word = await self.read("status")
        found = {name for name, mask in BIT.items() if word & mask}
        assert found == wanted, f"status is {sorted(found)}, not {sorted(wanted)}"
        await self.write("status", word)
        assert await self.read("status") == 0
        await ClockCycles(self.clock, 2)
        assert not int(self.dut.irq.value)

    def check_memory(self, case: Case) -> None:
        """Every byte of it."""
        wrong = np.flatnonzero(self.memory.content != case.after)
        if len(wrong):
            place = int(wrong[0])
            raise AssertionError(
                f"{case.jobs}: {len(wrong)} bytes differ, the first at {place:#x}: "
                f"{self.memory.content[place]:#04x}, not {case.after[place]:#04x}"
            )


def generator() -> np.random.Generator:
    """One that follows cocotb's seed."""
    return np.random.default_rng(random.getrandbits(64))
