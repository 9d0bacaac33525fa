"""`niello sfq margins`: what it prints and draws, what it refuses, and in which words."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from flows.cli import app
from flows.errors import BadInput

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT / "tests" / "sfq" / "data"
ADDER = str(DATA / "full_adder_sync.json")
SVG = "{http://www.w3.org/2000/svg}"


def result_of(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    app(args=["sfq", "margins", *arguments], standalone_mode=False)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1
    found: dict[str, Any] = json.loads(lines[0])
    return found


def test_sfq_margins_without_a_spread_is_the_recorded_run(capsys: pytest.CaptureFixture[str]) -> None:
    result = result_of(capsys, ADDER, "--sigma", "0", "--trials", "3", "--expect", "recorded")
    assert (result["yield"], result["violating"], result["nominal_violations"]) == (1, 0, 0)
    recorded = json.loads(Path(ADDER).read_text())["outputs"]
    assert set(result["outputs"]) == set(recorded)
    for wire, times in recorded.items():
        figures = [{"mean_ps": time, "std_ps": 0, "min_ps": time, "max_ps": time} for time in times]
        pulses = [{"expected_ps": time, **one} for time, one in zip(times, figures, strict=True)]
        late = {"from_ps": 0, "step_ps": 0.1, "counts": [3 * len(times)]}
        assert result["outputs"][wire] == {"wrong_count": 0, "pulses": pulses, "late_ps": late}


def test_sfq_margins_draws_every_output_and_sweep(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture, arguments = tmp_path / "margins.svg", [ADDER, "--trials", "50", "--yield", "0.9", "--jitter-ps", "0.3"]
    sweeps = ["scale", "period", "bias", "sigma", "jitter"]
    options = [word for name in sweeps for word in ("--sweep", name)]
    result = result_of(capsys, *arguments, *options, "-o", str(picture))
    root = ElementTree.fromstring(picture.read_text())
    texts = [element.text for element in root.iter(f"{SVG}text") if element.get("class") == "head"]
    heads = {"bias": "yield over bias (modelled)"}
    assert texts == [*result["outputs"], *(heads.get(name, f"yield over {name}") for name in sweeps)]
    for name, found in result["margins"].items():
        assert found["low"] <= found["nominal"] <= found["high"]
        # The ends have the wanted yield, and the next value that was tried has not.
        curve = dict(found["curve"])
        inside = [share for value, share in curve.items() if found["low"] <= value <= found["high"]]
        assert min(inside) >= 0.9, name
        beyond = [share for value, share in curve.items() if value > found["high"]]
        assert found["high_is_end_of_sweep"] == (beyond == [])
        assert not beyond or beyond[0] < 0.9
    bars = [element for element in root.iter(f"{SVG}rect") if element.get("class") == "bar"]
    assert len(bars) == sum(len(one["late_ps"]["counts"]) for one in result["outputs"].values())


def test_picture_in_docs_is_what_its_command_draws(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    readme = (ROOT / "hdl" / "sfq" / "README.md").read_text()
    (command,) = re.findall(r"niello sfq margins (.*) -o docs/sfq_margins\.svg", readme)
    netlist, *options = command.split()
    result_of(capsys, str(ROOT / netlist), *options, "-o", str(tmp_path / "drawn.svg"))
    assert (tmp_path / "drawn.svg").read_text() == (ROOT / "docs" / "sfq_margins.svg").read_text()


def test_sfq_margins_repeats_itself_for_any_threads_and_engine(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = [ADDER, "--sigma", "0.2", "--trials", "20", "--policy", "randomise"]
    results = [result_of(capsys, *arguments, "--threads", threads) for threads in ("1", "3")]
    monkeypatch.setenv("CXX", "no-such-compiler")
    monkeypatch.setenv("NIELLO_BUILD", str(tmp_path / "build"))
    results.append(result_of(capsys, *arguments))
    assert [one.pop("engine") for one in results] == ["kernel", "kernel", "python"]
    assert results[0] == results[1] == results[2]
    assert result_of(capsys, *arguments, "--seed", "2")["outputs"] != results[0]["outputs"]


def test_sfq_margins_names_the_pins_that_fail_most(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The first splitter's second pulse comes too soon in every trial, that of the other one in hardly any."""
    netlist = [{"inst": f"s{n}", "cell": "S", "pins": {"a": f"in{n}", "l": f"l{n}", "r": f"r{n}"}} for n in range(2)]
    document = {"library": "pylse", "inputs": {"in0": [0, 2], "in1": [0, 4.8]}, "netlist": netlist}
    path = tmp_path / "netlist.json"
    path.write_text(json.dumps(document))
    result = result_of(capsys, str(path), "--trials", "400")
    first, second = result["worst"]
    assert first == {"inst": "s0", "cell": "S", "pin": "a", "rule": "transition_time", "per_trial": 1}
    assert second["inst"] == "s1" and 0 < second["per_trial"] < 0.1
    assert (result["yield"], result["violating"], result["nominal_violations"]) == (0, 1, 1)


