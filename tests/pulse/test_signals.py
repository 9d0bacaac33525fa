"""Records and streams: what is in them is what the truth says, and noise is what its covariance says."""

import numpy as np
import pytest

from hdl.common.config import ConfigError
from sim.pulse import noise
from sim.pulse.setup import SETUPS, Setup
from sim.pulse.shapes import Biexponential, CrRc
from sim.pulse.signals import digitise, pulse, records, stream

QUIET = {"snr_db": 140.0, "adc_bits": 16}
"""So little noise that a code is its pulse, to the ADC's rounding."""


def volts(setup, codes):
    """Codes to heights over the baseline, pulses up."""
    half = 1 << (setup.adc_bits - 1)
    return setup.polarity * ((codes.astype(float) + half) * setup.lsb - setup.baseline)


def by_formula(setup, places, onset, amplitude, stretch):
    """A CR-RC^2 pulse of 20 ns, written a second time."""
    x = np.maximum(places - onset, 0) * 1e9 / setup.sample_rate_hz / (1 + stretch) / 20.0
    return amplitude * setup.lsb * (x / 2) ** 2 * np.exp(2 - x)


@pytest.mark.parametrize("polarity", [1, -1])
def test_records_hold_the_pulses_that_the_truth_names(polarity):
    given = {"amplitude_least": 0.2, "stretch_spread": 0.1, "pile_up_share": 0.5, "full_scale": 4.0}
    setup = Setup.parse(QUIET | given | {"polarity": polarity, "baseline": 0.5 if polarity == 1 else 3.5})
    found = records(setup, 500, seed=4)
    assert found.codes.shape == (500, 32) and found.codes.dtype == np.int16
    for truth in (found.first, found.second):
        assert all(each.shape == (500,) for each in truth)
    for place in range(500):
        wanted = sum(
            by_formula(setup, np.arange(32), *(each[place] for each in truth)) for truth in (found.first, found.second)
        )
        assert volts(setup, found.codes[place]) == pytest.approx(wanted, abs=setup.lsb)
    assert 0.4 < np.mean(found.second.amplitude > 0) < 0.6
    assert (np.abs(found.first.onset - 8) <= 1).all() and np.ptp(found.first.onset) > 1.9
    assert (np.abs(found.first.stretch) <= 0.1).all()
    delays = (found.second.onset - found.first.onset) * 8
    assert delays.min() >= 20 and delays.max() <= 160


def test_same_seed_same_records():
    setup = Setup.parse({"coloured_share": 0.5})
    assert (records(setup, 9, seed=1).codes == records(setup, 9, seed=1).codes).all()
    assert (records(setup, 9, seed=1).codes != records(setup, 9, seed=2).codes).any()
    assert (stream(setup, 999, 1e6, seed=1).codes == stream(setup, 999, 1e6, seed=1).codes).all()


@pytest.mark.parametrize("share", [0.0, 0.4, 1.0])
def test_noise_has_its_covariance(share):
    setup = Setup.parse(
        {"snr_db": 40.0, "coloured_share": share, "correlation_ns": 25.0, "samples": 12, "pre_samples": 4}
    )
    wanted = noise.covariance(setup) - setup.lsb**2 / 12 * np.eye(12)
    count = 40_000
    drawn = noise.draw(setup, np.random.default_rng(3), count, 12)
    found = drawn.T @ drawn / count
    assert np.abs(found - wanted).max() < 5 * wanted.max() * np.sqrt(2 / count)
    assert np.sqrt(wanted[0, 0]) == pytest.approx(0.01)


def test_rounding_is_a_part_of_the_noise():
    setup = Setup.parse({"adc_bits": 6, "snr_db": 40.0})
    codes = records(setup, 20_000, seed=8).codes[:, :6]
    power = np.mean(volts(setup, codes) ** 2)
    assert power == pytest.approx(noise.covariance(setup)[0, 0], rel=0.03)
    assert power > 1.2 * setup.noise_rms**2


def test_codes_saturate():
    setup = Setup.parse({"adc_bits": 8, "full_scale": 1.0, "baseline": 0.25})
    codes = digitise(setup, np.array([-1.0, -0.25, 0.0, 0.5, 0.7461, 0.75, 9.0]))
    assert codes.tolist() == [-128, -128, -64, 64, 127, 127, 127]


