"""`niello sfq run`: what it prints, what it refuses, and in which words."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from boards.board_sim import BoardSim
from flows.cli import app
from flows.errors import BadInput, NielloError
from flows.load import load_design
from flows.road import Route, results_or_error, travel
from flows.steps import HARNESS_LIBRARY

DATA = Path(__file__).parent.parent / "sfq" / "data"
SPLITTER: dict[str, Any] = {
    "library": "pylse",
    "inputs": {"in": [0, 1.5, 20]},
    "netlist": [{"inst": "u0", "cell": "S", "pins": {"a": "in", "l": "left", "r": "right"}}],
}
LOOP: dict[str, Any] = {
    "library": "pylse",
    "inputs": {"in": [0]},
    "outputs": ["out"],
    "netlist": [
        {"inst": "m", "cell": "M", "pins": {"a": "in", "b": "back", "q": "middle"}},
        {"inst": "s", "cell": "S", "pins": {"a": "middle", "l": "out", "r": "back"}},
    ],
}


def file_of(tmp_path: Path, document: Any) -> str:
    path = tmp_path / "netlist.json"
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    return str(path)


def result_of(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    app(args=["sfq", "run", *arguments], standalone_mode=False)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1
    found: dict[str, Any] = json.loads(lines[0])
    return found


def test_sfq_run_prints_what_was_recorded(capsys: pytest.CaptureFixture[str]) -> None:
    path = DATA / "min_max.json"
    result = result_of(capsys, str(path))
    assert result["outputs"] == json.loads(path.read_text())["outputs"]
    assert (result["netlist"], result["violations"], result["cells"], result["jj"]) == ("min_max", [], 5, 16)


def test_sfq_run_tells_every_violation(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = file_of(tmp_path, SPLITTER)
    flagged = result_of(capsys, path)
    assert flagged["violations"] == [{"time_ps": 1.5, "inst": "u0", "cell": "S", "pin": "a", "rule": "transition_time"}]
    assert flagged["outputs"] == {"left": [4.3, 5.8, 24.3], "right": [4.3, 5.8, 24.3]}
    dropped = result_of(capsys, path, "--policy", "drop")
    assert dropped["violations"] == flagged["violations"]
    assert dropped["outputs"]["left"] == [4.3, 24.3]
    tossed = [result_of(capsys, path, "--policy", "randomise", "--seed", str(seed)) for seed in range(8)]
    assert {len(one["outputs"]["left"]) for one in tossed} == {2, 3}


def test_sfq_run_stops_a_loop_where_it_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result = result_of(capsys, file_of(tmp_path, LOOP), "--until", "40")
    assert result["outputs"] == {"out": [12.5, 25.0, 37.5]}


def test_sfq_run_has_a_compiled_engine_for_what_is_long(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, results = file_of(tmp_path, LOOP), {}
    for patience in (200, 100):
        monkeypatch.setattr("flows.sfq.engine.PATIENCE", patience)
        results[patience] = result_of(capsys, path, "--until", "1000")
    assert [one.pop("engine") for one in results.values()] == ["python", "kernel"]
    assert results[200] == results[100] and results[100]["deliveries"] == 161
    monkeypatch.setenv("CXX", "no-such-compiler")
    monkeypatch.setenv("NIELLO_BUILD", str(tmp_path / "build"))
    assert result_of(capsys, path, "--until", "1000") == results[200] | {"engine": "python"}


def refused(*arguments: str) -> str:
    with pytest.raises(BadInput) as caught:
        app(args=["sfq", "run", *arguments], standalone_mode=False)
    return str(caught.value)


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ("", "FILE:1:1: not JSON: Expecting value"),
        ('{"netlist": [], "netlist": []}', "FILE: netlist stands twice in a map"),
        ("[" * 100_000, "FILE: nested too deeply"),
        ([], 'FILE: a netlist must be a map with a list "netlist"'),
        (SPLITTER | {"library": "mine"}, "FILE: mine is not a cell library; known: pylse, rsfqlib"),
    ],
)
def test_sfq_run_refuses_a_bad_file(tmp_path: Path, document: Any, message: str) -> None:
    path = file_of(tmp_path, document)
    assert refused(path).replace(path, "FILE") == message


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--policy", "obey"], "--policy must be one of flag, drop, randomise, not obey"),
        (["--seed", "65536"], "--seed must be in 0..65535, not 65536"),
        (["--engine", "spice"], "--engine must be one of model, rtl, processor, not spice"),
        (["--mode", "jump"], "--mode must be one of skip, tick, not jump"),
        (["--port", "/dev/ttyUSB0"], "--port is of --engine processor, not of model"),
        (["--until", "0.05"], "--until must be a multiple of 0.1 ps, not 0.05"),
        (["--until", "-5"], "--until must be at least 0, not -5"),
    ],
)
def test_sfq_run_refuses_a_bad_option(tmp_path: Path, options: list[str], message: str) -> None:
    assert re.sub(r" \(hint.*", "", refused(file_of(tmp_path, SPLITTER), *options)) == message


def test_sfq_run_gives_up_on_a_loop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sim.sfq.event_model.MOST_DELIVERIES", 1000)
    path = file_of(tmp_path, LOOP)
    message = "FILE: netlist is not at rest after 1,000 pulses (hint: --until PS stops it at a time)"
    assert refused(path).replace(path, "FILE") == message


@pytest.mark.deep
@pytest.mark.parametrize("mode", ["skip", "tick"])
def test_sfq_run_emulates(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    """The same JSON as the model's, even where the first try has too few slots; and a loop that never rests."""
    monkeypatch.setenv("NIELLO_BUILD", str(tmp_path / "build"))
    monkeypatch.setattr("flows.sfq.rtl.FIRST_SLOTS", 2)
    path = file_of(tmp_path, SPLITTER | {"inputs": {"in": [0, 0.2, 0.4, 0.6, 0.8, 1.0, 1.5, 20]}})
    for policy in ("flag", "randomise"):
        expected = result_of(capsys, path, "--policy", policy, "--seed", "3")
        got = result_of(capsys, path, "--policy", policy, "--seed", "3", "--engine", "rtl", "--mode", mode)
        assert expected.pop("deliveries") and expected.pop("engine") == "python"
        assert expected | {"engine": "rtl", "mode": mode} == {key: got[key] for key in [*expected, "engine", "mode"]}
    looped = result_of(capsys, file_of(tmp_path, LOOP), "--engine", "rtl", "--mode", mode, "--until", "40")
    assert looped["outputs"] == {"out": [12.5, 25.0, 37.5]}
    monkeypatch.setattr("flows.sfq.rtl.MOST_CAPTURES", 100)
    with pytest.raises(NielloError, match=r"100 (expected|captures).*\(hint: --until PS stops a netlist that never"):
        app(args=["sfq", "run", file_of(tmp_path, LOOP), "--engine", "rtl", "--mode", mode], standalone_mode=False)


