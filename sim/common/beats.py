"""Stream traffic as arrays: what every engine takes and gives, whatever is behind it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Beats:
    """The beats of one stream, in order.

    Attributes
    ----------
    data : uint8, (beats, bytes)
        TDATA, least significant byte first; element 0 of a vector is in the least significant bits.
    last : bool, (beats,) or None
        TLAST; None for a stream without packets.
    """

    data: npt.NDArray[np.uint8]
    last: npt.NDArray[np.bool_] | None = None

    def __post_init__(self) -> None:
        if self.data.dtype != np.uint8 or self.data.ndim != 2:
            raise ValueError(f"beats must be uint8 (beats, bytes), not {self.data.dtype} {self.data.shape}")
        if self.last is not None and self.last.shape != (len(self.data),):
            raise ValueError(f"last must be ({len(self.data)},), not {self.last.shape}")

    def __len__(self) -> int:
        return len(self.data)

    def first(self, beats: int) -> Beats:
        """The first so many of them."""
        return Beats(self.data[:beats], None if self.last is None else self.last[:beats])


def data_of(outputs: Mapping[str, Beats], role: str, beats: int, width: int) -> npt.NDArray[np.uint8]:
    """TDATA of the stream of that role, once it is (beats, width).

    Raises
    ------
    ValueError
        With one line that names the stream, what it must be and what it is.
    """
    data = outputs[role].data
    if data.shape != (beats, width):
        raise ValueError(f"{role} must be {beats} beats of {width} bytes, not {data.shape[0]} of {data.shape[1]}")
    return data
