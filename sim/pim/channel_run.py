"""What a run of a program on a channel gives: its commands, its cycles and its counters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from hdl.pim.channel_config import ChannelConfig
from hdl.pim.commands import BANK_OPS, COLUMN_COMMANDS, SINGLE_BANK_OPS, Command, Instruction, Op

COMMAND = np.dtype(
    [
        ("cycle", np.int64),
        ("command", np.uint8),
        ("bank", np.uint8),
        ("row", np.uint16),
        ("col", np.uint8),
        ("buf", np.uint8),
        ("index", np.int32),
    ]
)
"""A command. `cycle` counts from reset, whose first cycle is 1. `bank`: of single-bank commands, and the first of an
ACTG; else 0. `row`: of ACT, ACTG and column commands; else 0. `col`: of column commands and WRGB; else 0. `buf`: of
MAC, ACTG and PREA; else 0. `index`: the instruction's place in its program; of the refresher -1."""

Commands = npt.NDArray[np.void]
"""Commands in the order of their cycles, (n,) of `COMMAND`."""

STALLS = ("refresh", "row", "timing", "idle")
"""Why a cycle has no command; the first that holds. `refresh`: the refresher is active. `row`: the bank lane's entry
needs PRE, PREA or ACT, or has had no column since an activation was made for it. `timing`: a lane has an entry.
`idle`: none has."""


@dataclass
class Counters:
    """What is counted from a program's cycle 1 to that of its EOC.

    Attributes
    ----------
    row_misses : column commands that an activation was made for: of their instruction, since its last column command
    stall_cycles : cycles without a command, by cause
    """

    row_misses: int = 0
    stall_cycles: dict[str, int] = field(default_factory=lambda: dict.fromkeys(STALLS, 0))


@dataclass(frozen=True)
class Run:
    """A program, done.

    Attributes
    ----------
    cycles : from the first cycle in which its first instruction could be taken to the end of what it began
    start, end : that first cycle and that of EOC, from reset
    issued : commands by kind, from `start` on
    commands : all since the run before, those of the refresher between the programs included; None where not asked for
    skipped : places of the instructions that were illegal
    """

    cycles: int
    start: int
    end: int
    issued: dict[Command, int]
    counters: Counters
    skipped: tuple[int, ...]
    commands: Commands | None

    @property
    def column_commands(self) -> int:
        """Those on columns of open rows."""
        return sum(self.issued.get(one, 0) for one in COLUMN_COMMANDS)

    @property
    def row_hits(self) -> int:
        """Column commands that no activation was made for."""
        return self.column_commands - self.counters.row_misses

    def utilisation(self, config: ChannelConfig) -> float:
        """Share of the cycles in which the multipliers of all banks take columns as fast as they can."""
        macs = self.issued.get(Command.MAC, 0) + self.issued.get(Command.MACB, 0) / config.banks
        return macs * config.timing.tCCD_cycles / self.cycles


Burst = tuple[int, int, int, int, int, int, int, int, int]
"""Commands alike, on one column after the other: the first's fields, how many they are, cycles from one to the next."""


def table_of(bursts: Sequence[Burst] | npt.NDArray[np.int64]) -> Commands:
    """Bursts, (n, 9), as commands one by one, by their cycles."""
    fields = np.array(bursts, dtype=np.int64).reshape(-1, 9)
    counts = fields[:, 7]
    place = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    table = np.empty(len(place), dtype=COMMAND)
    for column, name in enumerate(COMMAND.names or ()):
        table[name] = np.repeat(fields[:, column], counts)
    table["cycle"] += place * np.repeat(fields[:, 8], counts)
    table["col"] += place.astype(np.uint8)
    return table[np.argsort(table["cycle"], kind="stable")]


KNOWN_OPS = frozenset(Op)


def banks_of(one: Instruction, config: ChannelConfig) -> int:
    """The banks that an instruction means, a bit each."""
    return one.bank_mask & ((1 << config.banks) - 1)


def is_legal(one: Instruction, config: ChannelConfig) -> bool:
    """Whether a channel obeys an instruction; only the fields that it uses count."""
    if one.op not in KNOWN_OPS:
        return False
    op, mask = Op(one.op), banks_of(one, config)
    macs = op in (Op.MAC_ABK, Op.MAC_SBK)
    return not (
        (op in BANK_OPS | {Op.WR_BIAS, Op.RD_MAC} and not mask)
        or (op in SINGLE_BANK_OPS and mask & (mask - 1))
        or (op in BANK_OPS and one.row >= config.rows)
        or (op in BANK_OPS | {Op.WR_GB} and one.col + one.count > config.columns)
        or (one.acc >= config.accumulators and (macs or op in (Op.WR_BIAS, Op.RD_MAC)))
        or (one.gb >= config.gb_banks and (macs or op == Op.WR_GB))
        or (one.buf >= config.row_buffers and op == Op.MAC_ABK)
        or (op == Op.REFRESH and not config.refresh)
    )


def last_cycle(config: ChannelConfig, end: int, latest: dict[Command, int]) -> int:
    """In which all is done that a program began: EOC's cycle, or that in which the data of the latest command ends.

    Parameters
    ----------
    latest : the cycle of the latest of each command that the program has
    """
    t = config.timing
    lasts = {
        Command.WR: t.tCWL_cycles + t.tBL_cycles,
        Command.WRGB: t.tCWLGB_cycles + t.tBL_cycles,
        Command.WRMAC: t.tCWLREG_cycles + t.tBL_cycles,
        Command.RD: t.tCL_cycles + t.tBL_cycles,
        Command.RDMAC: t.tCLREG_cycles + t.tBL_cycles,
        Command.MAC: 1,
        Command.MACB: 1,
    }
    return max([end, *(cycle + lasts[one] for one, cycle in latest.items() if cycle and one in lasts)])
