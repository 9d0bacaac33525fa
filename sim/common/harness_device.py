"""A Verilated block with memory as a `sim.common.memory_job.Device`."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from sim.common.harness import Harness, Memory

MAX_IDLE_CYCLES = 100_000


class HarnessDevice:
    """The memory is as large as what is loaded into it.

    Parameters
    ----------
    harness : Harness
        Of a design with ports `s_axil_*`, `m_axi_*` and `irq`.
    stall : float
        Share of cycles in which each of the memory's channels stands still.
    seed : int
        Of the stalls.
    latency_cycles, bandwidth
        As `sim.common.harness.Memory` has them.
    """

    def __init__(
        self, harness: Harness, *, stall: float = 0.0, seed: int = 0, latency_cycles: int = 4, bandwidth: float = 2.0
    ):
        self._harness = harness
        self._traits: dict[str, Any] = {"stall": stall, "seed": seed}
        self._traits |= {"latency_cycles": latency_cycles, "bandwidth": bandwidth}
        self._image = np.zeros(0, np.uint8)

    def read_register(self, address: int) -> int:
        """A word over AXI4-Lite."""
        return self._harness.read(address)

    def write_register(self, address: int, value: int) -> None:
        """A word over AXI4-Lite."""
        self._harness.write(address, value)

    def load(self, image: npt.NDArray[np.uint8]) -> None:
        """The memory becomes a copy of `image`."""
        self._image = image.copy()
        self._harness.attach(Memory(self._image, **self._traits))

    def unload(self, where: range) -> npt.NDArray[np.uint8]:
        """A copy of these bytes."""
        return self._image[where.start : where.stop].copy()

    def wait(self) -> None:
        """Until `irq`.

        Raises
        ------
        HarnessError
            If the block neither interrupts nor moves a word for 100,000 cycles.
        """
        self._harness.wait("irq", MAX_IDLE_CYCLES)
