"""Golden model of `pulse.filter`, bit for bit: "The optimal filter on paper" in hdl/pulse/README.md."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from hdl.pulse.config import ENERGY_BITS, FRACTION_BITS, MIDDLE_PHASE, PHASES, RATIO_MOST, FilterConfig

Ints = npt.NDArray[np.int64]
Fits = npt.NDArray[np.void]

RECORD = np.dtype([("time", "<i4"), ("energy", "<i4"), ("shape", "<i2"), ("flags", "u1"), ("chi", "<u8")])
"""Of a window: onset in 2^-16 samples, height in 2^-8 codes, stretch in 2^-15, flags, chi in 2^-8 codes squared."""

PILE_UP, SATURATED, CUT, NO_PULSE, FAR = (1 << bit for bit in (0, 1, 4, 5, 6))
"""Flags of a record."""

PHASE_BITS = (PHASES - 1).bit_length()
UNIT_BITS = FRACTION_BITS - PHASE_BITS
"""Of a position, below a phase."""

SHAPE_BITS, DIFFERENCE_BITS = 15, 4
"""Fraction bits of a stretch, of a residual."""


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


class Where(NamedTuple):
    """From where on a pass looks at windows, entries each.

    Attributes
    ----------
    start : the sample of the first tap
    phase : 0 to 15
    cut : one of them was clamped
    codes : int64 (windows, taps)
    time : where the phase has the onset, 2^-16 samples
    """

    start: Ints
    phase: Ints
    cut: npt.NDArray[np.bool_]
    codes: Ints
    time: Ints


class Pass(NamedTuple):
    """What a pass finds, a window each.

    Attributes
    ----------
    codes : int64 (windows, taps)
    place : of the coefficients
    rows : x of each row of W
    time : the onset that they say
    flags : bits of a record
    """

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
    middle = (config.stretches - 1) // 2
    stretch = wanted = np.full(len(codes), middle)
    time = np.full(len(codes), registers["guess"], np.int64)
    for _ in range(max(1, registers["passes"])):
        stretch = wanted
        found = one_pass(config, registers, bank, codes, time, stretch)
        time = found.time
        change = _change(config, found)
        if config.stretches > 1:
            wanted = _nearest(config, registers["stretch_step"], stretch, change, found.rows["a"] > 0)
    height = found.rows["a"]
    chi = chi_of(config, left(config, registers, bank, found.codes, found.place, found.rows))
    pile_up = chi > limit(registers, height)
    outside = (codes <= registers["code_least"]) | (codes >= registers["code_most"])
    records = np.zeros(len(codes), RECORD)
    records["time"], records["energy"], records["chi"] = time, height, chi
    if config.shape:
        whole = change + (stretch - middle) * registers.get("stretch_step", 0)
        records["shape"] = np.where(height > 0, saturated(whole >> (FRACTION_BITS - SHAPE_BITS), 16), 0)
    records["flags"] = found.flags | np.where(pile_up, PILE_UP, 0)
    if config.pairs and registers["pair_passes"] and pile_up.any():
        from sim.pulse.filter_pairs import fit_pairs

        records[pile_up] = fit_pairs(config, registers, bank, codes[pile_up])
    records["flags"] |= np.where(outside.any(axis=1), SATURATED, 0).astype(np.uint8)
    return records


def rs(x: Ints, n: int) -> Ints:
    """x / 2**n, halves up."""
    return x if n == 0 else (x + (1 << (n - 1))) >> n


def saturated(x: Ints, bits: int) -> Ints:
    """Clamped to two's complement of so many bits."""
    return np.clip(x, -(1 << (bits - 1)), (1 << (bits - 1)) - 1)


