"""Child processes that never outlive their parent's interest: each leads a process group of its own, and all that run
now can be killed at once, with everything that they started.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO

_groups: set[int] = set()
_lock = threading.Lock()
_stopping = threading.Event()


def stop_all() -> None:
    """Kill every child that runs now, with all it started, and every one started from now on. For interrupts."""
    _stopping.set()
    with _lock:
        groups = list(_groups)
    for group in groups:
        kill_group(group)


def stopping() -> bool:
    """Whether `stop_all` was called."""
    return _stopping.is_set()


def kill_group(group: int) -> None:
    """Kill a process group, if it still runs."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)


@contextlib.contextmanager
def tracked(group: int) -> Iterator[None]:
    """Let `stop_all` know of a child that leads a group; an exception inside kills it."""
    with _lock:
        _groups.add(group)
    if _stopping.is_set():
        kill_group(group)
    try:
        yield
    except BaseException:
        kill_group(group)
        raise
    finally:
        with _lock:
            _groups.discard(group)


def run(
    argv: Sequence[str | Path],
    *,
    env: Mapping[str, str],
    output: IO[str],
    cwd: Path | None = None,
    stdin: str = "",
    timeout_s: float = 1800.0,
) -> int:
    """Run a program to its end, its output and errors into `output`; its exit code, negative if a signal ended it.

    After `timeout_s` it is killed with all it started, and its output says so.

    Raises
    ------
    OSError
        If it cannot be started.
    """
    with subprocess.Popen(
        [str(part) for part in argv],
        cwd=cwd,
        env=dict(env),
        stdin=subprocess.PIPE,
        stdout=output,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        with tracked(process.pid):
            try:
                process.communicate(stdin, timeout=timeout_s)
            except subprocess.TimeoutExpired:
                kill_group(process.pid)
                process.communicate()
                output.write(f"\nError: stopped: no end after {timeout_s:g} s\n")
        return process.returncode
