"""Random netlists of pulse logic, with random pulses: event JSON, for whatever is to be held to the event model.

Cells are drawn from a library, or have tables of their own that nobody would build: several delays of one output,
orders of simultaneous pulses that differ from state to state, ages and busy times of all lengths.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from hdl.sfq.cell_files import load_library
from hdl.sfq.cells import TICKS_PER_PS, Cell

Document = dict[str, Any]

Table = tuple[tuple[str, ...], tuple[str, ...], Document]
"""Inputs, outputs and transitions of a cell."""

KINDS = 6
"""Random tables in a netlist that is not given any."""

INPUT_SHARE = 0.2
"""Chance that a pin gets an input wire of its own, even where a cell could drive it."""

LONGEST_TICKS = 120
"""Delays, busy times and ages of random tables, at most."""


def random_netlist(
    rng: np.random.Generator,
    cells: int,
    *,
    library: str | None,
    cyclic: bool = False,
    prefix: str = "",
    tables: Sequence[Table] | None = None,
) -> Document:
    """A netlist without pulses: wires, instances, outputs.

    Parameters
    ----------
    cells : instances
    library : that the cells are drawn from; None: from `tables`, or from a few random ones
    cyclic : pins may be driven by cells that come later
    prefix : of the names of instances and wires
    """
    kinds = [*load_library(library).values()] if library else []
    own_tables = tables or [random_table(rng) for _ in range(0 if library else KINDS)]
    instances: list[Document] = []
    for number in range(cells):
        if library:
            cell: Cell = kinds[rng.integers(len(kinds))]
            inputs, outputs, own = cell.inputs, cell.outputs, Document()
        else:
            inputs, outputs, own = own_tables[int(rng.integers(len(own_tables)))]
        pins = dict.fromkeys(inputs, "") | {pin: f"{prefix}w{number}_{pin}" for pin in outputs}
        instances.append({"inst": f"{prefix}u{number}", "cell": cell.name if library else "OWN", "pins": pins} | own)

    free: list[str] = []  # driven, received by nothing so far
    inputs_named: list[str] = []
    driven = [[wire for wire in one["pins"].values() if wire] for one in instances]
    if cyclic:
        free = [wire for wires in driven for wire in wires]
    for number, one in enumerate(instances):
        for pin in [pin for pin, wire in one["pins"].items() if not wire]:
            if free and rng.random() >= INPUT_SHARE:
                one["pins"][pin] = free.pop(rng.integers(len(free)))
            else:
                inputs_named.append(f"{prefix}i{len(inputs_named)}")
                one["pins"][pin] = inputs_named[-1]
        free += [] if cyclic else driven[number]
    if not inputs_named:  # a ring without a beginning
        pin = next(iter(instances[0]["pins"]))
        free.append(instances[0]["pins"][pin])
        instances[0]["pins"][pin] = f"{prefix}i0"
        inputs_named = [f"{prefix}i0"]
    document: Document = {"inputs": {wire: [] for wire in inputs_named}, "outputs": free, "netlist": instances}
    return document | ({"library": library} if library else {})


def random_pulses(
    rng: np.random.Generator, wires: list[str], pulses: int, *, spacing_ticks: int
) -> dict[str, list[float]]:
    """So many pulses on some wires, in ps. A wire's own are on the average `spacing_ticks` apart: a short spacing
    violates, one that is longer than any rule does so only where pulses meet. Some come together."""
    each = max(1, pulses // len(wires))
    found = {}
    for wire in wires:
        gaps = rng.integers(1, 2 * spacing_ticks, each)
        ticks = rng.integers(0, 2 * spacing_ticks) + np.cumsum(gaps)
        grid = rng.choice([1, 1, 5, 10])  # on a coarse grid, pulses of several wires come together
        found[wire] = [int(tick) / TICKS_PER_PS for tick in np.unique(ticks // grid * grid)]
    return found


def random_table(rng: np.random.Generator) -> Table:
    """A cell that makes no sense."""
    inputs = tuple("abc"[: rng.integers(1, 4)])
    outputs = tuple("pq"[: rng.integers(1, 3)])
    states = ["s0", "s1", "s2"][: rng.integers(1, 4)]
    delays = rng.integers(1, LONGEST_TICKS, 3) / TICKS_PER_PS
    transitions = []
    for index, state in enumerate(states):
        for order, pin in enumerate(rng.permutation(list(inputs))):
            # The first pin leads on, so that every state is reached; in the last one it fires all outputs.
            leads = pin == inputs[0]
            is_last = index + 1 == len(states)
            share = 1.0 if leads and is_last else 0.3
            transitions.append(
                {
                    "src": state,
                    "trig": str(pin),
                    "dst": states[index + 1] if leads and not is_last else str(rng.choice(states)),
                    "prio": order,
                    "busy": _some_ps(rng),
                    "guard": {other: _some_ps(rng) for other in inputs if rng.random() < 0.4},
                    "fire": {output: float(rng.choice(delays)) for output in outputs if rng.random() < share},
                }
            )
    return inputs, outputs, {"transitions": transitions}


def _some_ps(rng: np.random.Generator) -> float:
    """0 as often as not."""
    return int(rng.integers(1, LONGEST_TICKS)) / TICKS_PER_PS if rng.random() < 0.5 else 0.0
