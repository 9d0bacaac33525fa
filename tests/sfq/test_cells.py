"""Cell tables: the libraries that come with niello, and what is refused in which words."""

from __future__ import annotations

import re
from copy import deepcopy

import pytest
import yaml

from hdl.common.config import ConfigError
from hdl.sfq.cell_files import LIBRARIES, load_library, parse_library
from hdl.sfq.cells import Cell, Reaction

DFF = {
    "inputs": ["a", "clk"],
    "outputs": ["q"],
    "junctions": 7,
    "states": {
        "empty": {"a": {"to": "full"}, "clk": {}},
        "full": {"a": {}, "clk": {"to": "empty", "fires_ps": {"q": 6.3}}},
    },
}


@pytest.mark.parametrize("name", LIBRARIES)
def test_libraries_are_whole(name):
    cells = load_library(name)
    assert len(cells) >= 11
    for key, cell in cells.items():
        assert cell.name == key and cell.junctions >= 2 and cell.source
    # A map in YAML forgets a key that stands twice: here every cell is a line of its own.
    heads = re.findall(r"^  (\w+):", LIBRARIES[name].read_text(), re.MULTILINE)
    assert heads == list(cells)


def test_library_times_are_whole_ticks():
    cell = parse_library({"source": "a test", "cells": {"DFF": DFF}})["DFF"]
    assert cell == Cell(
        name="DFF",
        inputs=("a", "clk"),
        outputs=("q",),
        states={
            "empty": {"a": Reaction("full"), "clk": Reaction("empty")},
            "full": {"a": Reaction("full"), "clk": Reaction("empty", fires={"q": 63})},
        },
        junctions=7,
        source="a test",
    )
    assert cell.initial == "empty" and cell.clocked


def test_reaction_times_stand_for_all_inputs_or_for_some():
    changed = deepcopy(DFF)
    changed["states"]["full"]["clk"] |= {"busy_ps": 2, "blocks_ps": {"a": 3.5}, "ages_ps": 1.2}
    reaction = parse_library({"cells": {"DFF": changed}})["DFF"].states["full"]["clk"]
    assert reaction == Reaction("empty", {"q": 63}, blocks={"a": 35, "clk": 20}, ages={"a": 12, "clk": 12})


def wrong(*path, to=None, without=None):
    """The cell with one thing changed, or one key missing."""
    changed = deepcopy(DFF)
    at = changed
    for key in path[:-1]:
        at = at[key]
    if without:
        del at[path[-1]][without]
    else:
        at[path[-1]] = to
    return changed


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        (wrong("states", "lost", to={"a": {}, "clk": {}}), "cell DFF: no pulse leads from empty to state lost"),
        (
            wrong("states", "full", "clk", "fires_ps", to={"q": -1}),
            "cell DFF, state full, pulse at clk: the delay of q must be above 0, not -1 ps",
        ),
        (
            wrong("states", "full", "clk", "fires_ps", to={"q": 0}),
            "cell DFF, state full, pulse at clk: the delay of q must be above 0, not 0 ps",
        ),
        (
            wrong("states", "full", "clk", "busy_ps", to=-0.1),
            "cell DFF, state full, pulse at clk: the blocked time of a must be at least 0, not -0.1 ps",
        ),
        (
            wrong("states", "full", "clk", "ages_ps", to={"a": -2}),
            "cell DFF, state full, pulse at clk: the least age of a must be at least 0, not -2 ps",
        ),
        (
            wrong("states", "full", "clk", "fires_ps", to={"q": 6.35}),
            "cell DFF, state full, pulse at clk, fires_ps.q must be a multiple of 0.1 ps, not 6.35",
        ),
        (
            wrong("states", "full", "clk", "fires_ps", to={"p": 1}),
            "cell DFF, state full, pulse at clk: p is not an output; known: q",
        ),
        (
            wrong("states", "full", "clk", "to", to="emty"),
            'cell DFF, state full, pulse at clk: emty is not a state; did you mean "empty"?',
        ),
        (
            wrong("states", "full", "clk", "fire_ps", to={"q": 1}),
            "cell DFF, state full, pulse at clk: 'fire_ps' (a string) is not a field; did you mean \"fires_ps\"?",
        ),
        (wrong("states", "full", without="a"), "cell DFF, state full: nothing says what a pulse at a does"),
        (wrong("states", "full", "b", to={}), "cell DFF, state full: b is not an input; known: a, clk"),
        (wrong("states", "full", "clk", to=[]), "cell DFF, state full, pulse at clk must be a map, not [] (a list)"),
        (wrong("states", to={}), "cell DFF has no state"),
        (wrong("inputs", to=[]), "cell DFF has no input"),
        (wrong("outputs", to=["q", "a"]), "cell DFF has two pins a"),
        (wrong("outputs", to=["q", "r"]), "cell DFF: nothing fires r"),
        (wrong("outputs", to="q"), "cell DFF, outputs must be a list of names, not 'q' (a string)"),
        (wrong("junctions", to=-1), "cell DFF: junctions must be at least 0, not -1"),
        (wrong("junctions", to=True), "cell DFF, junctions must be a whole number, not True (a boolean)"),
        (wrong("bias_ua", to=-3), "cell DFF: bias_ua must be at least 0, not -3.0"),
        (wrong("bias_ua", to=float("nan")), "cell DFF, bias_ua must be a number, not nan"),
    ],
)
def test_bad_cell_is_refused(cell, message):
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}$"):
        parse_library({"cells": {"DFF": cell}})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[]", "a library must be a map, not [] (a list)"),
        ("cell: {}", "a library: 'cell' (a string) is not a field; did you mean \"cells\"?"),
        ("source: mine", "a library: cells is missing"),
        ("cells: {1: {}}", "cells must be a text, not 1"),
        ("cells: {A: {inputs: [a]}}", "cell A: states is missing"),
        ("cells: {A: {inputs: [a], states: {0: {}}}}", "cell A, states must be a text, not 0"),
    ],
)
def test_bad_library_is_refused(text, message):
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}$"):
        parse_library(yaml.safe_load(text))


def test_unknown_library_names_the_nearest():
    with pytest.raises(ConfigError, match='^rsfq is not a cell library; did you mean "rsfqlib"\\?$'):
        load_library("rsfq")
