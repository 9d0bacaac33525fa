"""The bank and the settings of `pulse.filter`, computed from a measurement's shape and noise."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import chi2

from hdl.pulse.config import ENERGY_BITS, FRACTION_BITS, MIDDLE_PHASE, PHASES, FilterConfig
from sim.pulse.filter_model import DIFFERENCE_BITS, Bank
from sim.pulse.noise import covariance
from sim.pulse.setup import Setup
from sim.pulse.shapes import Floats

MOST_CODE = (1 << 15) - 1
"""Of a coefficient."""

FALSE_ALARMS = 1e-3
"""Share of lone pulses whose residual is above the limit, by noise alone."""

ROUNDING = 0.5 / PHASES
"""Samples between a pulse and the nearest phase, at most."""

USUAL_SPREAD = 0.05
"""Of widths, where a measurement says nothing of them."""

PAIR_BITS = FilterConfig.pair_bits
PAIR_PASSES = 3
"""Of the fit of two pulses, until nothing changes any more."""

EARLY_SAMPLES = 3
"""From a pulse's onset on, what an early fit looks at."""


def make_bank(setup: Setup, config: FilterConfig, false_alarms: float = FALSE_ALARMS) -> tuple[Bank, dict[str, int]]:
    """Coefficients by generalised least squares, W = (G' C^-1 G)^-1 G' C^-1, and the settings that go with them.

    Each row of W has as many fraction bits as its largest coefficient leaves, the templates as many together. Stretches
    divide the measurement's spread of widths evenly. The limit of chi is a quantile of what the fit leaves of noise,
    taken for a chi-squared distribution of this mean and variance (Welch and Satterthwaite), and, with the amplitude,
    twice what linearisation leaves half a phase, and half a stretch where there are several, away. With `pairs`, early
    fits look at `EARLY_SAMPLES` of a pulse, in which there must be no other.

    Raises
    ------
    ValueError
        If the rows cannot be told apart, or need more than 31 or less than 8 fraction bits.
    """
    noise = covariance(setup, config.taps) / setup.lsb**2
    spread = setup.stretch_spread or USUAL_SPREAD
    step = round(math.ldexp(2 * spread / config.stretches, FRACTION_BITS)) if config.stretches > 1 else 0
    widths = [math.ldexp(step, -FRACTION_BITS) * number for number in _from_middle(config)]
    columns = np.stack([_columns(setup, config, phase, width) for width in widths for phase in range(PHASES)])
    middle = _from_middle(config).index(0) * PHASES + MIDDLE_PHASE
    exact = np.stack([_weights(each, noise) for each in columns])
    if config.pairs:
        columns, exact = np.tile(columns, (2, 1, 1)), np.concatenate([exact, _early(config, columns, noise)])
    weights, settings = [], {}
    for place, name in enumerate(config.weight_rows):
        bits = _fraction_bits(exact[:, place], f"row {name.upper()}")
        if not ENERGY_BITS <= bits <= ENERGY_BITS + 31:
            raise ValueError(f"row {name.upper()} needs {bits} fraction bits, and can have {ENERGY_BITS} to 39")
        weights.append(np.rint(np.ldexp(exact[:, place], bits)).astype(np.int16))
        settings[f"exponent_{name}"] = bits - ENERGY_BITS
    kept = [place for place, name in enumerate(config.weight_rows) if name in config.template_rows]
    templates = np.moveaxis(columns[:, :, kept], 2, 0)
    bits = _fraction_bits(templates, "the templates")
    if config.pairs:
        settings |= _pair_settings(setup, config, templates, bits)
    half = 1 << (setup.adc_bits - 1)
    settings |= {
        "exponent_template": bits,
        "passes": config.default_passes + (config.stretches > 1),
        "stretch_step": step,
        "guess": setup.pre_samples << FRACTION_BITS,
        "chi_base": _noise_limit(columns[middle], exact[middle], noise, false_alarms),
        "chi_share": _share(setup, config, widths, columns, exact),
        "code_least": -half,
        "code_most": half - 1,
    }
    return Bank(np.stack(weights), np.rint(np.ldexp(templates, bits)).astype(np.int16)), settings


