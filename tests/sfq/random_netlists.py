"""Random netlists of pulse logic, seeded: what the tests of interchange write and read back."""

from __future__ import annotations

from hdl.sfq.cell_files import load_library
from hdl.sfq.cells import Cell, Reaction
from hdl.sfq.netlist import Instance, Netlist

ODD_NAMES = (
    "a b",
    "naïve",
    'quo"te',
    "back\\slash",
    "3",
    "module",
    "x[3]",
    "x_3_",
    "$12",
    "a%20b",
    "Ünit/1",
    "'",
    "α,β;",
    "a.b",
)
"""Names that one or other format cannot take as they are."""


def own_cell(rng, name):
    """A cell with states, windows and ages of its own."""
    inputs, outputs = ("a", "b"), ("q", "r")
    names = [f"s{index}" for index in range(rng.integers(1, 4))]
    states = {}
    for place, state in enumerate(names):
        order = list(rng.permutation(inputs))
        states[state] = {
            str(pin): Reaction(
                names[(place + 1) % len(names)],
                fires={str(pin): int(rng.integers(1, 200)) for pin in rng.permutation(outputs)},
                blocks={pin: int(rng.integers(0, 90)) for pin in inputs if rng.random() < 0.5},
                ages={pin: int(rng.integers(0, 90)) for pin in inputs if rng.random() < 0.3},
            )
            for pin in order
        }
    bias = None if rng.random() < 0.5 else float(rng.integers(0, 3))
    return Cell(name, inputs, outputs, states, int(rng.integers(0, 9)), bias, float(rng.integers(0, 2)), "a test")


def random_netlist(rng, count, *, library="rsfqlib", own=(), odd=False):
    """`count` cells without loops, of the library and of `own`, each input a free wire or one from outside; and pulses.

    Some output pins lead nowhere, some cells' outputs are looked at; with `odd`, wires and instances have odd names.
    """
    kinds = [*load_library(library).values(), *own]
    fresh = iter(
        [*rng.permutation(ODD_NAMES), *(f"w{index}" for index in range(20 * count))]
        if odd
        else (f"w{index}" for index in range(20 * count))
    )
    free, inputs, instances = [], [], []
    for index in range(count):
        cell = kinds[rng.integers(len(kinds))]
        pins = {}
        for pin in cell.inputs:
            if free and rng.random() < 0.8:
                pins[pin] = free.pop(int(rng.integers(len(free))))
            else:
                inputs.append(str(next(fresh)))
                pins[pin] = inputs[-1]
        for pin in cell.outputs:
            if rng.random() < 0.95:
                pins[pin] = str(next(fresh))
                free.append(pins[pin])
        name = f"{ODD_NAMES[index]}!" if odd and index < len(ODD_NAMES) else f"u{index}"
        instances.append(Instance(name, cell, pins))
    outputs = tuple(wire for wire in free if rng.random() < 0.8)
    stimulus = {wire: sorted({int(time) for time in rng.integers(0, 5000, rng.integers(0, 20))}) for wire in inputs}
    return Netlist(f"random {count}" if odd else f"random_{count}", tuple(instances), tuple(inputs), outputs), stimulus
