"""The steps of `sfq map`, each against its definition or an exhaustive search."""

from __future__ import annotations

import re
from itertools import product
from random import Random

import pytest

from flows.errors import BadInput
from flows.sfq.mapping.aig import Aig, read_aiger
from flows.sfq.mapping.front_end import read_source
from flows.sfq.mapping.full_adders import boxed, full_adders
from flows.sfq.mapping.kit import gate_of, kit_of
from flows.sfq.mapping.levels import OUTPUTS, improved, problem_of, staged
from flows.sfq.mapping.network import Gate, LogicNetwork, Operand
from flows.sfq.mapping.trees import balanced, leaves
from hdl.sfq.cell_files import load_library
from tests.sfq.map_helpers import aag, every_case, random_aig, value_of

AND, OR, XOR, XNOR = (0, 0, 0, 1), (0, 1, 1, 1), (0, 1, 1, 0), (1, 0, 0, 1)
NAND, NOR, NOT, SAME = (1, 1, 1, 0), (1, 0, 0, 0), (1, 0), (0, 1)


@pytest.mark.parametrize(
    ("library", "functions"),
    [
        ("rsfqlib", {"DFF": SAME, "AND2": AND, "OR2": OR, "XOR": XOR, "XNOR": XNOR, "NOT": NOT}),
        ("pylse", {"DRO": SAME, "INV": NOT, "AND": AND, "OR": OR, "XOR": XOR, "XNOR": XNOR, "NAND": NAND, "NOR": NOR}),
    ],
)
def test_gates_are_known_by_what_they_do(library, functions):
    """Set-reset cells and those with two outputs are none: what they do hangs on the order, or they keep it."""
    found = {name: gate.table for name, cell in load_library(library).items() if (gate := gate_of(cell))}
    assert found == functions


def test_kit_has_the_windows_of_its_cells():
    kit = kit_of("rsfqlib")
    xor = kit.gates["XOR"]
    assert (xor.delay, dict(xor.setup), dict(xor.hold)) == (50, {"a": 5, "b": 4}, {"a": 61, "b": 59})
    assert dict(kit.gates["OR2"].hold) == {"a": 1, "b": 1}
    assert (kit.flip_flop.cell.name, kit.splitter.name, kit.delay.name) == ("DFF", "SPLIT", "JTL")
    assert dict(kit_of("pylse").gates["AND"].setup) == {"a": 28, "b": 28}


def test_graph_is_read_and_written(tmp_path):
    random = Random(1)
    for number in range(30):
        aig = random_aig(random)
        text, binary = tmp_path / f"{number}.aag", tmp_path / f"{number}.aig"
        text.write_text(aag(aig))
        binary.write_bytes(aig.core())
        cases = every_case(len(aig.inputs))
        waves = {name: [case[index] for case in cases] for index, name in enumerate(aig.inputs)}
        right = [[value_of(aig, literal, case) for case in cases] for literal in aig.drivers]
        assert list(read_aiger(text).run(waves).values()) == right
        unnamed = read_aiger(binary)
        assert list(unnamed.run(dict(zip(unnamed.inputs, waves.values(), strict=True))).values()) == right


def test_registers_hold_a_wave_and_are_unknown_at_first(tmp_path):
    path = tmp_path / "shift.aag"
    path.write_text("aag 3 1 2 2 0\n2\n4 2\n6 4\n6\n1\n")
    aig = read_aiger(path)
    assert aig.run({"i0": [1, 0, 1, 1]}) == {"o0": [None, None, 1, 0], "o1": [1, 1, 1, 1]}
    assert aig.reduced() == aig
    path.write_text("aag 3 1 2 1 0\n2\n4 2\n6 4\n4\n")
    assert read_aiger(path).reduced().following == (2,)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", "it ends early, or a number is none"),
        ("aog 1 1 0 1 0\n2\n2\n", "the first word must be aig or aag"),
        ("aag 1 1 0 0 0\n2\n", "it has no output"),
        ("aag 1 1 0 1 0 0 1\n2\n2\n2\n", "it has constraints, justice or fairness, which are no outputs"),
        ("aag 0 1 0 1 0\n2\n2\n", "the numbers of its first line do not fit one another"),
        ("aag 1 1 0 1 0\n2\n4\n", "nothing drives literal 4"),
        ("aag 2 1 0 1 1\n2\n4\n4 4 2\n", "variable 2 depends on itself"),
        ("aag 2 2 0 1 0\n2\n4\n2\ni0 x\ni1 x\n", "two inputs have the name x"),
        ("aag 2 1 0 1 1\n2\n4\n4 2\n", "it ends early, or a number is none"),
    ],
)
def test_bad_aiger_is_refused(tmp_path, content, reason):
    path = tmp_path / "x.aag"
    path.write_text(content)
    with pytest.raises(BadInput, match=f"x.aag: not AIGER: {re.escape(reason)}$"):
        read_aiger(path)


