"""One token of a GPT model on channels: programs of a channel, their cycles, row hits and utilisation.

Every channel does the same work on its own part, so one stands for all: that with the most. Weights: outputs over banks
and channels. Keys: tokens over banks and channels. Values: a head lives in one channel; heads that are left over are
cut along the context over the channels that are free. A product needs the results of the one before it, so each is a
program of its own.

What the host does in between (softmax, LayerNorm, GELU, sums) is not counted, and the channel goes on at once. But
where the host has a function to compute, REFRESH does ahead of time what falls due while products work; the host is
taken to be busy for as long as that lasts. These cycles are counted by themselves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from hdl.common.config import ConfigError
from hdl.pim.channel_config import ChannelConfig
from hdl.pim.commands import FIELDS, Command, Instruction, Op, encode_program
from hdl.pim.timing import POSTPONED_REFRESHES
from sim.pim.burst import Burst, Counts
from sim.pim.compiler import Block, schedule, side_by_side
from sim.pim.gemv import Gemv
from sim.pim.gpt_models import Gpt

Words = npt.NDArray[np.uint64]

KINDS = ("qkv", "scores", "values", "projection", "feed_1", "feed_2", "vocabulary")
"""Products of a token."""

CACHE = "cache"
"""The kind of the programs that store a token's keys and values."""

REFRESHES = "refresh"
"""The kind of the programs that refresh while the host computes."""

HOST_FUNCTIONS = {
    "scores": "softmax",
    "projection": "LayerNorm",
    "feed_1": "GELU",
    "feed_2": "LayerNorm",
    "vocabulary": "softmax",
}
"""What the host computes of a product's results before the channel can go on."""

EOC = Instruction(Op.EOC)
ROW_PLACE = FIELDS["flags"] + FIELDS["count"] + FIELDS["col"]


@dataclass(frozen=True)
class Product:
    """Some of a token's work: a program, and the rows of a bank that it reads, from row 0 on."""

    kind: str
    words: Words
    rows: int


REFRESH_AHEAD = encode_program([Instruction(Op.REFRESH, count=POSTPONED_REFRESHES), EOC])
"""Refreshes until as many are done ahead as may be."""


@dataclass(frozen=True)
class Token:
    """A token, done.

    Attributes
    ----------
    cycles, macs, row_misses : by kind of product, with what is refreshed in it; columns that all banks multiplied;
        those of them that a row was opened for
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
        """From the token's first instruction to its last refresh, without the rest of the host's work."""
        return sum(self.cycles.values())

    @property
    def product_cycles(self) -> int:
        """Those of the products, with what is refreshed in them."""
        return sum(self.cycles[kind] for kind in KINDS)

    @property
    def row_hits(self) -> float:
        """Share of the products' MACs that found their row open."""
        return 1 - sum(self.row_misses[kind] for kind in KINDS) / sum(self.macs[kind] for kind in KINDS)

    def utilisation(self, config: ChannelConfig, *besides: str) -> float:
        """Share of the products' cycles, and of the kinds `besides`, in which all multipliers take columns."""
        cycles = self.product_cycles + sum(self.cycles[kind] for kind in besides)
        return sum(self.macs[kind] for kind in KINDS) * config.timing.tCCD_cycles / cycles


