"""Delays and windows of decks, as a cell table states them.

Times are between flips of the pins' junctions: the last of the driving JTL, the first of the loading one. A JTL's hop
lies between two such junctions even without a cell, so a cell's delay is less by `HOP_PS`; then delays of cells in a
row add up.

A window x>y in a state is how long after a pulse at x one at y is too soon: the largest distance of the two flips at
which the cell, over the pulses that follow, fires other outputs than its state machine says, or one that these two
caused is more than `SLIP_PS` late or early. At one pin, pulses nearer than a JTL delivers them are too soon as well:
nobody has seen them. It is rounded up to 0.1 ps.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from hdl.sfq.cells import TICKS_PER_PS, Cell
from sim.sfq.circuit import Array, Value
from sim.sfq.circuit_solver import STEP_PS, Flips
from sim.sfq.deck_margins import FIRST_PS, expected_outputs, run_pattern
from sim.sfq.decks import Deck, Values

HOP_PS = 2.08
"""From one junction of a JTL to the next (`tests/sfq/test_circuit.py`)."""

SLIP_PS = 2.0
APART_PS = 50.0
"""Between pulses that are to see nothing of each other."""

DISTANCES_PS = np.arange(0.1, 25, 0.1)


def path_to(cell: Cell, state: str) -> list[str]:
    """Pulses that lead to a state from power-up: the fewest."""
    ways: list[tuple[str, list[str]]] = [(cell.initial, [])]
    for at, way in ways:
        if at == state:
            return way
        ways += [(cell.states[at][pin].target, [*way, pin]) for pin in cell.inputs if len(way) <= len(cell.states)]
    raise ValueError(f"no pulse leads to state {state}")


def delays(deck: Deck, cell: Cell, values: Values, *, scale: Value = 1.0) -> dict[tuple[str, str, str], Array]:
    """Delay of each output by state, input and output: from flip to flip, (circuits,), with the loading JTL's hop."""
    found = {}
    for state, reactions in cell.states.items():
        for pin, reaction in reactions.items():
            if reaction.fires:
                pins = [*path_to(cell, state), pin]
                flips = run_pattern(
                    deck, values, [(one, k * APART_PS) for k, one in enumerate(pins)], scale=scale, step_ps=STEP_PS
                )
                start = flips.times_ps[pin][:, pins.count(pin) - 1]
                for output in reaction.fires:
                    place = sum(expected_outputs(cell, pins)[output]) - 1
                    found[state, pin, output] = flips.times_ps[output][:, place] - start
    return found


@dataclass(frozen=True)
class Window:
    """In `state`, a pulse at `second` comes too soon for `time_ps` after one at `first`."""

    state: str
    first: str
    second: str
    time_ps: float


def windows(deck: Deck, cell: Cell, values: Mapping[str, float]) -> list[Window]:
    """All windows above 0 of a cell."""
    slowest = {key: float(one[0]) for key, one in delays(deck, cell, values).items()}
    found = []
    for state in cell.states:
        for first in cell.inputs:
            for second in cell.inputs:
                time = _window(deck, cell, values, (state, first, second), slowest)
                if time > 0:
                    found.append(Window(state, first, second, time))
    return found


def _window(
    deck: Deck,
    cell: Cell,
    values: Mapping[str, float],
    case: tuple[str, str, str],
    nominal: Mapping[tuple[str, str, str], float],
) -> float:
    state, first, second = case
    before = path_to(cell, state)
    after = [pin for pin in cell.inputs for _ in range(2)]
    pins = [*before, first, second, *after]
    start = len(before) * APART_PS
    times: list[float | Array] = [k * APART_PS for k in range(len(before))]
    times += [start, start + DISTANCES_PS]
    times += [start + (k + 2) * APART_PS for k in range(len(after))]
    flips = run_pattern(deck, values, list(zip(pins, times, strict=True)))
    flip_of = _flip_places(pins)
    pair = len(before), len(before) + 1
    at = [flips.times_ps[pins[k]][:, flip_of[k]] for k in pair]
    wrong = _strays(cell, pins, times, flips)
    state_now = state
    for k, time in zip(pair, at, strict=True):
        reaction = cell.states[state_now][pins[k]]
        for output in reaction.fires:
            place = sum(expected_outputs(cell, pins[: k + 1])[output]) - 1
            if flips.times_ps[output].shape[1] > place:
                late = flips.times_ps[output][:, place] - time - nominal[state_now, pins[k], output]
                wrong |= ~(np.abs(late) <= SLIP_PS)
        state_now = reaction.target
    distance = at[1] - at[0]
    longest = np.max(distance[wrong], initial=0.0, where=np.isfinite(distance[wrong]))
    if first == second:
        longest = max(longest, np.nanmin(distance))
    return float(np.ceil(np.round(longest * TICKS_PER_PS, 3)) / TICKS_PER_PS)


def _flip_places(pins: Sequence[str]) -> list[int]:
    """Which flip of its pin each pulse is."""
    return [list(pins[:k]).count(pin) for k, pin in enumerate(pins)]


def _strays(cell: Cell, pins: Sequence[str], times: Sequence[float | Array], flips: Flips) -> np.ndarray:
    """Circuits in which some input lost a pulse or an output fired otherwise than expected, up to each pulse."""
    wrong = np.zeros(len(next(iter(flips.times_ps.values()))), bool)
    for pin in cell.inputs:
        wrong |= flips.counts(pin) != list(pins).count(pin)
    # The pair counts as one: its outputs are there before the pulse after it.
    ends = [np.max(time) for time in times[1:]] + [np.inf]
    for output, fired in expected_outputs(cell, pins).items():
        for k, end in enumerate(ends):
            if k + 1 < len(times) and np.size(times[k + 1]) > 1:
                continue
            seen = (flips.times_ps[output] < FIRST_PS + end).sum(1)
            wrong |= seen != sum(fired[: k + 1])
    return wrong
