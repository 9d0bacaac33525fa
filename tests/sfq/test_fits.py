"""Circuits of synapse and neuron against stored curves, and the fitted parameters against circuits."""

import json
from pathlib import Path

import numpy as np
import pytest

from hdl.sfq.neuromorphic import neuron_fit, synapse_fit
from sim.sfq.fits import (
    fit_neuron,
    fit_transfer,
    measure_neuron,
    measure_synapse,
    neuron_delay_ps,
    synapse_delay_ps,
)
from sim.sfq.neuron_model import loop

DATA = Path(__file__).parent / "data"
TRANSFERS = json.loads((DATA / "comparator_synapse_transfer.json").read_text())
NEURONS = json.loads((DATA / "neuron_transfer.json").read_text())
"""Of another integrator. Its synapse's driver emitted 1 % surplus pulses, which its shares are not cleaned of."""

STORED_PULSES = 1000


def test_fit_finds_the_curve_that_made_the_counts():
    currents, fit, came = np.arange(40.0, 90.0, 4.0), synapse_fit(), 20_000
    rng = np.random.default_rng(1)
    shares = np.array([fit.pass_probability(one) for one in currents])
    found = fit_transfer(currents, rng.binomial(came, shares), np.full(len(currents), came))
    assert abs(found.threshold_ua - fit.threshold_ua) < 4 * found.threshold_error_ua < 0.12
    assert abs(found.gray_zone_ua - fit.gray_zone_ua) < 4 * found.gray_zone_error_ua < 0.3


@pytest.mark.parametrize(
    ("pulses", "name"),
    [
        pytest.param(100, "T4.2_per25ps"),
        pytest.param(1500, "T4.2_per25ps", marks=pytest.mark.deep),
        pytest.param(1500, "T4.2_per60ps", marks=pytest.mark.deep),
    ],
)
def test_synapse_has_the_stored_transfer_curve_and_the_fitted_one(pulses, name):
    stored, period = TRANSFERS[name], float(name.partition("per")[2].removesuffix("ps"))
    currents = np.array(stored["Ix_uA"])
    passed, came = measure_synapse(currents, pulses, period_ps=period, seed=pulses)
    assert abs(came.sum() - pulses * len(currents)) < 0.003 * came.sum()
    ours = fit_transfer(currents, passed, came)
    theirs = fit_transfer(currents, np.array(stored["p_pass"]) * STORED_PULSES, np.full(len(currents), STORED_PULSES))
    fitted = synapse_fit()
    for other, threshold_error, zone_error in (
        (theirs, theirs.threshold_error_ua, theirs.gray_zone_error_ua),
        (fitted, 0.05, 0.12),
    ):
        assert abs(ours.threshold_ua - other.threshold_ua) < 3 * np.hypot(ours.threshold_error_ua, threshold_error)
        assert abs(ours.gray_zone_ua - other.gray_zone_ua) < 3 * np.hypot(ours.gray_zone_error_ua, zone_error)


@pytest.mark.deep
def test_gray_zone_grows_as_the_root_of_temperature():
    currents = np.arange(50.0, 84.0, 3.0)
    zones = [
        fit_transfer(currents, *measure_synapse(currents, 2000, temperature_k=t, seed=7)).gray_zone_ua for t in (2, 8)
    ]
    assert 1.85 < zones[1] / zones[0] < 2.15


@pytest.mark.parametrize(
    "name", [name if name == "L40p_R0.3_per50ps" else pytest.param(name, marks=pytest.mark.deep) for name in NEURONS]
)
def test_neuron_fires_as_often_as_the_stored_one(name):
    stored = NEURONS[name]
    loop_ph, period = float(name[1:3]), float(name.partition("per")[2].removesuffix("ps"))
    counts = measure_neuron(np.array(stored["Ib_uA"]), [period * np.arange(24.0)], loop_ph=loop_ph)[0]
    off = np.abs(counts - stored["out"])
    assert off.max() <= 1 and (off > 0).sum() <= 1


def random_trains(seeds):
    return [np.cumsum(np.random.default_rng(seed).exponential(30, 24) + 8) for seed in seeds]


def test_fitted_loop_fires_as_the_circuit_does_on_other_trains():
    bias, fit = np.arange(6.0, 180, 18), neuron_fit()
    trains = random_trains([101, 102])
    counts = measure_neuron(bias, trains)
    assert counts.max() > 15 and counts.min() < 3
    ours = [loop(fit.tau_ps, (fit.kick_ua, fit.threshold_ua, fit.drop_ua), bias, train) for train in trains]
    assert np.abs(ours - counts).max() <= 1
    assert np.abs(ours - counts).sum() <= 0.02 * 48 * len(bias)


def test_refitting_on_a_few_trains_agrees():
    bias, fit = np.arange(0.0, 181, 20), neuron_fit()
    trains = [20 * np.arange(24.0), 50 * np.arange(24.0)]
    found = fit_neuron(bias, trains, measure_neuron(bias, trains))
    assert (round(found.tau_ps, 1), round(found.kick_ua, 2)) == (fit.tau_ps, fit.kick_ua)
    assert abs(found.threshold_ua - fit.threshold_ua) < 2 and abs(found.drop_ua - fit.drop_ua) < 1.5
    assert found.miss < 0.02


def test_delays_are_as_fitted():
    fit = synapse_fit()
    assert round(synapse_delay_ps(fit.threshold_ua + fit.gray_zone_ua / 2), 1) == fit.delay_ps
    assert round(neuron_delay_ps(np.arange(0.0, 181.0, 12.0), 20 * np.arange(24.0)), 1) == neuron_fit().delay_ps
