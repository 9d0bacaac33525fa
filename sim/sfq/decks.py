"""Cells as circuits: a deck has parameters by name, and lays its junctions between the pins.

A pin lies in the middle between the junctions of two cells, or of a cell and a JTL of `JTL_UA`, as a test bench has it
(`bench`). Parameters: `j_...` critical currents and `b_...` bias currents in uA,
`l...` inductances in pH.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise

from hdl.sfq.netlist import Netlist
from sim.sfq.circuit import FLUX_QUANTUM_UA_PH, GROUND, SHUNT_OHM_UA, Circuit, Value

JTL_UA = 250.0
JTL_PH = FLUX_QUANTUM_UA_PH / (2 * JTL_UA)
JTL_BIAS = 0.7
"""Bias of a JTL's junction as a share of its critical current."""

GROUND_PH = 0.2
SHUNT_PH_PER_OHM = 1.13 / 2
"""Of a layout: between a junction and ground; a shunt's sheet has 2 ohm and 1.13 pH a square."""

STAGES = 3
"""JTL junctions before every input and after every output."""

Values = Mapping[str, Value]


@dataclass(frozen=True)
class Deck:
    """A cell as a circuit.

    Attributes
    ----------
    name : of the cell whose state machine it is
    inputs, outputs : pins
    parameters : nominal values
    lay : adds it to a circuit: nodes of pins have the pin's name
    """

    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    parameters: Mapping[str, float]
    lay: Callable[[Circuit, Values], None] = field(repr=False)

    @property
    def junctions(self) -> int:
        """Josephson junctions."""
        return sum(name.startswith("j_") for name in self.parameters)

    @property
    def bias_ua(self) -> float:
        """All bias currents together, nominal."""
        return sum(value for name, value in self.parameters.items() if name.startswith("b_"))


def jtl(circuit: Circuit, names: list[str], bias: Value = JTL_BIAS, ic_ua: float = JTL_UA) -> None:
    """A line of JTL junctions at these nodes."""
    for node in names:
        circuit.junction(node, ic_ua)
        circuit.bias(node, bias * ic_ua)
    for before, after in pairwise(names):
        circuit.inductor(before, after, FLUX_QUANTUM_UA_PH / (2 * ic_ua))


def drawn_jtl(circuit: Circuit, start: str, end: str) -> None:
    """A JTL cell between two nodes with what a layout adds: its junctions `START.x` and `START.y` lie on `GROUND_PH`,
    their shunts have an inductance, as RSFQlib's deck states them (v2.1, L. Schindler, 2021)."""
    quarter = JTL_PH / 2
    x, y, middle = (f"{start}.{name}" for name in ("x", "y", "middle"))
    for node in (x, y):
        shunt_ohm = SHUNT_OHM_UA / JTL_UA
        # The lead lies above the junction here, which is the same to the rest.
        circuit.junction(node, JTL_UA, shunted=False)
        circuit.inductor(node, f"{node}.top", GROUND_PH)
        circuit.inductor(f"{node}.top", GROUND, SHUNT_PH_PER_OHM * shunt_ohm, shunt_ohm)
    tops = [f"{x}.top", f"{y}.top"]
    for before, after in pairwise([start, tops[0], middle, tops[1], end]):
        circuit.inductor(before, after, quarter)
    circuit.bias(middle, 2 * JTL_BIAS * JTL_UA)


def drive(circuit: Circuit, wire: str) -> None:
    """JTL junctions that bring pulses from an input, `in.WIRE`, to a wire, the last one `beside` it."""
    circuit.input(f"in.{wire}")
    line = [*(f"{wire}.{stage}" for stage in range(STAGES - 1)), beside(wire)]
    circuit.inductor(f"in.{wire}", line[0], JTL_PH)
    jtl(circuit, line)
    circuit.inductor(line[-1], wire, JTL_PH / 2)


