"""The classic estimators on pulses: against float64 of the same mathematics, and their settings and table."""

import re

import numpy as np
import pytest
from scipy.signal import lfilter

from hdl.pulse.classic_config import ENERGY_SOURCES, ClassicConfig
from sim.pulse.bank import heights, onsets
from sim.pulse.classic_calibrate import IDENTITY, constant_fraction, energy, leading_edge, phase_table
from sim.pulse.classic_model import estimate
from sim.pulse.setup import Setup
from sim.pulse.signals import records

CONFIG = ClassicConfig.parse({"samples": 32})
PULSES = 3000
BASE = dict.fromkeys(CONFIG.setting_names, 0) | {
    "baseline_exponent": 3,
    "threshold": 500 << 8,
    "delay": 5,
    "fraction": 100,
    "rise": 6,
    "flat": 3,
    "gate_start": 7,
    "gate_long": 20,
    "gate_short": 9,
    "code_least": -(2**15),
    "code_most": 2**15 - 1,
}


@pytest.fixture(scope="module")
def drawn():
    """Pulses of 0.1 to 1, and their samples above the mean of the first eight, in codes."""
    codes = records(Setup.parse({"amplitude_least": 0.1}), PULSES, seed=3).codes
    return codes, codes - codes[:, :8].mean(axis=1, keepdims=True)


def crossings(signals, least):
    """Where rows first rise through 0, at sample `least` or later, and by how much a unit of the signal moves that."""
    places, steps = [], []
    for signal, first in zip(signals, least, strict=True):
        rises = np.flatnonzero((signal[:-1] <= 0) & (signal[1:] > 0)) + 1
        i = rises[rises >= first][0]
        places.append(np.interp(0, signal[i - 1 : i + 1], [i - 1, i]))
        steps.append(1 / (signal[i] - signal[i - 1]))
    return np.array(places), np.array(steps)


def test_leading_edge_is_interpolation(drawn):
    codes, signal = drawn
    wanted, _ = crossings(signal - 500, np.ones(PULSES))
    late = wanted - onsets(estimate(CONFIG, BASE, IDENTITY, codes))
    assert (late > -1e-9).all() and (late < 2.0**-16 + 1e-9).all()


def test_constant_fraction_is_interpolation(drawn):
    codes, signal = drawn
    edges, _ = crossings(signal - 500, np.ones(PULSES))
    delayed = np.concatenate([np.zeros((PULSES, 5)), signal[:, :-5]], axis=1)
    wanted, step = crossings(delayed - 100 / 256 * signal, np.ceil(edges))
    late = wanted - onsets(estimate(CONFIG, BASE | {"time_source": 1}, IDENTITY, codes))
    assert (np.abs(late - 2.0**-17) <= 2.0**-17 + 2.0**-9 * step + 1e-9).all()


def test_energies_are_filters(drawn):
    codes, signal = drawn
    window = np.ones(6)
    kernel = np.concatenate([window, np.zeros(3), -window])
    wanted = {
        "peak": signal.max(axis=1),
        "trapezoid": lfilter(kernel, 1, signal, axis=1).max(axis=1),
        "long_gate": signal[:, 7:27].sum(axis=1),
    }
    for source, exact in wanted.items():
        got = estimate(CONFIG, BASE | {"energy_source": ENERGY_SOURCES.index(source)}, IDENTITY, codes)
        np.testing.assert_allclose(heights(got), exact, rtol=0, atol=1e-6, err_msg=source)
        rounded = estimate(
            CONFIG, BASE | {"energy_source": ENERGY_SOURCES.index(source), "energy_exponent": 9}, IDENTITY, codes
        )
        np.testing.assert_allclose(heights(rounded) * 512, exact, rtol=0, atol=1.0 + 1e-6, err_msg=source)
    short = signal[:, 7:16].sum(axis=1)
    np.testing.assert_allclose(got["short"] / 256, short, rtol=0, atol=1e-6)
    np.testing.assert_allclose(got["psd"] / 2**15, short / wanted["long_gate"], rtol=0, atol=2.0**-15)


def test_table_undoes_what_bends_phases():
    """Of phases that interpolation bent by up to 0.04 samples little is left: a table's steps and the count's noise."""
    true = (np.arange(200_000) + 0.5) / 200_000
    bent = true + 0.04 * np.sin(2 * np.pi * true)
    fractions = (bent * 2**16).astype(np.int64)
    table = phase_table(fractions)
    assert table.shape == (64,) and table.dtype == np.int16
    corrected = (fractions + table[fractions >> 10]) / 2**16
    assert np.abs(bent - true).max() > 0.039
    assert np.abs(corrected - true).max() < 0.003
    straight = phase_table((true * 2**16).astype(np.int64))
    assert np.abs(straight).max() <= 1


def errors_ps(setup, estimator, count=20_000):
    found = records(setup, count, seed=5)
    got = estimate(CONFIG, estimator.settings, estimator.table, found.codes)
    assert not got["flags"].any()
    return (onsets(got) - found.first.onset) * setup.sample_ns * 1e3


def test_constant_fraction_on_the_reference_pulse():
    """At least as good as coarser grids were: 102 ps, and 86 with a table; the mean error is the calibration's own."""
    setup = Setup.parse({})
    pulses = records(setup, 50_000, seed=9)
    plain = errors_ps(setup, constant_fraction(setup, CONFIG, pulses, table=False))
    corrected = errors_ps(setup, constant_fraction(setup, CONFIG, pulses, table=True))
    assert 80 < np.sqrt(np.mean(plain**2)) < 102
    assert 58.4 < np.sqrt(np.mean(corrected**2)) < 86
    assert abs(plain.mean()) < 4 and abs(corrected.mean()) < 4


def test_leading_edge_walks_and_constant_fraction_does_not():
    setup = Setup.parse({"snr_db": 80.0, "amplitude_least": 0.5})
    pulses = records(setup, 10_000, seed=9)
    edge = errors_ps(setup, leading_edge(setup, CONFIG, pulses)).std()
    fraction = errors_ps(setup, constant_fraction(setup, CONFIG, pulses, table=True)).std()
    assert edge > 400 and fraction < 40


@pytest.mark.parametrize(("source", "percent"), [("peak", 0.53), ("trapezoid", 0.427), ("long_gate", 0.52)])
def test_energy_on_the_reference_pulse(source, percent):
    """A sample's noise is 0.427 %, a peak's error 0.52 %; a sum's is less, and more than the bound, 0.22 %."""
    setup = Setup.parse({})
    best = energy(setup, CONFIG, records(setup, 4000, seed=9), source)
    found = records(setup, 20_000, seed=5)
    got = estimate(CONFIG, best.settings, best.table, found.codes)
    relative = 100 * (best.gain * heights(got) / found.first.amplitude - 1)
    assert 0.22 < np.sqrt(np.mean(relative**2)) < percent
    assert np.abs(got["energy"]).max() < 2**23  # a channel's record has so many bits


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"polarity": -1}, "pulses must rise: the front end turns others round"),
        ({"snr_db": 6.0}, "no setting gives every pulse a time"),
    ],
)
def test_calibration_refuses(given, message):
    setup = Setup.parse(given)
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        leading_edge(setup, CONFIG, records(setup, 200, seed=1))
