"""Random programs of a whole system: products, transfers from one unit to the other, and whatever stands between."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import numpy as np

from hdl.pim.commands import ACC, GB, Instruction, Op
from hdl.pim.commands import LAST as LAST_ANSWER
from hdl.pim.system_config import SystemConfig, SystemInstruction
from hdl.pim.vector_config import (
    BANK,
    LAST,
    LINK,
    MOST_ELEMENTS,
    VectorInstruction,
    VectorOp,
)
from sim.pim.random_programs import random_program
from sim.pim.vector_vectors import random_instruction

MOST_ROWS = 3
"""Memory rows that programs use."""


def random_system_program(random: Random, config: SystemConfig, items: int) -> list[SystemInstruction]:
    """A program of `items` parts, between one that sets all memory that it uses and a store of the SRAM, then END.

    The two halves of a transfer stand beside each other, either first, or with a little between them. A few
    instructions are illegal, of those that move nothing.
    """
    return _Writer(random, config).program(items)


class _Writer:
    def __init__(self, random: Random, config: SystemConfig):
        self._random, self._config = random, config
        self._rng = np.random.default_rng(random.getrandbits(32))
        self._used = min(config.vector.words, 64 * config.vector.lanes, MOST_ELEMENTS)
        self._rows = min(MOST_ROWS, config.channel.rows)
        self._whole = (1 << config.channel.banks) - 1

    def program(self, items: int) -> list[SystemInstruction]:
        channel = self._config.channel
        made: list[SystemInstruction] = [VectorInstruction(VectorOp.LOAD, n=self._used)]
        for gb in range(channel.gb_banks):
            made += self._to_channel(Instruction(Op.WR_GB, count=channel.columns, flags=GB * gb))
        for row in range(self._rows):
            for bank in range(channel.banks):
                made += self._to_channel(Instruction(Op.WR, bank_mask=1 << bank, row=row, count=channel.columns))
        for _ in range(items):
            made += self._part()
        made += [Instruction(Op.EOC), VectorInstruction(VectorOp.STORE32, n=self._used, flags=LAST)]
        return [*made, VectorInstruction(VectorOp.END)]

    def _part(self) -> list[SystemInstruction]:
        random, channel = self._random, self._config.channel
        kind = random.choice(("to", "to", "from", "from", "product", "vector", "skipped"))
        if kind == "vector":
            return [self._operation()]
        if kind == "skipped":
            return [random.choice((Instruction(0), Instruction(Op.RD, bank_mask=0), VectorInstruction(31)))]
        one = self._instruction(kind)
        if kind == "to":
            return self._to_channel(one)
        if kind == "from":
            return self._from_channel(one)
        gb = self._to_channel(Instruction(Op.WR_GB, count=channel.columns, flags=one.flags & GB))
        mac = replace(one, op=Op.MAC_ABK, bank_mask=self._whole)
        return [*gb, mac, *self._from_channel(Instruction(Op.RD_MAC, bank_mask=self._whole, flags=one.flags & ACC))]

    def _operation(self) -> VectorInstruction:
        """Of the vector unit, from and to the host or neither."""
        while True:
            one = random_instruction(self._rng, self._config.vector, self._used)
            if 0 < one.op < 32:
                return one

    def _instruction(self, kind: str) -> Instruction:
        """A legal instruction of the channel."""
        ops = {"to": (Op.WR_GB, Op.WR_BIAS, Op.WR), "from": (Op.RD, Op.RD_MAC), "product": (Op.MAC_ABK,)}[kind]
        op = self._random.choice(ops)
        while True:
            found = random_program(self._random, self._config.channel, 20, wrong=0, foreign=0)
            for one in found:
                if one.op == op:
                    return replace(one, row=one.row % self._rows)

    def _to_channel(self, one: Instruction) -> list[SystemInstruction]:
        """An instruction that takes columns, and the stores that give them, as long as the words that are used."""
        flag = BANK if one.op == Op.WR else 0
        columns = self._config.channel.bias_beats if one.op == Op.WR_BIAS else one.count
        return self._paired(one, VectorOp.STORE, flag, columns)

    def _from_channel(self, one: Instruction) -> list[SystemInstruction]:
        """An instruction that gives columns, as one packet, and the load that takes them."""
        one = replace(one, flags=one.flags | LAST_ANSWER)
        columns = self._config.channel.result_beats if one.op == Op.RD_MAC else one.count
        return self._paired(one, VectorOp.LOAD, BANK if one.op == Op.RD else 0, columns)

    def _paired(self, one: Instruction, op: VectorOp, flag: int, columns: int) -> list[SystemInstruction]:
        random, vector = self._random, self._config.vector
        n = columns * self._config.channel.lanes
        beats = -(-n // vector.lanes)
        stores = op == VectorOp.STORE
        if stores and beats * vector.lanes != n:  # The rest of its last beat would be columns, too.
            return []
        flags = flag | LINK | LAST * stores
        if beats % 2 == 0 and random.random() < 0.3:
            op, n = VectorOp(op + 1), beats // 2 * vector.lanes
        moves: list[SystemInstruction] = []
        step = self._used // vector.lanes * vector.lanes
        for start in range(0, n, step):
            part = min(step, n - start)
            at = random.randrange(-(-(self._used - part + 1) // vector.lanes)) * vector.lanes
            ends = flags if start + part == n else flags & ~LAST
            moves.append(VectorInstruction(op, d=0 if stores else at, a=at if stores else 0, n=part, flags=ends))
        between = [self._operation() for _ in range(random.choice((0, 0, 0, 1, 3)))]
        fits = len(moves) + len(between) <= self._config.queue_depth  # else the word behind them could not come
        return [*moves, *between, one] if fits and random.random() < 0.6 else [one, *between, *moves]
