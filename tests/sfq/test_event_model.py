"""The event model against runs that were recorded with other simulators, and its policies."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hdl.sfq.cell_files import load_library
from hdl.sfq.cells import Cell, Reaction, ps
from hdl.sfq.netlist import Instance, Netlist, coin_seed, parse_event_json
from sim.sfq.event_model import NeverAtRest, Violation, run

DATA = Path(__file__).with_name("data")
PYLSE = json.loads((DATA / "pylse_vectors.json").read_text())["vectors"]
JOSIM = json.loads((DATA / "josim_vectors.json").read_text())["cells"]
RULES = {"Transition time": "transition_time", "Prior input": "prior_input"}


def alone(cell):
    """A netlist of one cell, whose wires have the names of its pins."""
    pins = {pin: pin for pin in (*cell.inputs, *cell.outputs)}
    return Netlist(cell.name, (Instance("u", cell, pins),), cell.inputs, cell.outputs)


@pytest.mark.parametrize("name", ["min_max", "full_adder_sync"])
def test_recorded_netlists_run_exactly(name):
    document = json.loads((DATA / f"{name}.json").read_text())
    netlist, stimulus = parse_event_json(document)
    result = run(netlist, stimulus)
    assert {wire: [ps(time) for time in result.pulses[wire]] for wire in netlist.outputs} == document["outputs"]
    assert result.violations == []


@pytest.mark.parametrize("vector", PYLSE, ids=lambda one: f"{one['cell']}-{'bad' if one['violation'] else 'good'}")
def test_pylse_cells_do_as_recorded(vector):
    """Outputs are numbered there in the order of the pins, and the pins of DRO_SR have shorter names."""
    cell = load_library("pylse")[vector["cell"]]
    pins = {"s": "set", "r": "rst"} if vector["cell"] == "DRO_SR" else {}
    stimulus = {pins.get(pin, pin): [round(time * 10) for time in times] for pin, times in vector["in"].items()}
    result = run(alone(cell), stimulus)
    if vector["violation"]:
        first, recorded = result.violations[0], vector["violation"]
        assert (first.rule, first.pin) == (RULES[recorded["rule"]], recorded.get("pin", "clk"))
    else:
        assert result.violations == []
        got = {f"o{index}": [ps(time) for time in result.pulses[pin]] for index, pin in enumerate(cell.outputs)}
        assert got == vector["out"]


@pytest.mark.parametrize("name", JOSIM)
def test_rsfqlib_cells_follow_the_circuit(name):
    """Each flip of a loading junction within 0.3 ps; the recorded times are not whole ticks."""
    cell = load_library("rsfqlib")[name]
    stimulus = {pin: [round(time * 10) for time in times] for pin, times in JOSIM[name]["in"].items()}
    result = run(alone(cell), stimulus)
    assert result.violations == []
    for pin, times in JOSIM[name]["out"].items():
        assert [ps(time) + cell.probe_ps for time in result.pulses[pin]] == pytest.approx(times, abs=0.3)


def test_pulses_that_come_together_keep_the_order_of_the_state_before_them():
    """In `0` that order is a, b, c; after a, the state would have c before b."""
    states = {
        "0": {"a": Reaction("1"), "b": Reaction("0"), "c": Reaction("0")},
        "1": {"c": Reaction("c"), "b": Reaction("b"), "a": Reaction("1")},
        "b": {"a": Reaction("b"), "b": Reaction("b"), "c": Reaction("0", fires={"bc": 1})},
        "c": {"a": Reaction("c"), "b": Reaction("0", fires={"cb": 1}), "c": Reaction("c")},
    }
    cell = Cell("ORDER", ("a", "b", "c"), ("bc", "cb"), states)
    together = run(alone(cell), {"c": [5], "b": [5], "a": [5]})
    assert (together.pulses["bc"], together.pulses["cb"]) == ([6], [])
    apart = run(alone(cell), {"a": [5], "c": [6], "b": [6]})
    assert (apart.pulses["bc"], apart.pulses["cb"]) == ([], [7])


def test_end_of_a_window_is_allowed():
    cell = load_library("pylse")["S"]
    assert run(alone(cell), {"a": [0, 43]}).violations == []
    assert run(alone(cell), {"a": [0, 42]}).violations == [Violation(42, "u", "S", "a", "transition_time")]
    cell = load_library("pylse")["DRO"]
    assert run(alone(cell), {"a": [0], "clk": [23]}).violations == []
    assert run(alone(cell), {"a": [0], "clk": [22]}).violations == [Violation(22, "u", "DRO", "clk", "prior_input")]


def test_policies_say_what_becomes_of_a_violating_pulse():
    cell = load_library("pylse")["S"]
    stimulus = {"a": [0, 10, 50]}
    flagged = run(alone(cell), stimulus, policy="flag")
    assert flagged.pulses["l"] == [43, 53, 93]
    # The pulse that was obeyed blocks in its turn; one that was dropped does not.
    assert [one.time for one in flagged.violations] == [10, 50]
    dropped = run(alone(cell), stimulus, policy="drop")
    assert dropped.pulses["l"] == [43, 93]
    assert [one.time for one in dropped.violations] == [10]


def test_dropped_pulse_leaves_no_age():
    cell = load_library("pylse")["AND"]
    stimulus = {"a": [20], "b": [], "clk": [0, 40]}
    assert [one.time for one in run(alone(cell), stimulus, policy="flag").violations] == [20, 40]
    assert [one.time for one in run(alone(cell), stimulus, policy="drop").violations] == [20]


def test_randomise_obeys_some_and_repeats_itself():
    splitter = load_library("pylse")["S"]
    pins = {"a": "in", "l": "l", "r": "r"}
    instances = tuple(Instance(f"u{n}", splitter, {pin: f"{wire}{n}" for pin, wire in pins.items()}) for n in range(50))
    netlist = Netlist("many", instances, tuple(f"in{n}" for n in range(50)), ())
    stimulus = {f"in{n}": list(range(0, 2000, 20)) for n in range(50)}
    results = [run(netlist, stimulus, policy="randomise", seed=seed) for seed in (1, 1, 2)]
    assert results[0] == results[1] != results[2]
    shares = [len(results[0].pulses[f"l{n}"]) / 100 for n in range(50)]
    assert 0.3 < min(shares) < max(shares) < 1


def test_coins_begin_with_a_seed_of_their_own():
    seeds = [coin_seed(seed, index) for seed in range(40) for index in range(40)]
    assert min(seeds) > 0 and max(seeds) < 1 << 16
    assert len(set(seeds)) > 1550


def ring():
    """A merger and a splitter in a loop: a pulse that comes in goes round for ever."""
    merger, splitter = load_library("pylse")["M"], load_library("pylse")["S"]
    instances = (
        Instance("m", merger, {"a": "in", "b": "back", "q": "middle"}),
        Instance("s", splitter, {"a": "middle", "l": "out", "r": "back"}),
    )
    return Netlist("ring", instances, ("in",), ("out",))


def test_loop_runs_until_it_is_stopped(monkeypatch):
    result = run(ring(), {"in": [0]}, until=1000)
    assert result.pulses["out"] == list(range(125, 1001, 125))
    monkeypatch.setattr("sim.sfq.event_model.MOST_DELIVERIES", 1000)
    with pytest.raises(NeverAtRest, match="^ring is not at rest after 1,000 pulses$"):
        run(ring(), {"in": [0]})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"policy": "ignore"}, "policy must be one of flag, drop, randomise, not ignore"),
        ({"seed": -1}, "seed must be in 0..65535, not -1"),
    ],
)
def test_bad_option_is_refused(options, message):
    with pytest.raises(ValueError, match=f"^{message}$"):
        run(ring(), {"in": [0]}, **options)
