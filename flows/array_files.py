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


def read_npz(path: Path) -> dict[str, npt.NDArray[Any]]:
    """The arrays of an .npz file, by name.

    Raises
    ------
    BadInput
        Naming the file, and why it is none.
    """
    try:
        archive = np.load(path, allow_pickle=False)
        if not isinstance(archive, np.lib.npyio.NpzFile):
            raise BadInput(f"{path}: one bare array; a .npz file with named arrays is needed", hint="numpy.savez")
        with archive:
            return {name: archive[name] for name in archive.files}
    except FileNotFoundError:
        raise BadInput(f"{path}: no such file") from None
    except BadInput:
        raise
    except Exception as error:  # numpy lets through what zipfile, zlib, lzma, tokenize and its own arithmetic say
        if "allow_pickle" in str(error):
            raise BadInput(f"{path}: not a readable .npz file of numbers (numpy would have to unpickle it)") from None
        why = " ".join(str(error).split()) or type(error).__name__
        raise BadInput(f"{path}: not a readable .npz file ({why})") from None


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