@pytest.mark.deep
def test_sfq_run_gives_the_same_on_the_processor(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Recorded netlists, every policy, a loop that is stopped, and one that is not."""
    paths = [DATA / "min_max.json", DATA / "full_adder_sync.json", file_of(tmp_path, SPLITTER)]
    for path in paths:
        for policy in ("flag", "drop", "randomise"):
            options = (str(path), "--policy", policy, "--seed", "7")
            found = result_of(capsys, *options, "--engine", "processor")
            assert found.pop("cycles") > 0
            assert found == result_of(capsys, *options) | {"engine": "processor"}
    loop = file_of(tmp_path, LOOP)
    assert result_of(capsys, loop, "--until", "40", "--engine", "processor")["outputs"] == {"out": [12.5, 25.0, 37.5]}
    assert "netlist is not at rest after 3,000,000 pulses" in refused(loop, "--engine", "processor")
    long = {**SPLITTER["netlist"][0], "cell": "LONG", "transitions": [
        {"src": "idle", "trig": "a", "dst": "idle", "fire": {"l": 500, "r": 1}}
    ]}  # fmt: skip
    message = refused(file_of(tmp_path, {**SPLITTER, "netlist": [long]}), "--engine", "processor")
    assert "cell LONG, state idle, pulse at a: the delay of l must be at most 409.5 ps for this processor" in message


@pytest.mark.deep
def test_sfq_run_gives_the_same_on_a_board_over_its_serial_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The board in Verilator, its port a pseudo-terminal: netlists one after another, every policy, and a loop. The
    Verilog of the block is lint-free."""
    route = Route.of(load_design("sfq_processor"))
    needs = [route.on_board("board-sim"), route.block("lint")]
    library = results_or_error(travel([route], lambda _: needs, plain=True))[needs[0]][HARNESS_LIBRARY]
    with BoardSim(library, clock_hz=route.clock_hz(), baud=route.board.baud) as port:
        on_board = ("--engine", "processor", "--port", port)
        for path in (DATA / "full_adder_sync.json", file_of(tmp_path, SPLITTER), DATA / "min_max.json"):
            for policy in ("flag", "drop", "randomise"):
                options = (str(path), "--policy", policy, "--seed", "7")
                found = result_of(capsys, *options, *on_board)
                assert found.pop("cycles") is None
                assert found == result_of(capsys, *options) | {"engine": "processor"}
        loop = file_of(tmp_path, LOOP)
        assert result_of(capsys, loop, "--until", "40", *on_board)["outputs"] == {"out": [12.5, 25.0, 37.5]}
