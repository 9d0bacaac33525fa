"""Noise of a record: white, coloured, of the ADC's rounding, of sampling instants that jitter."""

from __future__ import annotations

import numpy as np

from sim.pulse.setup import Setup
from sim.pulse.shapes import Floats


def covariance(setup: Setup, samples: int | None = None) -> Floats:
    """Of the noise of a record's samples, all but that of jitter, which depends on the signal: float64 (n, n).

    White noise and the ADC's rounding (LSB^2 / 12: uniform and of no signal's) are on the diagonal.
    """
    count = setup.samples if samples is None else samples
    power = setup.noise_rms**2
    lags = np.abs(np.subtract.outer(np.arange(count), np.arange(count))) * setup.sample_ns
    coloured = setup.coloured_share * power * np.exp(-lags / setup.correlation_ns)
    white = (1 - setup.coloured_share) * power + setup.lsb**2 / 12
    return np.asarray(coloured + white * np.eye(count))


def draw(setup: Setup, rng: np.random.Generator, records: int, samples: int) -> Floats:
    """Noise before the ADC, without jitter's: float64 (records, samples); records do not know of each other.

    Coloured noise is a first-order autoregression, which has exactly the autocorrelation of `covariance`.
    """
    white = rng.normal(0, setup.noise_rms * np.sqrt(1 - setup.coloured_share), (records, samples))
    if not setup.coloured_share:
        return white
    return white + autoregression(
        rng, records, samples, setup.noise_rms * np.sqrt(setup.coloured_share), setup.sample_ns / setup.correlation_ns
    )


def autoregression(rng: np.random.Generator, records: int, samples: int, rms: float, step: float) -> Floats:
    """Stationary first-order autoregression of this rms, whose correlation falls off as e^(-step * samples)."""
    keep = np.exp(-step)
    found = rng.normal(0, rms, (records, samples))
    found[:, 1:] *= np.sqrt(1 - keep**2)
    for place in range(1, samples):
        found[:, place] += keep * found[:, place - 1]
    return found
