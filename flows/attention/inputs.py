"""Arrays that the user names: .npy files of floats, checked before anything is done with them."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from flows.errors import BadInput
from flows.paths import shown

KINDS = ("float16", "float32", "float64")
MOST_BYTES = 1 << 32


def read_floats(path: Path, axes: str) -> npt.NDArray[Any]:
    """An array of finite floats with three axes, none of them empty.

    Raises
    ------
    BadInput
        Naming the file, what it must hold, and what it holds.
    """
    try:
        if path.stat().st_size > MOST_BYTES:
            raise BadInput(f"{shown(path)}: more than 4 GiB")
        array = np.load(path, allow_pickle=False)
    except OSError as error:
        raise BadInput(f"{shown(path)}: {error.strerror or error}") from None
    except (ValueError, EOFError) as error:
        raise BadInput(f"{shown(path)}: no .npy file: {str(error).splitlines()[0]}") from None
    if not isinstance(array, np.ndarray) or array.dtype.name not in KINDS or array.ndim != 3:
        what = f"{array.dtype} {array.shape}" if isinstance(array, np.ndarray) else "an archive"
        raise BadInput(f"{shown(path)}: must be float32 {axes}, not {what}")
    for axis, size in zip(axes.strip("()").split(", "), array.shape, strict=True):
        if size == 0:
            raise BadInput(f"{shown(path)}: {axis} must be at least 1, not 0")
    wrong = int(array.size - np.isfinite(array).sum())
    if wrong:
        raise BadInput(
            f"{shown(path)}: {wrong} of {array.size} numbers are NaN or infinite", hint="attention needs finite numbers"
        )
    return array


def npy_bytes(array: npt.NDArray[Any]) -> bytes:
    """A .npy file's content."""
    content = io.BytesIO()
    np.save(content, array)
    return content.getvalue()


def npz_bytes(**arrays: npt.NDArray[Any]) -> bytes:
    """A .npz file's content."""
    content = io.BytesIO()
    np.savez(content, **arrays)  # type: ignore[arg-type]
    return content.getvalue()
