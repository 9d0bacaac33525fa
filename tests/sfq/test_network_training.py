"""Training of stochastic networks: gradients against differences, rates against the golden model, what it reaches."""

from __future__ import annotations

import numpy as np
import pytest

from hdl.sfq.network_config import StochasticConfig, load_currents
from sim.sfq.network_model import Program, run
from sim.sfq.network_program import NOMINAL, program
from sim.sfq.network_study import Point, model_counter, quality
from sim.sfq.network_tasks import Examples, task
from sim.sfq.network_training import (
    Layer,
    Recipe,
    as_currents,
    as_layers,
    forward,
    loss_and_gradient,
    train,
)

XOR = StochasticConfig.parse({"layers": [4, 2, 1], "lanes": 2, "task": "xor", "slot_ps": 60.0, "window_slots": 256})
THREE = StochasticConfig.parse(
    {"layers": [3, 4, 3], "lanes": 2, "task": "digits", "slot_ps": 300.0, "window_slots": 4, "tau_ps": [300.0, 200.0]}
)


def random_layers(config, rng):
    return [
        Layer(rng.uniform(58, 76, (neurons, inputs)), rng.uniform(60, 180, neurons))
        for neurons, inputs in config.shapes
    ]


def random_examples(config, rng, count):
    return Examples(rng.random((count, config.rails)), rng.integers(max(2, config.outputs), size=count))


@pytest.mark.parametrize("config", [XOR, THREE], ids=["one output", "three outputs"])
def test_training_gradient_is_that_of_differences(config):
    rng = np.random.default_rng(1)
    layers, examples = random_layers(config, rng), random_examples(config, rng, 6)
    _, gradient = loss_and_gradient(config, layers, examples)
    step = 0.02
    for number, layer in enumerate(layers):
        for part in ("synapses", "biases"):
            values, slopes = getattr(layer, part), getattr(gradient[number], part)
            wanted = np.zeros_like(values)
            for place in np.ndindex(values.shape):
                sides = []
                for sign in (1, -1):
                    values[place] += sign * step
                    sides.append(loss_and_gradient(config, layers, examples)[0])
                    values[place] -= sign * step
                wanted[place] = (sides[0] - sides[1]) / (2 * step)
            np.testing.assert_allclose(slopes, wanted, atol=2e-3 * np.abs(wanted).max())
            assert np.abs(wanted).max() > 1e-4


def test_training_surrogate_is_near_the_rates_of_the_model():
    rng = np.random.default_rng(2)
    config = StochasticConfig.parse(
        {"layers": [4, 3], "lanes": 1, "task": "xor", "slot_ps": 60.0, "window_slots": 4, "count_bits": 16}
    )
    differences, rates = [], []
    for _ in range(8):
        layers, examples = random_layers(config, rng), random_examples(config, rng, 4)
        loaded: Program = program(config, as_currents(layers, ""))
        counts, _ = run(config, loaded, examples.pulses(500, int(rng.integers(1000)))[:, None])
        rates.append(counts[:, 0] / 500)
        differences.append(np.abs(rates[-1] - forward(config, layers, examples.rates)))
    assert np.mean(differences) < 0.05
    assert np.std(rates) > 0.15


def test_training_currents_travel_as_data():
    layers = random_layers(THREE, np.random.default_rng(3))
    for one, other in zip(layers, as_layers(as_currents(layers, "by hand")), strict=True):
        assert one.synapses.tolist() == other.synapses.tolist()
        assert one.biases.tolist() == other.biases.tolist()


@pytest.mark.parametrize("name", ["xor_network", pytest.param("digit_network", marks=pytest.mark.deep)])
def test_trained_currents_answer_right(name):
    from flows.load import load_design

    config = load_design(name).config
    examples = task(config.task).test.first(30)
    found = quality(config, examples, Point(NOMINAL, 32), np.arange(2), model_counter(config))
    assert found.worst > (0.5 if config.outputs == 1 else 0.85)
    assert load_currents(config).source == f"niello sfq train {name} --seed 1"


@pytest.mark.deep
def test_training_finds_xor_and_repeats_itself():
    recipe = Recipe(400, 16, 2.0, 4)
    first, second = (train(XOR, task("xor"), 1, recipe) for _ in range(2))
    assert all(
        (a.synapses == b.synapses).all() and (a.biases == b.biases).all() for a, b in zip(first, second, strict=True)
    )
    found, _ = run(XOR, program(XOR, as_currents(first, "")), task("xor").test.pulses(256))
    rates = found[:, 0] / 256
    assert min(rates[1], rates[2]) - max(rates[0], rates[3]) > 0.3
