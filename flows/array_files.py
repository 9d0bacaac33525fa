"""Arrays in files that the user names: .npy and .npz."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from flows.errors import BadInput
from flows.paths import shown

MOST_BYTES = 1 << 32


def read_npy(path: Path) -> npt.NDArray[Any]:
    """The array of a .npy file, whatever its type and shape.

    Raises
    ------
    BadInput
        Naming the file, and why it is none.
    """
    try:
        if path.stat().st_size > MOST_BYTES:
            raise BadInput(f"{shown(path)}: more than 4 GiB")
        array = np.load(path, allow_pickle=False)
    except OSError as error:
        raise BadInput(f"{shown(path)}: {error.strerror or error}") from None
    except (ValueError, EOFError) as error:
        raise BadInput(f"{shown(path)}: no .npy file: {str(error).splitlines()[0]}") from None
    if not isinstance(array, np.ndarray):
        raise BadInput(f"{shown(path)}: no .npy file: an archive")
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
