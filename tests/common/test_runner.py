from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest

from sim.common.runner import BenchFailure, BenchResult, build_bench, run_bench
from sim.common.verilator import BuildError, environment, error_line

DESIGNS = Path(__file__).with_name("designs")

BENCH = """
import json
import os
import random

import cocotb
import numpy as np
from cocotb.triggers import ClockCycles

from sim.common.beats import Beats
from sim.common.streams import Edge

CONFIG = json.loads(os.environ["NIELLO_CONFIG"])


async def start(dut, fault=0):
    edge = Edge(dut)
    dut.fault.value = 0
    await edge.reset()
    dut.fault.value = fault
    return edge


def beats(count):
    values = [random.getrandbits(32) for _ in range(count)]
    return values, Beats(np.array(values, dtype="<u4").view(np.uint8).reshape(count, 4), np.ones(count, np.bool_))


async def exchange(edge, count):
    values, given = beats(count)
    edge.send("a", given)
    received = [int.from_bytes(packet, "little") for packet in await edge.receive("y", count)]
    assert received == [-value % 2**32 for value in values]


@cocotb.test()
async def streams_pass(dut):
    edge = await start(dut)
    await exchange(edge, 50)
    assert edge.latencies("a", "y") == [CONFIG["latency_cycles"]] * 50
    assert len(edge.watches["y"].lasts) == 50
    await edge.registers["csr"].write_dword(0, 77)
    assert await edge.registers["csr"].read_dword(0) == 77


@cocotb.test()
async def stalls_stretch_the_run(dut):
    edge = await start(dut)
    edge.stall(0.5)
    await exchange(edge, 100)
    taken = edge.watches["a"].taken
    stalled = taken[-1] - taken[0]
    edge.stall(0)
    await exchange(edge, 100)
    assert stalled > 180, stalled
    assert edge.watches["a"].taken[-1] - edge.watches["a"].taken[100] == 99


@cocotb.test()
async def stalls_name_their_stream(dut):
    edge = await start(dut)
    edge.stall(0.9, "y")
    edge.send("a", beats(2)[1])
    await edge.receive("y", 2)
    assert edge.watches["a"].taken[0] == edge.watches["a"].offered[0]


@cocotb.test()
async def packets_stay_together(dut):
    edge = await start(dut)
    edge.send("a", Beats(np.zeros((6, 4), np.uint8), np.array([0, 0, 1, 1, 0, 0], np.bool_)))
    assert [len(packet) for packet in await edge.receive("y", 3)] == [12, 4, 8]


@cocotb.test()
async def faults(dut):
    edge = await start(dut, CONFIG["fault"])
    edge.stall(0.8, "y")
    await exchange(edge, 40)
    dut.rst.value = 1
    await ClockCycles(dut.clk, 4)


@cocotb.test()
async def fails(dut):
    number = random.getrandbits(32)
    raise ValueError(f"number {number}")


@cocotb.test()
async def dies(dut):
    os.abort()


@cocotb.test(skip=True)
async def skipped(dut):
    raise ValueError("never run")
"""

GOOD = ["streams_pass", "stalls_stretch_the_run", "stalls_name_their_stream", "packets_stay_together"]


