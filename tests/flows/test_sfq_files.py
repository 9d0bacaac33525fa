"""`niello sfq convert`, `plot` and `cells`, and the files that `run` takes: what they give, and what they refuse."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from flows.cli import app
from flows.errors import BadInput
from hdl.sfq.cell_files import LIBRARIES, load_library, parse_cells
from hdl.sfq.netlist import parse_event_json

DATA = Path(__file__).parents[1] / "sfq" / "data"
ADDER = DATA / "full_adder_sync.json"
LATCH = {
    "inputs": {"d": [1, 30], "c": [20, 50, 52]},
    "netlist": [
        {"inst": "u", "cell": "DFF", "pins": {"a": "d", "clk": "c", "q": "m"}},
        {"inst": "v", "cell": "JTL", "pins": {"a": "m", "q": "out"}},
    ],
}
DELAY = (
    "source: mine\ncells:\n  JTL: {inputs: [a], outputs: [q], junctions: 5, states: {s: {a: {fires_ps: {q: 100}}}}}\n"
)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to work in, with the latch, a cell library and a stimulus in it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "latch.json").write_text(json.dumps(LATCH))
    (tmp_path / "one.json").write_text(json.dumps({"inputs": {"i": [1]}, "netlist": [LINE], "library": "mine.yml"}))
    (tmp_path / "mine.yml").write_text(DELAY)
    (tmp_path / "pulses.json").write_text(json.dumps({"i": [7]}))
    return tmp_path


LINE = {"inst": "u", "cell": "JTL", "pins": {"a": "i", "q": "o"}}


@pytest.fixture
def result(capsys: pytest.CaptureFixture[str]) -> Any:
    """A function from the words of a command to its JSON."""

    def result(*words: str) -> Any:
        app(args=["sfq", *words], standalone_mode=False)
        return json.loads(capsys.readouterr().out.splitlines()[-1])

    return result


def refused(*words: str) -> str:
    with pytest.raises(BadInput) as caught:
        app(args=["sfq", *words], standalone_mode=False)
    return str(caught.value)


def test_converted_netlists_run_as_before(here: Path, result: Any) -> None:
    """Through JSON with tables of its own, and through Verilog and the library by name."""
    recorded = json.loads(ADDER.read_text())["outputs"]
    assert result("convert", str(ADDER), "-o", "adder.json")["jj"] == 107
    assert result("run", "adder.json")["outputs"] == recorded
    before = result("run", "latch.json")
    written = {"netlist": "latch", "out": "latch.v", "cells": 2, "jj": 9, "inputs": 2, "outputs": 1, "pulses": 5}
    assert result("convert", "latch.json", "-o", "latch.v") == written
    assert result("run", "latch.v", "--inputs", "latch.json") == before
    assert result("convert", "latch.v", "--inputs", "latch.json", "-o", "again.json")["pulses"] == 5
    assert parse_event_json(json.loads((here / "again.json").read_text())) == parse_event_json(LATCH, "latch")


def test_library_may_be_a_file(here: Path, result: Any) -> None:
    assert result("run", "one.json")["outputs"] == {"o": [101.0]}
    assert result("run", "one.json", "--library", "rsfqlib")["outputs"] == {"o": [4.5]}
    assert result("run", "one.json", "--inputs", "pulses.json")["outputs"] == {"o": [107.0]}
    (here / "below").mkdir()
    (here / "one.json").rename(here / "below" / "one.json")
    assert "mine.yml: no such file" in refused("run", "below/one.json")
    (here / "mine.yml").rename(here / "below" / "mine.yml")
    assert result("run", "below/one.json")["jj"] == 5
    assert result("convert", "below/one.json", "-o", "alone.json")["jj"] == 5
    assert result("run", "alone.json")["outputs"] == {"o": [101.0]}


def test_deck_names_the_files_of_its_cells(here: Path, result: Any) -> None:
    (here / "latch.json").write_text(json.dumps(LATCH | {"inputs": {"d": [], "c": [1]}}))
    result("convert", "latch.json", "-o", "latch.cir")
    lines = (here / "latch.cir").read_text().splitlines()
    assert [line for line in lines if line.startswith(".include")] == [
        f".include LSmitll_{cell}.cir" for cell in ("DCSFQ", "JTL", "DFF")
    ]
    assert "Xu d c m LSmitll_DFF" in lines
    result("convert", "latch.json", "-o", "latch.cir", "--include", "a.cir", "--include", "b.cir")
    assert re.findall("^.include (.*)$", (here / "latch.cir").read_text(), re.MULTILINE) == ["a.cir", "b.cir"]


def test_plot_writes_what_the_suffix_says(here: Path, result: Any) -> None:
    assert result("plot", "latch.json") == {
        "netlist": "latch",
        "out": "latch.svg",
        "wires": 3,
        "pulses": 9,
        "violations": 0,
    }
    assert (here / "latch.svg").read_text().startswith("<svg ")
    assert result("plot", "latch.json", "-o", "run.vcd", "--pulses", "toggle")["wires"] == 4
    assert "$timescale 100 fs $end" in (here / "run.vcd").read_text()
    assert result("plot", "latch.json", "-o", "run.json", "--all", "--until", "25")["pulses"] == 2
    names = [lane["name"] for lane in json.loads((here / "run.json").read_text())["signal"]]
    assert names == ["ps", "d", "c", "m", "out"]


@pytest.mark.parametrize("name", LIBRARIES)
def test_cells_are_told_whole(result: Any, name: str) -> None:
    """What a cell's JSON says is read as the same cell."""
    rows = result("cells", name)["cells"]
    assert {key: row["jj"] for key, row in rows.items()} == {k: one.junctions for k, one in load_library(name).items()}
    for key, cell in load_library(name).items():
        assert parse_cells({key: result("cells", name, key)["table"]})[key] == cell


