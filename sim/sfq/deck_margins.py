"""Whether decks do what their cells' state machines say, how far each parameter may be off, and a search for the
middle of what works. All sets of parameters run side by side.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from hdl.sfq.cells import Cell
from sim.sfq.circuit import Array, Value
from sim.sfq.circuit_solver import Flips, simulate
from sim.sfq.decks import Deck, Values, bench, beside

FIRST_PS = 45.0
"""Of the first pulse: biases are settled."""

PERIOD_PS = 25.0
"""Between the pulses of a pattern."""

SEARCH_STEP_PS = 0.2
"""Long, but right to 0.1 % of a JTL's delay (`tests/sfq/test_circuit.py`)."""

WIDEST = 0.6
"""Largest margin that is looked at."""

MOST_SPREAD = 0.25
"""Of the sets that the search draws."""


def expected_outputs(cell: Cell, pins: Sequence[str]) -> dict[str, list[int]]:
    """Pulses of each output after each pulse of a pattern, 0 or 1, as the state machine says."""
    state, found = cell.initial, {pin: [0] * len(pins) for pin in cell.outputs}
    for number, pin in enumerate(pins):
        reaction = cell.states[state][pin]
        state = reaction.target
        for output in reaction.fires:
            found[output][number] = 1
    return found


def tour(cell: Cell) -> list[str]:
    """Input pins, one after another, such that in every state every pulse is followed by every other."""
    left = {(state, first, second) for state in cell.states for first in cell.inputs for second in cell.inputs}
    pins: list[str] = []
    while left:
        ways: list[list[str]] = [[pin] for pin in cell.inputs]
        for way in ways:  # the shortest that ends in what was not seen yet
            walk = pairs(cell, [*pins, *way])
            if walk and walk[-1] in left:
                pins += way
                left -= set(walk)
                break
            ways += [[*way, pin] for pin in cell.inputs]
    return pins


def pairs(cell: Cell, pins: Sequence[str]) -> list[tuple[str, str, str]]:
    """The state before each pulse but the last, the pulse, and that after it."""
    state, found = cell.initial, []
    for first, second in pairwise(pins):
        found.append((state, first, second))
        state = cell.states[state][first].target
    return found


def faults(
    deck: Deck,
    cell: Cell,
    values: Values,
    *,
    scale: Value = 1.0,
    pins: Sequence[str] = (),
    period_ps: float = PERIOD_PS,
) -> NDArray[np.int64]:
    """Pulses too many or too few at all pins, by circuit; 0 is a deck that works.

    Parameters
    ----------
    values, scale : parameters and the factor on bias currents, each one for all circuits or an array
    pins : pulses in order; if none, the cell's `tour`
    """
    pins = pins or tour(cell)
    flips = run_pattern(deck, values, [(pin, k * period_ps) for k, pin in enumerate(pins)], scale=scale)
    wrong = sum(np.abs(flips.counts(pin) - list(pins).count(pin)) for pin in cell.inputs)
    edges = FIRST_PS + period_ps * np.arange(len(pins) + 1)
    for pin, counts in expected_outputs(cell, pins).items():
        times = flips.times_ps[pin]
        for number, count in enumerate(counts):
            inside = (times >= edges[number]) & (times < edges[number + 1])
            wrong = wrong + np.abs(inside.sum(1) - count)
        wrong = wrong + (times < edges[0]).sum(1) + (times >= edges[-1]).sum(1)
    return np.asarray(wrong, np.int64)


def run_pattern(
    deck: Deck,
    values: Values,
    pulses: Sequence[tuple[str, float | Array]],
    *,
    scale: Value = 1.0,
    step_ps: float = SEARCH_STEP_PS,
) -> Flips:
    """Flips beside the pins for pulses at pins, times after `FIRST_PS`, each one for all circuits or an array."""
    width = max(np.size(time) for _, time in pulses)
    last = max(float(np.max(time)) for _, time in pulses)
    times = {
        f"in.{pin}": np.stack(
            [np.broadcast_to(FIRST_PS + time, width) for at, time in pulses if at == pin] or [np.full(width, np.nan)],
            -1,
        )
        for pin in deck.inputs
    }
    pins = [*deck.inputs, *deck.outputs]
    duration = FIRST_PS + last + 2 * PERIOD_PS
    flips = simulate(bench(deck, values, scale), times, duration, [beside(pin) for pin in pins], step_ps=step_ps)
    return Flips({pin: flips.times_ps[beside(pin)] for pin in pins})


def margins(
    deck: Deck, cell: Cell, values: Mapping[str, float], *, resolution: float = 0.02, most: float = WIDEST
) -> dict[str, tuple[float, float]]:
    """How far each parameter alone may be off, down and up, as shares: -0.3, 0.4. `bias` is all bias currents at once.

    Every multiple of `resolution` up to `most` is tried; the margin is the last before the first that fails.
    """
    steps = round(most / resolution)
    factors = 1 + resolution * np.arange(-steps, steps + 1)
    names = ["bias", *values]
    rows = len(factors)
    scale = np.ones(rows * len(names))
    scale[:rows] = factors
    spread: dict[str, Value] = {}
    for place, name in enumerate(values, 1):
        column = np.full(rows * len(names), float(values[name]))
        column[place * rows : (place + 1) * rows] *= factors
        spread[name] = column
    good = (faults(deck, cell, spread, scale=scale) == 0).reshape(len(names), rows)
    found = {}
    for name, row in zip(names, good, strict=True):
        down, up = row[: steps + 1][::-1], row[steps:]
        low, high = (int(side.argmin()) if not side.all() else steps + 1 for side in (down, up))
        found[name] = (-max(low - 1, 0) * resolution, max(high - 1, 0) * resolution)
    return found


def critical(found: Mapping[str, tuple[float, float]]) -> tuple[str, float]:
    """The parameter with the smallest margin, and that margin."""
    name = min(found, key=lambda one: min(-found[one][0], found[one][1]))
    return name, min(-found[name][0], found[name][1])


def centred(
    deck: Deck, cell: Cell, *, rounds: int = 16, population: int = 200, spread: float = 0.12, seed: int = 0
) -> dict[str, float]:
    """Parameters in the middle of what works, from the deck's own: the best critical margin that a search has met.

    Each round draws sets around the last middle, log-normal, and takes the geometric mean of those that work (of the
    best tenth, if hardly any does); the spread follows the share that works. The last rounds move every parameter
    towards the middle of its own margins.
    """
    rng = np.random.default_rng(seed)
    middle = {name: float(value) for name, value in deck.parameters.items()}
    tried = [middle]
    for _ in range(rounds):
        sets = {name: value * np.exp(spread * rng.standard_normal(population)) for name, value in middle.items()}
        wrong = faults(deck, cell, sets)
        share = float((wrong == 0).mean())
        chosen = wrong == 0 if share > 0.03 else wrong <= np.sort(wrong)[population // 10]
        middle = {name: float(np.exp(np.log(column[chosen]).mean())) for name, column in sets.items()}
        tried.append(middle)
        spread = min(MOST_SPREAD, spread * (1.2 if share > 0.6 else 0.9 if share < 0.2 else 1.0))
    best, best_margin = middle, -1.0
    for start in tried[::4]:
        middle = start
        for _ in range(4):
            found = margins(deck, cell, middle)
            if critical(found)[1] > best_margin:
                best, best_margin = middle, critical(found)[1]
            middle = {name: value * (1 + sum(found[name]) / 4) for name, value in middle.items()}
    return {name: float(f"{value:.3g}") for name, value in best.items()}
