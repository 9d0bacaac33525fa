"""Golden models of synapse and neuron, against their definitions one pulse at a time and against physics."""

from decimal import ROUND_HALF_EVEN, Decimal, getcontext
from math import exp

import numpy as np
import pytest

from hdl.common.config import ConfigError
from hdl.sfq import neuromorphic
from hdl.sfq.neuromorphic import NeuronFit, SynapseFit, first_state, neuron_fit, next_state, synapse_fit, units
from sim.sfq import neuron_model, synapse_model

MARSAGLIA = (2463534242, [723471715, 2497366906, 2064144800])
"""The first numbers of xor32 with its seed: G. Marsaglia, Xorshift RNGs, J. Stat. Software 8 (14), 2003."""


def test_generator_is_marsaglias():
    state, wanted = MARSAGLIA
    vector = np.array([state], np.uint32)
    for one in wanted:
        state, vector = next_state(state), synapse_model.advance(vector)
        assert state == one == vector[0]


def test_first_states_differ_and_are_never_0():
    states = {first_state(seed, index) for seed in range(64) for index in range(64)}
    assert len(states) == 64 * 64 and 0 not in states and max(states) < 1 << 32
    # seed * a + index * b + 1 = 0 modulo 2^32: the generator would stand still.
    index = -pow(0x85EBCA6B, -1, 1 << 32) % (1 << 32)
    assert first_state(0, index) == first_state(0, 0)