def test_cells_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    app(args=["sfq", "cells", "rsfqlib", "DFF"], standalone_mode=False)
    assert capsys.readouterr().err == (
        "DFF: 7 JJ; RSFQlib v3.0, TimEx; JJ counts of its cells\n"
        "(*) 0 --a----> 1\n"
        "    0 --clk--> 0  then quiet: a 0.4 ps\n"
        "    1 --a----> 1\n"
        "    1 --clk--> 0  fires q 6.3 ps\n"
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("run latch.json --library nix", "nix is not a cell library; known: pylse, rsfqlib (hint: one of your own is "),
        ("run latch.json --library nix.yml", "nix.yml: no such file"),
        ("run latch.json --library mine.yml", "latch.json: instance u: DFF is not a cell; known: JTL"),
        ("run latch.json --inputs pulses.json", "pulses.json: i is not an input of latch; known: d, c"),
        ("run latch.json --inputs .", ".: a folder, not a JSON file"),
        ("run latch.json --until -1", "--until must be at least 0, not -1"),
        ("convert latch.json -o latch.txt", "-o latch.txt: its suffix says the format: .json: event JSON; .v: struct"),
        ("convert latch.json -o nix/latch.v", "nix/latch.v: no such folder"),
        ("convert latch.json -o latch.json", "latch.json: is an input, too"),
        ("convert latch.json -o a.v --include b", "--include is for decks: -o FILE.cir"),
        (
            "convert latch.json -o a.cir",
            "latch.json: input c: pulses at 50 and 52 ps are not further apart than 6 ps, ",
        ),
        ("plot latch.json -o latch.png", "-o latch.png: its suffix says the format: .svg: a picture; .vcd: VCD; .json"),
        ("plot latch.json -o a.svg --pulses toggle", "--pulses must be one of strobe, toggle, with -o FILE.vcd, not "),
        ("plot latch.json -o a.vcd --pulses nrz", "--pulses must be one of strobe, toggle, with -o FILE.vcd, not nrz"),
        ("cells rsfqlib DFFF", 'DFFF is not a cell of rsfqlib; did you mean "DFF"?'),
        ("cells bad.yml", "bad.yml: cell A, state s, pulse at a: t is not a state; known: s"),
        ("cells twice.yml", "twice.yml:1:26: inputs stands twice"),
        ("cells empty.yml", "empty.yml: cells must be one or more, not {}"),
        ("cells /dev/zero", "/dev/zero: not a regular file"),
        ("run nul.json", "a\0b.yml: embedded null byte"),
        ("run prio.json", "prio.json: instance u, transition 0, prio must be a number, not 'x' (a string)"),
    ],
)
def test_bad_input_is_refused(here: Path, words: str, message: str) -> None:
    (here / "bad.yml").write_text("cells: {A: {inputs: [a], states: {s: {a: {to: t}}}}}")
    (here / "twice.yml").write_text("cells: {A: {inputs: [a], inputs: [b]}}")
    (here / "empty.yml").write_text("cells: {}")
    (here / "nul.json").write_text(json.dumps({"library": "a\0b.yml", "netlist": []}))
    table = [{"src": "s", "trig": "a", "dst": "s", "prio": "x"}, {"src": "s", "trig": "b", "dst": "s"}]
    (here / "prio.json").write_text(json.dumps({"netlist": [LINE | {"transitions": table}]}))
    assert refused(*words.split()).startswith(message)
    assert not {"a.v", "a.cir", "a.svg", "a.vcd"} & {path.name for path in here.iterdir()}
