"""`niello sfq map` from file to netlist: what it computes, what it counts, and that its checks find what is wrong."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from random import Random

import pytest

from flows.errors import BadInput, NielloError
from flows.paths import ROOT
from flows.sfq.conditions import Conditions
from flows.sfq.map import map_file
from flows.sfq.mapping import checks
from flows.sfq.plot import plot_file
from hdl.sfq.cell_files import load_library
from hdl.sfq.netlist import Netlist
from tests.sfq.map_helpers import aag, drive, every_case, random_aig, value_of, word

C17 = Path(__file__).with_name("data") / "c17.aig"
EXAMPLES = ROOT / "hdl/sfq/examples"


def random_bits(random, names, count):
    return {name: [random.getrandbits(1) for _ in range(count)] for name in names}


def bus(name, width):
    return [f"{name}[{bit}]" for bit in range(width)]


@pytest.mark.parametrize("phases", [1, pytest.param(3, marks=pytest.mark.deep)])
def test_adder_adds(tmp_path, phases):
    out = tmp_path / "adder4.json"
    result = map_file(EXAMPLES / "adder4.v", phases=phases, scripts=1, waves=4, out=out)
    assert (result["circuit"], result["equivalent"], result["phases"]) == ("adder4", True, phases)
    cases = every_case(9)
    names = [*bus("a", 4), *bus("b", 4), "carry_in"]
    waves = {name: [case[index] for case in cases] for index, name in enumerate(names)}
    found = drive(out, waves)
    for k in range(len(cases)):
        total = word(waves, "a", 4, k) + word(waves, "b", 4, k) + waves["carry_in"][k]
        assert word(found, "sum", 4, k) + 16 * found["carry_out"][k] == total


@pytest.mark.parametrize(("phases", "library"), [(1, "rsfqlib"), (2, "rsfqlib"), (4, "pylse")])
def test_what_is_counted_is_in_the_netlist(tmp_path, phases, library):
    out = tmp_path / "c17.json"
    result = map_file(C17, phases=phases, library=library, scripts=1, out=out)
    document = json.loads(out.read_text())
    cells = load_library(library)
    flip_flop, splitter = ("DFF", "SPLIT") if library == "rsfqlib" else ("DRO", "S")
    kinds = [one["cell"] for one in document["netlist"]]
    clocked = [kind for kind in kinds if "clk" in cells[kind].inputs]
    gates = [kind for kind in clocked if kind != flip_flop]
    clocks = len(document["clocks"])
    assert (result["gates"], result["dff"]) == (len(gates), kinds.count(flip_flop))
    assert result["splitters"] == kinds.count(splitter) - (len(clocked) - clocks)
    jj = sum(cells[kind].junctions for kind in clocked) + 3 * (result["splitters"] + len(clocked) - 1)
    assert result["jj"] == jj
    assert result["netlist_jj"] == sum(cells[kind].junctions for kind in kinds) == jj - 3 * (clocks - 1)


def nand(one, other):
    return 1 - (one & other)


def test_c17_is_its_six_nands(tmp_path):
    out = tmp_path / "c17.json"
    map_file(C17, scripts=2, out=out)
    cases = every_case(5)
    found = drive(out, {f"G{index}": [case[index - 1] for case in cases] for index in range(1, 6)})
    for k, (g1, g2, g3, g4, g5) in enumerate(cases):
        g8, g9 = nand(g1, g3), nand(g3, g4)
        g12, g15 = nand(g2, g9), nand(g9, g5)
        assert (found["G16"][k], found["G17"][k]) == (nand(g8, g12), nand(g12, g15))


def mapped_randomly(tmp_path, seed, phases, library):
    """A random graph, mapped and driven with every case of its inputs."""
    random = Random(seed)
    aig = random_aig(
        random, inputs=random.randrange(1, 6), ands=random.randrange(0, 40), outputs=random.randrange(1, 6)
    )
    path, out = tmp_path / f"{seed}.aag", tmp_path / f"{seed}.json"
    path.write_text(aag(aig))
    result = map_file(path, phases=phases, library=library, scripts=1, waves=1, out=out)
    assert result["equivalent"] is True
    cases = every_case(len(aig.inputs))
    random.shuffle(cases)
    found = drive(out, {name: [case[index] for case in cases] for index, name in enumerate(aig.inputs)})
    assert found == {
        name: [value_of(aig, literal, case) for case in cases]
        for name, literal in zip(aig.outputs, aig.drivers, strict=True)
    }


@pytest.mark.parametrize("seed", range(3))
def test_random_logic(tmp_path, seed):
    mapped_randomly(tmp_path, seed, phases=seed + 1, library="rsfqlib")


@pytest.mark.deep
@pytest.mark.parametrize("phases", [1, 2, 3, 4])
@pytest.mark.parametrize("library", ["rsfqlib", "pylse"])
def test_much_random_logic(tmp_path, phases, library):
    for seed in range(100, 125):
        mapped_randomly(tmp_path, seed, phases, library)


@pytest.mark.parametrize("library", ["rsfqlib", pytest.param("pylse", marks=pytest.mark.deep)])
def test_ripple_adder_is_made_of_full_adders(tmp_path, library):
    """Four of them, written as carries of two ORs, become five gates each; the source has them, so that is least."""
    lines, carry = [], "c0"
    for bit in range(4):
        lines += [f".names a{bit} b{bit} {carry} s{bit}", "100 1", "010 1", "001 1", "111 1"]
        lines += [f".names a{bit} b{bit} {carry} c{bit + 1}", "11- 1", "1-1 1", "-11 1"]
        carry = f"c{bit + 1}"
    names = [*(f"a{bit}" for bit in range(4)), *(f"b{bit}" for bit in range(4)), "c0"]
    path, out = tmp_path / "ripple.blif", tmp_path / "ripple.json"
    path.write_text(blif(*lines, inputs=" ".join(names), outputs="s0 s1 s2 s3 c4"))
    result = map_file(path, library=library, scripts=2, waves=4, full_adders="gates", out=out)
    assert (result["script"], result["gates"]) == ("adders dch", 20)
    waves = random_bits(Random(6), names, 40)
    found = drive(out, waves)
    for k in range(40):
        left, right = (sum(waves[f"{name}{bit}"][k] << bit for bit in range(4)) for name in "ab")
        total = sum(found[f"s{bit}"][k] << bit for bit in range(4)) + (found["c4"][k] << 4)
        assert total == left + right + waves["c0"][k]


def blif(*lines, inputs="a b", outputs="y"):
    return "\n".join([".model m", f".inputs {inputs}", f".outputs {outputs}", *lines, ".end", ""])


@pytest.mark.parametrize("phases", [1, 4])
def test_outputs_that_are_constants_inputs_or_equal(tmp_path, phases):
    """Also an input that nothing takes, an output of an input's name, and wires of the names that ours would have."""
    path, out = tmp_path / "odd.blif", tmp_path / "odd.json"
    lines = [".names zero", ".names one", "1", ".names a copy", "1 1", ".names clk again", "1 1"]
    lines += [".names a clk n1", "11 1", ".names a clk n1_1", "11 1"]
    outputs = ["zero", "one", "copy", "again", "n1", "n1_1", "a"]
    path.write_text(blif(*lines, inputs="a clk idle", outputs=" ".join(outputs)))
    assert map_file(path, phases=phases, scripts=1, waves=8, out=out)["equivalent"] is True
    waves = random_bits(Random(1), ["a", "clk", "idle"], 20)
    found = drive(out, waves)
    both = [a & clk for a, clk in zip(waves["a"], waves["clk"], strict=True)]
    right = [[0] * 20, [1] * 20, waves["a"], waves["clk"], both, both, waves["a"]]
    assert list(found.values()) == right


