"""Models of Keras as networks, against Keras itself: in floats, and in integers within what rounding explains."""

import numpy as np
import pytest

from hdl.pulse.cnn_config import CnnConfig
from sim.pulse.cnn_compile import compile_network
from sim.pulse.cnn_fold import folded
from sim.pulse.cnn_graph import evaluate
from sim.pulse.cnn_keras import graph_of
from sim.pulse.cnn_model import run
from sim.pulse.cnn_quantise import inputs_of, quantise
from tests.pulse.quantise_bound import error_bound
from tests.pulse.random_keras import json_of, keras, layers, random_model, randomised, weights_of

ROOMY = {"samples": 32, "activations": 4096, "weight_words": 8192, "channel_words": 1024, "layers": 256}


def judged(model, inputs):
    """What Keras says, (windows, values)."""
    shaped = inputs.astype(np.float32).reshape(len(inputs), *model.input_shape[1:])
    return np.asarray(model(shaped)).reshape(len(inputs), -1)


def hold(model, rng, bits=16, normalise=False):
    """Floats as Keras; folded, the same; integers within the bound; and the design takes it."""
    windows = rng.integers(-8192, 8192, (60, 32)).astype(np.int16)
    scale = None if normalise else 8192.0
    inputs = inputs_of(windows, scale)
    graph = graph_of(json_of(model), weights_of(model))
    wanted = judged(model, inputs)
    found = evaluate(graph, inputs)[graph.last.name].reshape(len(windows), -1)
    size = np.abs(wanted).max() + 1e-3
    np.testing.assert_allclose(found, wanted, atol=3e-6 * size, rtol=1e-5)
    small = folded(graph)
    np.testing.assert_allclose(
        evaluate(small, inputs)[small.last.name].reshape(found.shape), found, atol=1e-12 * size, rtol=1e-12
    )
    made = quantise(graph, windows, input_scale=scale, activation_bits=bits)
    values = made.outputs(run(made.network, windows).values).reshape(found.shape)
    first = 2 if normalise else 0.5 if bits == 8 else 0
    bound = error_bound(made, inputs, first).reshape(found.shape)
    assert (np.abs(values - found) <= bound + 1e-9 * size).all()
    compile_network(made.network, CnnConfig.parse(ROOMY | {"activation_bits": bits}))
    return np.abs(values - found).max() / size, bound.max() / size


@pytest.mark.parametrize("seed", range(6))
def test_random_models(seed):
    rng = np.random.default_rng(seed)
    hold(random_model(rng), rng, bits=8 if seed % 3 == 2 else 16, normalise=seed % 2 == 1)


@pytest.mark.deep
@pytest.mark.parametrize("seed", range(100, 250))
def test_many_random_models(seed):
    rng = np.random.default_rng(seed)
    hold(random_model(rng, depth=int(rng.integers(1, 9))), rng, bits=8 if seed % 2 else 16, normalise=seed % 3 == 1)


def small(rng, *pieces, shape=(32, 1)):
    return randomised(keras.Sequential([keras.Input(shape), *pieces]), rng)


def test_weights_of_8_bits_are_near_the_floats():
    """No bound of the worst case: what is lost is of the size that 127 steps make."""
    rng = np.random.default_rng(5)
    pieces = [layers.Conv1D(8, 5, activation="relu"), layers.Flatten(), layers.Dense(8, "relu"), layers.Dense(2)]
    error, bound = hold(small(rng, *pieces), rng)
    assert 1e-4 < error < 0.02 < bound


def test_rescaling_says_what_codes_mean():
    """A first factor is the input's, at no cost; one with an offset is a layer."""
    rng = np.random.default_rng(6)
    tail = [layers.Conv1D(4, 3, activation="relu"), layers.Flatten(), layers.Dense(2)]
    windows = rng.integers(-8000, 8000, (40, 32)).astype(np.int16)
    for offset, count in ((0.0, 2), (0.25, 3)):
        model = small(rng, layers.Rescaling(1 / 8192, offset), *tail)
        made = quantise(graph_of(json_of(model), weights_of(model)), windows, input_scale=1.0)
        assert len(made.network.layers) == count
        got, wanted = made.outputs(run(made.network, windows).values)[:, 0], judged(model, windows)
        assert np.abs(got - wanted).max() < 0.02 * np.abs(wanted).max()


def test_input_of_one_axis_and_sequential_without_input_layer():
    rng = np.random.default_rng(7)
    hold(small(rng, layers.Dense(8, "relu"), layers.BatchNormalization(), layers.Dense(2), shape=(32,)), rng)
    hold(small(rng, layers.Reshape((16, 2)), layers.Conv1D(3, 3), layers.Flatten(), layers.Dense(2), shape=(32,)), rng)
    model = keras.Sequential([layers.Conv1D(3, 3), layers.Flatten(), layers.Dense(2)])
    model.build((None, 32, 1))
    hold(randomised(model, rng), rng)


def test_constant_channels_and_dead_ones():
    """Weights of 0 with a bias, or with none; a bias far above the weights."""
    rng = np.random.default_rng(8)
    model = small(rng, layers.Conv1D(4, 3, activation="relu"), layers.Flatten(), layers.Dense(3))
    kernel, bias = model.layers[0].get_weights()
    kernel[:, :, :2], bias[:] = 0, [0, 0.7, 1e3, -5]
    model.layers[0].set_weights([kernel, bias])
    hold(model, rng)
    hold(model, rng, bits=8)


def test_unsupported_layers_are_named():
    """Messages of models that only Keras can make: its own defaults among them."""
    rng = np.random.default_rng(9)
    for piece, message in [
        (layers.LeakyReLU(0.3), "slope must be 1 over a power of 2, not 0.3: 0.25 or 0.5"),
        (layers.Conv1D(2, 3, activation="tanh"), "activation tanh is not supported, linear, relu and leaky_relu are"),
        (layers.ReLU(max_value=6), "a ReLU with max_value or threshold is not supported"),
        (layers.AveragePooling1D(3, 1, padding="same"), "padding must be valid: an average over fewer at the ends"),
        (layers.LSTM(3), "LSTM is not supported; what is: InputLayer, Rescaling, Conv1D"),
    ]:
        model = small(rng, piece)
        with pytest.raises(ValueError, match=rf"^layer {piece.name}: .*") as caught:
            graph_of(json_of(model), weights_of(model))
        assert message in str(caught.value)
