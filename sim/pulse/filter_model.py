"""Golden model of `pulse.filter`, bit for bit: "The optimal filter on paper" in hdl/pulse/README.md."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from hdl.pulse.config import FRACTION_BITS, MIDDLE_PHASE, PHASES, RATIO_MOST, FilterConfig

Ints = npt.NDArray[np.int64]
Fits = npt.NDArray[np.void]

RECORD = np.dtype([("time", "<i4"), ("energy", "<i4"), ("shape", "<i2"), ("flags", "u1"), ("chi", "<u8")])
"""Of a window: onset in 2^-16 samples, height in 2^-8 codes, stretch in 2^-15, flags, chi in 2^-8 codes squared."""

PILE_UP, SATURATED, CUT, NO_PULSE, FAR = (1 << bit for bit in (0, 1, 4, 5, 6))
"""Flags of a record."""

PHASE_BITS = (PHASES - 1).bit_length()
UNIT_BITS = FRACTION_BITS - PHASE_BITS
"""Of a position, below a phase."""

ENERGY_BITS, SHAPE_BITS, DIFFERENCE_BITS = 8, 15, 4
"""Fraction bits of what a row gives, of a stretch, of a residual."""


class Bank(NamedTuple):
    """Coefficients.

    Attributes
    ----------
    weights : int16 (rows of W, places, taps)
        In the order of `FilterConfig.weight_rows`; places are the 16 phases of a stretch, stretch by stretch.
    templates : int16 (rows of T, places, taps)
        In the order of `FilterConfig.template_rows`.
    """

    weights: npt.NDArray[np.int16]
    templates: npt.NDArray[np.int16]


class _Pass(NamedTuple):
    """What a pass finds, a window each."""

    codes: Ints
    place: Ints
    rows: dict[str, Ints]
    time: Ints
    flags: Ints


def fit(
    config: FilterConfig, registers: Mapping[str, int], bank: Bank, windows: npt.NDArray[np.int16]
) -> npt.NDArray[Any]:
    """Records of windows.

    Parameters
    ----------
    registers : mapping
        The settings of `FilterConfig.setting_names`.
    windows : int16 (count, samples)

    Returns
    -------
    `RECORD` (count,)
    """
    codes = windows.astype(np.int64)
    time = np.full(len(codes), registers["guess"], np.int64)
    middle = (config.stretches - 1) // 2
    stretch = wanted = np.full(len(codes), middle)
    for _ in range(max(1, registers["passes"])):
        stretch = wanted
        found = _pass(config, registers, bank, codes, time, stretch)
        time = found.time
        change = _change(config, found)
        if config.stretches > 1:
            wanted = _nearest(config, registers["stretch_step"], stretch, change, found.rows["a"] > 0)
    height = found.rows["a"]
    chi = _residual(config, registers, bank, found)
    limit = registers["chi_base"] + _share(np.maximum(height >> ENERGY_BITS, 0), registers["chi_share"])
    outside = (codes <= registers["code_least"]) | (codes >= registers["code_most"])
    records = np.zeros(len(codes), RECORD)
    records["time"], records["energy"], records["chi"] = time, height, chi
    if config.shape:
        whole = change + (stretch - middle) * registers.get("stretch_step", 0)
        records["shape"] = np.where(height > 0, saturated(whole >> (FRACTION_BITS - SHAPE_BITS), 16), 0)
    records["flags"] = found.flags | np.where(chi > limit, PILE_UP, 0) | np.where(outside.any(axis=1), SATURATED, 0)
    return records


def rs(x: Ints, n: int) -> Ints:
    """x / 2**n, halves up."""
    return x if n == 0 else (x + (1 << (n - 1))) >> n


def saturated(x: Ints, bits: int) -> Ints:
    """Clamped to two's complement of so many bits."""
    return np.clip(x, -(1 << (bits - 1)), (1 << (bits - 1)) - 1)


def _change(config: FilterConfig, found: _Pass) -> Ints:
    """How much wider the pulse is than its stretch, 2^-16; 0 where nothing says so."""
    height = found.rows["a"]
    if not config.shape:
        return np.zeros_like(height)
    ratio = (found.rows["c"] << FRACTION_BITS) // np.where(height > 0, height, 1)
    return np.where(height > 0, np.clip(ratio, -RATIO_MOST, RATIO_MOST), 0)


def _nearest(config: FilterConfig, step: int, stretch: Ints, change: Ints, pulse: npt.NDArray[np.bool_]) -> Ints:
    """The stretch nearest to the width that was found; halves go outward."""
    halves = step * (2 * np.arange(1, config.stretches) - 1)
    jump = (2 * np.abs(change)[:, None] >= halves).sum(axis=1)
    there = np.clip(stretch + np.where(change < 0, -jump, jump), 0, config.stretches - 1)
    return np.asarray(np.where(pulse, there, stretch))


def _pass(
    config: FilterConfig, registers: Mapping[str, int], bank: Bank, codes: Ints, time: Ints, stretch: Ints
) -> _Pass:
    """Weighted sums at the phase nearest to `time`, and the time that they say."""
    nearest = (time + (1 << (UNIT_BITS - 1))) >> UNIT_BITS
    wanted = ((nearest + MIDDLE_PHASE) >> PHASE_BITS) - config.pre
    start = np.clip(wanted, 0, config.samples - config.taps)
    of_start = nearest - PHASES * (start + config.pre) + MIDDLE_PHASE
    phase = np.clip(of_start, 0, PHASES - 1)
    seen = np.take_along_axis(codes, start[:, None] + np.arange(config.taps), axis=1)
    rows, place = {}, stretch * PHASES + phase
    for number, name in enumerate(config.weight_rows):
        sums = (bank.weights[number].astype(np.int64)[place] * seen).sum(axis=1)
        rows[name] = saturated(rs(sums, registers[f"exponent_{name}"]), config.fit_bits)
    height = rows["a"]
    ratio = (rows["b"] << FRACTION_BITS) // np.where(height > 0, height, 1)
    late = np.where(height > 0, np.clip(ratio, -RATIO_MOST, RATIO_MOST), 0)
    cut, none = (start != wanted) | (phase != of_start), height <= 0
    flags: Ints = CUT * cut + NO_PULSE * none + FAR * (~none & (late != ratio))
    middle = ((start + config.pre) << FRACTION_BITS) + ((phase - MIDDLE_PHASE) << UNIT_BITS)
    return _Pass(seen, place, rows, middle + late, flags)


def _residual(config: FilterConfig, registers: Mapping[str, int], bank: Bank, found: _Pass) -> Ints:
    """The sum of squares of what the fit leaves."""
    total = np.zeros(found.codes.shape, np.int64)
    for number, name in enumerate(config.template_rows):
        total += found.rows[name][:, None] * bank.templates[number].astype(np.int64)[found.place]
    fitted = rs(total, registers["exponent_template"]) + found.rows["z"][:, None]
    rest = saturated(rs((found.codes << ENERGY_BITS) - fitted, ENERGY_BITS - DIFFERENCE_BITS), config.residual_bits)
    return np.asarray(np.minimum((rest**2).sum(axis=1), (1 << config.chi_bits) - 1))


def _share(height: Ints, share: int) -> Ints:
    """(height**2 * share) >> 16, exact: height is below 2**23, share below 2**32, their product beyond 64 bits."""
    power = height**2
    return power * (share >> 16) + ((power * (share & 0xFFFF)) >> 16)
