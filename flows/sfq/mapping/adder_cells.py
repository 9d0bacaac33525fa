"""A full adder of a T1 cell behind two mergers: `sum` is the parity of three operands, `carry` their majority.

        a ──┐               every pulse of an operand toggles the T1, which fires its carry at every second; the
        b ──┴─ merge ──┐    clock reads what is left, the sum, and sets it back
        c ─────────────┴─ merge ── toggle ┐
                                          ├── carry     as soon as it is known: no clock takes part
        clock ────────────────── reset ── T1 ── sum     at the clock

The pulses of one wave must not come together: each merger and the T1 ask for some time between them. `staggered` says
which operand takes which entry and which waits; in sum and carry all three are alike.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import permutations

from hdl.sfq.cells import Cell

ENTRIES = ("a", "b", "c")
"""Of the mergers, as above."""

OPERANDS = ("x", "y", "z")
"""Data pins of a full adder as a gate; which entry each takes is found when times are."""

PARITY = (0, 1, 1, 0, 1, 0, 0, 1)
MAJORITY = (0, 0, 0, 1, 0, 1, 1, 1)
"""By the operands' values as a number."""


@dataclass(frozen=True)
class Toggle:
    """The pins of a T1 cell."""

    cell: Cell
    toggle: str
    reset: str
    carry: str
    sum: str

    @property
    def set_state(self) -> str:
        """The state after one pulse."""
        return self.cell.states[self.cell.initial][self.toggle].target


def toggle_of(cell: Cell) -> Toggle | None:
    """The T1 that a cell is, if it is one."""
    if len(cell.states) != 2 or len(cell.inputs) != 2 or len(cell.outputs) != 2:
        return None
    off, on = cell.states
    for toggle, reset in permutations(cell.inputs):
        up, down, idle, read = (
            cell.states[state][pin] for state, pin in ((off, toggle), (on, toggle), (off, reset), (on, reset))
        )
        counts = (up.target, down.target, idle.target, read.target) == (on, off, off, off)
        fires = [len(reaction.fires) for reaction in (up, down, idle, read)]
        if counts and fires == [0, 1, 0, 1] and down.fires.keys() != read.fires.keys():
            return Toggle(cell, toggle, reset, *down.fires, *read.fires)
    return None


def is_merger(cell: Cell) -> bool:
    """Whether it repeats the pulses of two inputs at one output, whatever came before."""
    if len(cell.states) > 1 or len(cell.inputs) != 2 or len(cell.outputs) != 1 or cell.clocked:
        return False
    return all(reaction.fires for reaction in cell.states[cell.initial].values())


@dataclass(frozen=True)
class AdderCell:
    """Two mergers and a T1, with times in ticks.

    Attributes
    ----------
    way : from an entry to the T1
    apart : from a pulse at the first entry to one at the second, at least
    sum_delay, carry_delay : of the T1, from clock and from toggle
    setup, hold : of the T1: from toggle to clock, and from clock to toggle, at least
    """

    toggle: Toggle
    merger: Cell
    way: Mapping[str, int]
    apart: Mapping[tuple[str, str], int]
    sum_delay: int
    carry_delay: int
    setup: int
    hold: int

    @property
    def junctions(self) -> int:
        return self.toggle.cell.junctions + 2 * self.merger.junctions

    def slackened(self, ticks: int) -> AdderCell:
        """The same with longer windows."""
        apart = {pair: time + ticks for pair, time in self.apart.items()}
        return replace(self, apart=apart, setup=self.setup + ticks, hold=self.hold + ticks)


def adder_cell(toggle: Toggle, merger: Cell) -> AdderCell:
    """The full adder that these cells make."""
    near, far = merger.inputs
    (output,) = merger.outputs
    reactions = merger.states[merger.initial]
    through = {pin: reactions[pin].fires[output] for pin in merger.inputs}
    first = {"a": near, "b": far}
    behind = {"a": near, "b": near, "c": far}
    after_first = {"a": through[near], "b": through[far], "c": 0}
    way = {entry: after_first[entry] + through[behind[entry]] for entry in ENTRIES}

    def window(cell: Cell, pin: str, other: str) -> int:
        """Ticks after a pulse at a pin before one may come at the other, in any state; at least one."""
        found = [1]
        for states in cell.states.values():
            found += [states[pin].blocks.get(other, 0), states[other].ages.get(pin, 0)]
        return max(found)

    def apart(one: str, two: str) -> int:
        at_toggle = window(toggle.cell, toggle.toggle, toggle.toggle) + way[one] - way[two]
        at_second = window(merger, behind[one], behind[two]) + after_first[one] - after_first[two]
        at_first = window(merger, first[one], first[two]) if one in first and two in first else at_second
        return max(at_toggle, at_second, at_first)

    states = toggle.cell.states
    return AdderCell(
        toggle=toggle,
        merger=merger,
        way=way,
        apart={(one, two): apart(one, two) for one in ENTRIES for two in ENTRIES},
        sum_delay=states[toggle.set_state][toggle.reset].fires[toggle.sum],
        carry_delay=states[toggle.set_state][toggle.toggle].fires[toggle.carry],
        setup=window(toggle.cell, toggle.toggle, toggle.reset),
        hold=window(toggle.cell, toggle.reset, toggle.toggle),
    )


@dataclass(frozen=True)
class Stagger:
    """Of each operand: the entry it takes, and the delay cells before that."""

    entries: tuple[str, ...]
    delays: tuple[int, ...]


def staggered(adder: AdderCell, arrivals: Sequence[int], after_clock: Sequence[int], delay: int) -> Stagger:
    """The entries under which the fewest delay cells keep the operands apart; of several, those that end soonest.

    Parameters
    ----------
    arrivals : ticks, when each operand would come without a delay cell
    after_clock : ticks, how long after the clock before that is
    delay : ticks of a delay cell
    """
    best: tuple[int, int, Stagger] | None = None
    for entries in permutations(ENTRIES):
        for order in permutations(range(len(entries))):
            at, delays = list(arrivals), [0] * len(entries)
            for place, operand in enumerate(order):
                lack = adder.hold - adder.way[entries[operand]] - after_clock[operand]
                for before in order[:place]:
                    lack = max(lack, at[before] + adder.apart[entries[before], entries[operand]] - at[operand])
                delays[operand] = max(0, -(-lack // delay))
                at[operand] += delays[operand] * delay
            end = max(time + adder.way[entry] for time, entry in zip(at, entries, strict=True))
            found = (sum(delays), end, Stagger(entries, tuple(delays)))
            if best is None or found[:2] < best[:2]:
                best = found
    assert best is not None
    return best[2]