def load(circuit: Circuit, wire: str) -> None:
    """JTL junctions that take a wire's pulses away, the first one `beside` it."""
    line = [beside(wire), *(f"{wire}.{stage}" for stage in range(STAGES - 1))]
    circuit.inductor(wire, line[0], JTL_PH / 2)
    jtl(circuit, line)


def beside(wire: str) -> str:
    """The JTL junction, half a JTL's inductance away, that drives a wire or loads it."""
    return f"{wire}.jtl"


def bench(deck: Deck, values: Values, scale: Value = 1.0) -> Circuit:
    """A deck between JTLs, its bias currents times `scale`. Pins are wires."""
    circuit = Circuit()
    for pin in deck.inputs:
        drive(circuit, pin)
    for pin in deck.outputs:
        load(circuit, pin)
    circuit.scale = scale
    deck.lay(circuit, values)
    return circuit


def place(circuit: Circuit, deck: Deck, name: str, wires: Mapping[str, str]) -> None:
    """Adds a deck under a name of its own; `wires` are the nodes that its pins lie on."""
    own = Circuit(scale=circuit.scale)
    deck.lay(own, deck.parameters)

    def node(inner: str) -> str:
        return inner if inner == GROUND else wires.get(inner, f"{name}.{inner}")

    circuit.junctions += [(node(a), node(b), ic, shunted) for a, b, ic, shunted in own.junctions]
    circuit.inductors += [(node(a), node(b), ph, ohm) for a, b, ph, ohm in own.inductors]
    circuit.biases += [(node(at), ua) for at, ua in own.biases]


def circuit_of(netlist: Netlist, scale: Value = 1.0) -> Circuit:
    """A netlist of cells that have decks, pin to pin, their bias currents times `scale`; JTLs drive its inputs and load
    its outputs."""
    circuit = Circuit()
    for wire in netlist.inputs:
        drive(circuit, wire)
    for wire in netlist.outputs:
        load(circuit, wire)
    circuit.scale = scale
    for instance in netlist.instances:
        place(circuit, DECKS[instance.cell.name], instance.name, instance.pins)
    return circuit


def _split(circuit: Circuit, p: Values) -> None:
    circuit.inductor("a", "x", p["l_in"])
    circuit.junction("x", p["j_x"])
    circuit.bias("x", p["b_x"])
    for pin in ("q0", "q1"):
        circuit.inductor("x", f"o.{pin}", p["l_arm"])
        circuit.junction(f"o.{pin}", p[f"j_{pin}"])
        circuit.bias(f"o.{pin}", p[f"b_{pin}"])
        circuit.inductor(f"o.{pin}", pin, p["l_out"])


def _dff(circuit: Circuit, p: Values) -> None:
    # The loop s-o keeps a flux quantum. Its current lets o flip at a clock pulse; without it the junction in series
    # with the clock flips, as that in series with `a` does when the loop is full.
    for pin, entry, node in (("a", "x", "s"), ("clk", "k", "o")):
        circuit.inductor(pin, entry, p[f"l_{pin}"])
        circuit.junction(entry, p[f"j_{pin}"])
        circuit.bias(entry, p[f"b_{pin}"])
        circuit.junction(entry, p[f"j_series_{pin}"], to=node)
        circuit.junction(node, p[f"j_{node}"])
    circuit.inductor("s", "o", p["l_loop"])
    circuit.bias("s", p["b_s"])
    circuit.inductor("o", "y", p["l_y"])
    circuit.junction("y", p["j_y"])
    circuit.bias("y", p["b_y"])
    circuit.inductor("y", "q", p["l_out"])


def _output(circuit: Circuit, p: Values, node: str, pin: str) -> None:
    # A junction that gives the pulse its strength back, and keeps what comes after out.
    circuit.inductor(node, f"{pin}.x", p[f"l_{pin}"])
    circuit.junction(f"{pin}.x", p[f"j_{pin}"])
    circuit.bias(f"{pin}.x", p[f"b_{pin}"])
    circuit.inductor(f"{pin}.x", pin, p[f"l_out_{pin}"])


