"""The figures of the road: set-up and build times, reproducibility, speed of the bulk harness, memory.

    .venv/bin/python bench/flow.py [NAME ...]        all of them, or: cold rtl harness bitstream memory test

Prints a line a figure, with its target, and one JSON object at the end. Times are wall seconds of this machine; the
harness is also given as a ratio to the cocotb bench in the same run, which says more on a noisy machine.
"""

from __future__ import annotations

import hashlib
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.common import ROOT, made, one_core, run, say, timed

NIELLO = Path(sys.executable).with_name("niello")
DESIGN = "dot_int8x16"


def cold() -> dict[str, Any]:
    """`make` in a fresh clone with empty caches (wheels already downloaded), then again."""
    with tempfile.TemporaryDirectory() as folder:
        clone, home = Path(folder) / "clone", Path(folder) / "home"
        home.mkdir()
        subprocess.run(["git", "clone", "-q", str(ROOT), str(clone)], check=True)
        # An empty home holds no wheels either: pip is shown where they are, and nothing else of ours.
        wheels = subprocess.run(
            [sys.executable, "-m", "pip", "cache", "dir"], capture_output=True, text=True, check=True
        ).stdout.strip()
        environment = {**_clean_environment(), "HOME": str(home), "PIP_CACHE_DIR": wheels}
        first, _ = timed(["make"], cwd=clone, env=environment)
        second, result = timed(["make"], cwd=clone, env=environment)
        ran = json.loads(result.splitlines()[-1])["ran"]
    say("cold make", first, "s", "at most 90")
    say("second make", second, "s", "at most 1.5")
    say("steps that the second make ran", ran, "", "0")
    return {"cold_make_s": first, "second_make_s": second, "second_make_steps": ran}


def rtl() -> dict[str, Any]:
    """Verilog of every design: anew, with two hash seeds, and once more when the results are there."""
    digests, anew, warm = [], 0.0, 0.0
    for seed in ("1", "2"):
        with tempfile.TemporaryDirectory() as folder:
            environment = {**os.environ, "PYTHONHASHSEED": seed, "NIELLO_BUILD": f"{folder}/build"}
            command = [str(NIELLO), "rtl", "-o", f"{folder}/out", "--plain"]
            anew, _ = timed(command, cwd=ROOT, env=environment)
            digests.append(_digest(Path(folder) / "out"))
            warm, _ = timed(command, cwd=ROOT, env=environment)
    say("niello rtl, all designs, anew", anew, "s", "none")
    say("niello rtl, all designs, warm", warm, "s", "at most 5")
    say("identical over two runs and hash seeds", digests[0] == digests[1], "", "True")
    return {"rtl_anew_s": anew, "rtl_all_s": warm, "rtl_identical": digests[0] == digests[1]}


def harness() -> dict[str, Any]:
    """Cycles per second of the bulk harness with stalls, and of the cocotb bench, on one core, in one run."""
    from flows.steps import HARNESS_LIBRARY
    from sim.common.harness import Harness
    from sim.common.runner import run_bench

    design, (rtl, library, built) = made(DESIGN, "elaborate", "harness", "bench-build")
    vectors = design.block.vectors_module()
    arrays = vectors.random_arrays(design.config, 1, 400_000)
    beats, expected = vectors.pack(design.config, arrays), vectors.expected_beats(design.config, arrays)
    ports = rtl[f"{design.name}.ports.json"]
    with one_core(), Harness(library[HARNESS_LIBRARY], ports) as bulk:
        start = time.perf_counter()
        result = bulk.run(beats, expected, stall_in=0.25, stall_out=0.25, seed=1)
        bulk_hz = result.total_cycles / (time.perf_counter() - start)
    with one_core(), tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        bench = run_bench(
            built.path,
            design.top,
            design.block.bench,
            Path(folder),
            seed=1,
            config=design.config.model_dump(mode="json"),
            ports=ports,
        )
        cocotb_hz = bench.cycles / (time.perf_counter() - start)
    say(f"bulk harness, {DESIGN}, stalls on, one core", bulk_hz / 1e6, "M cycles/s", "at least 1")
    say("the same over the cocotb bench", bulk_hz / cocotb_hz, "times", "at least 30")
    return {"harness_cycles_per_s": round(bulk_hz), "cocotb_cycles_per_s": round(cocotb_hz)}


def bitstream() -> dict[str, Any]:
    """The bitstream of one design, built from scratch in two places."""
    digests = []
    for _ in range(2):
        with tempfile.TemporaryDirectory() as folder:
            environment = {**os.environ, "NIELLO_BUILD": f"{folder}/build"}
            _, result = timed([str(NIELLO), "bitstream", DESIGN, "--plain"], cwd=ROOT, env=environment)
            path = json.loads(result.splitlines()[-1])["designs"][DESIGN]["bitstream"]
            digests.append(hashlib.sha256(Path(path).read_bytes()).hexdigest())
    say("bitstream identical when rebuilt from scratch", digests[0] == digests[1], "", "True")
    return {"bitstream_identical": digests[0] == digests[1]}


def memory() -> dict[str, Any]:
    """The largest resident memory of any process of the whole road, from nothing."""
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "NIELLO_BUILD": f"{folder}/build"}
        timed([str(NIELLO), "demo", "--plain"], cwd=ROOT, env=environment)
    peak_mb = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    say("largest resident memory of a step", peak_mb, "MB", "at most 1000")
    return {"peak_rss_mb": round(peak_mb)}


def test() -> dict[str, Any]:
    """`make test` with an empty build folder."""
    with tempfile.TemporaryDirectory() as folder:
        environment = {**_clean_environment(), "NIELLO_BUILD": f"{folder}/build"}
        seconds, _ = timed(["make", "test"], cwd=ROOT, env=environment)
    say("make test, empty caches", seconds, "s", "at most 360")
    return {"make_test_s": seconds}


BENCHES: dict[str, Callable[[], dict[str, Any]]] = {
    "rtl": rtl,
    "harness": harness,
    "bitstream": bitstream,
    "memory": memory,
    "cold": cold,
    "test": test,
}


def _clean_environment() -> dict[str, str]:
    """This environment without what an outer make, a virtual environment or our own variables put there."""
    dropped = ("MAKE", "MFLAGS", "VIRTUAL_ENV", "NIELLO", "PYTHON", "CCACHE", "XDG")
    return {name: value for name, value in os.environ.items() if not name.startswith(dropped)}


def _digest(folder: Path) -> str:
    content = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        content.update(path.name.encode() + path.read_bytes())
    return content.hexdigest()


if __name__ == "__main__":
    run(BENCHES, sys.argv[1:])
