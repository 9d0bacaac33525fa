"""The edges of `simd.matmul` in a cocotb bench: its registers, a memory behind cocotbext-axi's bus model, a watch."""

from __future__ import annotations

import json
import os
import random
from typing import Any

import cocotb
import numpy as np
from cocotb.triggers import ClockCycles, RisingEdge, with_timeout
from cocotbext.axi import AxiBus, AxiSlave

from hdl.common.registers import REGISTER_BYTES, load_registers
from hdl.simd.config import MatmulConfig
from hdl.simd.modes import STATUS
from sim.common.axi_watch import BusWatch
from sim.common.pauses import pauses as resting
from sim.common.runner import CLOCK_PERIOD_NS
from sim.common.streams import Edge
from sim.simd.matmul_memory import Bytes, Job, register_values
from sim.simd.matmul_stimulus import Case
from sim.simd.matmul_traffic import traffic

CONFIG = MatmulConfig.parse(json.loads(os.environ["NIELLO_CONFIG"]))
REGISTERS = load_registers(*CONFIG.register_source)
BIT = {field.name: field.mask for field in REGISTERS["status"].fields}
"""Bits of the status register, by name."""

SLVERR = 2
ACCESS_TIMEOUT_CYCLES = 2000
PAUSE_CYCLES = (1, 1, 1, 2, 5, 30)


class Memory:
    """What AxiSlave reads and writes: bytes from `base` on, of which those from `broken_from` on answer with an error.

    Attributes
    ----------
    content : uint8, (bytes,)
    """

    def __init__(self) -> None:
        self.content: Bytes = np.zeros(0, np.uint8)
        self.base = 0
        self.broken_from: int | None = None

    def fill(self, case: Case) -> None:
        """Begin again with what is there before a job; nothing is broken."""
        self.content, self.base, self.broken_from = case.before.copy(), case.base, None

    async def read(self, address: int, length: int) -> bytes:
        return self.content[self._part(address, length)].tobytes()

    async def write(self, address: int, data: bytes) -> None:
        self.content[self._part(address, len(data))] = np.frombuffer(data, np.uint8)

    def _part(self, address: int, length: int) -> slice:
        start = address - self.base
        if start < 0 or start + length > len(self.content):
            raise ValueError(f"no memory at {address:#x}")
        if self.broken_from is not None and address + length > self.broken_from:
            raise ValueError(f"broken memory at {address:#x}")
        return slice(start, start + length)


class Bench(Edge):
    """The block with a manager on its registers and a memory on its bus."""

    def __init__(self, dut: Any):
        super().__init__(dut)
        self.memory = Memory()
        self.slave = AxiSlave(AxiBus.from_prefix(dut, "m_axi"), self.clock, dut.rst, target=self.memory)
        self.error_response = SLVERR
        write, read, csr = self.slave.write_if, self.slave.read_if, self.registers["csr"]
        self.channels = {
            **{"aw": write.aw_channel, "w": write.w_channel, "b": write.b_channel},
            **{"ar": read.ar_channel, "r": read.r_channel},
        }
        for name in ("r", "b"):
            self._answer_as_told(name)
        self._register_channels = [
            *(csr.write_if.aw_channel, csr.write_if.w_channel, csr.write_if.b_channel),
            *(csr.read_if.ar_channel, csr.read_if.r_channel),
        ]
        self.watch = BusWatch(CONFIG.bus_bytes)
        cocotb.start_soon(self.watch.run(dut))

    def _answer_as_told(self, name: str) -> None:
        """Errors leave the memory as `error_response`, where the bus model knows one kind alone."""
        channel = self.channels[name]
        send = channel.send

        async def answer(beat: Any) -> None:
            if getattr(beat, f"{name}resp"):
                setattr(beat, f"{name}resp", self.error_response)
            await send(beat)

        channel.send = answer

    @classmethod
    async def start(cls, dut: Any, pauses: float = 0) -> Bench:
        """Reset the block; every channel of both buses rests for that share of the cycles, each by itself."""
        bench = cls(dut)
        await bench.reset()
        if pauses:
            for channel in (*bench.channels.values(), *bench._register_channels):
                channel.set_pause_generator(resting(pauses, PAUSE_CYCLES))
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

    async def begin(self, job: Job, **words: int) -> None:
        """Write a job's registers, some of them as `words` say, and start it."""
        for name, word in (register_values(CONFIG, job) | words).items():
            await self.write(name, word)
        areas = job.areas
        self.watch.expect([area for name, area in areas.items() if name != "c"], [areas["c"]])
        await self.command("start")

    async def command(self, name: str) -> None:
        await self.write("control", REGISTERS["control"][name].mask)

    async def finish(self, job: Job) -> None:
        """Wait for the interrupt, which `done` alone must be enabled for; then nothing is on its way any more."""
        amount = traffic(CONFIG, job)
        moved = amount.beats + amount.operand_words + amount.bias_bytes + amount.write_words + job.m * job.n
        if not int(self.dut.irq.value):
            await with_timeout(RisingEdge(self.dut.irq), (5000 + 100 * moved) * CLOCK_PERIOD_NS, "ns")
        assert self.watch.idle, f"done with {self.watch.pending} on the bus"

    async def run(self, case: Case) -> None:
        """A job from start to end, in memory of its own."""
        self.memory.fill(case)
        await self.begin(case.job)
        await self.finish(case.job)
        await self.check(case)

    async def check(self, case: Case) -> None:
        """Memory, status, and that nothing is left to do; clears the status."""
        self.check_memory(case)
        wanted = {name for place, name in enumerate(STATUS) if case.status >> place & 1} | {"done"}
        await self.check_status(wanted, case.job)

    async def check_status(self, wanted: set[str], job: Job | None = None) -> None:
        """The bits that are set, all of them; clears them, and with them the interrupt."""
        word = await self.read("status")
        found = {name for name, mask in BIT.items() if word & mask}
        assert found == wanted, f"{job}: status is {sorted(found)}, not {sorted(wanted)}"
        await self.write("status", word)
        assert await self.read("status") == 0
        await ClockCycles(self.clock, 2)
        assert not int(self.dut.irq.value)

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
