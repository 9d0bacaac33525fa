"""`pulse.cnn` as arrays: traffic worked off by an interpreter of the image gives the model's outputs; refusals."""

import re

import numpy as np
import pytest

from hdl.pulse.cnn_config import CnnConfig
from sim.common.beats import Beats
from sim.pulse import cnn_vectors
from sim.pulse.cnn_compile import compile_network
from sim.pulse.cnn_network import INPUT, Conv, Dense, Input, Network, Requantisation
from tests.pulse.cnn_oracle import Machine

SMALL = {"samples": 16, "elements": 2}


@pytest.mark.parametrize("size", [SMALL, {"samples": 20, "products": 8, "elements": 8, "activation_bits": 8}])
@pytest.mark.parametrize("seed", range(6))
def test_traffic_gives_the_model_s_outputs(size, seed):
    config = CnnConfig.parse(size)
    arrays = cnn_vectors.random_arrays(config, seed, 3)
    network, machine = cnn_vectors.network_of(arrays), Machine(config)
    machine.load(compile_network(network, config).runs)
    sent = cnn_vectors.pack(config, arrays)["window"]
    codes, ends = sent.data.view("<i2")[:, 0], np.flatnonzero(sent.last)
    assert ends.tolist() == [config.samples * (number + 1) - 1 for number in range(3)]
    words, given = [], network.input
    for window in codes.reshape(3, -1):
        reference, results = machine.run(0, window, given.normalise, given.gain, given.gain_shift)
        words += [reference, *results]
    beats = Beats(np.array(words, "<i4").view(np.uint8).reshape(-1, 4))
    assert len(beats) == cnn_vectors.expected_beats(config, arrays)["result"]
    got, want = cnn_vectors.unpack(config, arrays, {"result": beats}), cnn_vectors.model(config, arrays)
    for name, spec in cnn_vectors.OUTPUTS.items():
        assert got[name].dtype == want[name].dtype == np.dtype(spec.dtype)
        np.testing.assert_array_equal(got[name], want[name], name)


def test_same_seed_gives_the_same_arrays():
    config = CnnConfig.parse(SMALL)
    one, other = (cnn_vectors.random_arrays(config, 5, 4) for _ in range(2))
    assert all(np.array_equal(one[name], other[name]) for name in cnn_vectors.INPUTS)
    assert one["windows"].shape == (4, 16)
    with pytest.raises(ValueError, match=r"^items must be at least 1, not 0$"):
        cnn_vectors.random_arrays(config, 5, 0)


def test_operations_are_products_and_sums():
    """14 positions of 3 outputs of 3 taps, then 2 outputs of 42 elements, for each of 5 windows."""
    whole = {"bias": np.zeros(3, np.int32), "output": Requantisation.power_of_two(3)}
    dense = {"bias": np.zeros(2, np.int32), "output": Requantisation.power_of_two(2)}
    layers = (
        Conv(name="c", source=INPUT, weights=np.zeros((3, 3, 1), np.int8), **whole),
        Dense(name="d", source="c", weights=np.zeros((2, 42), np.int8), **dense),
    )
    network = cnn_vectors.file_of(Network(Input(16), layers))
    arrays = {"windows": np.zeros((5, 16), np.int16), "network": network}
    assert cnn_vectors.operations(CnnConfig.parse(SMALL), arrays) == 2 * 5 * (14 * 3 * 3 + 2 * 42)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"windows": np.zeros((2, 17), np.int16)}, "windows must be int16 (n, samples) with samples = 16, not (2, 17)"),
        ({"windows": np.zeros((2, 16))}, "windows must be int16 (n, samples), not float64 (2, 16)"),
        ({"network": np.arange(50, dtype=np.uint8)}, "network must be the bytes of a network's file, and is not"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(changed, message):
    config = CnnConfig.parse(SMALL)
    arrays = cnn_vectors.random_arrays(config, 1, 2) | changed
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        cnn_vectors.check(config, arrays)


def test_network_of_another_config_is_refused():
    arrays = cnn_vectors.random_arrays(CnnConfig.parse(SMALL), 1, 2)
    message = "network: activation_bits must be 8 as the config's, not 16"
    with pytest.raises(ValueError, match=f"^{message}$"):
        cnn_vectors.check(CnnConfig.parse(SMALL | {"activation_bits": 8}), arrays)