def test_synapse_lets_pass_what_the_definition_says():
    rng = np.random.default_rng(3)
    thresholds = np.array([0, 1, 20_000, 32_768, 65_535, 65_536])
    pulses = rng.random((6, 400)) < 0.7
    states = np.array([first_state(9, index) for index in range(6)], np.uint32)
    passed, after = synapse_model.transmit(thresholds, states, pulses)
    for row in range(6):
        state, wanted = int(states[row]), []
        for comes in pulses[row]:
            if comes:
                state = next_state(state)
            wanted.append(bool(comes) and state // 65536 < thresholds[row])
        assert passed[row].tolist() == wanted and after[row] == state
    assert not passed[0].any() and (passed[5] == pulses[5]).all()


def test_shares_that_pass_are_those_of_the_curve():
    fit, pulses = synapse_fit(), 10_000
    weights = np.arange(0, 256, 15)
    thresholds = np.array(fit.thresholds)[weights]
    states = np.array([first_state(1, index) for index in range(len(weights))], np.uint32)
    passed, _ = synapse_model.transmit(thresholds, states, np.ones((len(weights), pulses), bool))
    share = np.array([fit.pass_probability(fit.current_ua(int(weight))) for weight in weights])
    np.testing.assert_array_less(np.abs(passed.mean(1) - share), 4.5 * np.sqrt(share * (1 - share) / pulses) + 1e-4)
    # Neighbouring pulses and neighbouring synapses know nothing of each other.
    row = np.argmin(np.abs(share - 0.5))
    middle = passed[row] - share[row]
    assert abs((middle[1:] * middle[:-1]).mean()) < 4 * 0.25 / np.sqrt(pulses)
    pair, _ = synapse_model.transmit(np.full(2, 32768), states[:2], np.ones((2, pulses), bool))
    assert abs(((pair[0] - 0.5) * (pair[1] - 0.5)).mean()) < 4 * 0.25 / np.sqrt(pulses)


def test_thresholds_rise_from_none_to_all():
    fit = synapse_fit()
    assert fit.thresholds == sorted(fit.thresholds) and len(fit.thresholds) == 256
    assert fit.thresholds[0] == 0 and fit.thresholds[255] == 65536
    assert fit.current_ua(127) == 66.75 and fit.thresholds[127] == round(65536 * fit.pass_probability(66.75))


def test_leaks_are_rounded_exponentials():
    getcontext().prec = 40
    fit = neuron_fit()
    for table, step in ((fit.fine, 1), (fit.coarse, 64)):
        for number, found in enumerate(table):
            exact = 65536 * (-Decimal(number * step) / (Decimal(str(fit.tau_ps)) * 10)).exp()
            assert found == min(65535, int(exact.quantize(Decimal(1), ROUND_HALF_EVEN)))
    assert len(fit.fine) == 64 and len(fit.coarse) == 256


def by_definition(fit, bias, times):
    """One neuron, pulse by pulse."""
    kick, threshold, drop = fit.currents
    fine, coarse = fit.fine, fit.coarse

    def saturated(value):
        return max(-32768, min(32767, value))

    current, last, fired = 0, 0, []
    for now in times:
        if now < 0:
            fired.append(False)
            continue
        wait, last = now - last, now
        if wait >= 64 * 256:
            current = 0
        else:
            for leak in (fine[wait % 64], coarse[wait // 64]):
                current = (current * leak + 32768) // 65536
        current = saturated(current + kick)
        fired.append(bias + current > threshold)
        if fired[-1]:
            current = saturated(current - drop)
    return fired


@pytest.mark.parametrize("seed", range(4))
def test_neuron_fires_as_the_definition_says(seed):
    rng = np.random.default_rng(seed)
    fit = NeuronFit.parse(
        neuron_fit().model_dump() | {"kick_ua": float(rng.uniform(10, 500)), "drop_ua": float(rng.uniform(10, 500))}
    )
    bias = rng.integers(-4000, 6000, 40)
    gaps = rng.choice(
        [0, 1, 60, 64, 65, 200, 500, 16383, 16384, 40_000], (40, 200), p=[0.02] + [0.1] * 4 + [0.25, 0.3] + [0.01] * 3
    )
    times = np.where(rng.random((40, 200)) < 0.9, gaps.cumsum(1), -1)
    found = neuron_model.fires(fit, bias, times)
    assert 0.05 < found.mean() < 0.95
    assert found.tolist() == [by_definition(fit, int(one), row.tolist()) for one, row in zip(bias, times, strict=True)]


EXTREMES = (
    {"kick_ua": 300.0, "threshold_ua": 1000.0, "drop_ua": 500.0, "tau_ps": 170.0},
    {"kick_ua": 1.0, "threshold_ua": 0.01, "drop_ua": 437.5, "tau_ps": 170.0},
)
"""Loops whose current runs into its limits: above, below."""


def test_currents_saturate():
    times = np.arange(200)
    for change in EXTREMES:
        fit = NeuronFit.parse(neuron_fit().model_dump() | change)
        bias = np.array([-32768, -16_000, 30_000])
        found = neuron_model.fires(fit, bias, times)
        assert found.tolist() == [by_definition(fit, int(one), times.tolist()) for one in bias]
        assert not found[0].any() and found[2].any()


def test_integers_fire_as_the_loop_does():
    fit, rng = neuron_fit(), np.random.default_rng(5)
    bias = np.arange(0.0, 181, 5)
    times = np.cumsum(rng.integers(80, 800, 300))
    whole = neuron_model.fires(fit, np.array([units(one) for one in bias]), times).sum(1)
    exact = neuron_model.loop(fit.tau_ps, (fit.kick_ua, fit.threshold_ua, fit.drop_ua), bias, times / 10)
    assert exact.min() < 60 and exact.max() > 200
    assert np.abs(whole - exact).max() <= 2


def test_loop_is_its_equation():
    current, fired = 0.0, 0
    for wait in (0, 20.0, 35.0, 5.0):
        current = current * exp(-wait / 100) + 50
        if 30 + current > 120:
            fired, current = fired + 1, current - 40
    found = neuron_model.loop(100.0, (50.0, 120.0, 40.0), np.array([30.0]), np.array([7.0, 27.0, 62.0, 67.0]))
    assert found.tolist() == [fired] == [2]


@pytest.mark.parametrize(
    ("config", "change", "message"),
    [
        (SynapseFit, {"gray_zone_ua": 0}, "params.gray_zone_ua must be a number above 0, not 0"),
        (NeuronFit, {"tau_ps": 200.0}, "params.tau_ps must be a number above 0 and at most 170, not 200.0"),
        (NeuronFit, {"kick": 1.0}, 'params.kick is not a field; did you mean "kick_ua"?'),
    ],
)
def test_bad_fit_is_refused(config, change, message):
    whole = {SynapseFit: synapse_fit, NeuronFit: neuron_fit}[config]().model_dump()
    with pytest.raises(ConfigError) as error:
        config.parse(whole | change)
    assert str(error.value) == message


def test_fits_are_read_once():
    assert neuromorphic.synapse_fit() == synapse_fit()
