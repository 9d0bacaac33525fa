"""Gateware of synapse and neuron in Amaranth's simulator, against their golden models, bit for bit."""

import numpy as np
import pytest
from amaranth.sim import Simulator

from hdl.sfq.neuromorphic import LONGEST_TICKS, NeuronFit, first_state, neuron_fit, synapse_fit
from hdl.sfq.neuron import Neuron
from hdl.sfq.synapse import Synapse
from sim.sfq import neuron_model, synapse_model


def clocked(component, inputs, output):
    """What an output is in each clock, for the inputs' values in each."""
    found = []

    async def testbench(ctx):
        for values in zip(*inputs.values(), strict=True):
            for name, value in zip(inputs, values, strict=True):
                ctx.set(getattr(component, name), int(value))
            found.append(ctx.get(getattr(component, output)))
            await ctx.tick()

    simulator = Simulator(component)
    simulator.add_clock(1e-8)
    simulator.add_testbench(testbench)
    simulator.run()
    return np.array(found, bool)


def synapses_agree(index, weight, clocks):
    rng = np.random.default_rng(index)
    state, threshold = first_state(11, index), synapse_fit().thresholds[weight]
    pulses = rng.random(clocks) < 0.6
    found = clocked(Synapse(state), {"pulse": pulses, "threshold": [threshold] * clocks}, "passed")
    wanted, _ = synapse_model.transmit(np.array([threshold]), np.array([state], np.uint32), pulses[None])
    assert found.tolist() == wanted[0].tolist()
    return found.sum() / pulses.sum()


@pytest.mark.parametrize(("weight", "least", "most"), [(0, 0, 0), (118, 0.05, 0.5), (140, 0.5, 0.99), (255, 1, 1)])
def test_synapse_is_its_model(weight, least, most):
    assert least <= synapses_agree(weight, weight, 500) <= most


@pytest.mark.parametrize("state", [0, 1 << 32])
def test_synapse_needs_a_state(state):
    with pytest.raises(ValueError, match=f"^first_state must be in 1..4294967295, not {state}$"):
        Synapse(state)


def neurons_agree(fit, bias, waits, pulses):
    """Clock by clock; the waits that the model sees are those between pulses."""
    found = clocked(
        Neuron(fit), {"wait": np.minimum(waits, LONGEST_TICKS), "pulse": pulses, "bias": [bias] * len(waits)}, "fires"
    )
    times = np.where(pulses, np.cumsum(waits), -1)
    assert found.tolist() == neuron_model.fires(fit, np.array([bias]), times)[0].tolist()
    return found.sum() / pulses.sum()


def test_neuron_of_a_clock_a_tick_is_its_model():
    rng = np.random.default_rng(2)
    assert 0.1 < neurons_agree(neuron_fit(), 1600, np.ones(2000, int), rng.random(2000) < 1 / 150) < 0.9


@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.deep), pytest.param(2, marks=pytest.mark.deep)])
def test_neuron_of_any_ticks_a_clock_is_its_model(seed):
    rng = np.random.default_rng(seed)
    waits = rng.choice(
        [0, 1, 63, 64, 100, 300, 16383, 16384, 16385, 60_000], 600, p=[0.05, 0.1] + [0.2] * 4 + [0.0125] * 4
    )
    share = neurons_agree(neuron_fit(), 1800, waits, rng.random(600) < 0.7)
    assert 0.05 < share < 0.95


@pytest.mark.parametrize("bias", [-32768, -16_000, 0, 30_000, 32767])
@pytest.mark.parametrize(("kick_ua", "threshold_ua", "drop_ua"), [(300.0, 1000.0, 500.0), (1.0, 0.01, 437.5)])
def test_neuron_saturates_as_its_model_does(bias, kick_ua, threshold_ua, drop_ua):
    """A loop whose current runs into its upper limit, and one that runs into its lower one."""
    fit = neuron_fit().model_dump() | {"kick_ua": kick_ua, "threshold_ua": threshold_ua, "drop_ua": drop_ua}
    neurons_agree(NeuronFit.parse(fit), bias, np.full(100, 2), np.ones(100, bool))
