"""The bound against figures from elsewhere, information against differences, both against what estimates reach."""

import numpy as np
import pytest

from sim.pulse.fisher import bound, information
from sim.pulse.noise import covariance
from sim.pulse.setup import Setup
from sim.pulse.signals import pulse, records

PUBLISHED = [
    # A set-up, ps, % with the baseline fitted, % with it known: computed for this project's specification.
    ({}, 58.4, 0.220, 0.169),
    ({"sample_rate_hz": 62.5e6, "samples": 16, "pre_samples": 4}, 83.0, 0.31, None),
    ({"shape": "biexponential"}, 44.9, 0.249, 0.198),
    ({"shape": "biexponential", "rise_ns": 20.0, "decay_ns": 60.0, "sample_rate_hz": 62.5e6}, 87.1, 0.251, 0.208),
    ({"amplitude_least": 0.1}, 185, 0.70, None),
    ({"stretch_spread": 0.05}, 104, 0.225, None),
    ({"pile_up_share": 0.3}, 62.5, 0.26, None),
]


@pytest.mark.parametrize(("given", "time_ps", "percent", "percent_known"), PUBLISHED)
def test_bound_is_the_published_one(given, time_ps, percent, percent_known):
    setup = Setup.parse(given)
    found = bound(setup)
    assert found.time_ps == pytest.approx(time_ps, rel=5e-3)
    assert 100 * found.amplitude == pytest.approx(percent, abs=5.1e-3 if percent > 0.25 else 1e-3)
    if percent_known:
        assert 100 * bound(setup, baseline_known=True).amplitude == pytest.approx(percent_known, abs=1.1e-3)


def test_shortcuts_of_white_noise():
    """Time alone is known to 1 / (SNR sqrt(sum s'^2)), which a baseline hardly changes."""
    setup = Setup.parse({"onset_spread_samples": 0.0, "adc_bits": 16})
    slope = setup.pulse.slope((np.arange(32) - 8.0) * 8)
    height = setup.pulse.value((np.arange(32) - 8.0) * 8)
    found = information(setup, 8.0, [(0.0, 1.0, 0.0)], baseline_known=True, stretch_known=True)
    assert found[0, 0] == pytest.approx((slope**2).sum() / setup.noise_rms**2, rel=1e-3)
    assert found[1, 1] == pytest.approx((height**2).sum() / setup.noise_rms**2, rel=1e-3)


def test_information_is_made_of_derivatives():
    given = {"coloured_share": 0.5, "stretch_spread": 0.1, "jitter_ps": 30.0, "polarity": -1}
    setup = Setup.parse(given)

    def model(t_ns, a, e, late_ns, a_2, e_2, b):
        first = pulse(setup, np.arange(32.0), *(np.array([x]) for x in (8.3 + t_ns / 8, a, e)))
        second = pulse(setup, np.arange(32.0), *(np.array([x]) for x in (8.3 + late_ns / 8, a_2, e_2)))
        return (first + second)[0] + b

    at = np.array([0.0, 0.7, 0.03, 55.0, 0.4, -0.02, 0.0])
    step = 1e-5
    derivatives = np.stack(
        [(model(*(at + step * unit)) - model(*(at - step * unit))) / (2 * step) for unit in np.eye(7)], axis=1
    )
    noise = covariance(setup) + np.diag(((derivatives[:, 0] + derivatives[:, 3]) * 0.03) ** 2)
    wanted = derivatives.T @ np.linalg.inv(noise) @ derivatives
    wanted[[2, 5], [2, 5]] += 12 / 0.2**2
    pulses = [(0.0, 0.7, 0.03), (55.0, 0.4, -0.02)]
    found = information(setup, 8.3, pulses, baseline_known=False, stretch_known=False)
    assert found == pytest.approx(wanted, rel=1e-4)
    fewer = information(setup, 8.3, pulses, baseline_known=True, stretch_known=True)
    kept = [0, 1, 3, 4]
    assert fewer == pytest.approx(wanted[np.ix_(kept, kept)], rel=1e-4)


@pytest.mark.parametrize(
    "given",
    [{}, {"coloured_share": 0.7}, {"jitter_ps": 100.0}, {"adc_bits": 7}, {"amplitude_least": 0.2, "adc_bits": 12}],
)
def test_linear_estimate_at_the_truth_reaches_the_bound(given):
    """Generalised least squares, linearised at the true pulse: its errors are those of the noise, and the bound's."""
    setup = Setup.parse(given)
    count = 6000
    found = records(setup, count, seed=6)
    onset, amplitude = found.first.onset, found.first.amplitude * setup.lsb
    height = (found.codes + float(1 << (setup.adc_bits - 1))) * setup.lsb - setup.baseline
    since = (np.arange(32) - onset[:, None]) * setup.sample_ns
    slope, value = setup.pulse.slope(since), setup.pulse.value(since)
    columns = np.stack([-amplitude[:, None] * slope, value, np.ones_like(value)], axis=2)
    noise = covariance(setup) + (amplitude[:, None] * slope * setup.jitter_ps * 1e-3)[:, :, None] ** 2 * np.eye(32)
    weights = np.swapaxes(np.linalg.solve(noise, columns), 1, 2)
    rest = height - amplitude[:, None] * value
    errors = np.linalg.solve(weights @ columns, weights @ rest[:, :, None])[:, :, 0]
    limit = bound(setup)
    tolerance = 5 / np.sqrt(2 * count) * (2 if "amplitude_least" in given else 1)
    assert np.sqrt(np.mean(errors[:, 0] ** 2)) * 1e3 == pytest.approx(limit.time_ps, rel=tolerance)
    assert np.sqrt(np.mean((errors[:, 1] / amplitude) ** 2)) == pytest.approx(limit.amplitude, rel=tolerance)


def test_less_knowledge_is_no_gain():
    setup = Setup.parse({"stretch_spread": 0.05, "pile_up_share": 0.2})
    fitted, known = bound(setup), bound(setup, stretch_known=True)
    assert fitted.time_ps > 1.2 * known.time_ps
    assert fitted.amplitude > bound(setup, baseline_known=True).amplitude


def test_record_that_ends_before_its_pulse_says_nothing():
    setup = Setup.parse({"tau_ns": 1e6, "samples": 8, "pre_samples": 4})
    assert np.isinf(bound(setup).time_ps)
