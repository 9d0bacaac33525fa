"""Netlists as flat arrays, for compiled code: cells with dense tables, instances with the wires of their pins.

Wires are numbered as in `Netlist.wires`: the inputs, then those that cells drive. A reaction's number is the cell's
`first` + `row` + pin, where `row` is the state's number times the inputs; the first state is 0.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hdl.sfq.cells import Cell, Ticks
from hdl.sfq.netlist import Netlist

CELL = np.dtype([(name, np.int32) for name in ("inputs", "outputs", "first", "windows", "delays", "blocking", "aged")])
REACTION = np.dtype([(name, np.int32) for name in ("row", "rank")])
INSTANCE = np.dtype([(name, np.int32) for name in ("cell", "inputs", "outputs")])

NOT_CONNECTED = -1


@dataclass(frozen=True)
class FlatNetlist:
    """A netlist in arrays.

    Attributes
    ----------
    wires : list[str]
        Names, by number.
    cells : CELL (cells,)
        Counts of pins, and where the parts of the tables below begin.
    reactions : REACTION (reactions,)
        The row of the state after it; the pin's rank in its state, where pulses come together.
    blocks, ages : int64
        Ticks: for each reaction one for each input of its cell, 0 for none.
    delays : int64
        Ticks: for each reaction one for each output of its cell, 0 where nothing is fired.
    instances : INSTANCE (instances,)
        Its cell, and where its pins begin in the two arrays below.
    input_wires, output_wires : int32
        The wire of each pin, in the order of the cell's pins; `NOT_CONNECTED`.
    """

    wires: list[str]
    cells: npt.NDArray[Any]
    reactions: npt.NDArray[Any]
    blocks: npt.NDArray[np.int64]
    ages: npt.NDArray[np.int64]
    delays: npt.NDArray[np.int64]
    instances: npt.NDArray[Any]
    input_wires: npt.NDArray[np.int32]
    output_wires: npt.NDArray[np.int32]


def flatten(netlist: Netlist) -> FlatNetlist:
    """The arrays of a netlist."""
    tables = _Tables()
    wires = netlist.wires
    number_of = {wire: number for number, wire in enumerate(wires)}
    instances: list[tuple[int, int, int]] = []
    input_wires: list[int] = []
    output_wires: list[int] = []
    for one in netlist.instances:
        instances.append((tables.number_of(one.cell), len(input_wires), len(output_wires)))
        for pins, found in ((one.cell.inputs, input_wires), (one.cell.outputs, output_wires)):
            found += [number_of[one.pins[pin]] if pin in one.pins else NOT_CONNECTED for pin in pins]
    return FlatNetlist(
        wires=wires,
        cells=np.array(tables.cells, CELL),
        reactions=np.array(tables.reactions, REACTION),
        blocks=np.array(tables.blocks, np.int64),
        ages=np.array(tables.ages, np.int64),
        delays=np.array(tables.delays, np.int64),
        instances=np.array(instances, INSTANCE),
        input_wires=np.array(input_wires, np.int32),
        output_wires=np.array(output_wires, np.int32),
    )


class _Tables:
    """The tables of the cells that were asked for."""

    def __init__(self) -> None:
        self.cells: list[tuple[int, ...]] = []
        self.reactions: list[tuple[int, int]] = []
        self.blocks: list[int] = []
        self.ages: list[int] = []
        self.delays: list[int] = []
        # Cells hold maps and have no hash; those that are kept here keep their ids.
        self._numbers: dict[int, tuple[int, Cell]] = {}

    def number_of(self, cell: Cell) -> int:
        """A cell's number; a new cell's table is written."""
        if id(cell) not in self._numbers:
            self._numbers[id(cell)] = len(self.cells), cell
            self._write(cell)
        return self._numbers[id(cell)][0]

    def _write(self, cell: Cell) -> None:
        inputs, outputs = cell.inputs, cell.outputs
        known = [reaction for reactions in cell.states.values() for reaction in reactions.values()]
        windows = (any(any(one.blocks.values()) for one in known), any(any(one.ages.values()) for one in known))
        begins = (len(self.reactions), len(self.blocks), len(self.delays))
        self.cells.append((len(inputs), len(outputs), *begins, *windows))
        rows = {state: number * len(inputs) for number, state in enumerate(cell.states)}
        for reactions in cell.states.values():
            ranks = {pin: rank for rank, pin in enumerate(reactions)}
            for pin in inputs:
                reaction = reactions[pin]
                self.reactions.append((rows[reaction.target], ranks[pin]))
                self.blocks += _dense(reaction.blocks, inputs)
                self.ages += _dense(reaction.ages, inputs)
                self.delays += _dense(reaction.fires, outputs)


def _dense(times: Ticks, pins: Iterable[str]) -> list[int]:
    return [times.get(pin, 0) for pin in pins]
