"""The dispatcher's side of a channel: programs made ready for it, and what may go into a lane beside what is there."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from hdl.pim.channel_config import ChannelConfig
from hdl.pim.commands import (
    ACC,
    BANK_OPS,
    BUF,
    FIELDS,
    FINAL_COMMANDS,
    GB,
    MOST_COUNT,
    REGISTER_OPS,
    SINGLE_BANK_OPS,
    Command,
    Instruction,
    Op,
)

MAC, MACB, WRGB = int(Command.MAC), int(Command.MACB), int(Command.WRGB)
SKIP, AHEAD = -1, -2

STEP = ("final", "register", "bank", "row", "col", "left", "buf", "gb", "acc")
"""What the dispatcher takes, (n, 9) int32. `final`: the command of a lane's instruction, of which `left` are to come;
`SKIP`, what is not obeyed; or `AHEAD`, `left` refreshes."""

Steps = npt.NDArray[np.int32]
Program = Sequence[Instruction] | npt.NDArray[np.uint64]
"""Instructions, or their words of 64 bits."""

FINAL = np.array([int(FINAL_COMMANDS.get(Op(one), 0)) if one in set(Op) else 0 for one in range(1 << FIELDS["op"])])


def _mask(*ops: Op) -> npt.NDArray[np.bool_]:
    return np.isin(np.arange(1 << FIELDS["op"]), ops)


KNOWN, REGISTER, SINGLE, OF_BANKS = _mask(*Op), _mask(*REGISTER_OPS), _mask(*SINGLE_BANK_OPS), _mask(*BANK_OPS)
OF_MASK = OF_BANKS | _mask(Op.WR_BIAS, Op.RD_MAC)
OF_COLUMNS = OF_BANKS | _mask(Op.WR_GB)
OF_ACC = _mask(Op.WR_BIAS, Op.RD_MAC, Op.MAC_ABK, Op.MAC_SBK)
OF_GB = _mask(Op.WR_GB, Op.MAC_ABK, Op.MAC_SBK)
"""Which operations use which fields."""


def prepare(program: Program, config: ChannelConfig) -> tuple[Steps, tuple[int, ...]]:
    """A program without its EOC, and the places of what is illegal in it.

    Raises
    ------
    ValueError
        If something follows an EOC.
    """
    fields = _fields(program)
    mine = (fields["ch_mask"] >> config.channel & 1).astype(bool)
    ends = np.flatnonzero((fields["op"] == Op.EOC) & mine)
    if len(ends) and ends[0] + 1 < len(mine):
        raise ValueError(f"instruction {ends[0]} is EOC, which ends a program, but {len(mine) - ends[0] - 1} follow")
    if len(ends):
        fields, mine = {name: values[:-1] for name, values in fields.items()}, mine[:-1]
    legal = _legal(fields, config)
    op, flags = fields["op"], fields["flags"]
    column = OF_COLUMNS[op]
    steps = np.zeros((len(op), len(STEP)), np.int32)
    final = np.where(op == Op.REFRESH, AHEAD, FINAL[op])
    values = {
        "final": np.where(mine & legal, final, SKIP),
        "register": REGISTER[op],
        "bank": np.where(SINGLE[op], _highest_bit(fields["bank_mask"]), 0),
        "row": np.where(OF_BANKS[op], fields["row"], 0),
        "col": np.where(column, fields["col"], 0),
        "left": np.where(column | (op == Op.REFRESH), fields["count"], 1),
        "buf": np.where(op == Op.MAC_ABK, (flags & BUF) // BUF, 0),
        "gb": (flags & GB) // GB,
        "acc": (flags & ACC) // ACC,
    }
    for place, name in enumerate(STEP):
        steps[:, place] = values[name]
    return steps, tuple(np.flatnonzero(mine & ~legal).tolist())


def _fields(program: Program) -> dict[str, npt.NDArray[np.int64]]:
    """An array a field of the instructions."""
    if not isinstance(program, np.ndarray):
        rows = [(one.flags, one.count, one.col, one.row, one.bank_mask, one.ch_mask, one.op) for one in program]
        return dict(zip(FIELDS, np.array(rows, np.int64).reshape(-1, len(FIELDS)).T, strict=True))
    found, place = {}, 0
    for name, bits in FIELDS.items():
        found[name] = (program >> np.uint64(place) & np.uint64((1 << bits) - 1)).astype(np.int64)
        place += bits
    found["count"][found["count"] == 0] = MOST_COUNT
    return found


def _legal(fields: dict[str, npt.NDArray[np.int64]], config: ChannelConfig) -> npt.NDArray[np.bool_]:
    """Whether a channel obeys; only fields that an instruction uses count."""
    op, flags = fields["op"], fields["flags"]
    mask = fields["bank_mask"] & ((1 << config.banks) - 1)
    wrong: npt.NDArray[np.bool_] = ~KNOWN[op] | (OF_MASK[op] & (mask == 0)) | (SINGLE[op] & (mask & (mask - 1) != 0))
    wrong |= OF_BANKS[op] & (fields["row"] >= config.rows)
    wrong |= OF_COLUMNS[op] & (fields["col"] + fields["count"] > config.columns)
    wrong |= OF_ACC[op] & (flags & ACC != 0) & (config.accumulators == 1)
    wrong |= OF_GB[op] & (flags & GB != 0) & (config.gb_banks == 1)
    wrong |= (op == Op.MAC_ABK) & (flags & BUF != 0) & (config.row_buffers == 1)
    wrong |= (op == Op.REFRESH) & (not config.refresh)
    return ~wrong


def _highest_bit(mask: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    return np.frexp(mask.astype(np.float64))[1].astype(np.int64) - 1


class Entry:
    """An instruction in a lane: its command, and how many of it are left."""

    __slots__ = ("acc", "bank", "buf", "col", "final", "gb", "index", "left", "opened", "register", "row")

    def __init__(self, index: int, step: Sequence[int]):
        self.index = index
        self.final, register, self.bank, self.row, self.col, self.left, self.buf, self.gb, self.acc = step
        self.register = bool(register)
        self.opened = False
        """Whether an activation was made for it since its last column command."""


def has_room(one: Entry, own: list[Entry], other: list[Entry], depth: int) -> bool:
    """Whether an instruction can be given to its lane while both lanes work."""
    if len(own) >= depth:
        return False
    for unfinished in other:
        register, bank = (one, unfinished) if one.register else (unfinished, one)
        if bank.final in (MAC, MACB) and (
            register.gb == bank.gb if register.final == WRGB else register.acc == bank.acc
        ):
            return False
    return True
