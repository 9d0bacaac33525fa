"""Two hundred random netlists, in both modes and with all policies, against the event model; and gateware that is
wrong in one place, which they catch."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from hdl.sfq.cell_files import load_library
from hdl.sfq.netlist import DEFAULT_LIBRARY, parse_event_json
from hdl.sfq.netlist_json import event_json
from sim.common.harness import HarnessError
from sim.sfq.emulation_beats import pack
from sim.sfq.random_netlist import random_cells
from sim.sfq.sorters import bitonic_sorter
from tests.sfq.emulated import EDGES, Emulated, event_times, few, modelled, random_group, some_pulses, together

pytestmark = pytest.mark.deep

DATA = Path(__file__).with_name("data")
LIBRARIES = ("pylse", "rsfqlib", None)
POLICIES = ("flag", "drop", "randomise")
MODES = ("skip", "tick")
NETLISTS, PULSES, LOOP_UNTIL_TICKS = 12, 250, 6000


def sizes_of(rng, library, policy):
    """Cells of the netlists of one build: most of them some ten, one some ten more or a hundred and more."""
    large = {("pylse", "flag"): 200, ("rsfqlib", "drop"): 120, ("pylse", "randomise"): 60}.get((library, policy), 30)
    return [int(size) for size in rng.integers(10, 20, NETLISTS - 1)] + [large]


def build(key, folder, change=None):
    """Some netlists in one emulation, and the random numbers that follow."""
    mode, policy, library = key
    rng = np.random.default_rng([LIBRARIES.index(library), POLICIES.index(policy), MODES.index(mode)])
    kinds = [*load_library(library).values()] if library else random_cells(rng, 5)
    netlists = random_group(rng, kinds, sizes_of(rng, library, policy))
    document = together(netlists, library or DEFAULT_LIBRARY)
    params = {"netlist": document, "mode": mode, "policy": policy, "seed": 40_000, "slots": 256}
    return Emulated({"dut": params}, folder, change), netlists, rng


def stimuli(netlists, rng):
    """Pulses for each netlist, and until when: a fifth of them so dense that they violate all the time."""
    for number in range(len(netlists)):
        spacing = 25 if number % 5 == 0 else int(rng.choice([150, 400, 900]))
        stimulus = some_pulses(rng, netlists, number, PULSES, spacing)
        yield stimulus, LOOP_UNTIL_TICKS if number % 3 == 2 else None


@pytest.mark.parametrize("library", LIBRARIES, ids=str)
@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("mode", MODES)
def test_random_netlists_are_emulated_exactly(mode, policy, library, tmp_path):
    emulated, netlists, rng = build((mode, policy, library), tmp_path)
    config = emulated.configs["dut"]
    deliveries, violating = [], 0
    for number, (stimulus, until) in enumerate(stimuli(netlists, rng)):
        result, right = modelled(config, stimulus, until)
        stall = 0.3 if number % 4 == 1 else 0.0
        pulses, violations, cycles = emulated.run("dut", stimulus, until, stall=stall, seed=number)
        assert pulses == right and violations == result.violations, number
        if mode == "skip" and not stall:
            assert cycles == event_times(result) + EDGES
        deliveries.append(result.deliveries)
        violating += len(violations) > 20
    assert len(netlists) == NETLISTS and violating >= 3
    assert np.median(deliveries) >= 100
    assert emulated.read("dut", "status")["slot_overflow"] == 0


@pytest.mark.parametrize("mode", MODES)
def test_recorded_netlists_and_a_sorter_are_emulated_exactly(mode, tmp_path):
    documents = {name: json.loads((DATA / f"{name}.json").read_text()) for name in ("min_max", "full_adder_sync")}
    documents["sorter"] = event_json(bitonic_sorter(8), {}, "pylse")
    emulated = Emulated({name: {"netlist": one, "mode": mode} for name, one in documents.items()}, tmp_path)
    for name in ("min_max", "full_adder_sync"):
        stimulus = parse_event_json(documents[name])[1]
        pulses, violations, _ = emulated.run(name, stimulus)
        assert {wire: [time / 10 for time in times] for wire, times in pulses.items()} == documents[name]["outputs"]
        assert violations == []
    rng = np.random.default_rng(2)
    for _ in range(30):
        arrivals = rng.integers(0, 500, 8)
        pulses, _, _ = emulated.run("sorter", {f"x{lane}": [int(time)] for lane, time in enumerate(arrivals)})
        left = [pulses[f"y{lane}"][0] for lane in range(8)]
        assert [time - left[0] for time in left] == np.sort(arrivals - arrivals.min()).tolist()


def test_slots_that_overflow_are_told(tmp_path):
    """Two steps behind the first one: three pulses on their way are kept, the fourth is lost, and the bit says so."""
    line = {
        "inputs": {"in": []},
        "outputs": ["out"],
        "library": "pylse",
        "netlist": [{"inst": "u", "cell": "JTL", "pins": {"a": "in", "q": "out"}}],
    }
    emulated = Emulated({"dut": {"netlist": line, "slots": 2}}, tmp_path)
    assert emulated.run("dut", {"in": [0, 1, 2]})[0]["out"] == [57, 58, 59]
    assert emulated.read("dut", "status")["slot_overflow"] == 0
    assert emulated.run("dut", {"in": [0, 1, 2, 3]})[0]["out"] == [57, 58, 59]
    assert emulated.read("dut", "status")["slot_overflow"] == 1


def test_time_that_overflows_and_stimuli_out_of_order_are_told(tmp_path):
    line = {
        "inputs": {"in": []},
        "outputs": ["out"],
        "library": "pylse",
        "netlist": [{"inst": "u", "cell": "JTL", "pins": {"a": "in", "q": "out"}}],
    }
    emulated = Emulated({"dut": {"netlist": line, "time_bits": 10}}, tmp_path)
    assert emulated.run("dut", {"in": [0, 1023 - 58]})[0]["out"] == [57, 1022]
    assert emulated.read("dut", "status")["time_overflow"] == 0
    emulated.run("dut", {"in": [0, 1020]})
    assert emulated.read("dut", "status")["time_overflow"] == 1
    assert emulated.read("dut", "status")["time_order"] == 0
    beats = pack(emulated.configs["dut"], {"in": [0, 300, 600]})
    emulated.run_beats("dut", beats)
    assert emulated.read("dut", "status")["time_order"] == 0
    beats.data[[1, 2]] = beats.data[[2, 1]]
    emulated.run_beats("dut", beats)
    assert emulated.read("dut", "status")["time_order"] == 1
    emulated.write("dut", "status", time_order=1)
    assert emulated.run("dut", {"in": [0, 300]})[0]["out"] == [57, 357]
    assert emulated.read("dut", "status")["time_order"] == 0


WRONG = [
    ("core__cells_0", "&", "|"),
    ("core__cells_1", "|", "&"),
    ("core__cells_0__window_0", "+", "-"),
    ("core__cells_0__window_1", "-", "+"),
    ("core__queue_58", "+", "-"),
    ("core__queue_64", "!=", "=="),
    ("core__choice", "&", "|"),
    ("core__choice", "-", "+"),
    ("core", "|", "&"),
    ("feed", "-", "+"),
]


@pytest.mark.parametrize(("module", "operator", "other"), WRONG)
def test_wrong_gateware_is_caught(module, operator, other, tmp_path):
    """One operator in the middle of a module is another."""

    def change(text):
        start = re.search(rf"^module niello_test__core__dut__{module}\b", text, re.MULTILINE).start()
        body = text[start : text.index("endmodule", start)]
        places = [match.start() for match in re.finditer(re.escape(f" {operator} "), body)]
        place = start + places[len(places) // 2]
        return f"{text[:place]} {other} {text[place + len(operator) + 2 :]}"

    netlists = few()
    params = {"netlist": together(netlists), "policy": "randomise", "slots": 128}
    emulated = Emulated({"dut": params}, tmp_path, change)
    config, rng = emulated.configs["dut"], np.random.default_rng(1)
    with pytest.raises((AssertionError, HarnessError)):
        for stimulus, until in [one for _ in range(3) for one in stimuli(netlists, rng)]:
            result, right = modelled(config, stimulus, until)
            pulses, violations, cycles = emulated.run("dut", stimulus, until)
            assert pulses == right and violations == result.violations
            assert cycles == event_times(result) + EDGES
