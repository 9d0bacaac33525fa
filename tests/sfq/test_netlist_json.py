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
from tests.sfq.random_netlists import own_cell, random_netlist

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


@pytest.mark.parametrize("library", LIBRARIES)
def test_cells_of_the_library_need_no_tables(library):
    netlist, stimulus = random_netlist(np.random.default_rng(1), 60, library=library)
    assert "cells" not in held_to_itself(netlist, stimulus, library)


@pytest.mark.parametrize("seed", range(8))
def test_any_cells_and_names_come_back(seed):
    rng = np.random.default_rng(seed)
    # Three of a name: in a file they are told apart, and the name of one of them looks like the second of another.
    own = [own_cell(rng, name) for name in ("X", "X", "X", "X_2", "JTL")]
    netlist, stimulus = random_netlist(rng, 120, own=own, odd=True)
    document = held_to_itself(netlist, stimulus, "rsfqlib")
    assert set(document["cells"]) >= {"X", "X_2", "X_3", "X_4", "JTL_2"}


def test_cells_of_another_library_bring_their_tables():
    netlist, stimulus = random_netlist(np.random.default_rng(2), 60, library="pylse")
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
