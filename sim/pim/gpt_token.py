"""One token of a GPT model on channels: programs of a channel, their cycles, row hits and utilisation.

Every channel does the same work on its own part, so one stands for all: that with the most. Weights: outputs over banks
and channels. Attention: a head lives in one channel; heads that are left over are cut along the context over the
channels that are free. A product needs the results of the one before it, so each is a program of its own. What the host
does in between (softmax, LayerNorm, GELU, sums) is not counted, and the channel goes on at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from hdl.common.config import ConfigError
from hdl.pim.channel_config import ChannelConfig
from hdl.pim.commands import FIELDS, Command, Instruction, Op, encode_program
from sim.pim.burst import Burst
from sim.pim.compiler import Block, blocks, schedule
from sim.pim.gemv import Gemv
from sim.pim.gpt_models import Gpt

Words = npt.NDArray[np.uint64]

KINDS = ("qkv", "scores", "values", "projection", "feed_1", "feed_2", "vocabulary")
"""Products of a token."""

CACHE = "cache"
"""The kind of the programs that store a token's keys and values."""

EOC = Instruction(Op.EOC)
ROW_PLACE = FIELDS["flags"] + FIELDS["count"] + FIELDS["col"]


@dataclass(frozen=True)
class Product:
    """Some of a token's work: a program, and the rows of a bank that it reads, from row 0 on."""

    kind: str
    words: Words
    rows: int


@dataclass(frozen=True)
class Token:
    """A token, done.

    Attributes
    ----------
    cycles, macs, row_misses : by kind of product, refreshes included; columns that all banks multiplied; those of them
        that a row was opened for
    issued : commands of one channel
    rows : of a bank that hold weights, keys and values
    """

    cycles: dict[str, int]
    macs: dict[str, int]
    row_misses: dict[str, int]
    issued: dict[Command, int]
    rows: int

    @property
    def total_cycles(self) -> int:
        """From the token's first instruction to its last result, without the host's work."""
        return sum(self.cycles.values())

    @property
    def row_hits(self) -> float:
        """Share of the products' MACs that found their row open."""
        return 1 - sum(self.row_misses[kind] for kind in KINDS) / sum(self.macs[kind] for kind in KINDS)

    def utilisation(self, config: ChannelConfig, *, cache: bool = False) -> float:
        """Share of the products' cycles in which all multipliers take columns; `cache`: of all cycles."""
        cycles = self.total_cycles - (0 if cache else self.cycles[CACHE])
        return sum(self.macs[kind] for kind in KINDS) * config.timing.tCCD_cycles / cycles


