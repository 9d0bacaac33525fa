"""Registers by their names, in a cocotb bench.

class Bench(RegisterEdge):
    MAP = load_registers(*CONFIG.register_source)

await bench.write("irq_enable", 1)
await bench.command("start")
"""

from __future__ import annotations

from typing import Any, ClassVar, Self

import cocotb
from cocotb.triggers import ClockCycles, with_timeout

from hdl.common.registers import REGISTER_BYTES, RegisterMap
from sim.common.runner import CLOCK_PERIOD_NS
from sim.common.streams import Edge

ACCESS_TIMEOUT_CYCLES = 2000


class RegisterEdge(Edge):
    """An `Edge` whose interface `csr` leads to the registers of `MAP`; an access answers in time, without an error."""

    MAP: ClassVar[RegisterMap]

    async def read(self, register: str) -> int:
        """A register's word."""
        access = self.registers["csr"].read(self.MAP[register].offset_bytes, REGISTER_BYTES)
        return int.from_bytes((await self._answered(access)).data, "little")

    async def write(self, register: str, value: int) -> None:
        """Change a register's word."""
        data = value.to_bytes(REGISTER_BYTES, "little")
        await self._answered(self.registers["csr"].write(self.MAP[register].offset_bytes, data))

    async def command(self, name: str) -> None:
        """Set one bit of `control`."""
        await self.write("control", self.MAP["control"][name].mask)

    async def interrupt(self) -> int:
        """`irq`, when what was done before has come to it."""
        await ClockCycles(self.clock, 2)
        return int(self.dut.irq.value)

    async def _answered(self, access: Any) -> Any:
        answer = await with_timeout(cocotb.start_soon(access), ACCESS_TIMEOUT_CYCLES * CLOCK_PERIOD_NS, "ns")
        assert int(answer.resp) == 0, f"{answer}"
        return answer


class StalledEdge(RegisterEdge):
    """A `RegisterEdge` all of whose streams are stalled alike."""

    @classmethod
    async def start(cls, dut: Any, stall: float = 0) -> Self:
        """Reset the block; all streams are stalled with this probability in every cycle."""
        bench = cls(dut)
        await bench.reset()
        bench.stall(stall)
        return bench
