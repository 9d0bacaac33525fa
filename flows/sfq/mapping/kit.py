"""What a cell library offers the mapper: gates and their functions, flip-flop, splitter, delay, found by behaviour.

Nothing here knows a cell's name: a gate is a cell that answers its clock by a function of the data pins that had a
pulse since the clock before, whatever their order, and then is as it was.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from itertools import permutations, product

from flows.errors import BadInput
from flows.sfq.mapping.adder_cells import OPERANDS, PARITY, AdderCell, adder_cell, is_merger, toggle_of
from hdl.common.config import ConfigError
from hdl.sfq.cell_files import load_library
from hdl.sfq.cells import Cell

CLOCK = "clk"
MOST_INPUTS = 3


@dataclass(frozen=True)
class GateCell:
    """A clocked gate.

    Attributes
    ----------
    inputs : data pins
    output : pin
    table : its value, by the data pins' values as a number, the first pin being bit 0
    delay : ticks from clock to output
    setup : ticks that a pulse at a data pin must come before the clock
    hold : ticks that it must come after the clock before
    clock : pin
    adder : if the cell is the T1 of a full adder: its mergers and times, and `inputs` are the operands
    """

    cell: Cell
    inputs: tuple[str, ...]
    output: str
    table: tuple[int, ...]
    delay: int
    setup: Mapping[str, int]
    hold: Mapping[str, int]
    clock: str = CLOCK
    adder: AdderCell | None = None

    @property
    def junctions(self) -> int:
        """With those of a full adder's mergers."""
        return self.adder.junctions if self.adder else self.cell.junctions

    def slackened(self, ticks: int) -> GateCell:
        """The gate with longer windows."""
        return replace(
            self,
            setup={pin: time + ticks for pin, time in self.setup.items()},
            hold={pin: time + ticks for pin, time in self.hold.items()},
            adder=self.adder.slackened(ticks) if self.adder else None,
        )

    def formula(self) -> str:
        """The function as a sum of products, as genlib writes it."""
        products = [
            "*".join(pin if code >> index & 1 else f"!{pin}" for index, pin in enumerate(self.inputs))
            for code, value in enumerate(self.table)
            if value
        ]
        return "+".join(products)


@dataclass(frozen=True)
class Kit:
    """A library, sorted.

    Attributes
    ----------
    gates : gates of two and more inputs, and the inverter, by cell name
    inverter, flip_flop : the cheapest of each
    splitter : with its input, its two outputs, and its delay
    delay : the cheapest cell that only delays
    full_adder : a T1 and two mergers, None if the library has no such cells
    slack : ticks by which all windows are longer than the cells' own
    """

    library: str
    gates: Mapping[str, GateCell]
    inverter: GateCell
    flip_flop: GateCell
    splitter: Cell
    delay: Cell
    full_adder: GateCell | None = None
    slack: int = 0

    def slackened(self, ticks: int) -> Kit:
        """The kit with so much more of slack: every pulse has so much time to spare before and after it."""
        return replace(
            self,
            gates={name: gate.slackened(ticks) for name, gate in self.gates.items()},
            inverter=self.inverter.slackened(ticks),
            flip_flop=self.flip_flop.slackened(ticks),
            full_adder=self.full_adder.slackened(ticks) if self.full_adder else None,
            slack=self.slack + ticks,
        )

    def named(self, table: tuple[int, ...]) -> str | None:
        """The cheapest gate of a function, None if there is none."""
        found = [gate.cell for gate in self.gates.values() if gate.table == table]
        return min(found, key=lambda cell: cell.junctions).name if found else None

    def cell(self, name: str) -> GateCell:
        """A gate, flip-flop and full adder included."""
        known = {one.cell.name: one for one in (self.flip_flop, self.full_adder) if one}
        return known.get(name) or self.gates[name]

    def adder(self, name: str) -> AdderCell | None:
        """The full adder of this name, if it is one."""
        return self.cell(name).adder


@cache
def kit_of(library: str) -> Kit:
    """The kit of a library that comes with niello.

    Raises
    ------
    BadInput
        If there is no such library, or it lacks what every netlist needs.
    """
    try:
        cells = load_library(library)
    except ConfigError as error:
        raise BadInput(f"--library: {error}") from None
    found = [gate for cell in cells.values() if (gate := gate_of(cell))]

    def cheapest(what: str, some: Iterable[Cell]) -> Cell:
        ranked = sorted(some, key=lambda cell: (cell.junctions, delay_of(cell) if not cell.clocked else 0, cell.name))
        if not ranked:
            raise BadInput(f"--library: {library} has no {what}")
        return ranked[0]

    by_name = {gate.cell.name: gate for gate in found}
    flip_flop = cheapest("flip-flop", (gate.cell for gate in found if gate.table == (0, 1)))
    inverter = cheapest("inverter", (gate.cell for gate in found if gate.table == (1, 0)))
    logic = {name: gate for name, gate in by_name.items() if len(gate.inputs) > 1 or name == inverter.name}
    if len({gate.table for gate in logic.values()}) < 2:
        raise BadInput(f"--library: {library} has no gate of two inputs")
    return Kit(
        library=library,
        gates=logic,
        inverter=by_name[inverter.name],
        flip_flop=by_name[flip_flop.name],
        splitter=cheapest("splitter", (cell for cell in cells.values() if _repeats(cell, 2))),
        delay=cheapest("delay", (cell for cell in cells.values() if _repeats(cell, 1))),
        full_adder=_full_adder(cells.values()),
    )


