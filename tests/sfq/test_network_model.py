"""The golden model of `sfq.network` and its program, against other arithmetic: one pulse after the other, exact
fractions, float64 and binomial statistics."""

from __future__ import annotations

from fractions import Fraction
from math import erf, exp, floor, pi, sqrt
from statistics import NormalDist

import numpy as np
import pytest

from hdl.sfq.network_config import StochasticConfig, load_currents
from hdl.sfq.neuromorphic import first_state, neuron_fit, next_state, synapse_fit
from sim.sfq import network_vectors as vectors
from sim.sfq.network_model import Program, first_states, run
from sim.sfq.network_program import Conditions, gray_zone_ua, program, synapse_currents
from sim.sfq.neuron_model import loop


def config_of(layers, **params):
    return StochasticConfig.parse(
        {"layers": layers, "lanes": 2, "task": "xor", "slot_ps": 60.0, "window_slots": 4} | params
    )


XOR = config_of([4, 2, 1])


def one_by_one(config, arrays):
    """Counts by plain integers and exact fractions, a synapse at a time."""
    thresholds, states = iter(arrays["thresholds"].tolist()), iter(arrays["states"].tolist())
    layers, neurons = [], iter(arrays["neurons"].tolist())
    for count, inputs in config.shapes:
        layers.append(
            [([[next(thresholds), next(states)] for _ in range(inputs)], next(neurons)) for _ in range(count)]
        )
    found = []
    for window in arrays["pulses"]:
        currents = [[0] * len(layer) for layer in layers]
        counts = [0] * config.outputs
        for slot in window.tolist():
            rails = slot
            for layer, current in zip(layers, currents, strict=True):
                fires = []
                for place, (synapses, (kick, drop, leak, threshold)) in enumerate(layer):
                    passes = 0
                    for rail, synapse in zip(rails, synapses, strict=True):
                        if rail:
                            synapse[1] = next_state(synapse[1])
                            passes += synapse[1] // 65536 < synapse[0]
                    left = floor(Fraction(current[place] * leak, 65536) + Fraction(1, 2)) + passes * kick
                    left = sorted((-32768, left, 32767))[1]
                    fires.append(left > threshold)
                    current[place] = sorted((-32768, left - drop * fires[-1], 32767))[1]
                rails = fires
            counts = [
                min(before + fired, 2**config.count_bits - 1) for before, fired in zip(counts, rails, strict=True)
            ]
        found.append(counts)
    return found


@pytest.mark.parametrize("layers", [[4, 2, 1], [5, 3, 4, 2], [1, 1]])
def test_network_is_what_its_synapses_are_one_by_one(layers):
    config = config_of(layers, count_bits=8)
    for seed in range(8):
        arrays = vectors.random_arrays(config, seed, 3)
        assert vectors.model(config, arrays)["counts"].tolist() == one_by_one(config, arrays)


def test_network_runs_beside_each_other_are_those_one_by_one():
    arrays = [vectors.random_arrays(XOR, seed, 3) for seed in range(5)]
    programs = [vectors.program_of(one) for one in arrays]
    pulses = np.random.default_rng(1).integers(0, 2, (5, 3, 7, 4), np.uint8)
    both = Program(
        *(np.stack([getattr(one, name) for one in programs]) for name in ("thresholds", "neurons", "states"))
    )
    together, states = run(XOR, both, pulses)
    for number, one in enumerate(programs):
        alone, last = run(XOR, one, pulses[number])
        assert together[number].tolist() == alone.tolist()
        assert states[number].tolist() == last.tolist()


def test_network_generators_begin_as_defined():
    seeds = np.array([0, 1, 65535])
    found = first_states(seeds, 7)
    assert found.tolist() == [[first_state(int(seed), index) for index in range(7)] for seed in seeds]


def test_network_synapse_passes_binomially():
    """Of a neuron that fires with every pulse that passes, each count of 200 chips lies within five deviations, and so
    does their sum."""
    config, slots = config_of([1, 1], count_bits=16), 400
    fire = np.array([[1, 1, 0, 0]])
    for share in (0.02, 0.3, 0.5, 0.91):
        threshold = np.array([round(65536 * share)])
        states = first_states(np.arange(200), 1)
        counts, _ = run(config, Program(threshold, fire, states), np.ones((1, slots, 1), np.uint8))
        deviation = sqrt(slots * share * (1 - share))
        assert np.abs(counts - slots * share).max() < 5 * deviation
        assert abs(counts.sum() - 200 * slots * share) < 5 * sqrt(200) * deviation
        assert 0.8 < counts.std() / deviation < 1.2


