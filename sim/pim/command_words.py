"""Commands of 64 bits with data that some of them take, as arrays and as traffic."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from sim.common.beats import Beats


def joined(values: Iterable[int], fields: Sequence[slice]) -> int:
    """The word whose `fields` have these values."""
    return sum(int(value) << field.start for value, field in zip(values, fields, strict=True))


def split(word: int, fields: Sequence[slice]) -> list[int]:
    """The values of a word's `fields`."""
    return [word >> field.start & (1 << field.stop - field.start) - 1 for field in fields]


def traffic(words: Sequence[int], data: npt.NDArray[Any]) -> dict[str, Beats]:
    """Beats of the streams `command` and `data`, a byte a beat."""
    return {
        "command": Beats(np.array(words, "<u8").view(np.uint8).reshape(-1, 8)),
        "data": Beats(data.view(np.uint8).reshape(-1, 1)),
    }


def check_data(data: npt.NDArray[Any], need_bytes: int) -> None:
    """Refuse data that are not as many as the commands take.

    Raises
    ------
    ValueError
        With one line that says how many are expected and received.
    """
    if len(data) != need_bytes:
        raise ValueError(f"data must be {need_bytes} bytes, as the commands take, not {len(data)}")
