"""The machine code of the WebAssembly tools, compiled once a version and kept in the user's cache.

The runtime of those tools compiles at the first call and writes its cache in place: two first calls at once, or one
that is killed, can leave a torn file. Here the first call happens under a lock into a folder of its own, which is then
renamed.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from importlib import metadata
from pathlib import Path

from flows.errors import ToolError


def cache_root() -> Path:
    """The folder for compiled tools: below NIELLO_CACHE_DIR, else XDG_CACHE_HOME, else `~/.cache`."""
    own = os.environ.get("NIELLO_CACHE_DIR")
    if own:
        return Path(own).absolute() / "wasm"
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base and Path(base).is_absolute() else Path.home() / ".cache") / "niello" / "wasm"


def prepared(tool: str, start: list[str], package: str) -> Path:
    """The cache folder for one tool, with its machine code in it. The first call compiles, 2 to 10 seconds.

    Parameters
    ----------
    tool : the tool's name
    start : argv that runs it
    package : the distribution that it comes in

    Raises
    ------
    ToolError
        If the cache cannot be written, or the tool cannot run at all.
    """
    root = cache_root()
    folder = root / f"{tool}-{metadata.version(package)}-{metadata.version('wasmtime')}"
    if folder.exists():
        return folder
    try:
        root.mkdir(parents=True, exist_ok=True)
        with (root / f"{folder.name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not folder.exists():
                _compile(tool, start, folder)
    except OSError as error:
        hint = "name another folder with NIELLO_CACHE_DIR"
        raise ToolError(tool, f"cannot be compiled into {folder}: {error.strerror}", hint=hint) from None
    return folder


def _compile(tool: str, start: list[str], folder: Path) -> None:
    for left_by_a_killed_call in folder.parent.glob(f".{folder.name}-*"):
        shutil.rmtree(left_by_a_killed_call, ignore_errors=True)
    work = folder.with_name(f".{folder.name}-{os.getpid()}")
    try:
        # `--help` is the shortest run that each of them has; its exit code differs between tools and means nothing.
        env = {**os.environ, "YOWASP_CACHE_DIR": str(work)}
        done = subprocess.run([*start, "--help"], env=env, stdin=subprocess.DEVNULL, capture_output=True, check=False)
        if b"Traceback" in done.stderr or not any(path.is_file() for path in work.rglob("*")):
            lines = done.stderr.decode(errors="replace").strip().splitlines()
            raise ToolError(tool, lines[-1] if lines else f"ended with code {done.returncode}")
        work.rename(folder)
    finally:
        shutil.rmtree(work, ignore_errors=True)
