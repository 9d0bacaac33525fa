"""Files that the user asked for by name: written whole or not at all, and never over something that is no file."""

from __future__ import annotations

import os
from pathlib import Path

from flows.errors import BadInput


def check_output(path: Path, *, inputs: tuple[Path, ...] = ()) -> None:
    """Refuses an output path that cannot be one, before any work is done for it.

    Raises
    ------
    BadInput
        If it is empty, a folder, in no folder, or one of `inputs`.
    """
    if not path.name or path.is_dir():
        raise BadInput(f"{path}: a folder, not a file")
    try:
        if not path.parent.is_dir():
            raise BadInput(f"{path}: no such folder")
        if path.exists() and any(path.samefile(other) for other in inputs if other.exists()):
            raise BadInput(f"{path}: is an input, too")
    except OSError as error:
        raise BadInput(f"{path}: {error.strerror}") from None


def write_output(path: Path, content: bytes) -> None:
    """Writes a file whole or not at all; through links, and straight into what is no regular file (a device, a pipe).

    Raises
    ------
    OSError
        If it cannot be written; what stood there still does.
    """
    target = path.resolve()
    if target.exists() and not target.is_file():
        target.write_bytes(content)
        return
    part = target.with_name(f".{target.name[:200]}.{os.getpid()}.part")
    try:
        part.write_bytes(content)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
