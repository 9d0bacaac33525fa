"""Training: what is trained is what the integers compute, and it learns."""

import numpy as np
import pytest

from hdl.pulse.cnn_config import CnnConfig
from sim.pulse import cnn_train
from sim.pulse.cnn_compile import compile_network
from sim.pulse.cnn_model import normalised, run
from sim.pulse.cnn_network import Input
from sim.pulse.fisher import bound
from sim.pulse.setup import Setup
from sim.pulse.signals import records

SETUP = Setup.parse({"amplitude_least": 0.1})


def errors(network):
    """Rms of time and of energy over the bound, on records that training did not see."""
    found, limit = cnn_train.resolution(SETUP, network, 10_000, seed=99), bound(SETUP)
    return found.time_ps / limit.time_ps, found.amplitude / limit.amplitude


def test_forward_pass_is_the_golden_model():
    parts = cnn_train._parts(np.random.default_rng(2), SETUP.samples, cnn_train.FORMS["cnn"])
    for part in parts:
        part.bias += 0.1
    windows = cnn_train.levels(SETUP, records(SETUP, 300, seed=3).codes)
    _, elements = normalised(Input(SETUP.samples, normalise=True), cnn_train.ACTIVATION_BITS, windows)
    passed = np.ldexp(elements.astype(float), -cnn_train.INPUT_FRACTION)
    for part in parts:
        passed, _ = part.forward(passed)
    wanted = run(cnn_train._network(parts, SETUP.samples), windows).values[:, 0]
    assert (np.ldexp(passed, cnn_train.FRACTION) == wanted).all()
    assert len(np.unique(wanted)) > 100


def test_gradients_are_differences():
    """Of a layer with ample scales, where rounding is small against the step."""
    rng = np.random.default_rng(4)
    part = cnn_train._parts(rng, 16, cnn_train.FORMS["cnn"])[0]
    given, slope = rng.normal(0, 1, (5, 16)), rng.normal(0, 1, (5, 48))
    _, inside = part.forward(given)
    by_given, by_weights, by_bias = part.backward(given, slope, inside)

    def loss(weights, bias, x):
        sums = x[:, part.looks] @ weights.T + bias
        return (np.clip(sums, 0, cnn_train.MOST).reshape(5, -1) * slope).sum()

    held = np.ldexp(part.integers[0].astype(float), -part.shift)
    for gradient, place in ((by_weights, 0), (by_bias, 1), (by_given, 2)):
        for index in [tuple(int(rng.integers(size)) for size in gradient.shape) for _ in range(10)]:
            moved = []
            for sign in (1, -1):
                values = [held.copy(), part.bias.copy(), given.copy()]
                values[place][index] += sign * 1e-5
                moved.append(loss(*values))
            assert gradient[index] == pytest.approx((moved[0] - moved[1]) / 2e-5, rel=1e-3, abs=1e-5)


@pytest.mark.parametrize(("form", "layers"), [("cnn", 4), ("mlp", 3)])
def test_training_learns(form, layers):
    """The mean onset for every pulse is 25 times the bound. The network fits a config; the seed decides it."""
    one, other = (cnn_train.train(SETUP, steps=60, count=2000, form=form) for _ in range(2))
    time, energy = errors(one)
    assert time < 6 and energy < 3
    assert errors(other) == (time, energy)
    assert compile_network(one, CnnConfig.parse({"samples": 32})).end.layers == layers


@pytest.mark.deep
def test_training_comes_near_the_limit():
    time, energy = errors(cnn_train.train(SETUP, steps=600))
    assert time < 1.75 and energy < 2.0
