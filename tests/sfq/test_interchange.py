"""Netlists in Verilog, BLIF and SPICE: what is written is read as the same, and what is no netlist is refused."""

from __future__ import annotations

import re
from collections import defaultdict

import numpy as np
import pytest

from flows.errors import BadInput
from flows.sfq.names import KEYWORDS, name_of, spice_names, verilog_name
from flows.sfq.spice import spice_deck
from flows.sfq.structural import read_structural
from flows.sfq.verilog import structural_verilog
from flows.tools import run_tool
from hdl.common.config import ConfigError
from hdl.sfq.cell_files import load_library
from hdl.sfq.netlist import Instance, Netlist
from sim.common import verilator
from sim.sfq.random_netlist import random_netlist, random_pulses
from tests.sfq.odd_names import ODD_NAMES, with_odd_names

LIBRARY = load_library("rsfqlib")


def some_netlist(seed, cells, odd=True):
    """Of the library, with pins that lead nowhere and wires that nothing looks at."""
    netlist = random_netlist(np.random.default_rng(seed), [*LIBRARY.values()], cells, open_share=0.1)
    return with_odd_names(netlist) if odd else netlist


@pytest.fixture
def read(tmp_path):
    """A function from a text and a suffix to the netlist in it, or the message that refuses it."""

    def read(text, suffix=".v"):
        path = tmp_path / f"file{suffix}"
        path.write_text(text)
        try:
            return read_structural(path, LIBRARY)
        except BadInput as error:
            return str(error).removeprefix(str(path))

    return read


@pytest.mark.parametrize("name", [*ODD_NAMES, "plain", "%", "50%", "%41", "\ud800", "a\nb", "\\", "x%2"])
@pytest.mark.parametrize("twin", [False, True])
def test_verilog_names_are_legal_and_come_back(name, twin):
    text = verilog_name(name, twin=twin)
    plain = re.fullmatch(r"[A-Za-z_][\w$]*", text, re.ASCII) and text not in KEYWORDS
    assert plain or re.fullmatch(r"\\[!-~]+ ", text)
    assert name_of(text.removeprefix("\\").removesuffix(" ")) == name


def test_spice_names_differ_in_more_than_case():
    found = spice_names(["a b", "A_B", "0", "gnd", "a_b_2", "x", "x"])
    assert len({name.upper() for name in found} | {"0", "GND"}) == len(found) + 2
    assert all(re.fullmatch(r"\w+", name, re.ASCII) for name in found)


def test_written_verilog_is_read_as_the_same(read):
    netlist = some_netlist(5, 80)
    assert read(structural_verilog(netlist, LIBRARY)) == netlist


def test_written_verilog_is_verilog(tmp_path):
    """Verilator reads it, with reserved words and odd names."""
    netlist = some_netlist(6, 60)
    jtl = LIBRARY["JTL"]
    words = KEYWORDS - {*netlist.wires} - {"super", "this"}  # escaped or not, Verilator takes these two for classes
    cells = tuple(Instance(f"{word}.u", jtl, {"a": word, "q": f"{word}!"}) for word in sorted(words))
    inputs = (*netlist.inputs, *sorted(words))
    whole = Netlist("all", (*netlist.instances, *cells), inputs, netlist.outputs)
    (tmp_path / "all.v").write_text(structural_verilog(whole, LIBRARY))
    argv = ["verilator", "--lint-only", "-Wno-SYMRSVDWORD", "all.v"]
    run_tool(argv, cwd=tmp_path, log=tmp_path / "log", env=verilator.environment())
    assert "%" not in (tmp_path / "log").read_text()  # no warning


@pytest.mark.deep
@pytest.mark.parametrize("seed", range(40))
def test_any_written_verilog_is_read_as_the_same(read, seed):
    netlist = some_netlist(seed, int(np.random.default_rng(seed).integers(1, 300)), odd=bool(seed % 2))
    assert read(structural_verilog(netlist, LIBRARY)) == netlist


def test_instances_may_have_the_names_of_wires(read):
    instances = (
        Instance("in", LIBRARY["JTL"], {"a": "in", "q": "m"}),
        Instance("m%", LIBRARY["JTL"], {"a": "m", "q": "m%"}),
    )
    netlist = Netlist("twins", instances, ("in",), ("m%",))
    assert read(structural_verilog(netlist, LIBRARY)) == netlist