@pytest.fixture(scope="session")
def build(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A build with waves, split over many files (which the wheel alone cannot compile), and renamed."""
    folder = tmp_path_factory.mktemp("bench")
    build_bench(DESIGNS / "slice.v", "niello_slice", folder / "b", waves=True, arguments=["--output-split", "600"])
    return (folder / "b").rename(folder / "moved")


@pytest.fixture(autouse=True)
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "slice_bench.py").write_text(BENCH)
    (tmp_path / "empty_bench.py").write_text("import cocotb\n")
    (tmp_path / "broken_bench.py").write_text("import no_such_module\n")
    monkeypatch.syspath_prepend(tmp_path)


def run(build: Path, work: Path, *tests: str, module: str = "slice_bench", seed: int = 1, **options) -> BenchResult:
    config = {"latency_cycles": 1, "fault": options.pop("fault", 0)}
    ports = DESIGNS / "slice.ports.json"
    return run_bench(
        build, "niello_slice", module, work, seed=seed, config=config, ports=ports, tests=tests or None, **options
    )


def test_runner_reports_a_bench_that_passes(build: Path, tmp_path: Path) -> None:
    result = run(build, tmp_path / "work", *GOOD)
    assert result.passed, result.summary()
    assert [test.name for test in result.tests] == GOOD
    assert result.failures == ()
    assert 400 < result.cycles < 4000
    assert result.summary() == f"4 tests passed, {result.cycles} cycles, seed 1"
    assert result.waves is None
    assert not list(build.glob("*.xml"))


def test_runner_names_test_seed_and_message_of_a_failure(build: Path, tmp_path: Path) -> None:
    result = run(build, tmp_path / "work", "packets_stay_together", "fails", seed=42)
    assert not result.passed
    assert [(test.name, test.passed) for test in result.tests] == [("packets_stay_together", True), ("fails", False)]
    log = tmp_path / "work" / "bench.log"
    assert re.fullmatch(rf"fails failed with seed 42: number \d+; log: {re.escape(str(log))}", result.summary())
    assert str(BenchFailure(result)) == result.summary()
    assert "Traceback" in log.read_text()


def test_runner_repeats_a_failure_by_its_seed(build: Path, tmp_path: Path) -> None:
    first, again, other = (run(build, tmp_path / "work", "fails", seed=seed).failures[0] for seed in (5, 5, 6))
    assert first.message == again.message
    assert first.message != other.message


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (1, r"m_axis_y: an offer was withdrawn in cycle \d+"),
        (2, r"m_axis_y: an offer changed in cycle \d+"),
        (6, r"m_axis_y: an offer in reset, cycle \d+"),
        (3, r"SimTimeoutError|.*[Tt]imed? ?out.*|no message"),
    ],
)
def test_watch_fails_a_design_that_breaks_the_handshake(build: Path, tmp_path: Path, fault: int, message: str) -> None:
    result = run(build, tmp_path / "work", "faults", fault=fault)
    assert [test.passed for test in result.tests] == [False]
    assert re.search(message, result.failures[0].message), result.failures[0].message


def test_watch_lets_a_correct_design_pass(build: Path, tmp_path: Path) -> None:
    assert run(build, tmp_path / "work", "faults", fault=0).passed


def test_runner_takes_a_crash_for_a_failure(build: Path, tmp_path: Path) -> None:
    result = run(build, tmp_path / "work", "packets_stay_together", "dies", seed=3)
    assert not result.passed
    assert result.tests == ()
    assert result.summary() == (
        "simulation failed with seed 3: the simulation crashed before it wrote any result in slice_bench.dies: "
        f"killed by SIGABRT; log: {tmp_path / 'work' / 'bench.log'}"
    )


def test_runner_does_not_take_old_results_for_new_ones(build: Path, tmp_path: Path) -> None:
    assert run(build, tmp_path / "work", "packets_stay_together").passed
    assert not run(build, tmp_path / "work", "dies").passed


def test_runner_takes_a_verilog_stop_for_a_failure(build: Path, tmp_path: Path) -> None:
    result = run(build, tmp_path / "work", "faults", fault=8)
    assert not result.passed
    assert "in slice_bench.faults: " in result.summary() or "faults failed" in result.summary()


@pytest.mark.parametrize(
    ("module", "reason"),
    [
        ("empty_bench", "no test ran|No tests were discovered|crashed before it wrote any result"),
        ("broken_bench", "ModuleNotFoundError: No module named 'no_such_module'"),
        ("absent_bench", "ModuleNotFoundError: No module named 'absent_bench'"),
    ],
)
def test_runner_takes_a_bench_without_tests_for_a_failure(
    build: Path, tmp_path: Path, module: str, reason: str
) -> None:
    result = run(build, tmp_path / "work", module=module)
    assert not result.passed
    assert re.search(reason, result.summary()), result.summary()


def test_runner_dumps_waves_when_asked(build: Path, tmp_path: Path) -> None:
    result = run(build, tmp_path / "work", "packets_stay_together", waves=True)
    assert result.passed
    assert result.waves == tmp_path / "work" / "dump.vcd"
    assert "m_axis_y_tvalid" in result.waves.read_text()


def test_runner_passes_variables_to_the_bench(build: Path, tmp_path: Path) -> None:
    assert not run(build, tmp_path / "work", "streams_pass", env={"COCOTB_RESOLVE_X": "bogus"}).passed


def test_build_names_the_error_of_verilator(tmp_path: Path) -> None:
    source = tmp_path / "broken.v"
    source.write_text("module niello_slice(input clk);\n  absent u();\nendmodule\n")
    message = r"^verilator: %Error-MODMISSING: design\.v:2:3: .*'absent'; log: "
    with pytest.raises(BuildError, match=message + re.escape(str(tmp_path / "b" / "build.log")) + "$"):
        build_bench(source, "niello_slice", tmp_path / "b")


def test_environment_severs_an_outer_jobserver() -> None:
    outer = {"PATH": os.defpath, "MAKEFLAGS": " -j8 --jobserver-auth=3,4", "MFLAGS": "-j8", "MAKELEVEL": "2"}
    env = environment(base=outer)
    assert env["MAKEFLAGS"].split()[0] == "CFG_CXXFLAGS_PCH_I=-include"
    assert "-j" not in env["MAKEFLAGS"]
    assert not {"MFLAGS", "MAKELEVEL"} & set(env)
    assert Path(env["VERILATOR_ROOT"], "include", "verilated.cpp").exists()
    assert env["PATH"].startswith(env["VERILATOR_ROOT"])


def test_environment_takes_the_cache_of_its_caller(tmp_path: Path) -> None:
    assert environment(tmp_path, base={})["CCACHE_DIR"] == str(tmp_path)
    assert environment(base={"CCACHE_DIR": "here"})["CCACHE_DIR"] == "here"
    assert "CCACHE_DIR" not in environment(base={})


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("all well\n%Error: a.v:1: bad\n%Error: Exiting\n", "%Error: a.v:1: bad"),
        ("one\n\ntwo\n", "two"),
        ("", "ended with code 3 and said nothing"),
    ],
)
def test_error_line_is_the_tools_own(text: str, line: str) -> None:
    assert error_line(text, 3) == line


def test_ports_files_match_the_designs() -> None:
    for name in ("slice", "wide"):
        header = (DESIGNS / f"{name}.v").read_text().split(");")[0]
        declared = re.findall(r"(input|output)(?: reg)?(?: \[(\d+):0\])? (\w+)", header)
        listed = json.loads((DESIGNS / f"{name}.ports.json").read_text())["ports"]
        expected = [(d, int(high or 0) + 1, port) for d, high, port in declared if port not in ("clk", "rst")]
        assert [(port["direction"], port["width"], port["name"]) for port in listed] == expected
