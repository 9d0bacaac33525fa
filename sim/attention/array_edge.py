"""The edges of `attention.array` in a cocotb bench: registers, a memory behind cocotbext-axi's bus model, a watch."""

from __future__ import annotations

import json
import os
import random

import numpy as np
from cocotb.triggers import RisingEdge, with_timeout

from hdl.attention.config import ArrayConfig
from hdl.common.registers import load_registers
from sim.attention.array_stimulus import Case
from sim.common.memory_edge import MemoryEdge
from sim.common.runner import CLOCK_PERIOD_NS

CONFIG = ArrayConfig.parse(json.loads(os.environ["NIELLO_CONFIG"]))
REGISTERS = load_registers(*CONFIG.register_source)
BIT = {field.name: field.mask for field in REGISTERS["status"].fields}
"""Bits of the status register, by name."""


class Bench(MemoryEdge):
    """The block with a manager on its registers and a memory on its bus."""

    MAP = REGISTERS
    BUS_BYTES = CONFIG.bus_bytes

    async def begin(self, case: Case) -> None:
        """Fill the memory, and start the list."""
        self.memory.fill(case.before)
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
