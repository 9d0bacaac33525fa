"""Instructions of a channel, which programs are made of, and commands, which it sends to its device.

No gateware here: compiler, models and benches read this file too. What each does is in the family's README.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from hdl.common.words import check_fields, pack_fields, unpack_fields


class Op(IntEnum):
    """What an instruction asks for."""

    WR_GB = 1
    WR_BIAS = 2
    RD_MAC = 3
    MAC_ABK = 4
    MAC_SBK = 5
    RD = 6
    WR = 7
    REFRESH = 8
    EOC = 9


class Command(IntEnum):
    """What goes to the device, one a cycle."""

    NOP = 0
    ACT = 1
    """Opens a row of one bank, in its buffer 0."""
    ACTG = 2
    """Opens a row of `act_group` banks from `bank` on, in buffer `buf`."""
    PRE = 3
    """Closes the row of one bank, in its buffer 0."""
    PREA = 4
    """Closes the rows of all banks in buffer `buf`."""
    REF = 5
    """Refreshes all banks."""
    RD = 6
    WR = 7
    MACB = 8
    """Multiplies and accumulates in one bank."""
    MAC = 9
    """Multiplies and accumulates in all banks of the mask."""
    WRGB = 10
    """Writes a column of the global buffer."""
    WRMAC = 11
    """Sets accumulators."""
    RDMAC = 12
    """Reads accumulators and clears them."""
    TMOD = 13
    """Changes between bank mode and register mode."""


REGISTER_OPS = frozenset({Op.WR_GB, Op.WR_BIAS, Op.RD_MAC})
"""Instructions of the register lane."""

BANK_OPS = frozenset({Op.MAC_ABK, Op.MAC_SBK, Op.RD, Op.WR})
"""Instructions of the bank lane."""

SINGLE_BANK_OPS = frozenset({Op.MAC_SBK, Op.RD, Op.WR})
"""Instructions that name exactly one bank."""

REGISTER_COMMANDS = frozenset({Command.WRGB, Command.WRMAC, Command.RDMAC})
"""Commands that need register mode, where the profile has a mode switch."""

COLUMN_COMMANDS = frozenset({Command.RD, Command.WR, Command.MACB, Command.MAC})
"""Commands on a column of an open row."""

FINAL_COMMANDS = {
    Op.WR_GB: Command.WRGB,
    Op.WR_BIAS: Command.WRMAC,
    Op.RD_MAC: Command.RDMAC,
    Op.MAC_ABK: Command.MAC,
    Op.MAC_SBK: Command.MACB,
    Op.RD: Command.RD,
    Op.WR: Command.WR,
}
"""The commands that instructions are there for."""

ACC, GB, BUF, LAST = 1, 2, 4, 8
"""Flags: accumulator set, bank of the global buffer, row buffer, last beat of a packet."""

FIELDS = {"flags": 6, "count": 8, "col": 6, "row": 14, "bank_mask": 16, "ch_mask": 8, "op": 6}
"""Bits of an instruction's fields, from the least significant."""

INSTRUCTION_BITS = sum(FIELDS.values())

MOST_COUNT = 1 << FIELDS["count"]


@dataclass(frozen=True)
class Instruction:
    """One instruction; `op` may be any number of its width, and `count` is 1 to 256.

    Raises
    ------
    ConfigError
        If a field is outside its width.
    """

    op: int
    bank_mask: int = 0xFFFF
    row: int = 0
    col: int = 0
    count: int = 1
    flags: int = 0
    ch_mask: int = 0xFF

    def __post_init__(self) -> None:
        check_fields(FIELDS, vars(self), counts=("count",))

    @property
    def acc(self) -> int:
        """Accumulator set."""
        return int(bool(self.flags & ACC))

    @property
    def gb(self) -> int:
        """Bank of the global buffer."""
        return int(bool(self.flags & GB))

    @property
    def buf(self) -> int:
        """Row buffer."""
        return int(bool(self.flags & BUF))

    @property
    def last(self) -> int:
        """Whether its last output beat ends a packet."""
        return int(bool(self.flags & LAST))

    def encode(self) -> int:
        """The instruction as 64 bits."""
        return pack_fields(FIELDS, vars(self))

    @classmethod
    def decode(cls, word: int) -> Instruction:
        """The instruction that 64 bits mean; each word means one."""
        fields = unpack_fields(FIELDS, word)
        return cls(**fields | {"count": fields["count"] or MOST_COUNT})


def encode_program(program: Sequence[Instruction]) -> npt.NDArray[np.uint64]:
    """Instructions as words of 64 bits, (n,) uint64."""
    return np.array([one.encode() for one in program], dtype=np.uint64)


def decode_program(words: Iterable[int]) -> list[Instruction]:
    """The instructions that words of 64 bits mean."""
    return [Instruction.decode(int(word)) for word in words]
