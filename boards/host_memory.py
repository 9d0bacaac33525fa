"""A block with memory behind the host link as a `sim.common.memory_job.Device`."""

from __future__ import annotations

import time

import numpy as np
import numpy.typing as npt

from boards.host import Host, HostError
from boards.top import MEMORY_BASE, REGISTERS_BASE
from hdl.common.registers import RegisterMap


class HostDevice:
    """The block's registers and memory as the board top shows them.

    Parameters
    ----------
    host : Host
    registers : RegisterMap
        The block's.
    memory_bytes : int
        Of the board's memory.
    job_s : float
        Seconds after which a job is given up.
    """

    def __init__(self, host: Host, registers: RegisterMap, memory_bytes: int, *, job_s: float = 60.0):
        self._host, self._status = host, registers["status"]
        self._memory_bytes, self._job_s = memory_bytes, job_s

    def read_register(self, address: int) -> int:
        """A word."""
        return self._host.read(REGISTERS_BASE + address)[0]

    def write_register(self, address: int, value: int) -> None:
        """A word."""
        self._host.write(REGISTERS_BASE + address, [value])

    def load(self, image: npt.NDArray[np.uint8]) -> None:
        """Write `image` to the memory's beginning.

        Raises
        ------
        HostError
            If the memory is smaller.
        """
        if len(image) > self._memory_bytes:
            raise HostError(f"the job needs {len(image)} bytes of memory, the board has {self._memory_bytes}")
        self._host.write(MEMORY_BASE, image.view("<u4"))

    def unload(self, where: range) -> npt.NDArray[np.uint8]:
        """Read these bytes."""
        words = self._host.read(MEMORY_BASE + where.start, len(where) // 4)
        return np.array(words, "<u4").view(np.uint8)

    def wait(self) -> None:
        """Until the status register says that the job is done.

        Raises
        ------
        HostError
            If it does not in time.
        """
        since = time.monotonic()
        while not self.read_register(self._status.offset_bytes) & self._status["done"].mask:
            if time.monotonic() - since > self._job_s:
                raise HostError(f"the job was not done after {self._job_s:g} s")