def _toggle(circuit: Circuit, p: Values, loop_end: str) -> None:
    # A pulse at y meets two pairs of junctions. At a or b, whichever the loop's current comes to, the one to ground
    # flips; at the other, the one in series. The bias makes it a at first.
    circuit.inductor("t", "y", p["l_t"])
    circuit.bias("y", p["b_t"])
    for node in ("a", "b"):
        circuit.junction("y", p[f"j_series_{node}"], to=node)
        circuit.junction(node, p[f"j_{node}"])
    circuit.inductor("a", loop_end, p["l_loop"])
    circuit.bias("a", p["b_a"])


def _t(circuit: Circuit, p: Values) -> None:
    _toggle(circuit, p, "b")
    _output(circuit, p, "b", "q")


def _t1(circuit: Circuit, p: Values) -> None:
    # The loop ends at n in two junctions, to b and to d: whoever of b and d flips empties the loop, and the junction to
    # the other flips, so that this one does not see it. A pulse at z meets a third pair.
    _toggle(circuit, p, "n")
    circuit.bias("n", p["b_n"])
    circuit.junction("n", p["j_nb"], to="b")
    circuit.junction("n", p["j_nd"], to="d")
    circuit.inductor("r", "z", p["l_r"])
    circuit.bias("z", p["b_r"])
    circuit.junction("z", p["j_series_d"], to="d")
    circuit.junction("d", p["j_d"])
    _output(circuit, p, "b", "c")
    _output(circuit, p, "d", "s")


# These were found by `sim.sfq.deck_margins.centred`, to three digits (`bench/sfq.py optimise` goes on from here).
SPLIT = Deck(
    "SPLIT",
    ("a",),
    ("q0", "q1"),
    {
        "l_in": 1.37,
        "j_x": 238,
        "b_x": 234,
        "l_arm": 3.31,
        "j_q0": 232,
        "b_q0": 154,
        "j_q1": 229,
        "b_q1": 172,
        "l_out": 1.49,
    },
    _split,
)

DFF = Deck(
    "DFF",
    ("a", "clk"),
    ("q",),
    {
        "l_a": 0.772,
        "j_a": 214,
        "b_a": 154,
        "j_series_a": 169,
        "j_s": 134,
        "l_loop": 7.89,
        "b_s": 119,
        "l_clk": 1.1,
        "j_clk": 246,
        "b_clk": 165,
        "j_series_clk": 163,
        "j_o": 160,
        "l_y": 3.61,
        "j_y": 215,
        "b_y": 159,
        "l_out": 1.48,
    },
    _dff,
)

T = Deck(
    "T",
    ("t",),
    ("q",),
    {
        "l_t": 1.23,
        "b_t": 68,
        "j_series_a": 129,
        "j_series_b": 109,
        "j_a": 127,
        "j_b": 149,
        "l_loop": 8.15,
        "b_a": 119,
        "l_q": 4,
        "j_q": 227,
        "b_q": 150,
        "l_out_q": 1.43,
    },
    _t,
)

T1 = Deck(
    "T1",
    ("t", "r"),
    ("c", "s"),
    {
        "l_t": 1.28,
        "b_t": 62.3,
        "j_series_a": 154,
        "j_series_b": 146,
        "j_a": 192,
        "j_b": 131,
        "l_loop": 6.3,
        "b_a": 148,
        "b_n": 65.3,
        "j_nb": 191,
        "j_nd": 145,
        "l_r": 0.972,
        "b_r": 59.9,
        "j_series_d": 201,
        "j_d": 114,
        "l_c": 4,
        "j_c": 220,
        "b_c": 150,
        "l_out_c": 1.43,
        "l_s": 4,
        "j_s": 220,
        "b_s": 150,
        "l_out_s": 1.43,
    },
    _t1,
)

DECKS = {deck.name: deck for deck in (SPLIT, DFF, T, T1)}