def parts(heads: int, channels: int, context: int) -> list[int]:
    """Tokens of the context that the busiest channel looks at, one number a head or part of one."""
    whole, rest = divmod(heads, channels)
    return [context] * whole + ([-(-context // (channels // rest))] if rest else [])


def attention(
    config: ChannelConfig, gpt: Gpt, context: int, channels: int, shares: Sequence[int]
) -> tuple[list[Block], list[Block]]:
    """The blocks of scores and of values, both from row 0 on; each head is a vector of theirs.

    Scores: the context over banks and channels, a head's elements along a row, all heads side by side. Values: elements
    over banks, `shares` of the context along a row, for each head of the busiest channel or part of one.
    """
    head = -(-gpt.head_width // config.lanes)
    keys = side_by_side(config, [head] * gpt.heads, _tokens_a_bank(config, context, channels))
    columns = [-(-share // config.lanes) for share in shares]
    return keys, side_by_side(config, columns, -(-gpt.head_width // config.banks))


def _tokens_a_bank(config: ChannelConfig, context: int, channels: int) -> int:
    """Tokens whose keys one bank holds, of the busiest channel."""
    return -(-context // (config.banks * channels))


@lru_cache(maxsize=64)
def layer(config: ChannelConfig, gpt: Gpt, context: int, channels: int, tight: bool = False) -> tuple[Product, ...]:
    """The products of a layer and the storing of its keys and values, in order."""
    width = gpt.width
    shares = parts(gpt.heads, channels, context)
    scores, values = attention(config, gpt, context, channels, shares)
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
    stored = _stored(config, scores, values, shares, _tokens_a_bank(config, context, channels) - 1)
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
    config: ChannelConfig, scores: Sequence[Block], values: Sequence[Block], shares: Sequence[int], place: int
) -> Product:
    """Keys and values of the newest token, whose key is in `place` of its bank: its key's columns into that bank, one
    element of each of its values' columns, which are read, changed and written whole."""
    program: list[Instruction] = []
    for block in scores:
        program.append(Instruction(Op.WR, bank_mask=1, row=block.row + place, count=block.columns))
    newest = {vector: (share - 1) // config.lanes for vector, share in enumerate(shares)}
    for block in values:
        changed: dict[int, list[int]] = {}
        for tile in range(block.tiles):
            piece = block.pieces[tile % len(block.pieces)]
            row, first = block.place(tile)
            column = newest[piece.vector] - piece.first
            if 0 <= column < piece.columns:
                changed.setdefault(row, []).append(first + column)
        for row, columns in changed.items():
            at_row, whole = _end(scores) + row, (1 << config.banks) - 1
            # A MAC for nothing opens the row in all banks at once; RD_MAC clears what it left.
            program.append(Instruction(Op.MAC_ABK, bank_mask=whole, row=at_row))
            for op in (Op.RD, Op.WR):
                for bank in range(config.banks):
                    program += [Instruction(op, bank_mask=1 << bank, row=at_row, col=at) for at in columns]
            program.append(Instruction(Op.RD_MAC, bank_mask=whole))
    return Product(CACHE, encode_program([*program, EOC]), _end(scores) + _end(values))


def at_rows(product: Product, row: int) -> Product:
    """A product on rows from another one on."""
    return replace(product, words=product.words + np.uint64(row << ROW_PLACE))


def token(burst: Burst, gpt: Gpt, context: int, channels: int = 8, *, tight: bool = False) -> Token:
    """A token of a model, on a channel that `burst` simulates; `tight`: in as few rows as can be.

    Raises
    ------
    ConfigError
        If weights, keys and values do not fit into the channel's banks.
    """
    config = burst.config
    last = vocabulary(config, gpt, channels, tight)
    programs: list[Product] = []
    row = 0
    for _ in range(gpt.layers):
        one = layer(config, gpt, context, channels, tight)
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
    counts = _refresh_ahead(burst, burst.run(encode_program([EOC])).counts)[1]  # as the token before has left it
    before, found = counts.issued, {kind: np.zeros(3, np.int64) for kind in (*KINDS, CACHE, REFRESHES)}
    while programs:
        count = 1 + next(place for place, product in enumerate(programs) if product.kind in HOST_FUNCTIONS)
        stretch, programs = programs[:count], programs[count:]
        done = burst.run(np.concatenate([product.words for product in stretch]))
        figures = np.stack([done.cycles, done.macs, done.row_misses], axis=1)
        for product, figure in zip(stretch, figures, strict=True):
            found[product.kind] += figure
        cycles, counts = _refresh_ahead(burst, done.counts)
        found[REFRESHES][0] += cycles
    cycles_of, macs, misses = ({kind: int(sums[which]) for kind, sums in found.items()} for which in range(3))
    issued = {command: number - before[command] for command, number in counts.issued.items()}
    return Token(cycles_of, macs, misses, issued, row)


def _refresh_ahead(burst: Burst, before: Counts) -> tuple[int, Counts]:
    """Refreshes while the host computes, until the last is over; the cycles that it takes, and what was counted."""
    if not burst.config.refresh:
        return 0, before
    done = burst.run(REFRESH_AHEAD)
    over = burst.config.timing.tRFC_cycles if done.counts.issued[Command.REF] > before.issued[Command.REF] else 0
    burst.wait(over)
    return int(done.cycles[0]) + over, done.counts
