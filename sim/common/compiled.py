"""C++ that works beside Python: compiled once below a build folder, by the compiler that is there."""

from __future__ import annotations

import fcntl
import hashlib
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

from sim.common.verilator import run_tool

OPTIONS = ("-std=c++17", "-O3", "-fPIC", "-shared", "-fvisibility=hidden")


def compile_library(sources: Sequence[Path], build_dir: Path, name: str, options: Sequence[str] = ()) -> Path:
    """The library `name`.so that the first of these sources makes with `$CXX`, or g++; the others are its headers.

    It lies below `build_dir`, in a folder that is named after all that it depends on, whole or not at all.

    Raises
    ------
    sim.common.verilator.BuildError
        With the compiler's own error line and the log's path; also where there is no compiler.
    """
    compiler = [*(os.environ.get("CXX") or "g++").split(), *OPTIONS, *options]
    texts = {path.name: path.read_text() for path in sources}
    key = hashlib.sha256("\0".join([*compiler, *texts.values()]).encode()).hexdigest()[:12]
    library = build_dir / f"{name}-{key}" / f"{name}.so"
    if library.exists():
        return library
    library.parent.mkdir(parents=True, exist_ok=True)
    with (library.parent / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # another process may be at it
        if not library.exists():
            _compile([*compiler, "-o", library.name, sources[0].name], texts, library)
    return library


def _compile(command: list[str], texts: dict[str, str], library: Path) -> None:
    with tempfile.TemporaryDirectory(dir=library.parent) as folder:
        for name, text in texts.items():
            (Path(folder) / name).write_text(text)
        run_tool("c++", command, cwd=Path(folder), log=library.parent / "build.log", env=os.environ)
        (Path(folder) / library.name).replace(library)
