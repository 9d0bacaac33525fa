"""The compiled twin of `sim.pim.channel_model`: the same runs, many times as fast.

    library = build_kernel(build_dir)
    with KernelChannel(config, library) as channel:
        channel.run(program)                   # what Channel.run gives

channel_kernel.cpp holds the other end.
"""

from __future__ import annotations

import ctypes
from pathlib import Path

import numpy as np

from hdl.pim.channel_config import ChannelConfig
from hdl.pim.commands import Command
from sim.common.closing import Closing
from sim.common.compiled import compile_library
from sim.common.verilate import Signature, load_library
from sim.pim.channel_lanes import Program, prepare
from sim.pim.channel_run import STALLS, Counters, Run, last_cycle, table_of
from sim.pim.not_before import answer_cycles

SOURCES = ("channel_kernel.cpp", "channel_kernel.h")

LEVELS = ("channel", "buffer", "bank")

FUNCTIONS: dict[str, Signature] = {
    "pim_new": (ctypes.c_void_p, [ctypes.c_void_p]),
    "pim_delete": (None, [ctypes.c_void_p]),
    "pim_run": (ctypes.c_int64, [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64, ctypes.c_void_p]),
    "pim_read": (None, [ctypes.c_void_p, ctypes.c_void_p]),
}


def build_kernel(build_dir: Path) -> Path:
    """The kernel's library below `build_dir`.

    Raises
    ------
    sim.common.verilator.BuildError
        As `compile_library`.
    """
    return compile_library([Path(__file__).with_name(name) for name in SOURCES], build_dir, "channel_kernel")


class KernelChannel(Closing):
    """A channel after reset; `run` carries its state from program to program."""

    def __init__(self, config: ChannelConfig, library: Path):
        self._functions, self._handle = load_library(library, FUNCTIONS), None
        self.config, self.end = config, 0
        rules = np.array([(LEVELS.index(r.level), r.previous, r.next, r.cycles) for r in config.rules], np.int32)
        # `Config` of channel_kernel.h, whose last field is a pointer.
        numbers = [
            *(config.banks, config.group_banks, config.row_buffers, config.overlap, config.lane_depth),
            *(config.timing.mode_switch_cycles, config.single_shot, config.faw_cycles, config.refresh),
            *(config.timing.tREFI_cycles, answer_cycles(config), len(rules), rules.ctypes.data),
        ]
        self._handle = self._functions.pim_new((ctypes.c_int64 * len(numbers))(*map(int, numbers)))
        if not self._handle:
            raise MemoryError

    def close(self) -> None:
        """Free the channel. Further calls are errors."""
        if self._handle:
            self._functions.pim_delete(self._handle)
            self._handle = None

    def run(self, program: Program, *, start: int | None = None, commands: bool = True) -> Run:
        """What `Channel.run` gives, and what it raises."""
        start = self.end + 1 if start is None else start
        if start <= self.end:
            raise ValueError(f"start must be above {self.end}, the last program's end, not {start}")
        steps, skipped = prepare(program, self.config)
        # `Result` of channel_kernel.cpp: end, misses, stalls, then issued and latest by command.
        kinds = len(Command)
        result = np.zeros(2 + len(STALLS) + 2 * kinds, np.int64)
        count = self._functions.pim_run(self._handle, steps.ctypes.data, len(steps), start, result.ctypes.data)
        if count < 0:
            raise MemoryError
        self.end, misses, *rest = result.tolist()
        stalls, issued, latest = rest[: len(STALLS)], rest[-2 * kinds : -kinds], rest[-kinds:]
        table = None
        if commands:
            bursts = np.empty((count, 9), np.int64)
            self._functions.pim_read(self._handle, bursts.ctypes.data)
            table = table_of(bursts)
        return Run(
            cycles=last_cycle(self.config, self.end, dict(zip(Command, latest, strict=True))) + 2 - start,
            start=start,
            end=self.end,
            issued={one: number for one, number in zip(Command, issued, strict=True) if number},
            counters=Counters(misses, dict(zip(STALLS, stalls, strict=True))),
            skipped=skipped,
            commands=table,
        )
