"""cocotb benches on Verilated designs: build once, run any number of benches and seeds on the build.

A bench is a module of `@cocotb.test()` coroutines, for example `sim.simd.dot_bench`. It learns what it drives from the
environment: `NIELLO_CONFIG` holds the block's config as JSON, `NIELLO_PORTS` the path of the design's `ports.json`, and
cocotb seeds `random` from the run's seed. Nothing is cached here; `flows` does that around these functions. A build
folder may be renamed afterwards.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import sys
import xml.etree.ElementTree as xml
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sim.common import processes
from sim.common.verilator import BuildError, environment, error_line

CLOCK_PERIOD_NS = 10
"""Clock period of every bench; what turns simulated time into cycles."""

BUILD_LOG = "build.log"
RUN_LOG = "bench.log"


@dataclass(frozen=True)
class TestOutcome:
    """One `@cocotb.test()`: its name, whether it passed, the message of its failure (else ""), and its clock cycles."""

    __test__ = False  # not a class of tests, whatever pytest thinks of its name

    name: str
    passed: bool
    message: str
    cycles: int


@dataclass(frozen=True)
class BenchResult:
    """What a bench said.

    Attributes
    ----------
    seed : int
        Seed of the run; the same seed on the same build repeats it exactly.
    tests : tuple of TestOutcome
        In the order in which they ran.
    crash : str
        Why the simulation itself ended early (its last line and exit code), or "".
    log : Path
        All that the simulation printed.
    waves : Path or None
        Value change dump, when asked for.
    """

    seed: int
    tests: tuple[TestOutcome, ...]
    crash: str
    log: Path
    waves: Path | None = None

    @property
    def passed(self) -> bool:
        """Every test passed, there was at least one, and the simulation ended in order."""
        return bool(self.tests) and not self.crash and all(test.passed for test in self.tests)

    @property
    def failures(self) -> tuple[TestOutcome, ...]:
        """The tests that did not pass."""
        return tuple(test for test in self.tests if not test.passed)

    @property
    def cycles(self) -> int:
        """Simulated clock cycles of all tests."""
        return sum(test.cycles for test in self.tests)

    def summary(self) -> str:
        """One line: how many passed, or the first failure with its seed, and where the log lies."""
        if self.passed:
            return f"{len(self.tests)} tests passed, {self.cycles} cycles, seed {self.seed}"
        if self.failures:
            first = self.failures[0]
            more = f" (and {len(self.failures) - 1} more)" if len(self.failures) > 1 else ""
            return f"{first.name} failed with seed {self.seed}: {first.message}{more}; log: {self.log}"
        reason = self.crash or "no test ran"
        return f"simulation failed with seed {self.seed}: {reason}; log: {self.log}"


class BenchFailure(Exception):
    """A bench did not pass. `str()` names the failing test, the seed and the message; `result` has the rest."""

    def __init__(self, result: BenchResult):
        super().__init__(result.summary())
        self.result = result


def build_bench(
    verilog: Path,
    top: str,
    build_dir: Path,
    *,
    waves: bool = False,
    arguments: Sequence[str] = (),
    ccache_dir: Path | None = None,
) -> None:
    """Compile `verilog` for cocotb into `build_dir`, which is made if need be.

    Parameters
    ----------
    waves : bool
        Build in what dumps waves (slower even when unused); `run_bench(..., waves=True)` needs it.
    arguments : sequence of str
        More Verilator options.

    Raises
    ------
    BuildError
        With the tool's own error line and the log's path.
    """
    build_dir.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(verilog, build_dir / "design.v")
    job = {"step": "build", "source": "design.v", "top": top, "build_dir": str(build_dir.resolve()), "waves": waves}
    job["arguments"] = list(arguments)
    log = build_dir / BUILD_LOG
    code = _run(job, log, environment(ccache_dir))
    if code:
        raise BuildError("verilator", error_line(log.read_text(errors="replace"), code), log)


def run_bench(
    build_dir: Path,
    top: str,
    bench_module: str,
    work: Path,
    *,
    seed: int,
    env: Mapping[str, str] | None = None,
    config: Mapping[str, Any] | None = None,
    ports: Path | None = None,
    waves: bool = False,
    tests: Sequence[str] | None = None,
) -> BenchResult:
    """Run the tests of `bench_module` on a build of `build_bench`, inside `work`, which is made if need be.

    Parameters
    ----------
    bench_module : str
        Importable from this process, and so from the simulation.
    env : mapping, optional
        Variables for the bench, over those of this process.
    config, ports
        Passed to the bench as `NIELLO_CONFIG` and `NIELLO_PORTS`.
    tests : sequence of str, optional
        Only these tests.

    Returns
    -------
    BenchResult
        Also of a failing or crashing run; see `BenchResult.passed`.
    """
    work.mkdir(parents=True, exist_ok=True)
    results, log = work.resolve() / "results.xml", work / RUN_LOG
    log.unlink(missing_ok=True)
    results.unlink(missing_ok=True)
    job = {"step": "test", "top": top, "bench": bench_module, "build_dir": str(build_dir.resolve()), "seed": seed}
    job |= {"work": str(work.resolve()), "results": str(results), "waves": waves, "tests": tests and list(tests)}
    variables = environment() | dict(env or {})
    if config is not None:
        variables["NIELLO_CONFIG"] = json.dumps(dict(config), sort_keys=True)
    if ports is not None:
        variables["NIELLO_PORTS"] = str(ports.resolve())
    code = _run(job, log, variables)
    outcomes, problem = _outcomes(results)
    if not problem and code and all(test.passed for test in outcomes):
        problem = "the simulation ended with an error after its tests"
    if problem:
        problem = f"{problem}{_where(log.read_text(errors='replace'))}"
    dump = work / "dump.vcd"
    return BenchResult(seed, outcomes, problem, log, dump if waves and dump.exists() else None)


def _run(job: Mapping[str, Any], log: Path, env: Mapping[str, str]) -> int:
    child = {name: value for name, value in env.items() if name != "PYTEST_CURRENT_TEST"}
    packages = str(Path(__file__).resolve().parents[2])
    child["PYTHONPATH"] = os.pathsep.join(dict.fromkeys([packages, *(entry or str(Path.cwd()) for entry in sys.path)]))
    with log.open("w") as out:
        return processes.run(
            [sys.executable, "-m", "sim.common.cocotb_job"], env=child, output=out, stdin=json.dumps(job)
        )


def _where(text: str) -> str:
    """In which test a simulation that printed `text` stopped, and how: " in NAME: REASON"."""
    started = re.findall(r" running (\S+) \(\d+/\d+\)", text)
    signalled = re.findall(r"return code: -(\d+)", text)
    if signalled:
        reason = f"killed by {signal.Signals(int(signalled[-1])).name}"
    else:
        reason = error_line(text[text.rfind("Traceback (most recent call last)") :], 1)
        ends = [line for line in text.splitlines() if re.match(r"\w*(Error|Exception)\b", line)]
        reason = ends[0] if ends else reason
    return f" in {started[-1]}: {reason}" if started else f": {reason}"


def _outcomes(results: Path) -> tuple[tuple[TestOutcome, ...], str]:
    """The tests that a results file lists, and why it cannot be believed, or ""."""
    if not results.exists():
        return (), "the simulation crashed before it wrote any result"
    try:
        cases = list(xml.parse(results).getroot().iter("testcase"))
    except xml.ParseError:
        return (), "the simulation crashed while it wrote its results"
    return tuple(_outcome(case) for case in cases if case.find("skipped") is None), ""


def _outcome(case: xml.Element) -> TestOutcome:
    found = [node for node in (case.find("failure"), case.find("error")) if node is not None]
    message = ""
    if found:
        message = found[0].get("message") or found[0].get("error_msg") or (found[0].text or "").strip() or "no message"
    properties = {node.get("name"): node.get("value", "") for node in case.iter("property")}
    cycles = round(float(properties.get("sim_time_duration", 0)) / CLOCK_PERIOD_NS)
    return TestOutcome(case.get("name", "?"), not found, " ".join(message.split()), cycles)
