"""Decks of cells: what they do against the event model, and the figures in the library against those that they show."""

from itertools import pairwise

import numpy as np
import pytest

from hdl.sfq.cell_files import load_library
from hdl.sfq.cells import ps
from hdl.sfq.netlist import Instance, Netlist
from sim.sfq.circuit_solver import simulate
from sim.sfq.deck_margins import FIRST_PS, critical, expected_outputs, faults, margins, tour
from sim.sfq.deck_timing import HOP_PS, Window, delays, path_to, windows
from sim.sfq.decks import DECKS, bench, beside, circuit_of
from sim.sfq.event_model import run

LIBRARY = load_library("rsfqlib")
OWN = ("T", "T1")
"""Cells whose figures in the library are of decks of ours."""


@pytest.mark.parametrize("name", DECKS)
def test_decks_do_what_their_cells_do(name):
    deck, cell = DECKS[name], LIBRARY[name]
    assert (deck.inputs, deck.outputs) == (cell.inputs, cell.outputs)
    assert faults(deck, cell, deck.parameters).tolist() == [0]


def test_deck_that_does_wrong_is_seen():
    deck, cell = DECKS["T1"], LIBRARY["T1"]
    for change in ({"l_loop": 60.0}, {"b_a": 0.0}, {"j_series_d": 400.0}, {"j_b": 600.0}):
        assert faults(deck, cell, {**deck.parameters, **change}).tolist() != [0]


@pytest.mark.parametrize("name", OWN)
def test_library_has_what_the_deck_shows(name):
    deck, cell = DECKS[name], LIBRARY[name]
    assert cell.junctions == deck.junctions and cell.bias_ua == deck.bias_ua and cell.probe_ps == HOP_PS
    shown = {key: round(float(one[0]) - HOP_PS, 1) for key, one in delays(deck, cell, deck.parameters).items()}
    assert shown == {
        (state, pin, output): ps(delay)
        for state, reactions in cell.states.items()
        for pin, reaction in reactions.items()
        for output, delay in reaction.fires.items()
    }


@pytest.mark.parametrize("name", ["T", pytest.param("T1", marks=pytest.mark.deep)])
def test_library_has_the_windows_that_the_deck_shows(name):
    deck, cell = DECKS[name], LIBRARY[name]
    assert windows(deck, cell, deck.parameters) == [
        Window(state, first, second, ps(reactions[first].blocks[second]))
        for state, reactions in cell.states.items()
        for first in cell.inputs
        for second in cell.inputs
        if second in reactions[first].blocks
    ]


def follows_event_model(name, pulses, gap_ps, seed, temperature_k=0.0):
    """Random pulses at both: the same outputs, and how far their times are apart at most."""
    deck, cell = DECKS[name], LIBRARY[name]
    rng = np.random.default_rng(seed)
    times, pins = FIRST_PS + np.cumsum(rng.uniform(*gap_ps, pulses)), rng.choice(cell.inputs, pulses)
    flips = simulate(
        bench(deck, deck.parameters),
        {f"in.{pin}": times[pins == pin] for pin in cell.inputs},
        times[-1] + 50,
        [beside(pin) for pin in (*cell.inputs, *cell.outputs)],
        temperature_k=temperature_k,
        seed=seed,
    ).times_ps
    flips = {pin: flips[beside(pin)] for pin in (*cell.inputs, *cell.outputs)}
    instance = Instance("u", cell, {pin: pin for pin in (*cell.inputs, *cell.outputs)})
    netlist = Netlist("one", (instance,), cell.inputs, cell.outputs)
    wanted = run(netlist, {pin: [round(time * 10) for time in flips[pin][0]] for pin in cell.inputs})
    assert wanted.violations == []
    for pin in cell.outputs:
        assert len(wanted.pulses[pin]) == flips[pin].shape[1] > 0
        yield np.abs(flips[pin][0] - cell.probe_ps - [ps(time) for time in wanted.pulses[pin]]).max()


@pytest.mark.parametrize("name", OWN)
def test_decks_follow_the_event_model(name):
    assert max(follows_event_model(name, 60, (6, 14), seed=1)) < 0.1


@pytest.mark.deep
@pytest.mark.parametrize("name", OWN)
@pytest.mark.parametrize("seed", range(5))
def test_decks_follow_the_event_model_in_noise(name, seed):
    assert max(follows_event_model(name, 300, (8, 20), seed, temperature_k=4.2)) < 0.6


ENDS = [(name, pin) for name in DECKS for pin in DECKS[name].outputs]
BEGINNINGS = [(name, pin) for name in DECKS for pin in DECKS[name].inputs]
QUICK = {(("T1", "c"), ("T1", "r")), (("T", "q"), ("T", "t")), (("SPLIT", "q0"), ("T1", "t"))}


