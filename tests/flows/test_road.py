"""The road as a whole: what runs, what does not, two runs at once, a run that is killed, a disk that is full."""

import contextlib
import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from flows.load import load_design
from flows.results import check_budgets
from flows.road import STAGES, Route, results_or_error
from flows.schedule import Outcome
from flows.store import Result

NIELLO = Path(sys.executable).with_name("niello")


def start(build, *arguments, **options):
    environment = {**os.environ, "NIELLO_BUILD": str(build)}
    return subprocess.Popen(
        [str(NIELLO), *arguments, "--plain"],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


def finish(process):
    out, err = process.communicate(timeout=120)
    assert "Traceback" not in err
    return process.returncode, json.loads(out.splitlines()[-1]), err


def test_road_has_every_stage_and_each_builds_on_the_ones_before():
    route = Route.of(load_design("dot_int8x4"))
    tasks = route.tasks()
    assert {task.stage for task in tasks.values()} == {*STAGES, "engine"}
    order = [*STAGES, "engine"]
    for task in tasks.values():
        assert all(need in tasks for need in task.needs)
        assert all(order.index(tasks[need].stage) <= order.index(task.stage) for need in task.needs)
    assert route.upto("elaborate") == ["dot_int8x4/elaborate"]
    assert "dot_int8x4/icebreaker/pack" not in route.upto("pnr")
    assert "dot_int8x4/icebreaker/pack" in route.upto("pack")


def test_road_second_run_runs_nothing_and_from_runs_again(tmp_path):
    lint = ("lint", "dot_int8x4")
    assert finish(start(tmp_path, *lint))[1]["ran"] == 2
    assert finish(start(tmp_path, *lint))[1]["ran"] == 0
    assert finish(start(tmp_path, *lint, "--from", "lint"))[1]["ran"] == 1
    assert finish(start(tmp_path, *lint, "--to", "elaborate"))[1]["steps"] == 1


def test_road_two_runs_at_once_do_each_step_once(tmp_path):
    both = [start(tmp_path, "lint", "dot_int8x4") for _ in range(2)]
    finished = [finish(process) for process in both]
    assert [code for code, _, _ in finished] == [0, 0]
    assert sum(result["ran"] for _, result, _ in finished) == 2


def test_road_killed_run_leaves_nothing_that_is_taken_for_a_result(tmp_path):
    process = start(tmp_path, "lint", "dot_int8x4", start_new_session=True)
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob("dot_int8x4/.elaborate-*.work")):
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.001)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate(timeout=60)
    assert not list(tmp_path.glob("dot_int8x4/elaborate-*/step.json"))
    code, result, _ = finish(start(tmp_path, "lint", "dot_int8x4"))
    assert (code, result["ran"]) == (0, 2)
    assert not list(tmp_path.rglob("*.work"))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_road_interrupted_run_says_so_and_leaves_no_tool_behind(tmp_path, number):
    process = start(tmp_path, "sim", "dot_int8x4")
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob("dot_int8x4/.bench-build-*.work/*")):
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(number)
    code, result, err = finish(process)
    assert (code, result) == (1, {"error": "interrupted", "exit": 1})
    assert err.splitlines()[-1] == "niello: interrupted"
    left = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if str(tmp_path) in (folder / "environ").read_text(errors="replace"):
                left.append((folder / "cmdline").read_text())
    assert left == []


def test_road_full_disk_is_one_line_and_leaves_no_result(tmp_path):
    def no_large_files():
        # The nearest that an unprivileged test comes to a full disk: no file may grow beyond 20 kB.
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))

    code, result, err = finish(start(tmp_path, "rtl", "dot_int8x4", preexec_fn=no_large_files))
    assert code == 1
    assert err.splitlines()[-1] == f"niello: {result['error']}"
    assert not list(tmp_path.rglob("step.json"))
    assert finish(start(tmp_path, "rtl", "dot_int8x4"))[0] == 0


@pytest.mark.parametrize(
    ("budgets", "message"),
    [
        ({"lut": 99}, "tight: lut is 100, over its budget of 99"),
        ({"dsp": 3, "ff": 10}, "tight: ff is 200, over its budget of 10; dsp is 4, over its budget of 3"),
        ({"fmax_mhz": 80.5}, "tight: fmax_mhz is 80.0, under its budget of 80.5"),
        ({"lut": 100, "ff": 200, "dsp": 4, "bram": 0, "fmax_mhz": 80.0}, None),
    ],
)
def test_road_exceeded_budget_fails_the_run(tmp_path, budgets, message):
    path = tmp_path / "tight.yml"
    path.write_text(f"block: simd.dot\nparams: {{lanes: 4}}\nbudgets: {json.dumps(budgets)}\n")
    route = Route.of(load_design(str(path)))

    def result(**metrics):
        return Result(tmp_path, "", 0.0, metrics, {}, cached=True)

    outcome = Outcome(
        results={
            "tight/netlist-ecp5": result(lut=100, ff=200, dsp=4, bram=0),
            "tight/ulx3s_85f/pnr": result(fmax_mhz=80.0),
        }
    )
    check_budgets(route, outcome)
    assert [str(error) for error in outcome.errors.values()] == ([message] if message else [])
    if message is None:
        assert results_or_error(outcome) == outcome.results