def refused(*arguments: str) -> str:
    with pytest.raises(BadInput) as caught:
        app(args=["sfq", "margins", *arguments], standalone_mode=False)
    return str(caught.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--sigma", "-0.1"], "--sigma must be in 0..1, not -0.1"),
        (["--sigma", "nan"], "--sigma must be in 0..1, not nan"),
        (["--global-sigma", "2"], "--global-sigma must be in 0..1, not 2"),
        (["--jitter-ps", "inf"], "--jitter-ps must be in 0..1000, not inf"),
        (["--yield", "99"], "--yield must be in 0..1, not 99"),
        (["--trials", "0"], "--trials must be in 1..10000000, not 0"),
        (["--seed", "-1"], "--seed must be in 0..18446744073709551615, not -1"),
        (["--threads", "0"], "--threads must be in 1..256, not 0"),
        (["--windows", "wide"], "--windows must be one of scaled, fixed, not wide"),
        (["--accept", "all"], "--accept must be one of order, count, not all"),
        (["--expect", "file"], "--expect must be one of nominal, recorded, not file"),
        (["--sweep", "skale"], '--sweep skale is not a quantity; did you mean "scale"?'),
        (["--from", "0.5"], "--from and --to need one --sweep, not 0"),
        (["--sweep", "bias", "--from", "0.6"], "--from must be in 0.7..1 for this sweep, not 0.6"),
        (["--sweep", "scale", "--to", "0.9"], "--to must be in 1..100 for this sweep, not 0.9"),
        (["--sweep", "sigma", "--to", "nan"], "--to must be in 0.05..1 for this sweep, not nan"),
        (["--policy", "obey"], "--policy must be one of flag, drop, randomise, not obey"),
        (["--until", "-5"], "--until must be at least 0, not -5"),
        (["-o", "no-such-folder/m.svg"], "no-such-folder/m.svg: no such file or directory"),
    ],
)
def test_sfq_margins_refuses_a_bad_option(options: list[str], message: str) -> None:
    assert re.sub(r" \(hint.*", "", refused(ADDER, "--trials", "1", *options)) == message


@pytest.mark.parametrize(
    ("document", "options", "message"),
    [
        ({"inputs": {}, "netlist": []}, [], "FILE: no output, so that nothing can be right or wrong"),
        (
            {"inputs": {"a": [1]}, "outputs": ["a"], "netlist": []},
            ["--expect", "recorded"],
            "FILE: --expect recorded needs a map of times at outputs, which is not there",
        ),
        (
            {"inputs": {"a": [1]}, "outputs": {"a": [1.25]}, "netlist": []},
            ["--expect", "recorded"],
            "FILE: outputs, read like inputs: input a[0] must be a multiple of 0.1 ps, not 1.25",
        ),
    ],
)
def test_sfq_margins_refuses_a_bad_file(tmp_path: Path, document: Any, options: list[str], message: str) -> None:
    path = tmp_path / "netlist.json"
    path.write_text(json.dumps(document))
    assert refused(str(path), *options).replace(str(path), "FILE") == message


def test_sfq_margins_gives_up_on_a_loop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sim.sfq.event_model.MOST_DELIVERIES", 1000)
    pins = {"m": {"a": "in", "b": "back", "q": "middle"}, "s": {"a": "middle", "l": "out", "r": "back"}}
    netlist = [{"inst": name, "cell": name.upper(), "pins": one} for name, one in pins.items()]
    path = tmp_path / "netlist.json"
    path.write_text(json.dumps({"library": "pylse", "inputs": {"in": [0]}, "outputs": ["out"], "netlist": netlist}))
    message = "FILE: netlist is not at rest after 1,000 pulses (hint: --until PS stops it at a time)"
    assert refused(str(path)).replace(str(path), "FILE") == message