def test_wires_alone_become_flip_flops(tmp_path):
    """With two phases they need none, and cost a delay cell, as an output is another wire."""
    path = tmp_path / "wire.blif"
    path.write_text(blif(".names a y", "1 1", inputs="a"))
    result = map_file(path, scripts=1, waves=4)
    assert (result["jj"], result["gates"], result["dff"], result["depth"]) == (7, 0, 1, 1)
    result = map_file(path, phases=2, scripts=1, waves=4)
    assert (result["jj"], result["gates"], result["dff"], result["clock_splitters"]) == (2, 0, 0, 0)


def test_feed_forward_registers_delay_by_a_wave(tmp_path):
    """y is a AND (b two waves ago); nothing is known of the first two waves."""
    path, out = tmp_path / "late.blif", tmp_path / "late.json"
    path.write_text(blif(".latch b p 2", ".latch p q 2", ".names a q y", "11 1"))
    result = map_file(path, scripts=1, waves=8, out=out)
    assert (result["interval_cycles"], result["equivalent"]) == (1, True)
    waves = random_bits(Random(5), ["a", "b"], 30)
    right = [a & b for a, b in zip(waves["a"][2:], waves["b"], strict=False)]
    assert drive(out, waves)["y"][2:] == right


def every_run(aig, waves, count):
    """Outputs of waves, from every state that the registers may have had at first."""
    runs = []
    for first in every_case(len(aig.following)):
        state, outputs = first, []
        for k in range(count):
            bits = (*(waves[name][k] for name in aig.inputs), *state)
            outputs.append([value_of(aig, literal, bits) for literal in aig.drivers])
            state = tuple(value_of(aig, literal, bits) for literal in aig.following)
        runs.append(outputs)
    return runs