def ratio(numerator: Ints, denominator: Ints) -> Ints:
    """numerator / denominator, 2^-16, down, not clamped; 0 where the denominator is not above 0."""
    above = denominator > 0
    return np.where(above, (numerator << FRACTION_BITS) // np.where(above, denominator, 1), 0)


def _change(config: FilterConfig, found: Pass) -> Ints:
    """How much wider the pulse is than its stretch, 2^-16; 0 where nothing says so."""
    if not config.shape:
        return np.zeros_like(found.time)
    return np.clip(ratio(found.rows["c"], found.rows["a"]), -RATIO_MOST, RATIO_MOST)


def _nearest(config: FilterConfig, step: int, stretch: Ints, change: Ints, pulse: npt.NDArray[np.bool_]) -> Ints:
    """The stretch nearest to the width that was found; halves go outward."""
    halves = step * (2 * np.arange(1, config.stretches) - 1)
    jump = (2 * np.abs(change)[:, None] >= halves).sum(axis=1)
    there = np.clip(stretch + np.where(change < 0, -jump, jump), 0, config.stretches - 1)
    return np.asarray(np.where(pulse, there, stretch))


def where(config: FilterConfig, codes: Ints, time: Ints) -> Where:
    """The phase nearest to `time`, and the samples that belong to it."""
    nearest = (time + (1 << (UNIT_BITS - 1))) >> UNIT_BITS
    wanted = ((nearest + MIDDLE_PHASE) >> PHASE_BITS) - config.pre
    start = np.clip(wanted, 0, config.samples - config.taps)
    of_start = nearest - PHASES * (start + config.pre) + MIDDLE_PHASE
    phase = np.clip(of_start, 0, PHASES - 1)
    seen = np.take_along_axis(codes, start[:, None] + np.arange(config.taps), axis=1)
    middle = ((start + config.pre) << FRACTION_BITS) + ((phase - MIDDLE_PHASE) << UNIT_BITS)
    return Where(start, phase, (start != wanted) | (phase != of_start), seen, middle)


def sums(config: FilterConfig, registers: Mapping[str, int], bank: Bank, values: Ints, place: Ints) -> dict[str, Ints]:
    """x of each row: weighted sums of `values`, (windows, taps)."""
    found = {}
    for number, name in enumerate(config.weight_rows):
        exact = (bank.weights[number].astype(np.int64)[place] * values).sum(axis=1)
        found[name] = saturated(rs(exact, registers[f"exponent_{name}"]), config.fit_bits)
    return found


def one_pass(
    config: FilterConfig, registers: Mapping[str, int], bank: Bank, codes: Ints, time: Ints, stretch: Ints
) -> Pass:
    """Weighted sums at the phase nearest to `time`, and the time that they say."""
    at = where(config, codes, time)
    place = stretch * PHASES + at.phase
    rows = sums(config, registers, bank, at.codes, place)
    return Pass(at.codes, place, rows, *moved(at, rows))


def moved(at: Where, rows: Mapping[str, Ints]) -> tuple[Ints, Ints]:
    """The onset that a fit says, and its flags."""
    exact = ratio(rows["b"], rows["a"])
    late, none = np.clip(exact, -RATIO_MOST, RATIO_MOST), rows["a"] <= 0
    flags: Ints = CUT * at.cut + NO_PULSE * none + FAR * (late != exact)
    return at.time + late, flags


def left(
    config: FilterConfig,
    registers: Mapping[str, int],
    bank: Bank,
    values: Ints,
    place: Ints,
    rows: Mapping[str, Ints],
    besides: Ints | int = 0,
) -> Ints:
    """What a fit, and `besides`, leave of `values` at each tap, 2^-4, saturated: (windows, taps)."""
    total = np.zeros(values.shape, np.int64)
    for number, name in enumerate(config.template_rows):
        total += rows[name][:, None] * bank.templates[number].astype(np.int64)[place]
    fitted = rs(total, registers["exponent_template"]) + rows["z"][:, None] + besides
    return saturated(rs((values << ENERGY_BITS) - fitted, ENERGY_BITS - DIFFERENCE_BITS), config.residual_bits)


def chi_of(config: FilterConfig, rest: Ints) -> Ints:
    """The sum of squares of what is left."""
    return np.asarray(np.minimum((rest**2).sum(axis=1), (1 << config.chi_bits) - 1))


def limit(registers: Mapping[str, int], height: Ints) -> Ints:
    """What chi may be: base + (height**2 * share) >> 16, exact, a height of 0 or less taken for 0. Height in codes is
    below 2**23, share below 2**32, their product beyond 64 bits."""
    power, share = np.maximum(height >> ENERGY_BITS, 0) ** 2, registers["chi_share"]
    return np.asarray(registers["chi_base"] + power * (share >> 16) + ((power * (share & 0xFFFF)) >> 16))
