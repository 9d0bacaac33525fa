"""What an emulation of a netlist is made of, as plain data: windows, firings and checks of its cells, in steps.

A step is `step_ticks` ticks; every delay is a multiple of it. What a rule says of time becomes a window: a span that
some pulses begin, and in which others come too soon. Blocked times and least ages are the same thing then, and what
begins and forbids alike shares one window.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from hdl.common.config import ConfigError
from hdl.sfq.cells import Cell, ps
from hdl.sfq.netlist import Instance, Netlist

RULES = ("transition_time", "prior_input")

Event = tuple[str, str]
"""A pulse at an input pin in a state: (state, pin)."""

Check = tuple[str, str]
"""What a pulse can violate: (pin, rule)."""


@dataclass(frozen=True)
class Window:
    """A span of `steps` after each of `starts`, in which pulses come too soon: those of `forbids`, by rule. A pulse at
    its very end is legal."""

    steps: int
    starts: frozenset[Event]
    forbids: frozenset[tuple[Event, str]]


@dataclass(frozen=True)
class Firing:
    """Outputs that always fire together, `steps` after each of `causes`."""

    steps: int
    outputs: tuple[str, ...]
    causes: frozenset[Event]


@dataclass(frozen=True)
class CellPlan:
    """A cell in steps.

    Attributes
    ----------
    cell : Cell
    orders : in which pulses that come together are taken; each a permutation of the inputs
    order_of : index in `orders`, by the state before them
    windows, firings : in a fixed order
    checks : what its pulses can violate
    """

    cell: Cell
    orders: tuple[tuple[str, ...], ...]
    order_of: dict[str, int]
    windows: tuple[Window, ...]
    firings: tuple[Firing, ...]
    checks: tuple[Check, ...]

    @property
    def order_bits(self) -> int:
        """Of the number that says in which order violations of one step were found; 0 where there is but one."""
        pins = {pin for pin, _ in self.checks}
        return (len(self.orders) - 1).bit_length() if len(pins) > 1 else 0


@dataclass(frozen=True)
class EmulationPlan:
    """A netlist in steps.

    Attributes
    ----------
    netlist : Netlist
    step_ticks : ticks in a step
    """

    netlist: Netlist
    step_ticks: int

    @cached_property
    def cells(self) -> tuple[CellPlan, ...]:
        """Each kind of cell once, in the order in which the netlist first names them.

        Raises
        ------
        ConfigError
            If a delay is no multiple of the step.
        """
        return tuple(_plan(cell, self.step_ticks) for cell in self._kinds.values())

    @cached_property
    def kind_of(self) -> tuple[int, ...]:
        """Index in `cells` of each instance."""
        kinds = [*self._kinds]
        return tuple(kinds.index(id(one.cell)) for one in self.netlist.instances)

    @cached_property
    def checks(self) -> tuple[tuple[Instance, str, str], ...]:
        """(instance, pin, rule) of each violation bit, from the least significant on, instance by instance."""
        plans = zip(self.netlist.instances, self.kind_of, strict=True)
        return tuple((one, pin, rule) for one, kind in plans for pin, rule in self.cells[kind].checks)

    @cached_property
    def delays(self) -> tuple[int, ...]:
        """Every delay that a connected output has, in steps, ascending."""
        return tuple(
            sorted(
                {
                    firing.steps
                    for one, kind in zip(self.netlist.instances, self.kind_of, strict=True)
                    for firing in self.cells[kind].firings
                    if any(pin in one.pins for pin in firing.outputs)
                }
            )
        )

    @cached_property
    def time_modulus_bits(self) -> int:
        """Width of times inside, modulo a power of 2: half its range is more than any two of them are apart."""
        delay = max(self.delays, default=1)
        window = max((window.steps for plan in self.cells for window in plan.windows), default=1)
        return 1 + (delay + max(delay, window)).bit_length()

    @cached_property
    def order_bits(self) -> int:
        """Of all instances."""
        return sum(self.cells[kind].order_bits for kind in self.kind_of)

    @cached_property
    def _kinds(self) -> dict[int, Cell]:
        return {id(one.cell): one.cell for one in self.netlist.instances}


def _plan(cell: Cell, step_ticks: int) -> CellPlan:
    orders = {state: tuple(reactions) for state, reactions in cell.states.items()}
    known = tuple(dict.fromkeys(orders.values()))
    windows = _windows(cell, step_ticks)
    found = {(pin, rule) for window in windows for (_, pin), rule in window.forbids}
    return CellPlan(
        cell=cell,
        orders=known,
        order_of={state: known.index(order) for state, order in orders.items()},
        windows=windows,
        firings=_firings(cell, step_ticks),
        checks=tuple((pin, rule) for pin in cell.inputs for rule in RULES if (pin, rule) in found),
    )


def _events(cell: Cell) -> Iterable[Event]:
    return [(state, pin) for state, reactions in cell.states.items() for pin in reactions]


def _firings(cell: Cell, step_ticks: int) -> tuple[Firing, ...]:
    """Outputs by delay and causes."""
    causes: defaultdict[tuple[int, str], set[Event]] = defaultdict(set)
    for state, pin in _events(cell):
        for output, ticks in cell.states[state][pin].fires.items():
            if ticks % step_ticks:
                at = f"cell {cell.name}, state {state}, pulse at {pin}"
                raise ConfigError(f"{at}: the delay of {output} must be a multiple of {ps(step_ticks):g} ps")
            causes[ticks // step_ticks, output].add((state, pin))
    together: defaultdict[tuple[int, frozenset[Event]], list[str]] = defaultdict(list)
    for (steps, output), events in causes.items():
        together[steps, frozenset(events)].append(output)
    return tuple(Firing(steps, tuple(outputs), events) for (steps, events), outputs in together.items())


def _windows(cell: Cell, step_ticks: int) -> tuple[Window, ...]:
    """Windows by their length; what begins and forbids the same shares one.

    A span of some ticks is one of the next whole number of steps, as all pulses come at whole steps.
    """
    forbids: defaultdict[tuple[int, Event], set[tuple[Event, str]]] = defaultdict(set)
    for state, pin in _events(cell):
        reaction = cell.states[state][pin]
        for other, ticks in reaction.blocks.items():
            if ticks:
                victims = {((any_state, other), RULES[0]) for any_state in cell.states}
                forbids[-(-ticks // step_ticks), (state, pin)] |= victims
        for other, ticks in reaction.ages.items():
            for any_state in cell.states if ticks else ():
                forbids[-(-ticks // step_ticks), (any_state, other)].add(((state, pin), RULES[1]))
    together: defaultdict[tuple[int, frozenset[tuple[Event, str]]], set[Event]] = defaultdict(set)
    for (steps, event), victims in forbids.items():
        together[steps, frozenset(victims)].add(event)
    return tuple(Window(steps, frozenset(starts), victims) for (steps, victims), starts in together.items())
