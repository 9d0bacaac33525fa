"""Settings of `pulse.classic` for a measurement: grids over its own pulses, and the CFD's table from their phases."""

from __future__ import annotations

import math
from collections.abc import Iterable
from itertools import product
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from hdl.pulse.classic_config import ENERGY_SOURCES, TABLE_ENTRIES, TIME_SOURCES, ClassicConfig
from hdl.pulse.config import ENERGY_BITS, FRACTION_BITS
from sim.pulse.bank import heights, onsets
from sim.pulse.classic_model import CONSTANT_FRACTION_BITS, ENTRY_BITS, estimate
from sim.pulse.setup import Setup
from sim.pulse.shapes import Floats
from sim.pulse.signals import Records, Truth

Table = npt.NDArray[np.int16]

IDENTITY: Table = np.zeros(TABLE_ENTRIES, np.int16)
"""A table that corrects nothing."""

NOISE_FREE = 8
"""The constant fraction is armed at so many times the noise."""

SHARES = 16
"""Steps of a grid of shares: of the largest amplitude for the LED, of the CFD's fraction."""


SEARCHED = 5_000
"""Pulses that a grid is searched with, at most; the table, the offset and the gain are of all."""


class Estimator(NamedTuple):
    """What makes the block one of the classic estimators.

    Attributes
    ----------
    settings : registers, those of `ClassicConfig.setting_names`
    table : int16 (64,)
    gain : height of a pulse over the energy
    """

    settings: dict[str, int]
    table: Table
    gain: float = 1.0


def phase_table(fractions: npt.NDArray[np.int64]) -> Table:
    """Corrections of fractions of a sample, 2^-16, from those of many pulses (code density).

    Pulses come at any time, so true fractions are uniform: the share of pulses whose fraction is below one is what it
    should be. An entry corrects the middle of its phases; at a whole sample interpolation has no error.
    """
    counts = np.bincount(fractions >> ENTRY_BITS, minlength=TABLE_ENTRIES)
    should = (counts.cumsum() - counts / 2) / counts.sum()
    middles = (np.arange(TABLE_ENTRIES) + 0.5) / TABLE_ENTRIES
    return np.asarray(np.rint(np.ldexp(should - middles, FRACTION_BITS)), np.int16)


def leading_edge(setup: Setup, config: ClassicConfig, drawn: Records) -> Estimator:
    """The LED at the threshold with the least rms error that all pulses cross. Raises as `constant_fraction`."""
    step = _fixed(1 / setup.lsb) // (2 * SHARES)
    base = _common(setup, config) | {"time_source": TIME_SOURCES.index("leading_edge")}
    grid = (Estimator(base | {"threshold": share * step}, IDENTITY) for share in range(1, 2 * SHARES))
    return _with_offset(config, drawn, _best_time(config, first(drawn, SEARCHED), grid))


def constant_fraction(setup: Setup, config: ClassicConfig, drawn: Records, *, table: bool) -> Estimator:
    """The CFD of the fraction and delay with the least rms error, with a table or without.

    A table of n pulses is off by 0.4 / sqrt(n) samples rms.

    Raises
    ------
    ValueError
        If pulses fall, or no setting gives every pulse a time.
    """
    step = (1 << CONSTANT_FRACTION_BITS) // SHARES
    most_delay = min(63, math.ceil(2 * setup.pulse.peak_ns / setup.sample_ns))
    base = _common(setup, config) | {"time_source": TIME_SOURCES.index("constant_fraction")}
    pairs = product(range(1, SHARES), range(1, most_delay + 1))
    grid = (Estimator(base | {"fraction": share * step, "delay": delay}, IDENTITY) for share, delay in pairs)
    few = first(drawn, SEARCHED)
    best = _best_time(config, few, (_with_table(config, few, each) for each in grid) if table else grid)
    return _with_offset(config, drawn, _with_table(config, drawn, best) if table else best)


