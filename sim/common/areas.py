"""Rows of bytes in a memory, as jobs have them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Area:
    """Rows in memory: where the first begins, from one to the next, how many, and what each of them holds, in bytes."""

    address: int
    stride_bytes: int
    rows: int
    row_bytes: int

    @property
    def end(self) -> int:
        """Behind the last row."""
        return self.address + (self.rows - 1) * self.stride_bytes + self.row_bytes

    def places(self) -> npt.NDArray[np.int64]:
        """The address of each byte, (rows, row_bytes)."""
        starts = self.address + np.arange(self.rows, dtype=np.int64) * self.stride_bytes
        return starts[:, None] + np.arange(self.row_bytes)
