"""A block that works from memory, in a cocotb bench: registers, a memory behind cocotbext-axi's bus model, a watch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Self

import cocotb
import numpy as np
import numpy.typing as npt
from cocotb.triggers import ClockCycles
from cocotbext.axi import AxiBus, AxiSlave

from sim.common.axi_watch import BusWatch
from sim.common.pauses import RUN_CYCLES, pause_all
from sim.common.register_edge import RegisterEdge


class Memory:
    """What AxiSlave reads and writes: bytes from `base` on, of which those from `broken_from` on answer with an error.

    Attributes
    ----------
    content : uint8 (bytes,)
    """

    def __init__(self) -> None:
        self.content: npt.NDArray[np.uint8] = np.zeros(0, np.uint8)
        self.base = 0
        self.broken_from: int | None = None

    def fill(self, content: npt.NDArray[np.uint8], base: int = 0) -> None:
        """Begin again with a copy of this; nothing is broken."""
        self.content, self.base, self.broken_from = content.copy(), base, None

    async def read(self, address: int, length: int) -> bytes:
        """For AxiSlave."""
        return self.content[self._part(address, length)].tobytes()

    async def write(self, address: int, data: bytes) -> None:
        """For AxiSlave."""
        self.content[self._part(address, len(data))] = np.frombuffer(data, np.uint8)

    def _part(self, address: int, length: int) -> slice:
        start = address - self.base
        if start < 0 or start + length > len(self.content):
            raise ValueError(f"no memory at {address:#x}")
        if self.broken_from is not None and address + length > self.broken_from:
            raise ValueError(f"broken memory at {address:#x}")
        return slice(start, start + length)


class MemoryEdge(RegisterEdge):
    """The block with a manager on its registers and a memory of `BUS_BYTES` a word on `m_axi`.

    Attributes
    ----------
    bits : dict[str, int]
        Masks of the register `status`, by name.
    memory : Memory
    slave : AxiSlave
        Between the bus and the memory.
    watch : BusWatch
    """

    BUS_BYTES: ClassVar[int]

    PAUSE_CYCLES: ClassVar[Sequence[int]] = RUN_CYCLES
    """Lengths of rests, and of what lies between them."""

    def __init__(self, dut: Any):
        super().__init__(dut)
        self.bits = {field.name: field.mask for field in self.MAP["status"].fields}
        self.memory = Memory()
        self.slave = AxiSlave(AxiBus.from_prefix(dut, "m_axi"), self.clock, dut.rst, target=self.memory)
        self.watch = BusWatch(self.BUS_BYTES)
        cocotb.start_soon(self.watch.run(dut))

    @classmethod
    async def start(cls, dut: Any, pauses: float = 0) -> Self:
        """Reset the block; every channel of both buses rests for that share of the cycles, each by itself."""
        bench = cls(dut)
        await bench.reset()
        if pauses:
            for model in (bench.slave, bench.registers["csr"]):
                pause_all(model, pauses, cls.PAUSE_CYCLES)
        await bench.write("irq_enable", bench.bits["done"])
        return bench

    async def check_status(self, wanted: set[str], of: object = "") -> None:
        """The bits that are set, all of them; clears them, and with them the interrupt."""
        word = await self.read("status")
        found = {name for name, mask in self.bits.items() if word & mask}
        assert found == wanted, f"{of}: status is {sorted(found)}, not {sorted(wanted)}"
        await self.write("status", word)
        assert await self.read("status") == 0
        await ClockCycles(self.clock, 2)
        assert not int(self.dut.irq.value)
