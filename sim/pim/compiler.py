"""From matrix times vector to instructions of a channel.

Work comes in blocks: an input of so many columns in a bank of the global buffer, and tiles, each the dot products of
that input with one matrix row in every bank. Column `col` of a memory row meets column `col` of the buffer, so a block
whose input is narrower than a row is written into the buffer several times, and several tiles share a row.

    plan = blocks(config, columns=48, tiles=18)      # 32 + 16 columns, two and four tiles a row
    program = schedule(config, plan)                 # instructions, in serial or overlapped order
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from hdl.pim.channel_config import ChannelConfig
from hdl.pim.commands import ACC, BUF, GB, Instruction, Op

TIGHT_ROW_CYCLES = 10_000
"""What opening a row is said to cost where rows are to be saved."""

HIDDEN_ROW_CYCLES = 12
"""What opening a row is said to cost beside its commands where the row before hides it: it still takes energy, and is
a miss. With this much the MACs of each GPT model hit their rows in 98.1 % or more."""


class Piece(NamedTuple):
    """Columns of one of several vectors.

    Attributes
    ----------
    vector : which one
    first, columns : its first column, and how many
    """

    vector: int
    first: int
    columns: int


@dataclass(frozen=True)
class Block:
    """Tiles of one input, or of several that lie side by side: then a tile of each in turn.

    Attributes
    ----------
    first : the input's first column, of all columns of its vector
    columns : how many, of all inputs together
    copies : of the input in the buffer, one beside the other
    tiles : dot products of each bank, of all inputs together
    row : the memory row of the first tiles
    pieces : the inputs that lie side by side; empty where there is one alone
    """

    first: int
    columns: int
    copies: int
    tiles: int
    row: int = 0
    pieces: tuple[Piece, ...] = ()

    @property
    def row_tiles(self) -> int:
        """Tiles of a full row."""
        return len(self.pieces) or self.copies

    @property
    def rows(self) -> int:
        """Memory rows that its tiles take."""
        return -(-self.tiles // self.row_tiles)

    def width(self, tile: int) -> int:
        """Columns of a tile."""
        return self.pieces[tile % len(self.pieces)].columns if self.pieces else self.columns

    def place(self, tile: int) -> tuple[int, int]:
        """Row and first column of a tile."""
        row, which = divmod(tile, self.row_tiles)
        first = sum(piece.columns for piece in self.pieces[:which]) if self.pieces else which * self.columns
        return self.row + row, first


@dataclass(frozen=True)
class Program:
    """Instructions, and what goes in and comes out.

    Attributes
    ----------
    inputs : for each column that WR_GB takes: block, column within its input, or within its inputs side by side
    results : for each RD_MAC: block, tile
    """

    instructions: list[Instruction] = field(default_factory=list)
    inputs: list[tuple[int, int]] = field(default_factory=list)
    results: list[tuple[int, int]] = field(default_factory=list)


def blocks(config: ChannelConfig, columns: int, tiles: int, row: int = 0, *, tight: bool = False) -> list[Block]:
    """A vector of so many columns times `tiles` matrix rows a bank, from a memory row on.

    Full rows first. What is left of the vector is one block or several, whose widths are powers of two, so that tiles
    fill their rows; whichever takes fewer cycles, by `_cost_cycles`. `tight`: whichever takes fewer rows.
    """
    full, rest = divmod(columns, config.columns)
    widths = [(config.columns, 1)] * full
    if rest:
        powers = [1 << bit for bit in reversed(range(rest.bit_length())) if rest >> bit & 1]
        whole, parts = ([_copied(config, width, tiles, tight) for width in choice] for choice in ([rest], powers))

        def cost(choice: list[tuple[int, int]]) -> int:
            return sum(_cost_cycles(config, width, copies, tiles, tight) for width, copies in choice)

        widths += whole if cost(whole) <= cost(parts) else parts
    made: list[Block] = []
    for width, copies in widths:
        at = made[-1].row + made[-1].rows if made else row
        first = made[-1].first + made[-1].columns if made else 0
        made.append(Block(first, width, copies, tiles, at))
    return made


def divided(config: ChannelConfig, columns: int, outputs: int, channels: int, *, tight: bool = False) -> int:
    """Into how many parts to cut a vector, each for a group of channels, so that a product takes the fewest cycles.

    More parts: less to write into each buffer, more results to read.
    """

    def cost(division: int) -> int:
        tiles = -(-outputs * division // (channels * config.banks))
        work = blocks(config, -(-columns // division), tiles, tight=tight)
        besides = sum(_cost_cycles(config, block.columns, block.copies, tiles, tight) for block in work)
        return besides + sum(block.columns for block in work) * tiles * config.timing.tCCD_cycles

    return min((one for one in range(1, channels + 1) if channels % one == 0), key=cost)


def side_by_side(config: ChannelConfig, columns: Sequence[int], tiles: int, row: int = 0) -> list[Block]:
    """Vectors of so many columns, each times as many matrix rows a bank, from a memory row on: as many vectors beside
    one another in the buffer as fit, no row much emptier than the others."""
    wide = config.columns
    pieces = [
        Piece(vector, first, min(wide, count - first))
        for vector, count in enumerate(columns)
        for first in range(0, count, wide)
    ]
    made: list[Block] = []
    rest = sum(piece.columns for piece in pieces)
    while pieces:
        even, taken, used = -(-rest // -(-rest // wide)), 0, 0
        while taken < len(pieces) and used < even and used + pieces[taken].columns <= wide:
            used += pieces[taken].columns
            taken += 1
        at = made[-1].row + made[-1].rows if made else row
        made.append(Block(0, used, 1, tiles * taken, at, tuple(pieces[:taken])))
        pieces, rest = pieces[taken:], rest - used
    return made


def _copied(config: ChannelConfig, width: int, tiles: int, tight: bool) -> tuple[int, int]:
    """A width and the number of copies that is cheapest."""
    most = min(config.columns // width, max(1, tiles))
    return width, min(range(1, most + 1), key=lambda copies: _cost_cycles(config, width, copies, tiles, tight))


def _cost_cycles(config: ChannelConfig, width: int, copies: int, tiles: int, tight: bool) -> int:
    """What a block takes besides its MACs: writing the buffer, opening rows, reading results."""
    t = config.timing
    write = max(t.tBL_cycles, t.tCCD_cycles)
    opening = t.tRTP_cycles + t.tRP_cycles + t.tRCDMAC_cycles
    if config.row_buffers == 2:  # The last tile of the row before hides all but the commands, if it takes long enough.
        opening = max(2, opening - width * t.tCCD_cycles) + HIDDEN_ROW_CYCLES
    if tight:  # Worth more than all else.
        opening += TIGHT_ROW_CYCLES
    reading = t.tBL_cycles if config.overlap else t.tCLREG_cycles + t.tBL_cycles + 2 * t.mode_switch_cycles + 2
    return width * copies * write + -(-tiles // copies) * opening + tiles * reading


def schedule(config: ChannelConfig, work: Sequence[Block]) -> Program:
    """The program of blocks, one after the other, without EOC.

    Without overlap or without a second accumulator set: write the buffer, then for each tile MAC and read. With both, a
    tile is read while the next one works; with a second bank of the global buffer the next block's input is written in
    pieces meanwhile, beside the opening of rows where there is one row buffer. The very first column is written into
    the other bank, too, and multiplied alone, so that the first row opens while the rest is written.
    """
    program = Program()
    ahead = config.overlap and config.accumulators == 2
    written = 0  # columns of this block's input that stand in the buffer
    waiting: tuple[int, int] | None = None
    count = 0  # tiles so far, and rows, of all blocks
    row = 0
    for place, block in enumerate(work):
        opener = ahead and config.gb_banks == 2 and place == 0 and block.width(0) > 1
        if opener:
            _write(config, program, place, block, 0, 1, GB)
        else:
            _write(config, program, place, block, written, block.columns * block.copies - written)
        written = 0
        following = work[place + 1] if ahead and config.gb_banks == 2 and place + 1 < len(work) else None
        pieces = _pieces(config, block, following)
        for tile in range(block.tiles):
            at, column = block.place(tile)
            row += tile > 0 and column == 0
            flags = (ACC if ahead and count & 1 else 0) | _gb(config, place)
            flags |= BUF if config.row_buffers == 2 and row & 1 else 0
            width = block.width(tile)
            mac = Instruction(Op.MAC_ABK, bank_mask=_all(config), row=at, col=column, count=width, flags=flags)
            if opener and tile == 0:
                program.instructions.append(replace(mac, count=1, flags=flags ^ GB))
                _write(config, program, place, block, 0, block.columns * block.copies)
                mac = replace(mac, col=column + 1, count=width - 1)
            program.instructions.append(mac)
            if not ahead:
                _read(config, program, place, tile, flags)
            elif waiting is not None:
                _read(config, program, *waiting, flags ^ ACC)
            waiting = (place, tile) if ahead else None
            count += 1
            if following is not None and pieces[tile]:
                _write(config, program, place + 1, following, written, pieces[tile])
                written += pieces[tile]
        row += 1
    if waiting is not None:
        _read(config, program, *waiting, ACC if (count - 1) & 1 else 0)
    return program


def _pieces(config: ChannelConfig, block: Block, following: Block | None) -> list[int]:
    """How many columns of the next block's input are written after each tile's MAC.

    Not after the first, beside whose MAC the block before, of the same buffer bank, may still work. Once a row at most:
    with one row buffer when it opens, where nothing else could go; and the bus takes time to turn from reading to
    writing.
    """
    if following is None:
        return [0] * block.tiles
    total = following.columns * following.copies
    step = max(block.row_tiles, config.columns // block.columns)
    places = [*range(step, block.tiles, step)] or [*range(1, block.tiles)][-1:]
    made = [0] * block.tiles
    for number, tile in enumerate(places):
        made[tile] = total * (number + 1) // len(places) - total * number // len(places)
    return made


def _write(
    config: ChannelConfig, program: Program, place: int, block: Block, first: int, count: int, other: int = 0
) -> None:
    while count:
        now = min(count, 256)
        program.instructions.append(Instruction(Op.WR_GB, col=first, count=now, flags=_gb(config, place) ^ other))
        program.inputs.extend((place, column % block.columns) for column in range(first, first + now))
        first, count = first + now, count - now


def _read(config: ChannelConfig, program: Program, place: int, tile: int, flags: int) -> None:
    program.instructions.append(Instruction(Op.RD_MAC, bank_mask=_all(config), flags=flags & ACC))
    program.results.append((place, tile))


def _gb(config: ChannelConfig, place: int) -> int:
    return GB if config.gb_banks == 2 and place & 1 else 0


def _all(config: ChannelConfig) -> int:
    return (1 << config.banks) - 1