@pytest.mark.parametrize(("bias", "temperature"), [(1.0, 4.2), (0.9, 4.2), (1.0, 1.0)])
def test_network_thresholds_are_the_error_function(bias, temperature):
    found = program(XOR, load_currents(XOR), Conditions(bias, temperature_k=temperature)).thresholds
    zone = synapse_fit().gray_zone_ua * sqrt(temperature / 4.2)
    for threshold, current in zip(found.tolist(), synapse_currents(load_currents(XOR)).tolist(), strict=True):
        share = (1 + erf(sqrt(pi) * (bias * current - synapse_fit().threshold_ua) / zone)) / 2
        assert threshold == round(65536 * share)


def test_network_program_of_neurons():
    fit = neuron_fit()
    found = program(XOR, load_currents(XOR), Conditions(bias=1.1)).neurons
    biases = [ua for layer in load_currents(XOR).layers for ua in layer.neurons_ua]
    for (kick, drop, leak, threshold), bias in zip(found.tolist(), biases, strict=True):
        assert (kick, drop) == (round(16 * fit.kick_ua), round(16 * fit.drop_ua))
        assert leak == round(65536 * exp(-60 / fit.tau_ps))
        assert threshold == round(16 * (fit.threshold_ua - 1.1 * bias))


def test_network_spread_is_normal_and_of_the_seed():
    config = StochasticConfig.parse(
        {"layers": [128, 16, 3], "lanes": 8, "task": "digits", "slot_ps": 700.0, "window_slots": 4}
    )
    currents = load_currents(config)
    first, second = (program(config, currents, Conditions(spread=0.1), np.array([seed])) for seed in (3, 4))
    both = program(config, currents, Conditions(spread=0.1), np.array([3, 4]))
    assert both.thresholds.tolist() == [first.thresholds[0].tolist(), second.thresholds[0].tolist()]
    assert both.neurons.tolist() == program(config, currents).neurons.tolist()
    # Back from thresholds to currents, where a threshold tells: their deviations are normal.
    nominal = synapse_currents(currents)
    for one in (first, second):
        shares = one.thresholds[0] / 65536
        tells = (shares > 1e-3) & (shares < 1 - 1e-3) & (np.abs(nominal - synapse_fit().threshold_ua) < 3)
        z = np.array([NormalDist().inv_cdf(share) for share in shares[tells]]) / sqrt(2 * pi)
        deviations = (synapse_fit().threshold_ua + synapse_fit().gray_zone_ua * z) / nominal[tells] - 1
        assert abs(deviations.mean()) < 0.05
        assert 0.05 < deviations.std() < 0.12


def test_network_neuron_is_near_its_loop():
    """Of even trains of pulses, one a slot, it fires as often as the loop's equation in float64, within one."""
    fit = neuron_fit()
    biases = np.arange(0.0, 181.0, 7.0)
    pulses = np.ones((1, 40, 1), np.uint8)
    for slot_ps in (15.0, 20.0, 40.0, 60.0):
        config = config_of([1, 1], slot_ps=slot_ps)
        wanted = loop(fit.tau_ps, (fit.kick_ua, fit.threshold_ua, fit.drop_ua), biases, slot_ps * np.arange(40))
        leak = round(65536 * exp(-slot_ps / fit.tau_ps))
        rows = [
            [[round(16 * fit.kick_ua), round(16 * fit.drop_ua), leak, round(16 * (fit.threshold_ua - bias))]]
            for bias in biases
        ]
        always = Program(np.full((len(biases), 1), 65536), np.array(rows), np.ones((len(biases), 1), np.uint32))
        counts, _ = run(config, always, pulses)
        assert np.abs(counts[:, 0, 0] - wanted).max() <= 1
        assert len(set(wanted.tolist())) > 3


def test_network_gray_zone_goes_with_the_root_of_temperature():
    assert gray_zone_ua(4.2) == synapse_fit().gray_zone_ua
    assert gray_zone_ua(16.8) == pytest.approx(2 * synapse_fit().gray_zone_ua, rel=1e-12)
