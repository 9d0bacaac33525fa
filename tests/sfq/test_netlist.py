"""Netlists in event JSON: what they hold, and what is refused in which words."""

from __future__ import annotations

import re
from copy import deepcopy

import pytest

from hdl.common.config import ConfigError
from hdl.sfq.cells import Reaction
from hdl.sfq.netlist import parse_event_json

DELAY = [{"src": "s", "trig": "a", "dst": "s", "fire": {"q": 2}}]
CHAIN = {
    "name": "chain",
    "comment": "other keys are ignored",
    "inputs": {"in": [3.0, 0.5]},
    "netlist": [
        {"inst": "first", "cell": "JTL", "pins": {"a": "in", "q": "middle"}},
        {"inst": "second", "cell": "DELAY", "jj": 4, "pins": {"a": "middle", "q": "out"}, "transitions": DELAY},
    ],
}


def test_netlist_is_read():
    netlist, stimulus = parse_event_json(CHAIN)
    assert netlist.name == "chain"
    assert (netlist.inputs, netlist.outputs, netlist.wires) == (("in",), ("out",), ["in", "middle", "out"])
    assert stimulus == {"in": [5, 30]}
    assert [one.cell.name for one in netlist.instances] == ["JTL", "DELAY"]
    assert netlist.junctions == 2 + 4
    assert netlist.receivers() == {"in": (0, "a"), "middle": (1, "a")}


def test_netlist_looks_at_the_outputs_that_it_names():
    assert parse_event_json(CHAIN | {"outputs": {"middle": [], "out": []}})[0].outputs == ("middle", "out")
    assert parse_event_json(CHAIN | {"outputs": ["middle"]})[0].outputs == ("middle",)


def test_netlist_own_table_orders_by_priority_and_spreads_stars():
    table = [
        {"src": "idle", "trig": "b", "dst": "x", "prio": 1, "guard": {"*": 2.5}},
        {"src": "idle", "trig": "a", "dst": "idle", "prio": 0, "busy": 1.5, "guard": {"b": 0}},
        {"src": "x", "trig": "b", "dst": "idle", "fire": {"q": 1}},
        {"src": "x", "trig": "a", "dst": "idle"},
    ]
    document = {
        "inputs": {"i": [], "j": []},
        "netlist": [{"inst": "u", "cell": "X", "pins": {"q": "o", "a": "i", "b": "j"}}],
    }
    document["netlist"][0]["transitions"] = table
    cell = parse_event_json(document)[0].instances[0].cell
    assert (cell.inputs, cell.outputs, cell.initial) == (("a", "b"), ("q",), "idle")
    assert list(cell.states["idle"]) == ["a", "b"]
    assert list(cell.states["x"]) == ["b", "a"]
    assert cell.states["idle"]["a"] == Reaction("idle", blocks={"a": 15, "b": 15}, ages={"b": 0})
    assert cell.states["idle"]["b"] == Reaction("x", ages={"a": 25, "b": 25})


def changed(index=None, **fields):
    """The chain with these fields of it, or of an instance, changed."""
    document = deepcopy(CHAIN)
    (document if index is None else document["netlist"][index]).update(fields)
    return document


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ([], 'a netlist must be a map with a list "netlist"'),
        ({}, 'a netlist must be a map with a list "netlist"'),
        (changed(unit="ns"), "unit must be ps, not 'ns' (a string)"),
        (changed(library="pylsee"), 'pylsee is not a cell library; did you mean "pylse"?'),
        (changed(inputs={"in": 5}), "input in must be a list of times in ps, not 5"),
        (changed(inputs={"in": [1, "2"]}), "input in[1] must be a number, not '2' (a string)"),
        (changed(inputs={"in": [1.25]}), "input in[0] must be a multiple of 0.1 ps, not 1.25"),
        (changed(inputs={"in": [1e300]}), "input in[0] must be at most 109951162777 ps, not 1e+300"),
        (changed(inputs={"in": [2, -1]}), "input in: times must be at least 0, not -1"),
        (changed(inputs={"in": [2, 2.0]}), "input in has two pulses at 2 ps"),
        (changed(inputs={}), "wire in, received by first.a, is driven by nothing"),
        (changed(outputs=["ot"]), 'output ot is not a wire; did you mean "out"?'),
        (changed(outputs="out"), "outputs must be a map or a list of wires, not 'out' (a string)"),
        (changed(0, cell="JTLL"), 'instance first: JTLL is not a cell; did you mean "JTL"?'),
        (changed(0, pins={"a": "in", "p": "middle"}), "instance first: JTL has no pin p; known: a, q"),
        (changed(1, inst="first"), "instance first: there are two of this name"),
        (
            changed(1, pins={"a": "in", "q": "out"}),
            "wire in is received by first.a and by second.a; a splitter makes two of a pulse",
        ),
        (changed(1, pins={"a": "middle", "q": "in"}), "wire in is driven by an input and by second.q"),
        (changed(1, transitions=[]), "instance second: transitions must be a list of one or more, not [] (a list)"),
        (changed(1, transitions=DELAY + DELAY), "instance second, state s, pulse at a: two transitions begin with it"),
        (
            changed(1, transitions=[{"src": "s", "trig": "a"}]),
            "instance second, transition 0, dst must be a text, not nothing",
        ),
        (
            changed(1, transitions=[DELAY[0] | {"fire": {"q": -2}}]),
            "cell DELAY, state s, pulse at a: the delay of q must be above 0, not -2 ps",
        ),
        (changed(1, jj="4"), "instance second, jj must be a whole number, not '4' (a string)"),
        (changed(netlist=[{"inst": "u", "cell": "JTL"}]), "netlist[0]: pins is missing"),
    ],
)
def test_bad_netlist_is_refused(document, message):
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}$"):
        parse_event_json(document)
