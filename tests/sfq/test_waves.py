"""Runs as VCD, read by pyvcd; as WaveDrom; as pictures, read as XML."""

from __future__ import annotations

import io
import json
import re
from collections import defaultdict
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from vcd.reader import ScopeType, TokenKind, VarType, tokenize

from flows.sfq.names import name_of
from flows.sfq.picture import run_picture
from flows.sfq.waves import vcd, wavedrom
from hdl.common.config import ConfigError
from hdl.sfq.cell_files import load_library
from hdl.sfq.netlist import Instance, Netlist, parse_event_json
from sim.sfq.event_model import run
from sim.sfq.random_netlist import random_netlist, random_pulses
from tests.sfq.odd_names import with_odd_names

DATA = Path(__file__).with_name("data")
SVG = "{http://www.w3.org/2000/svg}"


def read_vcd(text):
    """Changes as {variable: [(time, value)]}, after the initial values, and the time of the end."""
    variables, changes, now, initial = {}, defaultdict(list), None, False
    scopes = []
    for token in tokenize(io.BytesIO(text.encode())):
        if token.kind is TokenKind.TIMESCALE:
            assert str(token.timescale) == "100 fs"
        elif token.kind is TokenKind.SCOPE:
            assert token.scope.type_ is ScopeType.module
            scopes.append(token.scope.ident)
        elif token.kind is TokenKind.UPSCOPE:
            scopes.pop()
        elif token.kind is TokenKind.VAR:
            kind = VarType.wire if len(scopes) == 1 else VarType.string
            assert (token.var.type_, token.var.size) == (kind, 1) and token.var.id_code not in variables
            bits = "" if token.var.bit_index is None else f"[{token.var.bit_index}]"
            variables[token.var.id_code] = ".".join([*scopes[1:], token.var.reference + bits])
        elif token.kind in {TokenKind.DUMPVARS, TokenKind.END}:
            initial = token.kind is TokenKind.DUMPVARS
        elif token.kind is TokenKind.CHANGE_TIME:
            assert now is None or token.time_change > now
            now = token.time_change
        elif token.kind in {TokenKind.CHANGE_SCALAR, TokenKind.CHANGE_STRING}:
            change = token.data
            if not initial:
                changes[variables[change.id_code]].append((now, change.value))
            else:
                assert change.value in {"0", "-"}
    return variables, changes, now


@pytest.fixture(scope="module", params=[False, True], ids=["plain", "odd"])
def example(request):
    rng = np.random.default_rng(3)
    netlist = random_netlist(rng, [*load_library("rsfqlib").values()], 120, open_share=0.1)
    netlist = with_odd_names(netlist) if request.param else netlist
    result = run(netlist, random_pulses(rng, netlist.inputs, 600, spacing_ticks=250))
    assert len(result.violations) > 20
    return netlist, result


def test_vcd_strobes_are_the_pulses(example):
    netlist, result = example
    variables, changes, end = read_vcd("\n".join([*vcd(netlist, result, "strobe"), ""]))
    assert [name_of(name) for name in variables.values()] == [*netlist.wires, "violations.pins"]
    for name in variables.values():
        if name == "violations.pins":
            continue
        rises = [time for time, value in changes[name] if value == "1"]
        assert rises == result.pulses[name_of(name)]
        assert [time - 1 for time, value in changes[name] if value == "0"] == rises
    assert end == max(max(times, default=0) for times in result.pulses.values()) + 2  # a tick after the last fall


def test_vcd_toggles_are_the_pulses(example):
    netlist, result = example
    variables, changes, _ = read_vcd("\n".join([*vcd(netlist, result, "toggle"), ""]))
    for name in variables.values():
        if name != "violations.pins":
            pulses = result.pulses[name_of(name)]
            assert changes[name] == [(time, "10"[place % 2]) for place, time in enumerate(pulses)]


def test_vcd_tells_violations(example):
    netlist, result = example
    _, changes, _ = read_vcd("\n".join([*vcd(netlist, result, "strobe"), ""]))
    found = []
    for time, value in changes["violations.pins"]:
        for one in value.split(",") if value != "-" else ():
            place, rule = one.rsplit(":", 1)
            found.append((time, *map(name_of, place.rsplit(".", 1)), rule))
    assert found == [(one.time, one.instance, one.pin, one.rule) for one in result.violations]
    cleared = {time for time, value in changes["violations.pins"] if value == "-"}
    assert cleared == {one.time + 1 for one in result.violations}


def test_vcd_keeps_pulses_of_adjacent_ticks_apart():
    netlist = Netlist("n", (), ("i",), ("i",))
    _, changes, _ = read_vcd("\n".join([*vcd(netlist, run(netlist, {"i": [0, 1, 2]}), "strobe"), ""]))
    assert changes["i"] == [(0, "1"), (1, "0"), (1, "1"), (2, "0"), (2, "1"), (3, "0")]