def parts(heads: int, channels: int, context: int) -> list[int]:
    """Tokens of the context that the busiest channel looks at, one number a head or part of one."""
    whole, rest = divmod(heads, channels)
    return [context] * whole + ([-(-context // (channels // rest))] if rest else [])


def attention(
    config: ChannelConfig, gpt: Gpt, shares: Sequence[int], tight: bool = False
) -> tuple[list[Block], list[Block]]:
    """The blocks of scores and of values, for each head or part of one: keys over banks, a key's elements along a row;
    elements of a value over banks, the context along a row. Both from row 0 on."""
    scores: list[Block] = []
    values: list[Block] = []
    head = -(-gpt.head_width // config.lanes)
    for share in shares:
        scores += blocks(config, head, -(-share // config.banks), _end(scores), tight=tight)
        columns, tiles = -(-share // config.lanes), -(-gpt.head_width // config.banks)
        values += blocks(config, columns, tiles, _end(values), tight=tight)
    return scores, values


@lru_cache(maxsize=64)
def layer(config: ChannelConfig, gpt: Gpt, context: int, channels: int, tight: bool = False) -> tuple[Product, ...]:
    """The products of a layer and the storing of its keys and values, in order."""
    width = gpt.width
    shares = parts(gpt.heads, channels, context)
    scores, values = attention(config, gpt, shares, tight)
    weights = {
        kind: Gemv(config, outputs, inputs, channels=channels, tight=tight).work
        for kind, outputs, inputs in (
            ("qkv", 3 * width, width),
            ("projection", width, width),
            ("feed_1", 4 * width, width),
            ("feed_2", width, 4 * width),
        )
    }
    made = {
        kind: _product(config, kind, work) for kind, work in {**weights, "scores": scores, "values": values}.items()
    }
    stored = _stored(config, gpt, scores, values, shares)
    order = ("qkv", CACHE, "scores", "values", "projection", "feed_1", "feed_2")
    return tuple(made.get(kind, stored) for kind in order)


@lru_cache(maxsize=64)
def vocabulary(config: ChannelConfig, gpt: Gpt, channels: int, tight: bool = False) -> Product:
    """The last product."""
    plan = Gemv(config, gpt.vocabulary, gpt.width, channels=channels, tight=tight)
    return _product(config, "vocabulary", plan.work)


def _end(work: Sequence[Block]) -> int:
    return work[-1].row + work[-1].rows if work else 0


def _product(config: ChannelConfig, kind: str, work: Sequence[Block]) -> Product:
    return Product(kind, encode_program([*schedule(config, work).instructions, EOC]), _end(work))


def _stored(
    config: ChannelConfig, gpt: Gpt, scores: Sequence[Block], values: Sequence[Block], shares: Sequence[int]
) -> Product:
    """Keys and values of the newest token: its key's columns into one bank, one element of each of its values' columns,
    which are read, changed and written whole."""
    program: list[Instruction] = []
    for share, keys in zip(shares, _heads(scores), strict=True):
        tile, bank = divmod(share - 1, config.banks)
        for block in keys:
            row, column = block.place(tile)
            program.append(Instruction(Op.WR, bank_mask=1 << bank, row=row, col=column, count=block.columns))
    for share, head in zip(shares, _heads(values), strict=True):
        column = (share - 1) // config.lanes
        block = next(one for one in head if one.first <= column < one.first + one.columns)
        places = [block.place(tile) for tile in range(block.tiles)]
        for row in dict.fromkeys(row for row, _ in places):
            columns = [at + column - block.first for one, at in places if one == row]
            at_row, whole = _end(scores) + row, (1 << config.banks) - 1
            # A MAC for nothing opens the row in all banks at once; RD_MAC clears what it left.
            program.append(Instruction(Op.MAC_ABK, bank_mask=whole, row=at_row))
            for op in (Op.RD, Op.WR):
                for bank in range(config.banks):
                    program += [Instruction(op, bank_mask=1 << bank, row=at_row, col=at) for at in columns]
            program.append(Instruction(Op.RD_MAC, bank_mask=whole))
    return Product(CACHE, encode_program([*program, EOC]), _end(scores) + _end(values))


def _heads(work: Sequence[Block]) -> list[list[Block]]:
    """The blocks of each head."""
    starts = [place for place, block in enumerate(work) if block.first == 0]
    return [[*work[start:end]] for start, end in zip(starts, [*starts[1:], len(work)], strict=True)]


def at_rows(product: Product, row: int) -> Words:
    """A product's program on rows from another one on."""
    return product.words + np.uint64(row << ROW_PLACE)


def token(burst: Burst, gpt: Gpt, context: int, channels: int = 8, *, tight: bool = False) -> Token:
    """A token of a model, on a channel that `burst` simulates; `tight`: in as few rows as can be.

    Raises
    ------
    ConfigError
        If weights, keys and values do not fit into the channel's banks.
    """
    config = burst.config
    one = layer(config, gpt, context, channels, tight)
    last = vocabulary(config, gpt, channels, tight)
    programs: list[Words] = []
    row = 0
    for _ in range(gpt.layers):
        cached = row
        row += next(product.rows for product in one if product.kind == CACHE)
        scores = next(product.rows for product in one if product.kind == "scores")
        for product in one:
            if product.kind in (CACHE, "scores", "values"):
                programs.append(at_rows(product, cached + (scores if product.kind == "values" else 0)))
            else:
                programs.append(at_rows(product, row))
                row += product.rows
    programs.append(at_rows(last, row))
    row += last.rows
    if row > config.rows:
        hint = "" if tight else "; --pack saves rows"
        raise ConfigError(f"the model takes {row} rows a bank on {channels} channels, a bank has {config.rows}{hint}")
    kinds = [product.kind for product in one] * gpt.layers + [last.kind]
    done = burst.run(np.concatenate(programs))

    def by_kind(figures: npt.NDArray[np.int64]) -> dict[str, int]:
        found = dict.fromkeys((*KINDS, CACHE), 0)
        for kind, figure in zip(kinds, figures.tolist(), strict=True):
            found[kind] += figure
        return found

    return Token(by_kind(done.cycles), by_kind(done.macs), by_kind(done.row_misses), done.counts.issued, row)