def test_jitter_shakes_what_is_steep():
    setup = Setup.parse(QUIET | {"jitter_ps": 200.0, "onset_spread_samples": 0.0})
    found = volts(setup, records(setup, 20_000, seed=5).codes).std(axis=0)
    slope = np.abs(CrRc(2, 20.0).slope((np.arange(32) - 8) * 8.0))
    steep = slope > 1e-3
    assert steep.sum() > 10
    assert found[steep] == pytest.approx(slope[steep] * 0.2, rel=0.05)
    assert found[:8] == pytest.approx(0, abs=setup.lsb)


def test_baseline_walks():
    setup = Setup.parse(QUIET | {"baseline_walk": 0.02, "full_scale": 2.0, "baseline": 0.4})
    first = volts(setup, records(setup, 20_000, seed=5).codes)[:, 0]
    assert first.std() == pytest.approx(0.02, rel=0.03)
    slow = setup.model_copy(update={"baseline_walk_s": 4e-6})
    walk = volts(slow, stream(slow, 400_000, 0.0, seed=2).codes)
    assert walk.std() == pytest.approx(0.02, rel=0.15)
    lag = 500  # 4 us
    assert np.mean(walk[lag:] * walk[:-lag]) / np.mean(walk**2) == pytest.approx(np.exp(-1), abs=0.12)


def test_stream_holds_its_pulses():
    setup = Setup.parse(QUIET | {"amplitude_least": 0.3, "stretch_spread": 0.05, "full_scale": 8.0})
    found = stream(setup, 60_000, 2e6, seed=11)
    assert found.codes.shape == (60_000,)
    assert len(found.pulses.onset) == pytest.approx(960, abs=5 * np.sqrt(960))
    assert (np.diff(found.pulses.onset) >= 0).all()
    wanted = sum(by_formula(setup, np.arange(60_000), *each) for each in zip(*found.pulses, strict=True))
    assert volts(setup, found.codes) == pytest.approx(wanted, abs=setup.lsb + 1e-4)


def test_measured_pulse_comes_from_its_file(tmp_path):
    file = tmp_path / "mean.npy"
    np.save(file, 300 * Biexponential(8.0, 40.0).value(np.arange(0, 600, 0.5)))
    given = {"shape": "sampled", "waveform": str(file), "waveform_spacing_ns": 0.5}
    measured, computed = Setup.parse(QUIET | given), Setup.parse(QUIET | {"shape": "biexponential"})
    places, ones = np.arange(32.0), np.ones(3)
    onset = np.array([7.2, 8.0, 8.9])
    assert pulse(measured, places, onset, ones, 0 * ones) == pytest.approx(
        pulse(computed, places, onset, ones, 0 * ones), abs=2e-3
    )


def test_set_ups_that_come_with_niello_are_some():
    import yaml

    assert "r0" in SETUPS
    for file in SETUPS.values():
        Setup.parse(yaml.safe_load(file.read_text()))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"taus_ns": 3.0}, 'params.taus_ns is not a field; did you mean "tau_ns"?'),
        ({"order": 0}, "params.order must be a whole number in 1..8, not 0"),
        ({"shape": "biexponential", "decay_ns": 8.0}, "params: decay_ns must be more than rise_ns = 8.0, not 8.0"),
        ({"shape": "sampled"}, "params: waveform must name a file where shape is sampled, and nowhere else"),
        ({"waveform": "x.npy"}, "params: waveform must name a file where shape is sampled, and nowhere else"),
        ({"pre_samples": 29}, "params: pre_samples must be at most samples - 4 = 28, not 29"),
        (
            {"onset_spread_samples": 8.5},
            "params: onset_spread_samples must be at most pre_samples = 8, not 8.5",
        ),
        (
            {"pile_up_most_ns": 10.0},
            "params: pile_up_most_ns must be at least pile_up_least_ns = 20.0, not 10.0",
        ),
    ],
)
def test_set_up_must_be_possible(given, message):
    with pytest.raises(ConfigError) as caught:
        Setup.parse(given)
    assert str(caught.value) == message