HIERARCHY = """
module pair(input i, output [1:0] o);
  wire m;
  SPLIT s(.a(i), .q0(o[0]), .q1(m));
  JTL j(m, o[1]);
endmodule
module top(input x, output [2:1] y);
  wire n;
  assign n = x;
  JTL first(.a(n), .q(\\mid.dle ));
  pair p(.i(\\mid.dle ), .o(y));
endmodule
module JTL(input a, output q); assign q = a; endmodule
"""


def test_verilog_hierarchy_is_flattened(read):
    instances = (
        Instance("p.s", LIBRARY["SPLIT"], {"a": "mid.dle", "q0": "y[1]", "q1": "p.m"}),
        Instance("p.j", LIBRARY["JTL"], {"a": "p.m", "q": "y[2]"}),
        Instance("first", LIBRARY["JTL"], {"a": "x", "q": "mid.dle"}),
    )
    assert read(HIERARCHY) == Netlist("top", instances, ("x",), ("y[1]", "y[2]"))


BLIF = """\
# of another tool
.model top
.inputs a \\
 clk
.outputs q r[0]
.gate SPLIT a=a q0=n q1=o
.subckt DFF a=n clk=clk q=q
.subckt line i=o o=r[0]
.end
.model line
.inputs i
.outputs o
.gate JTL a=i q=m
.names m o
1 1
.end
"""


def test_blif_is_read(read):
    instances = (
        Instance("u0", LIBRARY["SPLIT"], {"a": "a", "q0": "n", "q1": "o"}),
        Instance("u1", LIBRARY["DFF"], {"a": "n", "clk": "clk", "q": "q"}),
        Instance("u2", LIBRARY["JTL"], {"a": "o", "q": "r[0]"}),
    )
    assert read(BLIF, ".blif") == Netlist("top", instances, ("a", "clk"), ("q", "r[0]"))


def top(body, ports="input i, output o"):
    return f"module top({ports}); {body} endmodule"


NO_NETLIST = [
    (top("JTLL u(.a(i), .q(o));"), ': JTLL is not a cell, nor a module of the file; did you mean "JTL"?'),
    (top("assign o = !i;"), ": there is logic in the file ($logic_not); niello sfq map makes cells of it"),
    (top("JTL u(.a(i), .q(w)); JTL v(.a(i), .q(o));"), ": wire i is received by u.a and by v.a; SPLITTER"),
    ("", ": no module with cells in it"),
    (top("JTL u(.a(i), .q(o)"), ":1: syntax error, unexpected TOK_ENDMODULE, expecting ')' or ','"),
    (
        top("JTL u(.b(i), .q(o));"),
        ": Module `JTL' referenced in module `top' in cell `u' does not have a port named 'b'.",
    ),
    (top("top u(i, o);"), ": Cannot flatten a design containing recursive instantiations."),
    (top("JTL u(.a(i), .q(o)); JTL v(.a(o), .q(w));"), ": output o is received by v.a, too; SPLITTER"),
    (top("JTL u(.a(i), .q(o)); JTL v(.a(), .q(o));"), ": wire o is driven by u.q and by v.q"),
    (top("JTL u(.a(w), .q(o));"), ": wire w, received by u.a, is driven by nothing"),
    (top("JTL u(.a(i));"), ": output o is driven by nothing"),
    (
        top("JTL u(.a(1'b0), .q(o));"),
        ": instance u, pin a is tied to 0; no pulse comes on a wire that is left open",
    ),
    (top("assign o = i;"), ": ports i and o are one wire; SPLITTER, and a JTL one of an input"),
    (top("JTL u(.a(i), .q(o));", "input i, inout o"), ": port o is inout; a wire of pulse logic leads one way"),
    (
        top("JTL u(.a(i), .q(o)); assign p = o;", "input i, output o, p"),
        ": ports o and p are one wire; SPLITTER, and a JTL one of an input",
    ),
]


# The first three in the quick tests: each runs Yosys.
@pytest.mark.parametrize(
    ("text", "message"), [*NO_NETLIST[:3], *(pytest.param(*one, marks=pytest.mark.deep) for one in NO_NETLIST[3:])]
)
def test_verilog_that_is_no_netlist_is_refused(read, text, message):
    assert read(text) == message.replace("SPLITTER", "a splitter makes two of a pulse")


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (".names a b q\n11 1", ": .names and .latch are logic ($lut); niello sfq map makes cells of it"),
        (".latch a q re b 0", ": .names and .latch are logic ($_DFF_P_); niello sfq map makes cells of it"),
        (".gate JTL a=a q=q\n.gate JTL a=a q=n", ": wire a is received by u0.a and by u1.a; SPLITTER"),
        (".gate JTTL a=a q=q", ': JTTL is not a cell, nor a module of the file; did you mean "JTL"?'),
    ],
)
def test_blif_that_is_no_netlist_is_refused(read, lines, message):
    text = f".model top\n.inputs a b\n.outputs q\n{lines}\n.end\n"
    assert read(text, ".blif") == message.replace("SPLITTER", "a splitter makes two of a pulse")