@pytest.mark.parametrize(
    ("end", "beginning"),
    [
        pytest.param(end, beginning, marks=() if (end, beginning) in QUICK else pytest.mark.deep)
        for end in ENDS
        for beginning in BEGINNINGS
    ],
)
def test_any_deck_drives_any_other(end, beginning):
    """Pin to pin without a JTL between them, random pulses 25 ps apart, nominal bias, 20 % less and 10 % more: as many
    pulses after each as by the tables."""
    pins = [
        {pin: f"{name}.{pin}" for pin in (*DECKS[kind].inputs, *DECKS[kind].outputs)}
        for name, (kind, _) in zip("uv", (end, beginning), strict=True)
    ]
    pins[0][end[1]] = pins[1][beginning[1]] = "between"
    instances = [
        Instance(name, LIBRARY[kind], one) for name, (kind, _), one in zip("uv", (end, beginning), pins, strict=True)
    ]
    inputs = [one.pins[pin] for one in instances for pin in one.cell.inputs if one.pins[pin] != "between"]
    outputs = [one.pins[pin] for one in instances for pin in one.cell.outputs if one.pins[pin] != "between"]
    netlist = Netlist("pair", tuple(instances), tuple(inputs), tuple(outputs))

    rng, pulses, gap_ps = np.random.default_rng(4), 30, 25
    edges, wires = FIRST_PS + gap_ps * np.arange(pulses + 1), rng.choice(inputs, pulses)
    times = {wire: edges[:-1][wires == wire] for wire in inputs}
    wanted = run(netlist, {wire: [round(time * 10) for time in one] for wire, one in times.items()}).pulses
    probes = [beside(wire) for wire in (*inputs, *outputs)]
    driven = {f"in.{wire}": one for wire, one in times.items()}
    flips = simulate(circuit_of(netlist, np.array([0.8, 1.0, 1.1])), driven, edges[-1] + 50, probes).times_ps
    for wire in inputs:
        assert flips[beside(wire)].shape[1] == len(times[wire])
    for wire in outputs:
        wanted_counts, _ = np.histogram([ps(time) for time in wanted[wire]], edges)
        for row in flips[beside(wire)]:
            assert np.histogram(row, edges)[0].tolist() == wanted_counts.tolist()
            assert np.isfinite(row).sum() == len(wanted[wire])


@pytest.mark.deep
@pytest.mark.parametrize(("name", "least"), [("SPLIT", 0.45), ("DFF", 0.45), ("T", 0.45), ("T1", 0.25)])
def test_margins_are_as_the_readme_says(name, least):
    deck, cell = DECKS[name], LIBRARY[name]
    found = margins(deck, cell, deck.parameters)
    assert list(found) == ["bias", *deck.parameters] and critical(found)[1] >= least
    # One step beyond the margin it fails indeed.
    worst, _ = critical(found)
    down, up = found[worst]
    beyond = 1 + (up + 0.02 if up < -down else down - 0.02)
    changed = deck.parameters if worst == "bias" else {**deck.parameters, worst: deck.parameters[worst] * beyond}
    assert faults(deck, cell, changed, scale=beyond if worst == "bias" else 1.0)[0] > 0


def test_tour_takes_every_pair_of_pulses_in_every_state():
    cell = LIBRARY["T1"]
    pins = tour(cell)
    state, seen = cell.initial, set()
    for pin, after in pairwise(pins):
        seen.add((state, pin, after))
        state = cell.states[state][pin].target
    assert seen == {(state, pin, after) for state in "01" for pin in "tr" for after in "tr"}
    assert expected_outputs(cell, list("ttrtr")) == {"c": [0, 1, 0, 0, 0], "s": [0, 0, 0, 0, 1]}
    assert path_to(cell, "1") == ["t"] and path_to(cell, "0") == []


def test_libraries_together_have_the_whole_family():
    family = {
        "rsfqlib": "JTL BUFF SPLIT MERGE DFF NDRO AND2 OR2 XOR XNOR NOT T T1",
        "pylse": "JTL S M C C_INV DRO DRO_SR DRO_C INV AND OR XOR XNOR NAND NOR",
    }
    for library, names in family.items():
        assert set(names.split()) <= set(load_library(library))


@pytest.mark.parametrize("bits", range(8))
def test_t1_behind_two_mergers_is_a_full_adder(bits):
    """Pulses of three inputs, apart by more than every window, then one at r: c is the carry, s the sum."""
    merge, t1 = LIBRARY["MERGE"], LIBRARY["T1"]
    netlist = Netlist(
        "adder",
        (
            Instance("first", merge, {"a": "x", "b": "y", "q": "xy"}),
            Instance("second", merge, {"a": "xy", "b": "z", "q": "xyz"}),
            Instance("adder", t1, {"t": "xyz", "r": "r", "c": "carry", "s": "sum"}),
        ),
        ("x", "y", "z", "r"),
        ("carry", "sum"),
    )
    pulses = {wire: [100 + 200 * place] for place, wire in enumerate("xyz") if bits >> place & 1}
    found = run(netlist, {"x": [], "y": [], "z": [], **pulses, "r": [1000]})
    total = bits.bit_count()
    assert found.violations == [] and netlist.junctions == 24
    assert (len(found.pulses["carry"]), len(found.pulses["sum"])) == (total >> 1, total & 1)
