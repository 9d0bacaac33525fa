"""What the benches share: which figures to print, a line a figure, and what the road makes of a design."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent

Benches = Mapping[str, Callable[[], dict[str, Any]]]
"""Figures by the name that the command line knows; each prints its lines and returns what goes into the JSON."""


def run(benches: Benches, names: Sequence[str]) -> None:
    """The figures named, all of them if none is; then one JSON object of all."""
    unknown = [name for name in names if name not in benches]
    if unknown:
        sys.exit(f"no figure {unknown[0]}; known: {', '.join(benches)}")
    print(json.dumps({name: benches[name]() for name in names or benches}))


def say(what: str, value: Any, unit: str, target: str) -> None:
    """A figure's line, on standard error."""
    shown = f"{value:.2f}" if isinstance(value, float) else str(value)
    print(f"{what:45} {shown:>8} {unit:12} target: {target}", file=sys.stderr, flush=True)


def timed(argv: list[str], *, cwd: Path, env: dict[str, str]) -> tuple[float, str]:
    """Wall seconds of a command, and its standard output; where it fails, so does the bench."""
    start = time.perf_counter()
    done = subprocess.run(argv, cwd=cwd, env=env, capture_output=True, text=True, check=False)
    seconds = round(time.perf_counter() - start, 2)
    if done.returncode:
        sys.stderr.write(done.stderr[-3000:])
        sys.exit(f"{shutil.which(argv[0]) or argv[0]} ended with {done.returncode}")
    return seconds, done.stdout


@contextlib.contextmanager
def one_core() -> Iterator[None]:
    """Within it this thread, and what it starts, stays on one core."""
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)


def made(design_name: str, *steps: str) -> tuple[Any, list[Any]]:
    """A design, and the results of steps of its road that are its block's: `elaborate`, `harness`."""
    from flows.load import load_design
    from flows.road import Route, results_or_error, travel

    route = Route.of(load_design(design_name))
    needs = [route.block(step) for step in steps]
    results = results_or_error(travel([route], lambda _: needs, plain=True))
    return route.design, [results[need] for need in needs]
