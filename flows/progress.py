"""What a user sees while the road is worked, on standard error: a live table on a terminal, plain lines in a pipe."""

from __future__ import annotations

import sys
import threading
import time

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from flows.errors import NielloError
from flows.schedule import Task
from flows.store import Result

PIPE_COLUMNS = 140
"""Width of tables where there is no terminal to ask."""


def console() -> Console:
    """The console of tables and messages: standard error, where the JSON of standard output is not disturbed."""
    return Console(stderr=True, highlight=False, width=None if sys.stderr.isatty() else PIPE_COLUMNS)


class PlainProgress:
    """One line when a step starts and one when it ends; for pipes, logs and CI."""

    def __init__(self) -> None:
        self._start = time.monotonic()

    def __enter__(self) -> PlainProgress:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def started(self, identity: str, task: Task) -> None:
        self._line(task, "started")

    def finished(self, identity: str, task: Task, result: Result) -> None:
        if not result.cached:
            self._line(task, f"done in {result.seconds:.1f} s")

    def failed(self, identity: str, task: Task, error: NielloError) -> None:
        self._line(task, f"FAILED: {error}")

    def _line(self, task: Task, what: str) -> None:
        elapsed = time.monotonic() - self._start
        print(f"[{elapsed:6.1f} s] {task.owner}: {task.name} {what}", file=sys.stderr, flush=True)


class LiveProgress:
    """A table of the steps that run now, above it a line for each that is done."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._done = 0
        self._running: dict[str, tuple[Task, float]] = {}
        self._lock = threading.Lock()
        self._live = Live(get_renderable=self._render, console=console(), refresh_per_second=8, transient=True)

    def __enter__(self) -> LiveProgress:
        self._live.__enter__()
        return self

    def __exit__(self, *details: object) -> None:
        self._live.__exit__(None, None, None)

    def started(self, identity: str, task: Task) -> None:
        with self._lock:
            self._running[identity] = (task, time.monotonic())

    def finished(self, identity: str, task: Task, result: Result) -> None:
        with self._lock:
            self._running.pop(identity, None)
            self._done += 1
        if not result.cached:
            self._live.console.print(f"[green]✓[/] {task.owner}: {task.name} [dim]{result.seconds:.1f} s[/]")

    def failed(self, identity: str, task: Task, error: NielloError) -> None:
        with self._lock:
            self._running.pop(identity, None)
            self._done += 1
        self._live.console.print(Text(f"✗ {task.owner}: {task.name}: {error}", style="red"))

    def _render(self) -> Table:
        table = Table.grid(padding=(0, 2))
        with self._lock:
            for task, since in self._running.values():
                table.add_row("[cyan]●[/]", f"{task.owner}: {task.name}", f"[dim]{time.monotonic() - since:.0f} s[/]")
            table.add_row("", f"[dim]{self._done} of {self._total} steps[/]", "")
        return table


def progress_for(total: int, *, plain: bool) -> PlainProgress | LiveProgress:
    """Live on a terminal, plain elsewhere or when asked for."""
    return PlainProgress() if plain or not sys.stderr.isatty() else LiveProgress(total)