def energy(setup: Setup, config: ClassicConfig, drawn: Records, source: str) -> Estimator:
    """Peak, trapezoid or long gate with the least rms relative error. Raises ValueError if pulses fall."""
    base = _common(setup, config) | {"energy_source": ENERGY_SOURCES.index(source)}
    lengths = range(1, min(63, config.samples // 2) + 1)
    grids: dict[str, Iterable[dict[str, int]]] = {
        "peak": [{}],
        "trapezoid": ({"rise": r, "flat": f, "energy_exponent": _bits(r)} for r, f in product(lengths, lengths)),
        "long_gate": (
            {"gate_start": max(0, setup.pre_samples + start), "gate_long": length, "energy_exponent": _bits(length)}
            for start, length in product(range(-2, 5), range(2, config.samples - setup.pre_samples))
        ),
    }
    few = first(drawn, SEARCHED)
    best = min((Estimator(base | each, IDENTITY) for each in grids[source]), key=lambda one: _spread(config, few, one))
    return best._replace(gain=_gain(config, drawn, best))


def first(drawn: Records, count: int) -> Records:
    """The first records of many."""
    truths = (Truth(*(each[:count] for each in truth)) for truth in drawn[1:])
    return Records(drawn.codes[:count], *truths)


def _common(setup: Setup, config: ClassicConfig) -> dict[str, int]:
    """What all have: a baseline of what is before every pulse, the arming threshold, the ends of the codes.

    Raises
    ------
    ValueError
        If pulses fall.
    """
    if setup.polarity < 0:
        raise ValueError("pulses must rise: the front end turns others round")
    quiet = math.floor(setup.pre_samples - setup.onset_spread_samples) + 1
    half = 1 << (setup.adc_bits - 1)
    return dict.fromkeys(config.setting_names, 0) | {
        "baseline_exponent": min(config.most_baseline_exponent, quiet.bit_length() - 1),
        "threshold": _fixed(NOISE_FREE * setup.noise_rms / setup.lsb),
        "code_least": -half,
        "code_most": half - 1,
    }


def _best_time(config: ClassicConfig, drawn: Records, candidates: Iterable[Estimator]) -> Estimator:
    """The candidate of least rms error of those that give every pulse its time."""
    best, least = None, math.inf
    for each in candidates:
        late, flags = _late(config, drawn, each)
        if not flags.any() and late.std() < least:
            best, least = each, late.std()
    if best is None:
        raise ValueError("no setting gives every pulse a time")
    return best


def _late(config: ClassicConfig, drawn: Records, estimator: Estimator) -> tuple[Floats, npt.NDArray[np.uint8]]:
    """Errors of the time, in samples, and flags."""
    found = estimate(config, estimator.settings, estimator.table, drawn.codes)
    return onsets(found) - drawn.first.onset, found["flags"]


def _with_offset(config: ClassicConfig, drawn: Records, estimator: Estimator) -> Estimator:
    """So that the mean error is none."""
    offset = round(math.ldexp(_late(config, drawn, estimator)[0].mean(), FRACTION_BITS))
    return estimator._replace(settings=estimator.settings | {"time_offset": offset})


def _with_table(config: ClassicConfig, drawn: Records, estimator: Estimator) -> Estimator:
    """Of the pulses' own phases."""
    found = estimate(config, estimator.settings, IDENTITY, drawn.codes)
    table = phase_table(found["time"].astype(np.int64) & ((1 << FRACTION_BITS) - 1))
    return estimator._replace(settings=estimator.settings | {"table_on": 1}, table=table)


def _ratio(config: ClassicConfig, drawn: Records, estimator: Estimator) -> Floats:
    """Of energy to height."""
    return heights(estimate(config, estimator.settings, estimator.table, drawn.codes)) / drawn.first.amplitude


def _gain(config: ClassicConfig, drawn: Records, estimator: Estimator) -> float:
    """By which the ratio is 1 with the least rms error."""
    ratio = _ratio(config, drawn, estimator)
    return float(ratio.mean() / np.mean(ratio**2))


def _spread(config: ClassicConfig, drawn: Records, estimator: Estimator) -> float:
    """The least rms error of a gain times the ratio, squared."""
    ratio = _ratio(config, drawn, estimator)
    return float(1 - ratio.mean() ** 2 / np.mean(ratio**2))


def _fixed(codes: float) -> int:
    """In 2^-8 codes."""
    return round(math.ldexp(codes, ENERGY_BITS))


def _bits(samples: int) -> int:
    """By which a sum of so many samples is shifted to be no wider than one."""
    return (samples - 1).bit_length()