def _from_middle(config: FilterConfig) -> list[int]:
    """Numbers of the stretches, the middle one's 0."""
    return [number - (config.stretches - 1) // 2 for number in range(config.stretches)]


def _times_ns(setup: Setup, config: FilterConfig, onset_taps: float, width: float) -> Floats:
    """Of the taps, from a pulse's onset on, as one of the usual width would have them."""
    return np.asarray((np.arange(config.taps) - onset_taps) * setup.sample_ns / (1 + width), np.float64)


def _columns(setup: Setup, config: FilterConfig, phase: int, width: float) -> Floats:
    """G: derivatives of a window by what its rows give, float64 (taps, rows)."""
    since = _times_ns(setup, config, config.pre + (phase - MIDDLE_PHASE) / PHASES, width)
    value, slope = setup.pulse.value(since), setup.pulse.slope(since) / (1 + width)
    columns = {"a": value, "b": -slope * setup.sample_ns, "c": -since * slope}
    signed = {name: setup.polarity * column for name, column in columns.items()} | {"z": np.ones(config.taps)}
    return np.stack([signed[name] for name in config.weight_rows], axis=1)


def _weights(columns: Floats, noise: Floats) -> Floats:
    whitened = np.linalg.solve(noise, columns)
    gram = whitened.T @ columns
    if np.linalg.cond(gram / np.sqrt(np.outer(np.diag(gram), np.diag(gram)))) > 1e10:
        raise ValueError("the taps say too little of a pulse to tell amplitude, time and baseline apart")
    return np.asarray(np.linalg.solve(gram, whitened.T))


def _early(config: FilterConfig, columns: Floats, noise: Floats) -> Floats:
    """W of early fits: what comes later has no weight."""
    found = np.zeros((PHASES, columns.shape[2], config.taps))
    for phase in range(PHASES):
        seen = slice(0, config.pre + (phase - MIDDLE_PHASE) // PHASES + EARLY_SAMPLES + 1)
        found[phase, :, seen] = _weights(columns[phase, seen], noise[seen, seen])
    return found


def _pair_settings(setup: Setup, config: FilterConfig, templates: Floats, bits: int) -> dict[str, int]:
    """What a fit of two pulses needs besides: `templates` are values, of so many fraction bits in the bank."""
    square = float((templates**2).sum(axis=2).max())
    height = max(math.ldexp(1, setup.adc_bits - bits), 1.0)  # of a pulse, in units of a template's
    exponent = math.ceil(math.log2(math.ldexp(square * height, 2 * bits + 2) / math.ldexp(1, PAIR_BITS - 1)))
    since = _times_ns(setup, config, config.pre, 0.0)
    fine = np.linspace(since[config.pre], since[-1], 64 * config.taps)
    value = setup.pulse.value(fine)
    half = (fine[np.argmax(value >= value.max() / 2)] - since[config.pre]) / setup.sample_ns
    return {
        "pair_passes": PAIR_PASSES,
        "pair_offset": round(math.ldexp(half + 0.5, FRACTION_BITS)),  # a sample is half a one late, on average
        "exponent_pair": min(max(exponent, 0), 31),
    }


def _fraction_bits(values: Floats, name: str) -> int:
    """The most with which all of them are coefficients."""
    largest = float(np.abs(values).max())
    if not 0 < largest < math.inf:
        raise ValueError(f"{name} has no finite coefficient but 0")
    bits = math.floor(math.log2(MOST_CODE / largest))
    return bits if round(math.ldexp(largest, bits)) <= MOST_CODE else bits - 1


def _noise_limit(columns: Floats, weights: Floats, noise: Floats, false_alarms: float) -> int:
    """In 2^-8 codes squared."""
    leaves = np.eye(len(noise)) - columns @ weights
    rest = leaves @ noise @ leaves.T
    mean, square = float(np.trace(rest)), float(np.trace(rest @ rest))
    limit = square / mean * float(chi2.ppf(1 - false_alarms, mean**2 / square))
    return min(math.ceil(math.ldexp(limit, 2 * DIFFERENCE_BITS)), (1 << 32) - 1)


def _share(setup: Setup, config: FilterConfig, widths: list[float], columns: Floats, weights: Floats) -> int:
    """Of a squared height of codes, in 2^-24 codes squared."""
    worst, wider = 0.0, (widths[1] - widths[0]) / 2 if len(widths) > 1 else 0.0
    for place, (width, phase) in enumerate(itertools.product(widths, range(PHASES))):  # not of early fits
        for late, off in itertools.product((-ROUNDING, ROUNDING), sorted({-wider, wider})):
            since = _times_ns(setup, config, config.pre + (phase - MIDDLE_PHASE) / PHASES + late, width + off)
            pulse = setup.polarity * setup.pulse.value(since)
            rest = pulse - columns[place] @ (weights[place] @ pulse)
            worst = max(worst, float(rest @ rest))
    return min(math.ceil(math.ldexp(2 * worst, 2 * DIFFERENCE_BITS + 16)), (1 << 32) - 1)


def onsets(records: npt.NDArray[Any]) -> Floats:
    """In samples from the window's first one."""
    return np.asarray(records["time"] / (1 << FRACTION_BITS), np.float64)


def heights(records: npt.NDArray[Any]) -> Floats:
    """In codes."""
    return np.asarray(records["energy"] / (1 << ENERGY_BITS), np.float64)
