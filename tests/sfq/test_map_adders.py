"""`niello sfq map` with full adders of T1 cells: what they compute, what they cost, and that the checks find what is
wrong with them."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from itertools import permutations, product
from random import Random

import pytest

from flows.errors import BadInput, NielloError
from flows.paths import ROOT
from flows.sfq.conditions import Conditions
from flows.sfq.map import map_file
from flows.sfq.mapping import ripple as ripple_module
from flows.sfq.mapping import timing
from flows.sfq.mapping.adder_cells import ENTRIES, Stagger, is_merger, staggered, toggle_of
from flows.sfq.mapping.front_end import read_source
from flows.sfq.mapping.full_adders import full_adders
from flows.sfq.mapping.kit import delay_of, kit_of
from flows.sfq.mapping.ripple import rippled
from flows.sfq.run import run_file
from hdl.sfq.cell_files import load_library
from hdl.sfq.netlist import Instance, Netlist
from sim.sfq.event_model import run
from tests.sfq.map_helpers import blif, drive, every_case, full_adder, ripple

EXAMPLES = ROOT / "hdl/sfq/examples"
KIT = kit_of("rsfqlib")


@pytest.mark.parametrize("phases", [1, 4, *(pytest.param(n, marks=pytest.mark.deep) for n in (2, 3, 6))])
def test_ripple_adder_is_a_t1_a_bit(tmp_path, phases):
    """Each case of a two-bit adder, and what it counts: 24 junctions a full adder, 3 for its clock."""
    inputs, outputs, lines = ripple(2)
    path, out = tmp_path / "ripple.blif", tmp_path / "ripple.json"
    path.write_text(blif(inputs, outputs, lines))
    result = map_file(path, phases=phases, scripts=2, waves=4, out=out)
    assert (result["t1"], result["gates"], result["script"]) == (2, 2, "t1 dch")
    assert (result["cells"]["T1"], result["cells"]["MERGE"], result["equivalent"]) == (2, 4, True)
    clocked = result["gates"] + result["dff"]
    assert result["clock_splitters"] == clocked - 1
    counted = 24 * 2 + 7 * result["dff"] + 3 * (result["splitters"] + clocked - 1) + 2 * result["delays"]
    assert result["bias_ma_modelled"] == pytest.approx(0.175 * result["netlist_jj"], abs=5e-4)
    assert result["jj"] == counted == result["netlist_jj"] + 3 * (len(json.loads(out.read_text())["clocks"]) - 1)
    cases = every_case(5)
    found = drive(out, {name: [case[index] for case in cases] for index, name in enumerate(inputs)})
    for k, (a0, b0, a1, b1, c0) in enumerate(cases):
        assert found["s0"][k] + 2 * found["s1"][k] + 4 * found["c2"][k] == a0 + b0 + c0 + 2 * (a1 + b1)


def test_full_adders_are_cells_only_where_that_is_cheaper(tmp_path):
    """Of full adders whose carries nothing takes, two XORs are cheaper; asked for, they are T1 cells."""
    path = tmp_path / "parity.blif"
    path.write_text(blif("xyz", "s", full_adder("x", "y", "z", "s", "unused")))
    found = {kind: map_file(path, scripts=2, waves=4, full_adders=kind) for kind in ("auto", "gates", "t1")}
    assert found["auto"]["jj"] == min(one["jj"] for one in found.values())
    inputs, outputs, lines = ripple(3)
    path.write_text(blif(inputs, outputs, lines))
    found = {kind: map_file(path, scripts=2, waves=4, full_adders=kind) for kind in ("auto", "gates", "t1")}
    assert found["gates"]["t1"] == 0 and found["t1"]["t1"] == found["auto"]["t1"] == 3
    assert found["auto"]["jj"] == found["t1"]["jj"] < found["gates"]["jj"]


def random_tree(random, leaves, depth):
    """Full adders over what was there before, sums and carries of other adders, inverted or combined at times."""
    signals, lines = [f"i{k}" for k in range(leaves)], list[str]()
    for k in range(depth):
        x, y, z = random.sample(signals, 3)
        if random.random() < 0.3:
            lines += [f".names {x} inverted{k}", "0 1"]
            x = f"inverted{k}"
        lines += full_adder(x, y, z, f"s{k}", f"c{k}")
        signals += [f"s{k}", f"c{k}"]
        if random.random() < 0.3:
            one, other = random.sample(signals, 2)
            lines += [f".names {one} {other} g{k}", random.choice(["11 1", "10 1", "0- 1", "10 1\n01 1"])]
            signals.append(f"g{k}")
    if random.random() < 0.3:
        lines += [f".latch {signals[-1]} late 2"]
        signals.append("late")
    return signals[:leaves], random.sample(signals[leaves:], min(4, len(signals) - leaves)), lines


def mapped_tree(tmp_path, seed, phases):
    """A random tree, mapped, proven and simulated; that the netlist has T1 cells is seen."""
    random = Random(seed)
    path = tmp_path / f"{seed}.blif"
    path.write_text(blif(*random_tree(random, random.randrange(3, 8), random.randrange(1, 12))))
    result = map_file(path, phases=phases, scripts=2, waves=40, full_adders="t1")
    assert (result["equivalent"], result["wrong_bits"], result["violations"]) == (True, 0, 0)
    return result["t1"]


@pytest.mark.parametrize("phases", [1, 3])
def test_random_full_adders(tmp_path, phases):
    assert mapped_tree(tmp_path, 1, phases) > 1


@pytest.mark.deep
@pytest.mark.parametrize("phases", [1, 2, 3, 4, 7])
def test_many_random_full_adders(tmp_path, phases):
    assert sum(mapped_tree(tmp_path, seed, phases) for seed in range(100, 125)) > 50


@pytest.mark.deep
@pytest.mark.parametrize("phases", [1, 4])
@pytest.mark.parametrize("name", ["mac4", "dot_lane_int8"])
def test_examples_with_t1_take_fewer_junctions(name, phases):
    found = {
        kind: map_file(EXAMPLES / f"{name}.v", phases=phases, scripts=3, full_adders=kind) for kind in ("gates", "t1")
    }
    assert found["t1"]["jj"] < 0.95 * found["gates"]["jj"] and found["t1"]["violations"] == 0


def changed(monkeypatch, change):
    """Has `map` make its netlist, and then change its instances."""
    from flows.sfq import map as command

    made = command.assembled

    def spoiled(*arguments):
        mapped = made(*arguments)
        old = mapped.netlist
        return replace(mapped, netlist=Netlist(old.name, tuple(change(old.instances)), old.inputs, old.outputs))

    monkeypatch.setattr(command, "assembled", spoiled)


def swapped(one, *pins):
    """An instance with the wires of two pins exchanged."""
    first, second = pins
    return replace(one, pins={**one.pins, first: one.pins[second], second: one.pins[first]})


def with_sum_and_carry_swapped(instances):
    index = next(k for k, one in enumerate(instances) if one.cell.name == "T1" and len(one.pins) == 4)
    return [*instances[:index], swapped(instances[index], "c", "s"), *instances[index + 1 :]]


def with_sums_exchanged(instances):
    """Of the two full adders."""
    sums = [one.pins["s"] for one in instances if one.cell.name == "T1"]
    return [
        replace(one, pins={**one.pins, "s": sums[one.pins["s"] == sums[0]]}) if one.cell.name == "T1" else one
        for one in instances
    ]


def with_toggle_and_clock_swapped(instances):
    return [swapped(one, "t", "r") if one.cell.name == "T1" else one for one in instances]


def without_delays(instances):
    """Delay cells that take no time."""
    cell = load_library("rsfqlib")["JTL"]
    reaction = replace(cell.states["0"]["a"], fires={"q": 1})
    quick = replace(cell, states={"0": {"a": reaction}})
    return [replace(one, cell=quick) if one.cell.name == "JTL" else one for one in instances]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (with_sum_and_carry_swapped, "waves meet"),
        (with_sums_exchanged, "equivalent False, wrong bits [1-9]"),
        (with_toggle_and_clock_swapped, "clock is not that of stage"),
        (without_delays, "equivalent True, .* come too soon [1-9]"),
    ],
)
def test_checks_find_what_is_wrong_with_an_adder(tmp_path, monkeypatch, change, message):
    """Two full adders beside one another."""
    path, out = tmp_path / "two.blif", tmp_path / "two.json"
    lines = [*full_adder(*"xyz", "s", "c"), *full_adder(*"uvw", "t", "d")]
    path.write_text(blif("xyzuvw", "sctd", lines))
    changed(monkeypatch, change)
    with pytest.raises(NielloError, match=message):
        map_file(path, scripts=2, waves=30, full_adders="t1", out=out)
    assert not out.exists()


def test_stagger_that_is_left_out_is_found(tmp_path, monkeypatch):
    inputs, outputs, lines = ripple(2)
    path = tmp_path / "ripple.blif"
    path.write_text(blif(inputs, outputs, lines))
    monkeypatch.setattr(timing, "staggered", lambda *_: Stagger(ENTRIES, (0, 0, 0)))
    with pytest.raises(NielloError, match=r"equivalent True, .* come too soon [1-9]"):
        map_file(path, scripts=2, waves=30, full_adders="t1")


def test_t1_and_mergers_are_known_by_what_they_do():
    found = {
        library: (
            [name for name, cell in load_library(library).items() if toggle_of(cell)],
            [name for name, cell in load_library(library).items() if is_merger(cell)],
        )
        for library in ("rsfqlib", "pylse")
    }
    assert found == {"rsfqlib": (["T1"], ["MERGE"]), "pylse": ([], ["M"])}
    toggle = toggle_of(load_library("rsfqlib")["T1"])
    assert (toggle.toggle, toggle.reset, toggle.carry, toggle.sum) == ("t", "r", "c", "s")
    assert KIT.full_adder.junctions == 24 and kit_of("pylse").full_adder is None


def pulses_of(arrivals, entries, bits, reset_at):
    """An adder of two mergers and a T1 whose operands come at these ticks, then the clock."""
    merge, t1 = load_library("rsfqlib")["MERGE"], load_library("rsfqlib")["T1"]
    wires = {"c": "c", "a": "a", "b": "b"}
    netlist = Netlist(
        "adder",
        (
            Instance("first", merge, {"a": wires["a"], "b": wires["b"], "q": "ab"}),
            Instance("second", merge, {"a": "ab", "b": wires["c"], "q": "abc"}),
            Instance("adder", t1, {"t": "abc", "r": "r", "c": "carry", "s": "sum"}),
        ),
        ("a", "b", "c", "r"),
        ("carry", "sum"),
    )
    stimulus = {wire: [] for wire in "abc"}
    for time, entry, bit in zip(arrivals, entries, bits, strict=True):
        stimulus[entry] += [time] if bit else []
    return run(netlist, {**stimulus, "r": [reset_at]})


@pytest.mark.parametrize("seed", range(3))
def test_staggered_operands_are_added_and_no_fewer_delays_do(seed):
    """Against the event model, exhaustively over entries and fewer delays."""
    random, delay, adder = Random(seed), delay_of(KIT.delay), KIT.full_adder.adder
    arrivals = [1000 + random.randrange(0, 200) for _ in range(3)]
    found = staggered(adder, arrivals, [500] * 3, delay)
    late = [time + count * delay for time, count in zip(arrivals, found.delays, strict=True)]
    reset_at = max(time + adder.way[entry] for time, entry in zip(late, found.entries, strict=True)) + adder.setup
    for bits in every_case(3):
        result = pulses_of(late, found.entries, bits, reset_at)
        assert result.violations == []
        assert (len(result.pulses["carry"]), len(result.pulses["sum"])) == (sum(bits) >> 1, sum(bits) & 1)
    fewer = [delays for delays in product(range(7), repeat=3) if sum(delays) < sum(found.delays)]
    for delays, entries in product(fewer, permutations(ENTRIES)):
        late = [time + count * delay for time, count in zip(arrivals, delays, strict=True)]
        assert any(pulses_of(late, entries, bits, 5000).violations for bits in every_case(3))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"full_adders": "t2"}, "--full-adders must be one of auto, gates, t1, not t2"),
        ({"full_adders": "t1", "library": "pylse"}, "--full-adders t1: pylse has no T1 cell, or no merger"),
    ],
)
def test_bad_option_is_refused(options, message):
    with pytest.raises(BadInput, match=f"^{re.escape(message)}$"):
        map_file(EXAMPLES / "adder4.v", **options)


@pytest.mark.deep
@pytest.mark.parametrize("phases", [1, 3])
def test_gateware_of_a_netlist_with_t1_cells_fires_the_same_pulses(tmp_path, phases):
    inputs, outputs, lines = ripple(2)
    path, out = tmp_path / "ripple.blif", tmp_path / "ripple.json"
    path.write_text(blif(inputs, outputs, lines))
    map_file(path, phases=phases, scripts=1, waves=12, full_adders="t1", out=out)
    model, gateware = (run_file(out, Conditions(), engine, None, None) for engine in ("model", "rtl"))
    assert gateware["outputs"] == model["outputs"] and gateware["violations"] == model["violations"] == []
    assert all(model["outputs"].values())


def test_additions_of_verilog_ripple_into_full_adders(tmp_path, monkeypatch):
    """Every bit but the first, which has no carry; a graph that is not proven the same is not taken."""
    path = tmp_path / "add.v"
    path.write_text("module add(input [4:0] a, b, output [5:0] sum); assign sum = a + b; endmodule\n")
    source = read_source(path, None, tmp_path)
    found = rippled(source, tmp_path)
    assert len(full_adders(found)) == 4 > len(full_adders(source))
    monkeypatch.setattr(ripple_module, "_RIPPLE", ripple_module._RIPPLE.replace("G | (P", "G | (~P"))
    assert rippled(source, tmp_path) is None