def _full_adder(cells: Collection[Cell]) -> GateCell | None:
    """The full adder of the cheapest T1 and the cheapest merger."""
    toggles = [found for cell in cells if (found := toggle_of(cell))]
    mergers = [cell for cell in cells if is_merger(cell)]
    if not toggles or not mergers:
        return None
    toggle = min(toggles, key=lambda one: (one.cell.junctions, one.cell.name))
    adder = adder_cell(toggle, min(mergers, key=lambda cell: (cell.junctions, cell.name)))
    return GateCell(
        cell=toggle.cell,
        inputs=OPERANDS,
        output=toggle.sum,
        table=PARITY,
        delay=adder.sum_delay,
        setup=dict.fromkeys(OPERANDS, adder.setup + max(adder.way.values())),
        hold=dict.fromkeys(OPERANDS, adder.hold - min(adder.way.values())),
        clock=toggle.reset,
        adder=adder,
    )


def delay_of(cell: Cell) -> int:
    """Ticks from input to output of a cell that only repeats its input."""
    return max(cell.states[cell.initial][cell.inputs[0]].fires.values(), default=0)


def _repeats(cell: Cell, outputs: int) -> bool:
    """Whether it has one state, in which one input fires so many outputs, after the same time."""
    if len(cell.states) > 1 or len(cell.inputs) > 1 or len(cell.outputs) != outputs or cell.clocked:
        return False
    fires = cell.states[cell.initial][cell.inputs[0]].fires
    return len(fires) == outputs and len(set(fires.values())) == 1


def gate_of(cell: Cell) -> GateCell | None:
    """The gate that a cell is, if it is one."""
    pins = tuple(pin for pin in cell.inputs if pin != CLOCK)
    if not cell.clocked or not 1 <= len(pins) <= MOST_INPUTS or len(cell.outputs) != 1:
        return None
    table, delays = [], set[int]()
    for bits in product((0, 1), repeat=len(pins)):
        pulses = [pin for pin, bit in zip(pins, reversed(bits), strict=True) if bit]
        answers = {_answer(cell, order) for order in permutations(pulses)}
        if len(answers) > 1 or None in answers:
            return None
        (delay,) = answers
        table.append(int(bool(delay)))
        delays |= {delay} if delay else set()
    if len(delays) != 1 or not _data_pins_are_free(cell, pins):
        return None
    at_clock = [reactions[CLOCK] for reactions in cell.states.values()]
    setup, hold = {}, {}
    for pin in pins:
        at_pin = [reactions[pin] for reactions in cell.states.values()]
        # At least a tick: of pulses that come together, the order of the pins would decide.
        setup[pin] = max(
            [1, *(one.blocks.get(CLOCK, 0) for one in at_pin), *(one.ages.get(pin, 0) for one in at_clock)]
        )
        hold[pin] = max([1, *(one.blocks.get(pin, 0) for one in at_clock), *(one.ages.get(CLOCK, 0) for one in at_pin)])
    return GateCell(cell, pins, cell.outputs[0], tuple(table), delays.pop(), setup, hold)


def _answer(cell: Cell, pulses: tuple[str, ...]) -> int | None:
    """The delay after which the clock fires, 0 if it does not; None if this is no answer of a gate."""
    state = cell.initial
    for pin in pulses:
        reaction = cell.states[state][pin]
        if reaction.fires:
            return None
        state = reaction.target
    reaction = cell.states[state][CLOCK]
    return None if reaction.target != cell.initial else reaction.fires.get(cell.outputs[0], 0)


def _data_pins_are_free(cell: Cell, pins: tuple[str, ...]) -> bool:
    """Whether pulses at different data pins may come at any time to one another."""
    for reactions in cell.states.values():
        for pin in pins:
            others = set(pins) - {pin}
            if others & reactions[pin].blocks.keys() or any(reactions[pin].ages.get(one, 0) for one in others):
                return False
    return True


def least_period(cells: Iterable[Cell]) -> int:
    """Ticks after which none of these cells still blocks a pin or asks for a pulse's age."""
    return max(
        (
            time
            for cell in cells
            for reactions in cell.states.values()
            for reaction in reactions.values()
            for time in [*reaction.blocks.values(), *reaction.ages.values()]
        ),
        default=0,
    )
