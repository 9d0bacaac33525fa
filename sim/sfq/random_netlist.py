"""Random netlists of pulse logic, with random pulses: for whatever is to be held to the event model.

Cells are a library's, or have tables that nobody would build: several delays of one output, orders of simultaneous
pulses that differ from state to state, blocked times and ages of all lengths.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hdl.sfq.cells import Cell, Reaction
from hdl.sfq.netlist import Instance, Netlist

LONGEST_TICKS = 120
"""Delays, blocked times and ages of random cells, at most, if nothing else is said."""


def random_cell(
    rng: np.random.Generator,
    name: str = "OWN",
    *,
    inputs: int = 3,
    outputs: int = 2,
    states: int = 3,
    longest_ticks: int = LONGEST_TICKS,
) -> Cell:
    """A cell that makes no sense. It has at least one pin and state of each kind, and at most so many."""
    ins, outs = "abcdefgh"[: rng.integers(1, inputs + 1)], "pqrs"[: rng.integers(1, outputs + 1)]
    names = [f"s{index}" for index in range(rng.integers(1, states + 1))]
    delays = rng.integers(1, longest_ticks + 1, 3)
    table: dict[str, dict[str, Reaction]] = {}
    for index, state in enumerate(names):
        table[state] = {}
        for pin in map(str, rng.permutation(list(ins))):
            # The first pin leads on, so that every state is reached; in the last one it fires all outputs.
            leads, is_last = pin == ins[0], index + 1 == len(names)
            share = 1.0 if leads and is_last else 0.3
            busy = dict.fromkeys(ins, int(rng.integers(longest_ticks + 1))) if rng.random() < 0.3 else {}
            table[state][pin] = Reaction(
                target=names[index + 1] if leads and not is_last else str(rng.choice(names)),
                fires={out: int(rng.choice(delays)) for out in outs if rng.random() < share},
                blocks=busy | _some_times(rng, ins, longest_ticks),
                ages=_some_times(rng, ins, longest_ticks),
            )
    return Cell(name, tuple(ins), tuple(outs), table)


def random_cells(rng: np.random.Generator, count: int) -> list[Cell]:
    """So many of them, R0, R1, and so on."""
    return [random_cell(rng, f"R{number}") for number in range(count)]


def random_netlist(
    rng: np.random.Generator,
    kinds: Sequence[Cell],
    cells: int,
    *,
    cyclic: bool = False,
    reconvergent: bool = True,
    input_share: float = 0.2,
    open_share: float = 0.0,
) -> Netlist:
    """Instances u0, u1, ... of these kinds; inputs i0, i1, ...; wires that cells drive, named by instance and pin.

    Parameters
    ----------
    kinds : that cells are drawn from
    cells : instances, at least 1
    cyclic : pins may be driven by cells that come later
    reconvergent : an input may lead to a cell by several ways; of a cyclic netlist it may anyhow
    input_share : chance that a pin gets an input of its own, even where a cell could drive it
    open_share : chance that a pin is not connected, and that a wire which nothing receives is not looked at
    """
    chosen = [kinds[int(rng.integers(len(kinds)))] for _ in range(cells)]
    driven = [
        {pin: f"w{number}_{pin}" for pin in cell.outputs if rng.random() >= open_share}
        for number, cell in enumerate(chosen)
    ]
    # Driven, received by nothing so far; and a bit for each input that leads to a wire.
    free = [wire for pins in driven for wire in pins.values()] if cyclic else []
    sources = dict.fromkeys(free, 0)
    inputs: list[str] = []
    instances = []
    for number, cell in enumerate(chosen):
        pins, come = {}, 0
        for pin in cell.inputs:
            if rng.random() < open_share:
                continue
            fit = free if reconvergent else [wire for wire in free if not sources[wire] & come]
            if fit and rng.random() >= input_share and (inputs or number + 1 < cells):
                pins[pin] = fit[rng.integers(len(fit))]
                free.remove(pins[pin])
            else:
                pins[pin] = f"i{len(inputs)}"
                sources[pins[pin]] = 1 << len(inputs)
                inputs.append(pins[pin])
            come |= sources[pins[pin]]
        instances.append(Instance(f"u{number}", cell, pins | driven[number]))
        if not cyclic:
            free += driven[number].values()
            sources |= dict.fromkeys(driven[number].values(), come)
    outputs = tuple(wire for wire in free if rng.random() >= open_share)
    return Netlist("random", tuple(instances), tuple(inputs), outputs)


def random_pulses(
    rng: np.random.Generator, wires: Sequence[str], pulses: int, *, spacing_ticks: int
) -> dict[str, list[int]]:
    """About so many pulses on some wires. A wire's own are on the average `spacing_ticks` apart: a short spacing
    violates, one that is longer than any rule does so only where pulses meet. Some come together."""
    each = max(1, pulses // max(1, len(wires)))
    found = {}
    for wire in wires:
        gaps = rng.integers(1, 2 * spacing_ticks, each)
        ticks = rng.integers(0, 2 * spacing_ticks) + np.cumsum(gaps)
        grid = rng.choice([1, 1, 5, 10])  # on a coarse grid, pulses of several wires come together
        found[wire] = [int(tick) for tick in np.unique(ticks // grid * grid)]
    return found


def pulses_apart(
    rng: np.random.Generator, wires: Sequence[str], pulses: int, *, spacing_ticks: int
) -> dict[str, list[int]]:
    """So many pulses, each at any of some wires, and at least `spacing_ticks` after the one before; a half more on the
    average. In a netlist that is not reconvergent and whose pulses rest within that time, none comes too soon."""
    found: dict[str, list[int]] = {wire: [] for wire in wires}
    ticks = np.cumsum(rng.integers(spacing_ticks, 2 * spacing_ticks, pulses)).tolist()
    for tick, place in zip(ticks, rng.integers(len(wires), size=pulses), strict=True):
        found[wires[place]].append(tick)
    return found


def _some_times(rng: np.random.Generator, pins: str, most: int) -> dict[str, int]:
    """0 is among them."""
    return {pin: int(rng.integers(most + 1)) for pin in pins if rng.random() < 0.2}
