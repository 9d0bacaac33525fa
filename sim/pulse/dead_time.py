"""A channel under load, in Verilator: samples at full speed, and what its own counters say then."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from hdl.pulse.channel_config import FRONT_BASE, FRONT_BYTES, ChannelConfig
from hdl.pulse.front_config import FRAME_SAMPLES, SOURCES
from sim.common.harness import Harness, HarnessError
from sim.pulse import channel_vectors
from sim.pulse.daq import Stages
from sim.pulse.setup import Setup

Times = npt.NDArray[np.int64]

HEIGHT, THRESHOLD, HOLD_OFF, INSPECT = 2000, 1000, 12, 40
"""Of pulses of a sample, in codes; of the trigger, in codes and samples."""

COUNTERS = ("triggers", "windows", "lost", "live", "dead")


def stages(config: ChannelConfig) -> Stages:
    """The stages of a channel that is set as `counted` sets it: pulses are a sample long."""
    return Stages.of(config, over=1, hold_off=HOLD_OFF, inspect=INSPECT)


def counted(harness: Harness, config: ChannelConfig, times: Times | Sequence[Times], samples: int) -> dict[str, int]:
    """The front end's counters after so many samples, with pulses at `times`; records are taken at once. Of several
    channels' `times`, the counters' sums."""
    each = [times] if isinstance(times, np.ndarray) else times
    rows = np.zeros((config.channels, samples), np.int16)
    for row, places in zip(rows, each, strict=True):
        row[places] = HEIGHT
    front = {"source": SOURCES.index("level"), "threshold": THRESHOLD, "hysteresis": THRESHOLD // 2}
    half = 1 << (config.front.code_bits - 1)
    front |= {"hold_off": HOLD_OFF, "inspect": INSPECT, "baseline_on": 0, "code_least": -half, "code_most": half - 1}
    arrays = channel_vectors.arrays_for(config, Setup.parse({}), rows, front)
    harness.reset()
    for address, words in channel_vectors.register_writes(config, arrays):
        for word in words:
            harness.write(address, word)
    inputs: dict[str, Any] = channel_vectors.pack(config, arrays)
    # Nobody knows how many records come: the run ends when none has come for a while.
    with contextlib.suppress(HarnessError):
        harness.run(
            inputs,
            {"record": sum(map(len, each)) + 1},
            stall_in=0,
            stall_out=0,
            max_idle_cycles=4 * config.latency_cycles,
        )
    registers = config.front.registers
    assert registers is not None
    bases = [FRONT_BASE + place * FRONT_BYTES for place in range(config.channels)]
    return {name: sum(harness.read(base + registers[name].offset_bytes) for base in bases) for name in COUNTERS}


def random_pulses(rate: float, samples: int, seed: int) -> npt.NDArray[np.int64]:
    """Samples with a pulse, at random, `rate` of them a sample on an average; none in the first frame."""
    drawn = np.random.default_rng(seed).random(samples - FRAME_SAMPLES) < rate
    return FRAME_SAMPLES + np.flatnonzero(drawn)
