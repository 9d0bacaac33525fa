"""Golden model of `pulse.classic`, bit for bit: "Classic estimators on paper" in hdl/pulse/README.md."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from hdl.pulse.classic_config import ENERGY_SOURCES, TABLE_ENTRIES, TIME_SOURCES, ClassicConfig
from hdl.pulse.config import ENERGY_BITS, FRACTION_BITS
from sim.pulse.filter_model import FAR, NO_PULSE, SATURATED, SHAPE_BITS, Ints, rs, saturated

RECORD = np.dtype([("time", "<i4"), ("energy", "<i4"), ("psd", "<i2"), ("flags", "u1"), ("short", "<i8")])
"""Of a window: time in 2^-16 samples, energy in 2^-8 codes (times samples), ratio of the gates in 2^-15, flags, short
gate in 2^-8 codes times samples."""

ENTRY_BITS = FRACTION_BITS - (TABLE_ENTRIES - 1).bit_length()
"""Of a fraction of a sample, below an entry of the table."""

CONSTANT_FRACTION_BITS = 8
"""Fraction bits of the CFD's fraction."""


def estimate(
    config: ClassicConfig,
    registers: Mapping[str, int],
    table: npt.NDArray[np.int16],
    windows: npt.NDArray[np.int16],
) -> npt.NDArray[Any]:
    """Records of windows.

    Parameters
    ----------
    registers : mapping
        The settings of `ClassicConfig.setting_names`.
    table : int16 (64,)
        Corrections of the constant-fraction time by phase, 2^-16 samples.
    windows : int16 (count, samples)

    Returns
    -------
    `RECORD` (count,)
    """
    codes = windows.astype(np.int64)
    signal = _above_baseline(config, registers, codes)
    records = np.zeros(len(codes), RECORD)
    time, flags = _time(registers, table, signal)
    long, short = (_gate(registers, signal, registers[name]) for name in ("gate_long", "gate_short"))
    energy = long
    if registers["energy_source"] == ENERGY_SOURCES.index("peak"):
        energy = signal.max(axis=1)
    elif registers["energy_source"] == ENERGY_SOURCES.index("trapezoid"):
        energy = _trapezoid(registers, signal).max(axis=1)
    outside = (codes <= registers["code_least"]) | (codes >= registers["code_most"])
    records["time"] = time - registers["time_offset"]
    records["energy"] = saturated(rs(energy, registers["energy_exponent"]), config.energy_bits)
    records["psd"] = np.where(long > 0, saturated((short << SHAPE_BITS) // np.where(long > 0, long, 1), 16), 0)
    records["flags"] = flags | np.where(outside.any(axis=1), SATURATED, 0)
    records["short"] = short
    return records


def _above_baseline(config: ClassicConfig, registers: Mapping[str, int], codes: Ints) -> Ints:
    """Samples above the mean of the window's first ones, 2^-8 codes."""
    exponent = min(registers["baseline_exponent"], config.most_baseline_exponent)
    signal = codes << ENERGY_BITS
    if exponent:
        signal = signal - (codes[:, : 1 << exponent].sum(axis=1, keepdims=True) << (ENERGY_BITS - exponent))
    return signal


def _late(signal: Ints, samples: int) -> Ints:
    """A signal so many samples late; 0 before the window."""
    before = np.zeros((len(signal), samples), np.int64)
    return np.concatenate([before, signal], axis=1)[:, : signal.shape[1]]


def _time(registers: Mapping[str, int], table: npt.NDArray[np.int16], signal: Ints) -> tuple[Ints, Ints]:
    """Of the chosen crossing, 2^-16 samples, and the flags that say what there was none of."""
    pulse, sample, fraction = _crossing(signal - registers["threshold"], np.ones(len(signal), np.int64))
    time = np.where(pulse, ((sample - 1) << FRACTION_BITS) + fraction, 0)
    flags = np.where(pulse, 0, NO_PULSE)
    if registers["time_source"] == TIME_SOURCES.index("constant_fraction"):
        zero = _late(signal, registers["delay"]) - rs(registers["fraction"] * signal, CONSTANT_FRACTION_BITS)
        found, sample, fraction = _crossing(zero, sample)
        found &= pulse
        corrected = ((sample - 1) << FRACTION_BITS) + fraction
        if registers["table_on"]:
            corrected += table.astype(np.int64)[fraction >> ENTRY_BITS]
        time = np.where(found, corrected, time)
        flags |= np.where(pulse & ~found, FAR, 0)
    return time, flags


def _crossing(signal: Ints, first: Ints) -> tuple[npt.NDArray[np.bool_], Ints, Ints]:
    """The first crossing of each row at the sample `first` or later: whether there is one, its sample, the fraction of
    a sample from the one before, 2^-16. Where there is none the sample is 1."""
    before, after = signal[:, :-1], signal[:, 1:]
    at = (before <= 0) & (after > 0) & (np.arange(1, signal.shape[1]) >= first[:, None])
    place = at.argmax(axis=1)[:, None]
    low, high = (np.take_along_axis(side, place, axis=1)[:, 0] for side in (before, after))
    found = np.asarray(at.any(axis=1))
    fraction = np.where(found, (-low << FRACTION_BITS) // np.where(found, high - low, 1), 0)
    return found, place[:, 0] + 1, fraction


def _trapezoid(registers: Mapping[str, int], signal: Ints) -> Ints:
    """Sums of `rise` samples less sums of those before them, `flat` between them."""
    rise = max(1, registers["rise"])
    total = signal.cumsum(axis=1)
    moving = total - _late(total, rise)
    return moving - _late(moving, rise + registers["flat"])


def _gate(registers: Mapping[str, int], signal: Ints, length: int) -> Ints:
    """Charge of the samples in a gate."""
    start = registers["gate_start"]
    return np.asarray(signal[:, start : start + length].sum(axis=1))
