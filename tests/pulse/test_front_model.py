"""The front end's model: against Python's integers, scipy, and what algebra and statistics say."""

import numpy as np
import pytest
from scipy.signal import lfilter

from hdl.pulse.front_config import SIGNED_SETTINGS, SOURCES, FrontConfig
from sim.pulse.front_model import PILE_UP, SATURATED, UNSETTLED, find, give, surely_kept
from sim.pulse.front_vectors import random_samples, random_settings
from sim.pulse.settings import setting_range
from tests.pulse.front_oracle import Front

R0 = FrontConfig.parse({"samples": 32, "pre": 8})
PLAIN = dict.fromkeys(R0.setting_names, 0) | {"code_least": -(1 << 15), "code_most": (1 << 15) - 1}


def random_config(rng):
    lanes, samples = int(rng.choice([1, 2, 4])), int(rng.choice([16, 32, 50, 256]))
    pre = int(rng.integers(0, min(samples, 128) // lanes)) * lanes
    return FrontConfig.parse(
        {"samples": samples, "pre": pre, "lanes": lanes, "code_bits": int(rng.integers(8, 17)), "events": 2}
    )


def random_stream(rng, items):
    """Config, settings, samples and an external trigger."""
    config = random_config(rng)
    settings = random_settings(config, rng)
    polarity = int(rng.choice([1, -1])) * (-1 if settings["invert"] else 1)
    samples = random_samples(config, rng, items, polarity).ravel()
    external = rng.random(len(samples)) < rng.choice([0, 0.01, 0.5])
    return config, settings, samples, external


def assert_is_the_paper(config, settings, samples, external, rng):
    """The model's events are the oracle's; how many there are of each set of flags."""
    found, oracle = find(config, settings, samples, external), Front(config, settings)
    for sample, outside in zip(samples.tolist(), external.tolist(), strict=True):
        oracle.take(sample, outside)
    assert found.signal.tolist() == oracle.v
    assert found.triggers.tolist() == [time for time, _, _ in oracle.triggers]
    for stopped in (False, True):
        lost = np.flatnonzero(rng.random(len(found.triggers)) < rng.choice([0, 0.3])).tolist()
        given = give(config, settings, found, lost, stopped=stopped)
        got = [(*event, codes) for event, codes in zip(given.events.tolist(), given.windows.tolist(), strict=True)]
        assert got == oracle.events(lost, stopped)
        assert given.counters == oracle.counters(lost, stopped)
    return np.bincount(given.events["flags"], minlength=16)


@pytest.mark.parametrize("streams", [10, pytest.param(200, marks=pytest.mark.deep)])
def test_front_model_is_the_paper(streams):
    """Random streams and settings, some of which are extreme; each flag is met, and is not always."""
    flags = np.zeros(16, int)
    for seed in range(streams):
        rng = np.random.default_rng(seed)
        flags += assert_is_the_paper(*random_stream(rng, 40), rng)
    assert flags.sum() > 30 * streams
    for flag in (PILE_UP, SATURATED, UNSETTLED):
        assert 0 < flags[(np.arange(16) & flag) != 0].sum() < flags.sum()


@pytest.mark.parametrize("source", range(len(SOURCES)))
@pytest.mark.parametrize("end", [0, 1])
def test_front_model_is_the_paper_at_the_ends_of_its_settings(source, end):
    """Every setting at its least or most, and one after the other at the other end; codes of the largest size."""
    rng = np.random.default_rng(source)
    samples = rng.choice([-(1 << 15), (1 << 15) - 1, 0, -1], 600).astype(np.int16)
    ends = {name: setting_range(R0, SIGNED_SETTINGS, name) for name in R0.setting_names}
    for other in R0.setting_names:
        settings = {name: ends[name][end ^ (name == other)] for name in R0.setting_names} | {"source": source}
        assert_is_the_paper(R0, settings, samples, rng.random(600) < 0.1, rng)


@pytest.mark.parametrize("threshold", [-2, 0, 1])
def test_front_model_is_the_paper_where_a_sample_sets_and_fires(threshold):
    """A zero crossing with a threshold of 0 or less."""
    rng = np.random.default_rng(3)
    settings = PLAIN | {"source": 3, "threshold": threshold, "baseline_on": 1, "baseline_exponent": 3}
    flags = assert_is_the_paper(R0, settings, rng.integers(-2, 3, 5000).astype(np.int16), np.zeros(5000, bool), rng)
    assert flags.sum() > 100


def test_front_model_conserves_triggers_and_samples():
    """With pulses everywhere: each trigger is out, lost or still in the ring; each sample is live or dead."""
    rng = np.random.default_rng(5)
    samples = rng.integers(-300, 300, 400_000).astype(np.int16)
    settings = PLAIN | {"source": 1, "threshold": 200, "hysteresis": 50, "baseline_on": 1, "inspect": 9}
    found = find(R0, settings, samples)
    lost = range(0, len(found.triggers), 3)
    counters = give(R0, settings, found, lost).counters
    in_ring = counters["triggers"] - counters["windows"] - counters["lost"]
    assert counters["triggers"] > 40_000
    assert 0 <= in_ring < 10
    assert counters["live"] + counters["dead"] == len(samples)
    assert give(R0, settings, found, lost, stopped=True).counters["windows"] >= counters["windows"]


@pytest.mark.parametrize("pole", [0, 1, 33333, 65000, 65535])
def test_front_pole_zero_is_a_filter_of_one_zero(pole):
    """As scipy's floats have it, to half a code."""
    codes = np.random.default_rng(pole).integers(-8000, 8000, 4000).astype(np.int16)
    signal = find(R0, PLAIN | {"pole": pole}, codes).signal
    exact = lfilter([1, -pole / 65536], [1], codes)
    assert np.abs(signal - exact).max() <= 0.5


def test_front_pole_zero_takes_away_a_tail():
    """Of an exponential with its time constant nothing is left but the first sample, and roundings."""
    decay = np.exp(-1 / 40)
    codes = np.rint(12000 * decay ** np.arange(400)).astype(np.int16)
    signal = find(R0, PLAIN | {"pole": round(65536 * decay)}, codes).signal
    assert signal[0] == 12000
    assert np.abs(signal[1:]).max() <= 2


@pytest.mark.parametrize(("rise", "flat"), [(1, 0), (7, 4), (31, 31), (0, 5)])
def test_front_trapezoid_of_a_step(rise, flat):
    """It rises by the step a sample, stays, and falls: found out with triggers at every height."""
    onset, height, taken = 300, 50, rise or 1
    codes = np.where(np.arange(600) >= onset, height, 0).astype(np.int16)
    for steps in range(1, taken + 1):
        settings = PLAIN | {"source": 2, "rise": rise, "flat": flat, "threshold": height * steps}
        assert find(R0, settings, codes).triggers.tolist() == [onset + steps - 1]
        crossing = find(R0, settings | {"source": 3}, codes).triggers.tolist()
        assert crossing == [onset + 2 * taken + flat - 1]
    assert not len(find(R0, settings | {"threshold": height * taken + 1}, codes).triggers)


@pytest.mark.parametrize("exponent", [4, 8, 12])
def test_front_baseline_is_the_mean_of_noise(exponent):
    """Within five of its standard errors, and a frame after frame as scattered as a mean is."""
    mean, deviation = 321.3, 40.0
    noise = np.random.default_rng(exponent).normal(mean, deviation, 1 << 18)
    found = find(R0, PLAIN | {"baseline_on": 1, "baseline_exponent": exponent}, np.rint(noise).astype(np.int16))
    means = found.baseline[found.settled] / 256
    error = deviation / np.sqrt(1 << exponent)
    assert len(means) > 1900
    assert np.abs(means - mean).max() < 5 * error
    assert np.std(means) == pytest.approx(error, rel=0.3)


def test_front_gate_keeps_pulses_out_of_the_baseline():
    """Without the gate a pulse every 200 samples lifts it by its mean; with it, not at all."""
    codes = np.zeros(40_000, np.int16)
    for start in range(500, 39_000, 200):
        codes[start : start + 20] = 1000
    settings = PLAIN | {"source": 1, "threshold": 500, "hysteresis": 300, "baseline_on": 1, "baseline_exponent": 10}
    assert np.abs(find(R0, settings, codes).baseline[20:]).min() > 0
    gated = find(R0, settings | {"gate_before": 1, "gate_after": 5}, codes)
    assert len(gated.triggers) == len(range(500, 39_000, 200))
    assert gated.settled[20:].all()
    assert not gated.baseline.any()


def test_front_surely_keeps_what_has_time():
    """As many as the ring has, whatever comes; then those before which others are surely gone."""
    config = FrontConfig.parse({"samples": 32, "pre": 8, "events": 2})
    dense = np.arange(200, 2200, 10)
    assert np.flatnonzero(surely_kept(config, PLAIN, dense, config.samples)).tolist() == [0, 1]
    assert surely_kept(config, PLAIN, np.arange(200, 20_000, 54), config.samples).all()
    assert not surely_kept(config, PLAIN, np.arange(200, 20_000, 54), 4 * config.samples).all()
    # Inspected for long, a window waits for the next trigger: two are in the ring until the third comes.
    slow = surely_kept(config, PLAIN | {"inspect": 60_000}, np.arange(200, 20_000, 54), config.samples)
    assert slow.tolist() == [True, True] + [False] * (len(slow) - 2)
