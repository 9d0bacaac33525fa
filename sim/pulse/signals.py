"""Records and streams of ADC codes, with the truth about what is in them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from sim.pulse import noise
from sim.pulse.setup import Setup
from sim.pulse.shapes import Floats

Codes = npt.NDArray[np.int16]


class Truth(NamedTuple):
    """Of pulses, an entry each: float64 (pulses,).

    Attributes
    ----------
    onset : samples from the start of the record or stream
    amplitude : ADC counts, not rounded
    stretch : share by which it is longer
    """

    onset: Floats
    amplitude: Floats
    stretch: Floats


class Records(NamedTuple):
    """Records of one pulse each, or of two.

    Attributes
    ----------
    codes : int16 (records, samples)
    first, second : Truth
        Of the pulse that was meant; of the second one, whose amplitude is 0 where there is none.
    """

    codes: Codes
    first: Truth
    second: Truth


class Stream(NamedTuple):
    """One long row of codes, int16 (samples,), and the pulses in it in order."""

    codes: Codes
    pulses: Truth


def records(setup: Setup, count: int, seed: int) -> Records:
    """`count` records as the set-up says; the same seed gives the same ones."""
    rng = np.random.default_rng(seed)
    spread = setup.onset_spread_samples
    onset = setup.pre_samples + rng.uniform(-spread, spread, count)
    amplitude, stretch = _pulses(setup, rng, count)
    late = rng.uniform(setup.pile_up_least_ns, setup.pile_up_most_ns, count) / setup.sample_ns
    second_amplitude, second_stretch = _pulses(setup, rng, count)
    second_amplitude = second_amplitude * (rng.random(count) < setup.pile_up_share)

    places = np.arange(setup.samples, dtype=np.float64)
    places = places + rng.normal(0, setup.jitter_ps * 1e-3 / setup.sample_ns, (count, setup.samples))
    signal = pulse(setup, places, onset, amplitude, stretch)
    signal += pulse(setup, places, onset + late, second_amplitude, second_stretch)
    signal += noise.draw(setup, rng, count, setup.samples)
    wandering = rng.normal(0, setup.baseline_walk, (count, 1))
    return Records(
        digitise(setup, signal, wandering),
        Truth(onset, amplitude / setup.lsb, stretch),
        Truth(onset + late, second_amplitude / setup.lsb, second_stretch),
    )


def stream(setup: Setup, samples: int, rate_hz: float, seed: int) -> Stream:
    """Pulses at random (Poisson) in a row of `samples`, on a baseline that wanders.

    Parameters
    ----------
    rate_hz : float
        Mean number of pulses a second; the set-up's onsets and pile-up have no meaning here.
    """
    rng = np.random.default_rng(seed)
    count = int(rng.poisson(rate_hz * samples / setup.sample_rate_hz))
    onset = np.sort(rng.uniform(0, samples, count))
    amplitude, stretch = _pulses(setup, rng, count)
    places = np.arange(samples, dtype=np.float64)
    places += rng.normal(0, setup.jitter_ps * 1e-3 / setup.sample_ns, samples)
    signal = noise.draw(setup, rng, 1, samples)[0]
    reach = _reach(setup)
    for start, height, longer in zip(onset, amplitude, stretch, strict=True):
        part = slice(int(start), int(start) + reach)
        signal[part] += pulse(setup, places[None, part], *(np.array([one]) for one in (start, height, longer)))[0]
    step = setup.sample_ns * 1e-9 / setup.baseline_walk_s
    wandering = noise.autoregression(rng, 1, samples, setup.baseline_walk, step)[0] if setup.baseline_walk else 0.0
    return Stream(digitise(setup, signal, wandering), Truth(onset, amplitude / setup.lsb, stretch))


def pulse(setup: Setup, places: Floats, onset: Floats, amplitude: Floats, stretch: Floats) -> Floats:
    """Pulses without noise, relative to the largest amplitude: float64 (pulses, samples).

    Parameters
    ----------
    places : (samples,) or (pulses, samples)
        In samples.
    onset, amplitude, stretch : (pulses,)
    """
    since = (places - onset[:, None]) * setup.sample_ns / (1 + stretch[:, None])
    return np.asarray(amplitude[:, None] * setup.pulse.value(since))


def digitise(setup: Setup, signal: Floats, baseline: Floats | float = 0.0) -> Codes:
    """Codes of a signal on the set-up's baseline: to the nearest, halves to even, saturated."""
    half = 1 << (setup.adc_bits - 1)
    codes = np.rint((setup.polarity * signal + setup.baseline + baseline) / setup.lsb) - half
    return np.asarray(np.clip(codes, -half, half - 1), np.int16)


def _pulses(setup: Setup, rng: np.random.Generator, count: int) -> tuple[Floats, Floats]:
    """Amplitudes, relative to the largest, and stretches."""
    return (
        rng.uniform(setup.amplitude_least, 1, count),
        rng.uniform(-setup.stretch_spread, setup.stretch_spread, count),
    )


def _reach(setup: Setup) -> int:
    """Samples after which nothing is left of a pulse, 2^-20 of its peak; of a measured one what its file has."""
    reach = 16
    while reach < 1 << 20 and setup.pulse.value(np.array([reach * setup.sample_ns / 1.5]))[0] > 2.0**-20:
        reach *= 2
    return reach
