"""Switching activity of a bare core of `simd.mac` while the beats of a dot product come in."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from hdl.simd.config import MacConfig
from hdl.simd.modes import MODES, default_output
from sim.common.activity import Activity, recorded
from sim.common.beats import Beats
from sim.common.harness import Harness
from sim.simd.mac_vectors import job_of

WARM_BEATS = 32
"""Before counting starts, so that every register behind them has seen the mode; whole blocks in every mode."""


def beats_activity(
    harness: Harness, config: MacConfig, mode: str, beats: int, folder: Path, *, stall: float = 0.0
) -> Activity:
    """Toggles in a dot product of `beats` beats, all bits of operands and scales random; the result is not awaited.

    Where a mode has blocks, these end, and their sums are added up. The library must be built with `--trace-saif`.
    SAIF files go into `folder`. Seeded: the same arguments give the same figures.
    """
    rng = np.random.default_rng([1, MODES[mode].code])
    output = default_output(MODES[mode])
    job = job_of(mode, output if output in config.outputs else config.outputs[0])
    data = rng.integers(256, size=(WARM_BEATS + beats, 12 if config.block_modes else 10), dtype=np.uint8)
    data[:, 8], data[:, 9] = job & 0xFF, job >> 8
    if block := MODES[mode].beats_per_block:
        data[:, 10:] = np.repeat(data[::block, 10:], block, axis=0)[: len(data)]

    def give(some: slice) -> None:
        packet = Beats(data[some], np.zeros(len(data[some]), np.bool_))  # it never ends
        harness.run({"op": packet}, {}, stall_in=stall, drain_cycles=0)

    harness.reset()
    give(slice(WARM_BEATS))
    with recorded(harness, folder) as activity:
        give(slice(WARM_BEATS, None))
    return activity
