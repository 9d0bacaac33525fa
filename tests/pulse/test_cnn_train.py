"""Training: what is trained is what the integers compute, and it learns."""

import numpy as np
import pytest

from hdl.pulse.cnn_config import CnnConfig
from sim.pulse import cnn_train
from sim.pulse.cnn_compile import compile_network
from sim.pulse.cnn_model import normalised, run
from sim.pulse.cnn_network import Input, NetworkError
from sim.pulse.fisher import bound
from sim.pulse.setup import Setup
from sim.pulse.signals import records

SETUP = Setup.parse({"amplitude_least": 0.1})


def errors(network):
    """Rms of time and of energy over the bound, on records that training did not see."""
    found, limit = cnn_train.resolution(SETUP, network, 10_000, seed=99), bound(SETUP)
    return found.time_ps / limit.time_ps, found.amplitude / limit.amplitude


@pytest.mark.parametrize("form", cnn_train.FORMS)
@pytest.mark.parametrize("bits", [(8, 16), (4, 8), (6, 10), (8, 12), (4, 16)])
def test_forward_pass_is_the_golden_model(form, bits):
    """And its weights use their bits."""
    bits, rng = cnn_train.Bits(*bits), np.random.default_rng(2)
    parts = cnn_train._parts(rng, SETUP.samples, cnn_train.FORMS[form], bits)
    for part in parts:
        part.weights *= rng.uniform(0.5, 2, (len(part.weights), 1))
        part.bias += 0.1
    found = records(SETUP, 300, seed=3)
    windows = cnn_train.levels(SETUP, found.codes)
    _, elements = normalised(Input(SETUP.samples, normalise=True), bits.activations, windows)
    passed = np.ldexp(elements.astype(float), -(bits.activations - 1))
    for part in parts:
        passed, _ = part.forward(passed)
    network = cnn_train._network(parts, SETUP.samples)
    config = {"samples": 32, "weight_bits": bits.weights, "activation_bits": bits.activations}
    compile_network(network, CnnConfig.parse(config))
    assert max(int(np.abs(layer.weights.astype(int)).max()) for layer in network.layers) >= 1 << bits.weights - 2
    assert len(np.unique(run(network, windows).values)) > 100
    got = cnn_train.estimate(SETUP, network, found.codes)
    assert (got.onset == SETUP.pre_samples + passed[:, 0]).all()
    peak = np.maximum(1, windows.max(axis=1))
    assert (got.amplitude == peak * (1 + cnn_train.ENERGY_UNIT * passed[:, 1])).all()


def test_gradients_are_differences():
    """Of a layer with ample scales, where rounding is small against the step."""
    rng = np.random.default_rng(4)
    part = cnn_train._parts(rng, 16, cnn_train.FORMS["cnn"])[0]
    given, slope = rng.normal(0, 1, (5, 16)), rng.normal(0, 1, (5, 48))
    _, inside = part.forward(given)
    by_given, by_weights, by_bias = part.backward(given, slope, inside)

    def loss(weights, bias, x):
        sums = x[:, part.looks] @ weights.T + bias
        return (np.clip(sums, 0, part.bits.most).reshape(5, -1) * slope).sum()

    held = part.integers[0] * part.units[:, None]
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


def test_training_of_fewer_bits_learns():
    network = cnn_train.train(SETUP, steps=60, count=2000, form="mlp", bits=cnn_train.Bits(4, 8))
    time, energy = errors(network)
    assert time < 6 and energy < 3
    with pytest.raises(NetworkError, match="^network: activation_bits must be 16 as the config's, not 8$"):
        compile_network(network, CnnConfig.parse({"samples": 32}))
    compile_network(network, CnnConfig.parse({"samples": 32, "weight_bits": 4, "activation_bits": 8}))


@pytest.mark.deep
def test_training_comes_near_the_limit():
    time, energy = errors(cnn_train.train(SETUP, steps=600))
    assert time < 1.75 and energy < 2.0
