"""Arrays that the user names: .npy files of floats, checked before anything is done with them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from flows.array_files import read_npy
from flows.errors import BadInput
from flows.paths import shown

KINDS = ("float16", "float32", "float64")


def read_floats(path: Path, axes: str) -> npt.NDArray[Any]:
    """An array of finite floats with three axes, none of them empty.

    Raises
    ------
    BadInput
        Naming the file, what it must hold, and what it holds.
    """
    array = read_npy(path)
    if array.dtype.name not in KINDS or array.ndim != 3:
        raise BadInput(f"{shown(path)}: must be float32 {axes}, not {array.dtype} {array.shape}")
    for axis, size in zip(axes.strip("()").split(", "), array.shape, strict=True):
        if size == 0:
            raise BadInput(f"{shown(path)}: {axis} must be at least 1, not 0")
    wrong = int(array.size - np.isfinite(array).sum())
    if wrong:
        raise BadInput(
            f"{shown(path)}: {wrong} of {array.size} numbers are NaN or infinite", hint="attention needs finite numbers"
        )
    return array