@pytest.mark.deep
@pytest.mark.parametrize("seed", range(200, 216))
def test_random_registers(tmp_path, seed):
    """Loops; shared, idle, constant registers: outputs are the source's where its first state is all the same."""
    random = Random(seed)
    aig = random_aig(random, random.randrange(1, 5), random.randrange(3, 30), 3, random.randrange(1, 5))
    path, out = tmp_path / "loop.aag", tmp_path / "loop.json"
    path.write_text(aag(aig))
    try:
        assert map_file(path, phases=1 + seed % 3, scripts=1, waves=4, out=out)["equivalent"] is True
    except BadInput as error:
        assert error.message == "a register holds the same for ever"
        return
    waves = random_bits(random, aig.inputs, 12)
    found, runs = drive(out, waves), every_run(aig, waves, 12)
    for k in range(12):
        for index, name in enumerate(aig.outputs):
            possible = {run[k][index] for run in runs}
            assert len(possible) > 1 or found[name][k] in possible


@pytest.mark.deep
@pytest.mark.parametrize(("phases", "full_adders"), [(1, "gates"), (3, "gates"), (1, "auto")])
def test_mac4_accumulates(tmp_path, phases, full_adders):
    out = tmp_path / "mac4.json"
    result = map_file(EXAMPLES / "mac4.v", phases=phases, full_adders=full_adders, out=out)
    assert result["equivalent"] is True and result["interval_cycles"] > 1
    assert (result["t1"] > 0) == (full_adders == "auto")
    waves = random_bits(Random(7), [*bus("a", 4), *bus("b", 4), "clear"], 40)
    waves["clear"][0] = 1
    found = drive(out, waves)
    total = None
    for k in range(40):
        if total is not None:
            assert word(found, "acc", 12, k) == total
        product = word(waves, "a", 4, k) * word(waves, "b", 4, k)
        total = 0 if waves["clear"][k] else (total + product) % 4096


@pytest.mark.deep
def test_dot_lane_multiplies_and_adds(tmp_path):
    out = tmp_path / "lane.json"
    result = map_file(EXAMPLES / "dot_lane_int8.v", scripts=2, waves=4, out=out)
    assert result["equivalent"] is True
    waves = random_bits(Random(8), [*bus("a", 8), *bus("b", 8), *bus("sum_in", 20)], 60)
    found = drive(out, waves)

    def signed(value, bits):
        return value - (value >> bits - 1 << bits)

    for k in range(60):
        a, b = (signed(word(waves, name, 8, k), 8) for name in ("a", "b"))
        assert word(found, "sum_out", 20, k) == (word(waves, "sum_in", 20, k) + a * b) % (1 << 20)


@pytest.mark.deep
def test_more_phases_need_fewer_flip_flops():
    counts = [map_file(C17, phases=n, scripts=2, waves=4)["dff"] for n in (1, 2, 3, 4)]
    assert all(more >= fewer for more, fewer in pairwise(counts)) and counts[0] > counts[-1]


@pytest.mark.deep
def test_same_netlist_every_time(tmp_path):
    for name in ("one", "two"):
        map_file(EXAMPLES / "adder4.v", phases=2, scripts=2, waves=4, out=tmp_path / name)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def spoiled(monkeypatch, change):
    """Has `map` make its netlist, and then change it."""
    from flows.sfq import map as command

    made = command.assembled
    monkeypatch.setattr(command, "assembled", lambda *arguments: change(made(*arguments)))


