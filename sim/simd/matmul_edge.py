"""The edges of `simd.matmul` in a cocotb bench: its registers, a memory behind cocotbext-axi's bus model, a watch."""

from __future__ import annotations

import json
import os
import random
from typing import Any

import numpy as np
from cocotb.triggers import ClockCycles, RisingEdge, with_timeout

from hdl.common.registers import load_registers
from hdl.simd.config import MatmulConfig
from hdl.simd.modes import STATUS
from sim.common.memory_edge import MemoryEdge
from sim.common.runner import CLOCK_PERIOD_NS
from sim.simd.matmul_memory import Job, register_values
from sim.simd.matmul_stimulus import Case
from sim.simd.matmul_traffic import traffic

CONFIG = MatmulConfig.parse(json.loads(os.environ["NIELLO_CONFIG"]))
REGISTERS = load_registers(*CONFIG.register_source)
BIT = {field.name: field.mask for field in REGISTERS["status"].fields}
"""Bits of the status register, by name."""

SLVERR = 2


class Bench(MemoryEdge):
    """The block with a manager on its registers and a memory on its bus."""

    MAP = REGISTERS
    BUS_BYTES = CONFIG.bus_bytes
    PAUSE_CYCLES = (1, 1, 1, 2, 5, 30)

    def __init__(self, dut: Any):
        super().__init__(dut)
        self.error_response = SLVERR
        write, read = self.slave.write_if, self.slave.read_if
        self.channels = {
            **{"aw": write.aw_channel, "w": write.w_channel, "b": write.b_channel},
            **{"ar": read.ar_channel, "r": read.r_channel},
        }
        for name in ("r", "b"):
            self._answer_as_told(name)

    def _answer_as_told(self, name: str) -> None:
        """Errors leave the memory as `error_response`, where the bus model knows one kind alone."""
        channel = self.channels[name]
        send = channel.send

        async def answer(beat: Any) -> None:
            if getattr(beat, f"{name}resp"):
                setattr(beat, f"{name}resp", self.error_response)
            await send(beat)

        channel.send = answer

    async def begin(self, job: Job, **words: int) -> None:
        """Write a job's registers, some of them as `words` say, and start it."""
        for name, word in (register_values(CONFIG, job) | words).items():
            await self.write(name, word)
        areas = job.areas
        self.watch.expect([area for name, area in areas.items() if name != "c"], [areas["c"]])
        await self.command("start")

    async def finish(self, job: Job) -> None:
        """Wait for the interrupt, which `done` alone must be enabled for; then nothing is on its way any more."""
        amount = traffic(CONFIG, job)
        moved = amount.beats + amount.operand_words + amount.bias_bytes + amount.write_words + job.m * job.n
        if not int(self.dut.irq.value):
            await with_timeout(RisingEdge(self.dut.irq), (5000 + 100 * moved) * CLOCK_PERIOD_NS, "ns")
        assert self.watch.idle, f"done with {self.watch.pending} on the bus"

    async def run(self, case: Case) -> None:
        """A job from start to end, in memory of its own."""
        self.memory.fill(case.before, case.base)
        await self.begin(case.job)
        await self.finish(case.job)
        await self.check(case)

    async def check(self, case: Case) -> None:
        """Memory, status, and that nothing is left to do; clears the status."""
        self.check_memory(case)
        wanted = {name for place, name in enumerate(STATUS) if case.status >> place & 1} | {"done"}
        await self.check_status(wanted, case.job)

    async def check_single(self, name: str) -> None:
        """This bit alone is set; it interrupts where it is enabled. Clears it, and enables `done` again."""
        assert await self.read("status") == BIT[name]
        for enabled in (BIT["done"], BIT[name]):
            await self.write("irq_enable", enabled)
            await ClockCycles(self.clock, 2)
            assert int(self.dut.irq.value) == (enabled == BIT[name])
        await self.write("irq_enable", BIT["done"])
        await self.write("status", BIT[name])
        assert await self.read("status") == 0

    def check_memory(self, case: Case) -> None:
        """Every byte of it."""
        wrong = np.flatnonzero(self.memory.content != case.after)
        if len(wrong):
            place = int(wrong[0])
            inside = place in case.job.areas["c"].places() - case.base
            raise AssertionError(
                f"{case.job}: {len(wrong)} bytes differ, the first {'in' if inside else 'outside of'} C at "
                f"{place + case.base:#x}: {self.memory.content[place]:#04x}, not {case.after[place]:#04x}"
            )


def generator() -> np.random.Generator:
    """One that follows cocotb's seed."""
    return np.random.default_rng(random.getrandbits(64))