@pytest.mark.parametrize(
    ("outputs", "message"),
    [
        (("m",), "output m is received by v.a, too; a splitter makes two of a pulse"),
        (("i",), "output i is an input, too; a JTL between them makes two wires of it"),
        (("o", "o"), "output o stands twice; a splitter makes two of a pulse"),
    ],
)
def test_hardware_has_no_probes(outputs, message):
    jtl = LIBRARY["JTL"]
    instances = (Instance("u", jtl, {"a": "j", "q": "m"}), Instance("v", jtl, {"a": "m", "q": "o"}))
    netlist = Netlist("probed", instances, ("i", "j"), outputs)
    for write in (lambda: structural_verilog(netlist, LIBRARY), lambda: spice_deck(netlist, {}, LIBRARY)):
        with pytest.raises(ConfigError, match=f"^{re.escape(message)}$"):
            write()


def deck_of(text):
    """Subcircuits as {name: (ports, [[label, *nodes, model]])}, and the lines of the top, of a deck's text."""
    subcircuits, where = {}, []
    main = where
    for line in text.splitlines():
        words = line.split()
        if not words or line.startswith("*"):
            continue
        assert re.fullmatch(r"[\w.(){} ,]+", line, re.ASCII)
        if words[0] == ".subckt":
            subcircuits[words[1]] = (words[2:], where := [])
        elif words[0] == ".ends":
            where = main
        else:
            where.append(words)
    assert where is main and main[-1] == [".end"]
    return subcircuits, main


@pytest.mark.parametrize("odd", [False, True])
def test_deck_has_two_ends_on_every_wire(odd):
    netlist = some_netlist(9, 120, odd)
    stimulus = random_pulses(np.random.default_rng(9), netlist.inputs, 1, spacing_ticks=1000)
    subcircuits, main = deck_of(spice_deck(netlist, stimulus, LIBRARY, ["cells.cir"]))
    (name,) = subcircuits.keys() - {"niello_source", "niello_sink"}
    ports, lines = subcircuits[name]
    cells, sinks = lines[: len(netlist.instances)], lines[len(netlist.instances) :]
    ends, nodes = defaultdict(int), {}
    for instance, (_, *at, model) in zip(netlist.instances, cells, strict=True):
        assert model == f"LSmitll_{instance.cell.name}"
        for pin, node in zip((*instance.cell.inputs, *instance.cell.outputs), at, strict=True):
            ends[node.upper()] += 1
            if pin in instance.pins:
                assert nodes.setdefault(instance.pins[pin], node) == node
    for wire, node in zip((*netlist.inputs, *netlist.outputs), ports, strict=True):
        ends[node.upper()] += 1
        assert nodes.setdefault(wire, node) == node
    for _, node, model in sinks:
        ends[node.upper()] += 1
        assert model == "niello_sink"
    assert set(ends.values()) == {2} and len(set(nodes.values())) == len(nodes)
    assert len({label.upper() for label, *_ in lines}) == len(lines)
    assert [line for line in main if line[0] == ".include"] == [[".include", "cells.cir"]]
    labels = [line[0] for line in main if not line[0].startswith(".")]
    assert len(set(labels)) == len(labels) == 2 * len(netlist.inputs) + len(netlist.outputs) + 1


def test_deck_has_a_triangle_a_pulse():
    netlist = Netlist("one", (Instance("u", LIBRARY["JTL"], {"a": "i", "q": "o"}),), ("i", "j"), ("o",))
    text = spice_deck(netlist, {"i": [0, 705]}, LIBRARY)
    assert "I0 0 i0 pwl(0 0 47p 0 50p 600u 53p 0 117.5p 0 120.5p 600u 123.5p 0)\n" in text
    assert "I1 0 i1 pwl(0 0 1p 0)\n" in text and "\n.tran 0.05p 320.5p\n" in text
    with pytest.raises(ConfigError, match=r"^input i: pulses at 1 and 7 ps are not further apart than 6 ps, which a "):
        spice_deck(netlist, {"i": [10, 70]}, LIBRARY)
    with pytest.raises(ConfigError, match="^JoSIM includes no file with a blank in its name: 'my cells.cir'$"):
        spice_deck(netlist, {}, LIBRARY, ["my cells.cir"])
