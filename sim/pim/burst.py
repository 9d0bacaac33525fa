"""The burst simulator: the cycles of programs on a channel, as the golden model counts them, many times as fast.

    with Burst(ChannelConfig(profile="pimgpt"), build_dir) as channel:
        channel.run(encode_program(program)).cycles

Commands that nothing can come between are taken at once: a row's MACs cost as much as one. burst.cpp, the other end, is
written from the family's README like the golden model, not from it, and is held equal to it by random programs.
"""

from __future__ import annotations

import ctypes
import operator
from dataclasses import dataclass
from functools import cache, reduce
from pathlib import Path

import numpy as np
import numpy.typing as npt

from hdl.pim.channel_config import ChannelConfig
from hdl.pim.commands import BANK_OPS, COLUMN_COMMANDS, FIELDS, MOST_COUNT, SINGLE_BANK_OPS, Command, Op
from sim.common.closing import Closing
from sim.common.compiled import compile_library
from sim.common.verilate import Signature, load_library

Words = npt.NDArray[np.uint64]
Bools = npt.NDArray[np.bool_]

COMMANDS = len(Command)
LEVELS = ("channel", "buffer", "bank")

FUNCTIONS: dict[str, Signature] = {
    "pim_new": (ctypes.c_void_p, [ctypes.c_void_p]),
    "pim_delete": (None, [ctypes.c_void_p]),
    "pim_run": (None, [ctypes.c_void_p] * 3 + [ctypes.c_int64] + [ctypes.c_void_p] * 2),
    "pim_wait": (None, [ctypes.c_void_p, ctypes.c_int64]),
}


@dataclass(frozen=True)
class Counts:
    """What was counted since reset.

    Attributes
    ----------
    issued : commands by kind
    row_misses : column commands that an activation was made for
    forced_refreshes : refreshes at the deadline
    longest_refresh_cycles : the longest time from a refresh to the next, the first from reset
    """

    issued: dict[Command, int]
    row_misses: int
    forced_refreshes: int
    longest_refresh_cycles: int

    @property
    def column_commands(self) -> int:
        """Those on columns of open rows."""
        return sum(self.issued[one] for one in COLUMN_COMMANDS)


@dataclass(frozen=True)
class BurstRun:
    """Programs, done, one after the other.

    Attributes
    ----------
    cycles, macs, column_commands, row_misses : of each program, (programs,) int64; the next starts when its cycles are
        over; `macs` are those of all banks
    counts : since reset
    """

    cycles: npt.NDArray[np.int64]
    macs: npt.NDArray[np.int64]
    column_commands: npt.NDArray[np.int64]
    row_misses: npt.NDArray[np.int64]
    counts: Counts


class Burst(Closing):
    """A channel after reset; `run` carries its state from program to program.

    Raises
    ------
    sim.common.verilator.BuildError
        If the simulator cannot be compiled.
    """

    def __init__(self, config: ChannelConfig, build_dir: Path):
        self._handle = None
        self._functions = _library(build_dir)
        self.config = config
        given = _config_words(config)
        self._handle = self._functions.pim_new(given.ctypes.data)

    def close(self) -> None:
        """Free it. Further calls are errors."""
        if self._handle:
            self._functions.pim_delete(self._handle)
            self._handle = None

    def run(self, words: Words) -> BurstRun:
        """Runs programs, (n,) instructions of 64 bits, each program ended by EOC, as is the last."""
        words = np.ascontiguousarray(words, np.uint64)
        fields = decoded(words)
        skipped = ~legal(fields, self.config)
        ends = (fields["op"] == Op.EOC) & ~skipped
        if not len(words) or not ends[-1]:
            raise ValueError("the last instruction must be an EOC for this channel")
        programs = np.empty((int(ends.sum()), 4), np.int64)
        counters = np.empty(COMMANDS + 3, np.int64)
        self._functions.pim_run(
            self._handle, *(_at(one) for one in (words, skipped)), len(words), _at(programs), _at(counters)
        )
        issued, rest = counters[:COMMANDS].tolist(), counters[COMMANDS:].tolist()
        cycles, macs, columns, misses = programs.T
        return BurstRun(cycles, macs, columns, misses, Counts(dict(zip(Command, issued, strict=True)), *rest))

    def wait(self, cycles: int) -> None:
        """Lets cycles pass before the next program."""
        self._functions.pim_wait(self._handle, cycles)