def nand_adder(random):
    """A full adder of nine NANDs, some of whose operands and outputs are inverted; its outputs are sum and carry."""
    ands = []

    def nand(one, other):
        ands.append((one, other))
        return 2 * (3 + len(ands)) + 1

    a, b, c = (2 * variable + random.getrandbits(1) for variable in random.sample((1, 2, 3), 3))
    first = nand(a, b)
    half = nand(nand(a, first), nand(b, first))
    second = nand(half, c)
    total, carry = nand(nand(half, second), nand(second, c)), nand(first, second)
    return Aig(("a", "b", "c"), ("s", "c"), (total ^ random.getrandbits(1), carry), (), tuple(ands))


def test_full_adder_is_found_however_it_was_written():
    random = Random(4)
    for _ in range(20):
        aig = nand_adder(random)
        (found,) = full_adders(aig)
        assert found.operands == (1, 2, 3)
        for case in every_case(3):
            taken = [bit ^ (found.carry_mask >> index & 1) for index, bit in enumerate(case)]
            assert value_of(aig, 2 * found.sum, case) == sum(case) % 2 ^ found.sum_inverted
            assert value_of(aig, 2 * found.carry, case) == (sum(taken) >= 2)


def test_graph_without_its_full_adders_is_the_rest():
    """With the full adders' inputs set to parity and majority of their operands, the rest does what the graph does."""
    random = Random(5)
    for _ in range(20):
        aig = nand_adder(random)
        boxes = boxed(aig)
        assert boxes is not None and boxes.count == 1 and len(boxes.rest.inputs) == 5
        for case in every_case(3):
            operands = [value_of(boxes.rest, literal, (*case, 0, 0)) for literal in boxes.rest.drivers[2:]]
            full = (*case, sum(operands) % 2, int(sum(operands) >= 2))
            right = [value_of(aig, literal, case) for literal in aig.drivers]
            assert [value_of(boxes.rest, literal, full) for literal in boxes.rest.drivers[:2]] == right
    assert boxed(Aig(("a", "b"), ("y",), (6,), (), ((2, 4),))) is None


LATCH = "module t(input e, d, output reg q); always @* if (e) q = d; endmodule"
RESET = "module t(input c, r, d, output reg q); always @(posedge c or posedge r) if (r) q <= 0; else q <= d; endmodule"
TWO_CLOCKS = "module t(input c, d, output reg q, r); always @(posedge c) q <= d; always @(negedge c) r <= d; endmodule"
CLOCK_IS_DATA = "module t(input c, d, output reg q, output y); always @(posedge c) q <= d; assign y = c & d; endmodule"
LOOP = "module t(input e, output q); wire w = ~(q & e); assign q = ~(w & e); endmodule"
MISSING = "module t(input a, output y); foo u(.a(a), .y(y)); endmodule"
BLACK_BOX = "(* blackbox *) module q(input a, output y); endmodule module t(input a, output y); q u(a, y); endmodule"
UNDRIVEN = "module t(input a, output y); wire w; assign y = a & w; endmodule"
INOUT = "module t(inout a, output y); assign y = a; endmodule"


@pytest.mark.deep
@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t.v", LATCH, r"D latches are not supported \(hint: a latch holds a level"),
        ("t.v", RESET, r"async set or reset are not supported \(hint: pulse registers have no asynchronous reset"),
        ("t.v", TWO_CLOCKS, r"registers have 2 clocks \(hint: one clock, and its rising edge\)$"),
        ("t.v", CLOCK_IS_DATA, r"c is the registers' clock and data, too$"),
        ("t.v", LOOP, r"gates go round in a loop in module t .*\(hint: a loop needs a register in it\)$"),
        ("t.v", MISSING, r"Module `.foo' referenced in module `.t' .*\(hint: every module must be in the file"),
        ("t.v", BLACK_BOX, r"t\.v: .*q"),
        ("t.v", UNDRIVEN, r"Wire t\.\\w is used but has no driver$"),
        ("t.v", INOUT, r"port a is inout, and a pulse's wire has one direction$"),
        ("t.v", "module t(input a, output y);\nassign y = a & ;\nendmodule", r"t\.v:2: syntax error, unexpected"),
        (
            "t.blif",
            ".model m\n.inputs a\n.outputs y\n.names y a x\n11 1\n.names x y\n1 1\n.end\n",
            "combinational loop",
        ),
        ("t.blif", ".model m\n.inputs a\n.outputs y\n.subckt foo a=a b=y\n.end\n", "Cannot find the model for"),
    ],
)
def test_what_cannot_become_pulse_logic_is_refused(tmp_path, name, content, message):
    path = tmp_path / name
    path.write_text(content)
    folder = tmp_path / "work"
    folder.mkdir()
    with pytest.raises(BadInput, match=message):
        read_source(path, None, folder)


