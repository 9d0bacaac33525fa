"""Jobs of blocks that work from memory to memory, and how one is run, wherever the block is.

Such a block has the registers `control` with a bit `start`, `status` with a bit `done` that software clears by writing
1, `irq_enable` with the same bit, and `cycles`, which counts those of its jobs; its memory begins at address 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from hdl.common.registers import RegisterMap


@dataclass(frozen=True)
class MemoryJob:
    """One run of a block.

    Attributes
    ----------
    image : uint8 (bytes,)
        What its memory holds before, from address 0 on, a whole number of 32-bit words.
    registers : mapping
        Register name to the value that describes the job.
    result : range
        Byte addresses, whole words, of what it leaves behind.
    """

    image: npt.NDArray[np.uint8]
    registers: Mapping[str, int]
    result: range


@dataclass(frozen=True)
class JobResult:
    """What a job left: the bytes of its result, its status register, and the cycles that it took."""

    content: npt.NDArray[np.uint8]
    status: int
    cycles: int


class Device(Protocol):
    """A block with memory: Verilated, or behind a serial line. Addresses of registers and memory in bytes."""

    def read_register(self, address: int) -> int:
        """A word."""

    def write_register(self, address: int, value: int) -> None:
        """A word."""

    def load(self, image: npt.NDArray[np.uint8]) -> None:
        """Put bytes into memory, from address 0 on."""

    def unload(self, where: range) -> npt.NDArray[np.uint8]:
        """Bytes out of memory."""

    def wait(self) -> None:
        """Until the block interrupts, or is hung, which is an error."""


def run_job(device: Device, registers: RegisterMap, job: MemoryJob) -> JobResult:
    """Run one job to its end."""
    status, control, enable = (registers[name] for name in ("status", "control", "irq_enable"))
    device.load(job.image)
    device.write_register(status.offset_bytes, 0xFFFF_FFFF)
    device.write_register(enable.offset_bytes, enable["done"].mask)
    for name, value in job.registers.items():
        device.write_register(registers[name].offset_bytes, value)
    before = device.read_register(registers["cycles"].offset_bytes)
    device.write_register(control.offset_bytes, control["start"].mask)
    device.wait()
    return JobResult(
        content=device.unload(job.result),
        status=device.read_register(status.offset_bytes),
        cycles=(device.read_register(registers["cycles"].offset_bytes) - before) % (1 << 32),
    )