def decoded(words: Words) -> dict[str, npt.NDArray[np.int64]]:
    """The fields of instructions, (n,) int64 each."""
    found, place = {}, 0
    for name, bits in FIELDS.items():
        found[name] = (words >> np.uint64(place) & np.uint64((1 << bits) - 1)).astype(np.int64)
        place += bits
    found["count"] = np.where(found["count"] == 0, MOST_COUNT, found["count"])
    return found


def legal(fields: dict[str, npt.NDArray[np.int64]], config: ChannelConfig) -> Bools:
    """Which instructions the channel obeys: they are for it, and ask for nothing that it lacks."""
    op, mask = fields["op"], fields["bank_mask"] & (1 << config.banks) - 1
    acc, gb, buf = (fields["flags"] >> place & 1 for place in range(3))

    def among(*ops: Op) -> Bools:
        found: Bools = reduce(operator.or_, (op == one for one in ops))
        return found

    macs, bank_ops = among(Op.MAC_ABK, Op.MAC_SBK), among(*BANK_OPS)
    accumulates, buffers = macs | among(Op.WR_BIAS, Op.RD_MAC), macs | among(Op.WR_GB)
    wrong = (
        ~among(*Op)
        | (fields["ch_mask"] >> config.channel & 1 == 0)
        | ((bank_ops | among(Op.WR_BIAS, Op.RD_MAC)) & (mask == 0))
        | (among(*SINGLE_BANK_OPS) & (mask & mask - 1 != 0))
        | (bank_ops & (fields["row"] >= config.rows))
        | ((bank_ops | among(Op.WR_GB)) & (fields["col"] + fields["count"] > config.columns))
        | (accumulates & (acc >= config.accumulators))
        | (buffers & (gb >= config.gb_banks))
        | (among(Op.MAC_ABK) & (buf >= config.row_buffers))
    )
    found: Bools = ~(wrong | (among(Op.REFRESH) & (not config.refresh)))
    return found


def _config_words(config: ChannelConfig) -> npt.NDArray[np.int64]:
    """`Config` of burst.cpp."""
    timing = config.timing
    rules = np.zeros((len(LEVELS), COMMANDS, COMMANDS), np.int64)
    for rule in config.rules:
        rules[LEVELS.index(rule.level), rule.previous, rule.next] = rule.cycles
    latency = np.zeros(COMMANDS, np.int64)
    for command, cycles in {
        Command.WR: timing.tCWL_cycles + timing.tBL_cycles,
        Command.WRGB: timing.tCWLGB_cycles + timing.tBL_cycles,
        Command.WRMAC: timing.tCWLREG_cycles + timing.tBL_cycles,
        Command.RD: timing.tCL_cycles + timing.tBL_cycles,
        Command.RDMAC: timing.tCLREG_cycles + timing.tBL_cycles,
        Command.MAC: 1,
        Command.MACB: 1,
    }.items():
        latency[command] = cycles
    plain = [
        config.banks,
        config.row_buffers,
        config.overlap,
        config.group_banks,
        config.single_shot,
        config.faw_cycles,
        config.refresh,
        timing.tREFI_cycles,
        timing.mode_switch_cycles,
        0 if config.overlap else timing.tCLREG_cycles + timing.tBL_cycles + 1,
    ]
    return np.concatenate([np.array(plain, np.int64), latency, rules.ravel()])


def _at(array: npt.NDArray[np.generic]) -> ctypes.c_void_p:
    return ctypes.c_void_p(array.ctypes.data)


@cache
def _library(build_dir: Path) -> ctypes.CDLL:
    return load_library(compile_library([Path(__file__).with_name("burst.cpp")], build_dir, "burst"), FUNCTIONS)
