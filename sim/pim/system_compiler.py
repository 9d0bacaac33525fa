"""Programs for `pim.system`: those of the vector unit, with the channel's instructions and the transfers between them.

program = SystemProgram(config)
x = program.load32(values)
y = program.product(plan, x)              # by a matrix that lies in the banks as `plan` says
program.store32(softmax(program, y))
words, data = program.assemble()
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy.typing as npt

from hdl.common.config import ConfigError
from hdl.pim.commands import Instruction, Op
from hdl.pim.system_config import SystemConfig, SystemInstruction
from hdl.pim.vector_config import BANK, LAST, LINK, VectorInstruction, VectorOp
from sim.pim.compiler import Block
from sim.pim.gemv import Gemv
from sim.pim.vector_programs import Beats, Place, VectorProgram, add

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Begun:
    """A product under way: so many tiles, of so many columns of its input."""

    plan: Gemv
    tiles: int
    columns: int


class SystemProgram(VectorProgram):
    """A program in the making, for both units; what `VectorProgram` writes is the vector unit's.

    Parameters
    ----------
    system : SystemConfig

    Raises
    ------
    ConfigError
        If results of all banks are not whole beats of the vector unit.
    """

    def __init__(self, system: SystemConfig):
        super().__init__(system.vector)
        banks, widest = system.channel.banks, max(system.vector.lanes, system.channel.lanes)
        if banks % widest:
            raise ConfigError(f"channel.banks must be a multiple of {widest}, the most lanes, not {banks}")
        self.system = system
        self._of_channel: list[tuple[int, Instruction]] = []
        """Each with the number of the vector unit's instructions before it."""

    def append(self, one: VectorInstruction) -> None:
        """An instruction of the vector unit."""
        self._instructions.append(one)

    def channel(self, *instructions: Instruction) -> None:
        """Instructions of the channel."""
        self._of_channel += [(len(self._instructions), one) for one in instructions]

    def give(self, place: Place, *, bank: bool = False) -> None:
        """A vector to the channel, as bf16: for WR_GB, or with `bank` for WR."""
        flags = LINK | BANK * bank
        for part, start in self._parts(place):
            last = LAST * (start + part.n == place.n)
            self._instructions.append(VectorInstruction(VectorOp.STORE, a=part.address, n=part.n, flags=flags | last))

    def take(self, place: Place, *, bank: bool = False) -> Place:
        """A vector from the channel: of RD_MAC, or with `bank` of RD. Returns the place."""
        flags = LINK | BANK * bank
        for part, _ in self._parts(place):
            self._instructions.append(VectorInstruction(VectorOp.LOAD, d=part.address, n=part.n, flags=flags))
        return place

    def fill(self, plan: Gemv, weights: Array, stage: Place) -> None:
        """Stores a matrix of bf16 codes in the banks, by way of `stage`, which is as long as a row."""
        for row, contents in plan.contents(weights).items():
            for bank, cells in enumerate(contents):
                self.load_into(stage, cells.reshape(-1))
                self.channel(Instruction(Op.WR, bank_mask=1 << bank, row=row, count=len(cells)))
                self.give(stage, bank=True)

    def product(self, plan: Gemv, vector: Place, d: Place) -> Place:
        """d = a matrix times a vector. Returns d.

        Its LOADs stand before the instructions that they take from, so that these may be any number.
        """
        tiles, columns = plan.tiles, plan.columns
        with self.scratch():
            for block in plan.work:
                self._write_buffer(plan, block, vector, tiles, columns)
                self._take_part(block, d, tiles * plan.config.banks)
                self._multiply(plan, block, tiles, columns)
        return d

    def begin(self, plan: Gemv, vector: Place, *, outputs: int | None = None, inputs: int | None = None) -> Begun:
        """A product whose results wait in the link until `end` takes them, so that the vector unit goes on.

        Of the first outputs alone, and of a vector's first elements where the rest is 0. The link must have room for
        the results of all that has begun and not ended; they are taken in the order in which they began.
        """
        tiles = -(-(outputs or plan.outputs) // plan.config.banks)
        columns = -(-(inputs or plan.inputs) // plan.config.lanes)
        for block in plan.work:
            self._write_buffer(plan, block, vector, tiles, columns)
            self._multiply(plan, block, tiles, columns)
        return Begun(plan, tiles, columns)

    def end(self, begun: Begun, d: Place) -> Place:
        """d = what has begun. Returns d."""
        with self.scratch():
            for block in begun.plan.work:
                if block.first < begun.columns:
                    self._take_part(block, d, begun.tiles * begun.plan.config.banks)
        return d

    def _write_buffer(self, plan: Gemv, block: Block, vector: Place, tiles: int, columns: int) -> None:
        """A block's input, as often as tiles stand side by side in a row."""
        lanes, count = plan.config.lanes, min(block.columns, columns - block.first)
        for copy in range(min(block.copies, tiles) if count > 0 else 0):
            self.channel(Instruction(Op.WR_GB, col=copy * block.columns, count=count))
            self.give(Place(vector.address + block.first * lanes, count * lanes))

    def _multiply(self, plan: Gemv, block: Block, tiles: int, columns: int) -> None:
        everywhere, count = (1 << plan.config.banks) - 1, min(block.columns, columns - block.first)
        for tile in range(tiles if count > 0 else 0):
            row, col = block.place(tile)
            self.channel(
                Instruction(Op.MAC_ABK, bank_mask=everywhere, row=row, col=col, count=count),
                Instruction(Op.RD_MAC, bank_mask=everywhere),
            )

    def _take_part(self, block: Block, d: Place, n: int) -> None:
        """A block's results; those behind the first block are added, in the vector's order."""
        result = Place(d.address, n)
        if block.first == 0:
            self.take(result)
        else:
            add(self, result, self.take(self.room(n)))

    def read_output(self, plan: Gemv, output: int, d: Place) -> Place:
        """d = the weights of one output, as they lie in the banks. Returns d."""
        for block in plan.work:
            self.channel(self.at(plan, Op.RD, output, block.first, block.columns))
        return self.take(d, bank=True)

    @staticmethod
    def at(plan: Gemv, op: Op, output: int, column: int, count: int = 1) -> Instruction:
        """An instruction on columns of one output, all of one block."""
        tile, bank = divmod(output, plan.config.banks)
        block = next(one for one in plan.work if one.first <= column < one.first + one.columns)
        row, first = block.place(tile)
        return Instruction(op, bank_mask=1 << bank, row=row, col=first + column - block.first, count=count)

    def assemble(self) -> tuple[list[SystemInstruction], Beats]:
        """The program, EOC and END behind it, and the beats of its loads from the host, uint16 (beats, lanes)."""
        own, data = self.finish()
        extra = len(own) - len(self._instructions) - 1  # the constants' load stands before all
        words: list[SystemInstruction] = []
        at = 0
        for before, one in self._of_channel:
            words += own[at : before + extra]
            at = before + extra
            words.append(one)
        return [*words, *own[at:-1], Instruction(Op.EOC), own[-1]], data
