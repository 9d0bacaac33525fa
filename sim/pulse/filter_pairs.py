"""Golden model of two pulses in a window: "Two pulses" in hdl/pulse/README.md.

Where both are known, the second one's templates are fitted as a window is, and what that leaves of them says how much
of the window's own rest is theirs: least squares with the first pulse eliminated, so that the bank of one pulse serves.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from hdl.pulse.config import APART_BITS, ENERGY_BITS, FRACTION_BITS, MIDDLE_PHASE, PHASES, RATIO_MOST, FilterConfig
from sim.pulse.filter_model import (
    PHASE_BITS,
    PILE_UP,
    RECORD,
    UNIT_BITS,
    Bank,
    Ints,
    Where,
    chi_of,
    left,
    limit,
    moved,
    one_pass,
    ratio,
    rs,
    saturated,
    sums,
    where,
)

MOST_HEIGHT = (1 << 23) - 1
"""Of a second pulse, 2^-8 codes."""


class Second(NamedTuple):
    """A second pulse, entries each: height, 2^-8 codes, height times delay, onset, its templates (windows, taps)."""

    height: Ints
    change: Ints
    time: Ints
    templates: dict[str, Ints]


def fit_pairs(config: FilterConfig, registers: Mapping[str, int], bank: Bank, codes: Ints) -> npt.NDArray[Any]:
    """Records of windows in which one pulse left too much: int64 (windows, samples) to `RECORD` (windows,)."""
    time, second_time = _first_guess(config, registers, bank, codes)
    for _ in range(registers["pair_passes"]):
        at = where(config, codes, time)
        rows, second = _pair(config, registers, bank, at, second_time)
        time, flags = moved(at, rows)
        second_time = second.time
    parts = zip(("a", "b"), (second.height, second.change), strict=True)
    exact = sum((part[:, None] * second.templates[row] for row, part in parts), np.zeros((len(codes), 1), np.int64))
    besides = saturated(rs(exact, registers["exponent_template"]), config.fit_bits)
    chi = chi_of(config, left(config, registers, bank, at.codes, at.phase, rows, besides))
    height = saturated(rows["a"] + second.height, config.fit_bits)
    apart = (second_time - time + (1 << (FRACTION_BITS - APART_BITS - 1))) >> (FRACTION_BITS - APART_BITS)
    records = np.zeros(len(codes), RECORD)
    records["time"], records["energy"], records["chi"] = time, rows["a"], chi
    records["shape"] = np.where(second.height > 0, np.clip(apart, 1, (1 << 15) - 1), 0)
    records["flags"] = flags | np.where(chi > limit(registers, height), PILE_UP, 0)
    return records


def _first_guess(config: FilterConfig, registers: Mapping[str, int], bank: Bank, codes: Ints) -> tuple[Ints, Ints]:
    """Onsets: of the first pulse, by early fits; of the second, where what these leave comes to half its largest."""
    time, early = np.full(len(codes), registers["guess"], np.int64), np.ones(len(codes), np.int64)
    for _ in range(max(1, registers["passes"])):
        at = where(config, codes, time)
        found = one_pass(config, registers, bank, codes, time, early)
        time = found.time
    rest = np.abs(left(config, registers, bank, found.codes, found.place, found.rows))
    tap = (rest >= rest.max(axis=1, keepdims=True) >> 1).argmax(axis=1)
    return time, ((at.start + tap) << FRACTION_BITS) - registers["pair_offset"]


def _pair(
    config: FilterConfig, registers: Mapping[str, int], bank: Bank, at: Where, second_time: Ints
) -> tuple[dict[str, Ints], Second]:
    """Rows of the first pulse, and the second pulse."""
    first = at.start + config.pre
    nearest = (second_time + (1 << (UNIT_BITS - 1))) >> UNIT_BITS
    most = PHASES * (config.taps - config.pre - 2) - 1
    place = np.clip(nearest - PHASES * first + MIDDLE_PHASE, PHASES, most)
    later, phase = place >> PHASE_BITS, place & (PHASES - 1)
    tap = np.arange(config.taps) - later[:, None]
    templates = {
        row: np.where(tap >= 0, np.take_along_axis(bank.templates[number].astype(np.int64)[phase], tap, axis=1), 0)
        for number, row in enumerate(config.template_rows)
    }
    fits, products = {}, {}
    for name, values in (*templates.items(), ("y", at.codes)):
        fits[name] = sums(config, registers, bank, values, at.phase)
        rest = saturated(rs(left(config, registers, bank, values, at.phase, fits[name]), 2), config.left_bits)
        for row, template in templates.items():
            exact = rs((rest * template).sum(axis=1), registers["exponent_pair"])
            products[row, name] = saturated(exact, config.pair_bits)

    unit = registers["exponent_template"]
    determinant = products["a", "a"] * products["b", "b"] - products["a", "b"] * products["b", "a"]
    high = products["b", "b"] * products["a", "y"] - products["a", "b"] * products["b", "y"]
    low = products["a", "a"] * products["b", "y"] - products["b", "a"] * products["a", "y"]
    there = (determinant > 0) & (high > 0)
    exact = _wide(high) * 2 ** (unit + ENERGY_BITS) // _wide(np.where(there, determinant, 1))
    height = np.where(there, np.minimum(exact, MOST_HEIGHT), 0).astype(np.int64)
    late = np.clip(ratio(_wide(low), np.where(there, high, 0)), -RATIO_MOST, RATIO_MOST).astype(np.int64)
    change = saturated((height * late) >> FRACTION_BITS, config.pair_bits)
    rows = {}
    for row, value in fits["y"].items():
        parts = [saturated(rs(fits[name][row], 4), config.pair_bits) for name in ("a", "b")]
        rows[row] = saturated(value - rs(rs(parts[0] * height + parts[1] * change, unit), 4), config.fit_bits)
    onset = (first << FRACTION_BITS) + ((place - MIDDLE_PHASE) << UNIT_BITS)
    return rows, Second(height, change, onset + late, templates)


def _wide(values: Ints) -> npt.NDArray[Any]:
    """Python's integers, of any size."""
    return values.astype(object)
