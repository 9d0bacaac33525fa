"""Event JSON that is written is read as the same netlist, with all that a run can see."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hdl.common.config import ConfigError
from hdl.sfq.cell_files import LIBRARIES, load_library
from hdl.sfq.netlist import Instance, Netlist, parse_event_json
from hdl.sfq.netlist_json import event_json, identical
from sim.sfq.random_netlist import random_cell, random_netlist, random_pulses
from tests.sfq.odd_names import with_odd_names

DATA = Path(__file__).with_name("data")


def held_to_itself(netlist, stimulus, library):
    """Through JSON text and back."""
    document = json.loads(json.dumps(event_json(netlist, stimulus, library)))
    again, pulses = parse_event_json(document)
    assert (again, pulses) == (netlist, stimulus)
    assert list(pulses) == list(stimulus)
    for one, other in zip(again.instances, netlist.instances, strict=True):
        assert identical(one.cell, other.cell) and list(one.pins) == list(other.pins)
    return document


def some_run(seed, kinds, cells, *, odd=False):
    """A netlist with pins that lead nowhere and wires that nothing looks at, and pulses at its inputs."""
    rng = np.random.default_rng(seed)
    netlist = random_netlist(rng, [*kinds], cells, open_share=0.1)
    netlist = with_odd_names(netlist) if odd else netlist
    return netlist, random_pulses(rng, netlist.inputs, 5 * cells, spacing_ticks=100)


def with_figures(rng, cell):
    """The cell with all else that a table may say."""
    bias = None if rng.random() < 0.5 else float(rng.integers(0, 3))
    junctions, probe = int(rng.integers(9)), float(rng.integers(2))
    return replace(cell, junctions=junctions, bias_ua=bias, probe_ps=probe, source="a test")


@pytest.mark.parametrize("library", LIBRARIES)
def test_cells_of_the_library_need_no_tables(library):
    netlist, stimulus = some_run(1, load_library(library).values(), 60)
    assert "cells" not in held_to_itself(netlist, stimulus, library)


@pytest.mark.parametrize("seed", range(8))
def test_any_cells_and_names_come_back(seed):
    rng = np.random.default_rng(seed)
    # Three of a name: in a file they are told apart, and the name of one of them looks like the second of another.
    own = [with_figures(rng, random_cell(rng, name)) for name in ("X", "X", "X", "X_2", "JTL")]
    netlist, stimulus = some_run(seed, [*load_library("rsfqlib").values(), *own], 120, odd=True)
    document = held_to_itself(netlist, stimulus, "rsfqlib")
    assert set(document["cells"]) >= {"X", "X_2", "X_3", "X_4", "JTL_2"}


def test_cells_of_another_library_bring_their_tables():
    netlist, stimulus = some_run(2, load_library("pylse").values(), 60)
    document = held_to_itself(netlist, stimulus, "rsfqlib")
    names = {one.cell.name for one in netlist.instances}
    shared = names & set(load_library("rsfqlib"))
    assert shared and set(document["cells"]) == names - shared | {f"{name}_2" for name in shared}
    with pytest.raises(ConfigError, match="^pylsee is not a cell library"):
        event_json(netlist, stimulus, "pylsee")


def test_order_of_pins_in_a_state_is_part_of_a_cell():
    """Pulses that come together are taken in it, so a table that differs only there is another table."""
    merge = load_library("rsfqlib")["MERGE"]
    turned = replace(merge, states={"0": dict(reversed(merge.states["0"].items()))})
    assert turned == merge
    instances = tuple(Instance(f"u{n}", cell, {"a": f"a{n}", "b": f"b{n}"}) for n, cell in enumerate((merge, turned)))
    netlist = Netlist("two", instances, ("a0", "b0", "a1", "b1"), ())
    assert list(held_to_itself(netlist, {wire: [] for wire in netlist.inputs}, "rsfqlib")["cells"]) == ["MERGE_2"]


@pytest.mark.parametrize("name", ["min_max", "full_adder_sync"])
def test_recorded_netlists_come_back(name):
    netlist, stimulus = parse_event_json(json.loads((DATA / f"{name}.json").read_text()))
    held_to_itself(netlist, stimulus, "rsfqlib")