def with_cell(mapped, old, new):
    """The netlist with one cell taken for another."""
    netlist, cells = mapped.netlist, load_library("rsfqlib")
    index = next(index for index, one in enumerate(netlist.instances) if one.cell.name == old)
    instances = list(netlist.instances)
    instances[index] = replace(instances[index], cell=cells[new])
    return replace(mapped, netlist=Netlist(netlist.name, tuple(instances), netlist.inputs, netlist.outputs))


def without_flip_flop(mapped):
    """The netlist with a flip-flop replaced by a delay, its clock left open."""
    netlist, jtl = mapped.netlist, load_library("rsfqlib")["JTL"]
    index = next(index for index, one in enumerate(netlist.instances) if one.cell.name == "DFF")
    instances = list(netlist.instances)
    pins = {pin: instances[index].pins[pin] for pin in ("a", "q")}
    instances[index] = replace(instances[index], cell=jtl, pins=pins)
    stages = {name: stage for name, stage in mapped.stages.items() if name != instances[index].name}
    netlist = Netlist(netlist.name, tuple(instances), netlist.inputs, netlist.outputs)
    return replace(mapped, netlist=netlist, stages=stages)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda mapped: with_cell(mapped, "AND2", "OR2"), "equivalent False, wrong bits [1-9]"),
        (lambda mapped: with_cell(mapped, "OR2", "XOR"), "equivalent False, wrong bits [1-9]"),
        (without_flip_flop, "waves meet"),
        (lambda mapped: replace(mapped, period=mapped.period - 1), "equivalent True, .* come too soon [1-9]"),
        (lambda mapped: replace(mapped, inputs_at=mapped.inputs_at + 300), "equivalent True, wrong bits [1-9]"),
        (lambda mapped: replace(mapped, outputs_at=dict.fromkeys(mapped.outputs_at, 3)), "True, wrong bits [1-9]"),
    ],
)
def test_checks_find_what_is_wrong(tmp_path, monkeypatch, change, message):
    spoiled(monkeypatch, change)
    out = tmp_path / "c17.json"
    with pytest.raises(NielloError, match=message):
        map_file(C17, scripts=1, waves=30, out=out)
    assert not out.exists()


def test_check_by_sat_judges_registers(tmp_path, monkeypatch):
    """A netlist whose register was left out is not its source."""
    path = tmp_path / "late.blif"
    path.write_text(blif(".latch b q 2", ".names a q y", "11 1"))
    made = checks.logic_of

    def without_waves(mapped):
        logic = made(mapped)
        gates = {
            name: (table, tuple(one._replace(waves=0) for one in operands))
            for name, (table, operands) in logic.gates.items()
        }
        return replace(logic, gates=gates)

    monkeypatch.setattr("flows.sfq.map.logic_of", without_waves)
    with pytest.raises(NielloError, match="equivalent False, wrong bits 0"):
        map_file(path, scripts=1, waves=8)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"phases": 0}, "--phases must be in 1..8, not 0"),
        ({"scripts": 99}, "--scripts must be in 1..16, not 99"),
        ({"waves": 0}, "--waves must be in 1..4096, not 0"),
        ({"library": "rsfq"}, '--library: rsfq is not a cell library; did you mean "rsfqlib"?'),
    ],
)
def test_bad_option_is_refused(options, message):
    with pytest.raises(BadInput, match=f"^{re.escape(message)}$"):
        map_file(C17, **options)


def test_register_that_never_changes_is_refused(tmp_path):
    path = tmp_path / "idle.blif"
    path.write_text(blif(".latch q q 2", ".names a q y", "11 1", inputs="a"))
    with pytest.raises(BadInput, match=r"^a register holds the same for ever \(hint: nothing says what that is"):
        map_file(path, scripts=1)


@pytest.mark.deep
def test_picture_in_docs_is_what_its_commands_draw(tmp_path):
    map_file(EXAMPLES / "adder4.v", out=tmp_path / "adder4.json")
    plot_file(tmp_path / "adder4.json", Conditions(until_ps=600), tmp_path / "adder4.svg", False, None)
    assert (tmp_path / "adder4.svg").read_text() == (ROOT / "docs" / "sfq_adder.svg").read_text()