@pytest.mark.parametrize(
    ("name", "top", "message"),
    [
        ("x.vhd", None, "x.vhd: must end in one of .v .sv .blif .aig .aag, not .vhd"),
        ("x.v", None, "x.v: no such file"),
        ("data", None, "data: must end in one of .v .sv .blif .aig .aag, not nothing"),
        ("c17.aig", "t", "--top names a module of Verilog; c17.aig is AIG"),
    ],
)
def test_bad_source_is_refused(tmp_path, monkeypatch, name, top, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "c17.aig").write_text("")
    with pytest.raises(BadInput, match=f"^{re.escape(message)}$"):
        read_source(tmp_path / name, top, tmp_path)


def random_network(random, inputs, gates, outputs, registers):
    """A network of ANDs and inverters, some of whose operands are of the wave before."""
    signals, found = [f"i{index}" for index in range(inputs)], {}
    for index in range(gates):
        operands = [Operand(random.choice(signals[-4:]), int(random.random() < registers)) for _ in range(2)]
        name = f"n{index}"
        found[name] = Gate("AND2", tuple(operands)) if random.random() < 0.7 else Gate("NOT", tuple(operands[:1]))
        signals.append(name)
    ends = tuple(Operand(signal) for signal in random.sample(signals, outputs))
    return LogicNetwork(tuple(signals[:inputs]), found, ends)


def flip_flops(network, stages, depth, phases):
    """Flip-flops of a staging, signal by signal; None if a signal does not come in time."""
    total = 0
    for signal in (*network.inputs, *network.gates):
        start, longest = stages.get(signal, 0), 0
        ends = [(stages[gate], one) for gate, g in network.gates.items() for one in g.operands]
        ends += [(depth + 1, one) for one in network.outputs]
        for end, operand in ends:
            if operand.signal == signal:
                crossed = end + operand.waves * phases - start
                if crossed < 1:
                    return None
                longest = max(longest, (crossed - 1) // phases)
        total += longest
    return total


@pytest.mark.parametrize("phases", [1, 2, 3])
def test_stages_against_exhaustive_search(phases):
    """With one phase no staging has fewer flip-flops; with more, none is so good that it could not be."""
    random, met = Random(phases), 0
    for _ in range(6):
        network = random_network(random, 2, 4, 2, 0.2)
        problem = problem_of(network, phases, 1)
        stages = improved(problem, staged(problem)) if phases > 1 else staged(problem)
        inner = {gate: stages[gate] for gate in network.gates}
        count = flip_flops(network, inner, stages[OUTPUTS] - 1, phases)
        assert count is not None and count == sum(problem.chains(stages).values())
        assert stages[OUTPUTS] >= 2
        best = min(
            found
            for levels in product(range(-1, 5), repeat=len(network.gates))
            for depth in range(1, 6)
            if (found := flip_flops(network, dict(zip(network.gates, levels, strict=True)), depth, phases)) is not None
        )
        assert count >= best
        met += count == best
    assert met == 6 if phases == 1 else met >= 4


def test_loop_without_time_has_no_stages():
    """Two gates in a loop with one register take two cycles a wave."""
    gates = {"x": Gate("AND2", (Operand("i0"), Operand("y", 1))), "y": Gate("NOT", (Operand("x"),))}
    network = LogicNetwork(("i0",), gates, (Operand("y"),))
    assert staged(problem_of(network, 1, 1)) is None
    assert staged(problem_of(network, 1, 2)) is not None
    assert staged(problem_of(network, 2, 1)) is not None


@pytest.mark.parametrize("count", [1, 2, 3, 5, 8, 13, 100])
def test_balanced_tree_has_all_leaves_at_two_depths_deep_ones_first(count):
    found = list(leaves(balanced([str(index) for index in range(count)])))
    assert [leaf for leaf, _ in found] == [str(index) for index in range(count)]
    depths = [depth for _, depth in found]
    assert depths == sorted(depths, reverse=True) and depths[0] - depths[-1] <= 1
    assert sum(2.0**-depth for depth in depths) == 1