def test_vcd_has_a_code_for_each_of_many_wires():
    wires = tuple(f"w{number}" for number in range(9_000))
    netlist = Netlist("many", (), wires, ())
    variables, _, _ = read_vcd("\n".join([*vcd(netlist, run(netlist, {}), "strobe"), ""]))
    assert list(variables.values()) == [*wires, "violations.pins"]


def test_wavedrom_has_a_column_a_time(example):
    netlist, result = example
    wires = [*netlist.inputs, *netlist.outputs]
    signal = wavedrom(netlist, result, wires)["signal"]
    times = [round(float(text) * 10) for text in signal[0]["data"]]
    assert times == sorted(set(times)) and {len(one["wave"]) for one in signal} == {len(times)}
    for wire, lane in zip(wires, signal[1:-1], strict=True):
        assert lane["name"] == wire and set(lane["wave"]) <= {"P", "0"}
        assert [time for time, char in zip(times, lane["wave"], strict=True) if char == "P"] == result.pulses[wire]
    late = signal[-1]
    assert late["name"] == "violations" and len(late["data"]) == late["wave"].count("9")
    assert [time for time, char in zip(times, late["wave"], strict=True) if char == "9"] == sorted(
        {one.time for one in result.violations}
    )


def test_wavedrom_has_an_end():
    netlist = Netlist("n", (), ("i",), ())
    message = "^WaveDrom shows at most 2,000 times, not 2,001; --until PS leaves out some$"
    with pytest.raises(ConfigError, match=message):
        wavedrom(netlist, run(netlist, {"i": list(range(2001))}), ["i"])


def drawn(text):
    """Lines by class, and texts by class, of a picture: what stands in it as numbers and words."""
    root = ElementTree.fromstring(text)
    lines, texts = defaultdict(list), defaultdict(list)
    for line in root.iter(f"{SVG}polyline"):
        lines[line.get("class")].append([tuple(map(float, pair.split(","))) for pair in line.get("points").split()])
    for one in root.iter(f"{SVG}text"):
        texts[one.get("class")].append((float(one.get("x")), one.text))
    return lines, texts


def test_picture_shows_pulses_to_scale_and_violations_by_name():
    splitter = load_library("pylse")["S"]
    netlist = Netlist("a <b>", (Instance("u&1", splitter, {"a": "in", "l": "left", "r": "right"}),), ("in",), ("left",))
    lines, texts = drawn(run_picture(netlist, run(netlist, {"in": [0, 20, 500]}), ["in", "left"]))
    assert texts["title"][0][1] == "a <b>" and [name for _, name in texts["name"]] == ["in", "left"]
    assert [text for _, text in texts["axis"]] == ["0", "10", "20", "30", "40", "50", "60", "ps"]
    at = {int(text): x for x, text in texts["axis"][:-1]}
    places = [line[0][0] for line in lines["late"] + lines["input"] + lines["output"]]
    scale = (at[60] - at[0]) / 60
    wanted = [at[0] + scale * time for time in (2, 0, 50, 4.3, 6.3, 54.3)]
    assert places == pytest.approx(wanted, abs=0.06)
    assert [text for _, text in texts["time who"]] == ["2 S u&1.a"]
    assert {text for _, text in texts["time"]} >= {"50", "54.3"}


def test_picture_adds_the_wires_of_violations(example):
    netlist, result = example
    lines, texts = drawn(run_picture(netlist, result, netlist.inputs[:2]))
    pins = {one.name: one.pins for one in netlist.instances}
    wires = dict.fromkeys([*netlist.inputs[:2], *(pins[one.instance][one.pin] for one in result.violations)])
    assert [name for _, name in texts["name"]] == list(wires)
    assert len(lines["late"]) >= len({pins[one.instance][one.pin] for one in result.violations})


def test_picture_of_many_pulses_stays_small():
    netlist = Netlist("busy", (), ("i",), ("i",))
    text = run_picture(netlist, run(netlist, {"i": list(range(0, 500_000, 10))}), ["i"])
    assert len(text) < 1_000_000 and re.search(r">50000</text>", text)
    with pytest.raises(ConfigError, match="^a picture shows at most 500 wires, not 501; VCD takes all$"):
        many = Netlist("many", (), tuple(f"w{n}" for n in range(501)), ())
        run_picture(many, run(many, {}), many.inputs)


def test_picture_of_nothing_is_one():
    netlist = Netlist("empty", (), (), ())
    assert drawn(run_picture(netlist, run(netlist, {}), []))[1]["title"][0][1] == "empty"


def test_picture_of_the_readme_is_fresh():
    netlist, stimulus = parse_event_json(json.loads((DATA / "min_max.json").read_text()))
    picture = Path(__file__).parents[2] / "docs" / "sfq_min_max.svg"
    assert picture.read_text() == run_picture(netlist, run(netlist, stimulus), netlist.wires)
