"""Networks as layers: the model against an interpreter of images, against scipy and fractions; what is refused."""

import io
import re
from fractions import Fraction
from math import floor

import numpy as np
import pytest
import scipy.signal

from hdl.pulse.cnn_config import CnnConfig
from hdl.pulse.cnn_words import Activation
from sim.pulse.cnn_compile import Bases, compile_network, spec_cycles
from sim.pulse.cnn_model import normalised, requantised, run, wrapped
from sim.pulse.cnn_network import (
    INPUT,
    Add,
    Concat,
    Conv,
    Dense,
    Input,
    Network,
    NetworkError,
    Pool,
    Requantisation,
    TransposedConv,
)
from sim.pulse.cnn_random import random_network
from tests.pulse.cnn_oracle import Machine

SIZES = [
    {"samples": 32},
    {"samples": 16, "products": 8, "elements": 2, "activation_bits": 8},
    {"samples": 33, "elements": 1},
    {"samples": 24, "products": 16, "elements": 8, "requantisers": 2, "activations": 1024},
]

FEWER = [
    {"samples": 32, "weight_bits": 4, "activation_bits": 10},
    {"samples": 20, "elements": 2, "weight_bits": 4, "activation_bits": 8},
    {"samples": 24, "products": 8, "weight_bits": 6, "activation_bits": 10},
    {"samples": 32, "requantisers": 1, "weight_bits": 6, "activation_bits": 12},
]


def random_windows(rng, config, count):
    return (rng.integers(-(1 << 15), 1 << 15, (count, config.samples)) >> rng.integers(0, 9, (count, 1))).astype("i2")


def in_order(values, elements):
    """A window's results, (length, channels), in the order in which they come."""
    length, channels = values.shape
    starts = range(0, channels, elements)
    return [int(y) for start in starts for x in range(length) for y in values[x, start : start + elements]]


def interpreted(machine, network, start, window):
    given = network.input
    return machine.run(start, window, given.normalise, given.gain, given.gain_shift)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("seed", [*range(8), *(pytest.param(n, marks=pytest.mark.deep) for n in range(8, 90))])
def test_model_is_the_page(size, seed):
    assert_model_is_the_page(size, seed)


@pytest.mark.parametrize("size", FEWER)
@pytest.mark.parametrize("seed", [*range(4), *(pytest.param(n, marks=pytest.mark.deep) for n in range(4, 60))])
def test_model_of_fewer_bits_is_the_page(size, seed):
    assert_model_is_the_page(size, seed)


def assert_model_is_the_page(size, seed):
    config, rng = CnnConfig.parse(size), np.random.default_rng(seed)
    network = random_network(rng, config)
    image, machine = compile_network(network, config), Machine(config)
    assert machine.load(image.runs) == image.crc
    windows = random_windows(rng, config, 2)
    got = run(network, windows)
    for number, window in enumerate(windows):
        wanted = got.reference[number], in_order(got.values[number], config.elements)
        assert interpreted(machine, network, 0, window) == wanted


def test_random_networks_are_of_all_kinds():
    config = CnnConfig.parse(SIZES[0])
    networks = [random_network(np.random.default_rng(seed), config) for seed in range(60)]
    kinds = [layer.kind for network in networks for layer in network.layers]
    assert set(kinds) == {"conv", "transposed", "dense", "pool", "add", "concat"}
    for wanted in ("raw", "adds", "wide", "leaky", "max", "sum", "dilated", "padded"):
        found = []
        for network in networks:
            layers = [layer for layer in network.layers if layer.kind != "concat"]
            found += {
                "raw": [network.raw],
                "adds": [layer.add != "" and layer.kind == "conv" for layer in layers],
                "wide": [layer.output.wide for layer in layers],
                "leaky": [layer.output.activation == Activation.LEAKY for layer in layers],
                "max": [getattr(layer, "operation", "") == "max" for layer in layers],
                "sum": [getattr(layer, "operation", "") == "sum" for layer in layers],
                "dilated": [getattr(layer, "dilation", 1) > 1 for layer in layers],
                "padded": [getattr(layer, "pad", 0) != 0 for layer in layers],
            }[wanted]
        assert any(found) and not all(found), wanted


def test_outputs_differ_from_window_to_window():
    """Random networks do not all saturate or die on the way: many have outputs that the window changes."""
    config, alive = CnnConfig.parse(SIZES[0]), []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        values = run(random_network(rng, config), random_windows(rng, config, 20)).values
        alive.append(len(np.unique(values.reshape(20, -1), axis=0)) > 10)
    assert np.mean(alive) > 0.4


def test_two_networks_lie_side_by_side():
    config, rng = CnnConfig.parse(SIZES[0] | {"layers": 64}), np.random.default_rng(3)
    first = random_network(rng, config)
    one = compile_network(first, config)
    second = random_network(rng, config, one.end)
    other = compile_network(second, config, one.end)
    assert not {address for address, _ in one.words} & {address for address, _ in other.words}
    machine = Machine(config)
    for image in (one, other):
        machine.load(image.runs)
    windows = random_windows(rng, config, 4)
    for number, window in enumerate(windows):
        network, image = ((first, one), (second, other))[number % 2]
        got = run(network, windows)
        wanted = got.reference[number], in_order(got.values[number], config.elements)
        assert interpreted(machine, network, image.start, window) == wanted


def one_layer(layer, length, channels=1, raw=True):
    """A network of a layer that gets codes as they are."""
    return Network(Input(length, channels), (layer,), raw)


def taps(rng, *shape):
    return rng.choice([-128, 127, -1, 0, 1, *rng.integers(-128, 128, 5)], shape).astype(np.int8)


@pytest.mark.parametrize(
    ("stride", "dilation", "before", "after"), [(1, 1, 0, 0), (2, 1, 3, 1), (1, 3, 2, 5), (3, 2, 1, 0)]
)
def test_convolution_is_numpy_s(stride, dilation, before, after):
    rng = np.random.default_rng(5)
    weights, bias = taps(rng, 1, 5, 1), np.array([-77], np.int32)
    windows = rng.choice([-(1 << 15), (1 << 15) - 1, *range(-3, 4)], (9, 40)).astype(np.int16)
    slides = {"stride": stride, "dilation": dilation, "before": before, "after": after}
    output = Requantisation.power_of_two(1)
    got = run(one_layer(Conv(name="c", source=INPUT, weights=weights, bias=bias, output=output, **slides), 40), windows)
    spread = np.zeros(4 * dilation + 1, np.int64)
    spread[::dilation] = weights[0, :, 0]
    for window, values in zip(windows.astype(np.int64), got.values, strict=True):
        wanted = np.convolve(np.pad(window, (before, after)), spread[::-1], "valid")[::stride] - 77
        assert values[:, 0].tolist() == wanted.tolist()


@pytest.mark.parametrize(("stride", "count"), [(1, 4), (2, 5), (3, 3), (4, 2)])
def test_transposed_convolution_is_scipy_s(stride, count):
    rng = np.random.default_rng(6)
    weights, bias = taps(rng, 1, count, 1), np.array([5], np.int32)
    windows = rng.integers(-(1 << 15), 1 << 15, (6, 20)).astype(np.int16)
    made = {"weights": weights, "bias": bias, "output": Requantisation.power_of_two(1), "stride": stride, "before": 1}
    got = run(one_layer(TransposedConv(name="t", source=INPUT, **made), 20), windows)
    for window, values in zip(windows.astype(np.int64), got.values, strict=True):
        wanted = scipy.signal.upfirdn(weights[0, :, 0].astype(np.int64), window, stride)[: 19 * stride + count]
        assert values[:, 0].tolist() == (np.pad(wanted, (0, 19 * stride + count - len(wanted)))[1:] + 5).tolist()


def test_dense_is_a_matrix_product():
    rng = np.random.default_rng(7)
    weights, bias = taps(rng, 6, 40), rng.integers(-(1 << 31), 1 << 31, 6).astype(np.int32)
    windows = rng.integers(-(1 << 15), 1 << 15, (50, 40)).astype(np.int16)
    output = Requantisation.power_of_two(6)
    got = run(one_layer(Dense(name="d", source=INPUT, weights=weights, bias=bias, output=output), 20, 2), windows)
    exact = windows.astype(object) @ weights.T.astype(object) + bias.astype(object)
    assert (got.values[:, 0] == (exact + 2**31) % 2**32 - 2**31).all()


def test_pools_are_numpy_s():
    rng = np.random.default_rng(8)
    windows = rng.integers(-(1 << 15), 1 << 15, (20, 24)).astype(np.int16)
    seen = windows.reshape(20, 4, 3, 2)
    for operation, wanted in (("max", seen.max(axis=2)), ("sum", seen.sum(axis=2) + 9)):
        given = {"operation": operation, "taps": 3, "stride": 3, "bias": 9}
        pool = Pool(name="p", source=INPUT, output=Requantisation.power_of_two(2), **given)
        assert (run(one_layer(pool, 12, 2), windows).values == wanted).all()


def test_requantisation_is_fractions():
    """Sums, factors and shifts at their ends and anywhere, what is added, activations and both widths."""
    rng = np.random.default_rng(9)
    sums = np.array([-(2**31), 2**31 - 1, -1, 0, 1, *rng.integers(-(2**31), 2**31, 60)])
    sums = np.concatenate([sums, rng.integers(-(2**15), 2**15, 60)])
    factor = np.array([-(2**15), 2**15 - 1, -1, 0, 1, *rng.integers(-(2**15), 2**15, 20)], np.int32)
    for shift in range(48):
        activation, wide, zero, leak = Activation(shift % 3), shift % 2 == 1, int(rng.integers(-100, 100)), shift % 16
        how = Requantisation(factor, np.full(25, shift, np.int32), zero, activation, leak, wide)
        added = rng.integers(-(2**15), 2**15, (1, len(sums), 25)) if shift % 5 == 0 else None
        layer = Add(name="a", source=INPUT, add="b" if shift % 5 == 0 else "", output=how)
        got = requantised(layer, np.broadcast_to(sums[None, :, None], (1, len(sums), 25)), added)
        most = 2**15 if wide else 2**7
        for row, total in enumerate(sums.tolist()):
            for channel, m in enumerate(factor.tolist()):
                u = floor(Fraction(total * m, 2**shift) + (Fraction(1, 2) if shift else 0))
                u += int(added[0, row, channel]) - zero if added is not None else 0
                if u < 0 and activation != Activation.NONE:
                    u = 0 if activation == Activation.RELU else floor(Fraction(u, 2**leak))
                assert got[0, row, channel] == max(-most, min(most - 1, u + zero))


def test_sums_wrap():
    assert wrapped(np.array([2**31, -(2**31) - 1, 5])).tolist() == [-(2**31), 2**31 - 1, 5]


def test_memory_keeps_the_low_bits_of_a_weight():
    """Bytes of an image whose upper bits are any are the weights of the lower ones."""
    config = CnnConfig.parse({"samples": 16, "weight_bits": 4})
    machine = Machine(config)
    machine.load([(2 << 28, [0xF7_8E_08_71])])
    assert [machine.weight(0, 0, place) for place in range(4)] == [1, -8, -2, 7]


@pytest.mark.parametrize("bits", [10, 12])
def test_wide_elements_are_of_the_activation_bits(bits):
    sums = np.array([[[-5000], [-(1 << bits - 1) - 1], [-129], [0], [127], [128], [(1 << bits - 1) - 1], [5000]]])
    for wide, most in ((True, 1 << bits - 1), (False, 128)):
        layer = Add(name="a", source=INPUT, output=Requantisation.power_of_two(1, wide=wide))
        wanted = [[[max(-most, min(most - 1, int(x)))] for x in sums[0, :, 0]]]
        assert requantised(layer, sums, None, bits).tolist() == wanted


@pytest.mark.parametrize("bits", [8, 10, 12, 16])
def test_normalised_peak_is_the_most(bits):
    """Every peak but 0, with the codes that go with it; against what division gives, to within a unit."""
    peaks = np.arange(1, 1 << 15, 7)
    windows = np.stack([peaks, -peaks, peaks // 2, np.zeros_like(peaks)], axis=1).astype(np.int16)
    reference, elements = normalised(Input(4, normalise=True), bits, windows)
    most = (1 << bits - 1) - 1
    assert (reference == peaks).all() and (elements[:, 0] == most).all() and (elements[:, 3] == 0).all()
    exact = windows / peaks[:, None] * (most + 1)
    assert np.abs(elements - np.minimum(exact, most)).max() <= 0.51 + 2.0 ** (bits - 16)
    low = normalised(Input(4, normalise=True), bits, np.full((1, 4), -5, np.int16))
    assert low[0] == 1 and low[1].tolist() == [[max(-5 << bits - 1, -(1 << bits - 1))] * 4]


def small(**changed):
    """A network of two convolutions, their sum, a concatenation and a dense layer; fields of `c1` changed."""
    rng = np.random.default_rng(1)

    def conv(called, given, **more):
        made = {
            "name": called,
            "source": given,
            "weights": taps(rng, 2, 3, 2),
            "bias": np.zeros(2, np.int32),
            "before": 1,
            "after": 1,
        }
        return Conv(**(made | {"output": quantised(2)} | more))

    layers = (
        Conv(name="c0", source=INPUT, weights=taps(rng, 2, 4, 1), bias=np.zeros(2, np.int32), output=quantised(2)),
        conv("c1", "c0", **changed),
        Add(name="sum", source="c1", add="c0", output=quantised(2)),
        conv("c2", "sum"),
        Concat(name="both", parts=("sum", "c2")),
        Dense(name="out", source="both", weights=taps(rng, 3, 116), bias=np.zeros(3, np.int32), output=quantised(3)),
    )
    return Network(Input(32), layers)


@pytest.mark.parametrize(
    ("bits", "output", "message"),
    [
        (9, {}, "network: activation_bits must be one of 8, 10, 12, 16, not 9"),
        (8, {"wide": True}, "layer a: wide must be False where activations have 8 bits, not True"),
        (10, {"zero": 512}, "layer a: zero must be a whole number in -512..511, not 512"),
        (12, {"zero": -2049}, "layer a: zero must be a whole number in -2048..2047, not -2049"),
    ],
)
def test_network_refuses_what_is_beyond_its_bits(bits, output, message):
    pool = Pool(name="a", source=INPUT, output=Requantisation.power_of_two(1, **output), operation="max", taps=2)
    with pytest.raises(NetworkError, match=f"^{re.escape(message)}$"):
        Network(Input(32), (pool,), activation_bits=bits)


def quantised(channels):
    return Requantisation.power_of_two(channels, 9)


def test_cycles_are_the_page_s():
    """Of 4 products and 4 elements: c0's 29 positions of a word, c1's and c2's of 3, for the concatenation keeps what
    they read 4 elements apart, the sum's 29, and 29 words."""
    config = CnnConfig.parse(SIZES[0])
    assert compile_network(small(), config).read_cycles(config) == [29, 87, 29, 87, 29]
    assert spec_cycles(small(), config) == {"c0": 33, "c1": 62, "c2": 62, "out": 33}
    slow = CnnConfig.parse(SIZES[0] | {"requantisers": 1})
    assert compile_network(small(), slow).read_cycles(slow) == [116, 116, 116, 116, 29]


def test_file_gives_the_network_back(tmp_path):
    rng = np.random.default_rng(4)
    for network in (small(), random_network(rng, CnnConfig.parse(SIZES[0]))):
        network.save(tmp_path / "network.npz")
        windows = random_windows(rng, CnnConfig.parse(SIZES[0]), 5)
        again = Network.load(tmp_path / "network.npz")
        assert (run(again, windows).values == run(network, windows).values).all()
        one, other = io.BytesIO(), io.BytesIO()
        network.save(one), again.save(other)
        assert one.getvalue() == other.getvalue()


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"stride": 0}, "layer c1: stride must be a whole number in 1..4096, not 0"),
        ({"pad": 1 << 15}, "layer c1: pad must be a whole number in -32768..32767, not 32768"),
        ({"source": "c9"}, 'layer c1: c9 is no layer before it; did you mean "c0"?'),
        ({"source": "sum"}, "layer c1: sum is no layer before it; known: input, c0"),
        ({"name": "c0"}, "layer c0: name must be no other's"),
        (
            {"weights": np.zeros((2, 3, 4), np.int8)},
            "layer c1: weights must be int8 (outputs, taps, 2), not int8 (2, 3, 4)",
        ),
        ({"bias": np.zeros(2)}, "layer c1: bias must be int32 (2), not float64 (2,)"),
        ({"dilation": 20}, "layer c1: taps must be within the 31 positions, not 3"),
        ({"stride": 2}, "layer sum: add must be of shape (15, 2), not (29, 2)"),
        (
            {"output": Requantisation.power_of_two(2, 48)},
            "layer c1: shift must be a whole number in 0..47, not 48",
        ),
        (
            {"output": Requantisation.power_of_two(2, 1, leak=16)},
            "layer c1: leak must be a whole number in 0..15, not 16",
        ),
    ],
)
def test_network_refuses(changed, message):
    with pytest.raises(NetworkError, match=f"^{re.escape(message)}$"):
        small(**changed)


@pytest.mark.parametrize(
    ("params", "bases", "message"),
    [
        ({"samples": 33}, (), "input: length · channels must be the 33 samples, not 32"),
        ({"activation_bits": 8}, (), "network: activation_bits must be 8 as the config's, not 16"),
        ({"weight_bits": 6}, (), "layer c0: weights must be in -32..31, not 127"),
        ({"weight_words": 32}, (), "layer out: with it weight_words must be at least 36, and are 32"),
        ({"channel_words": 4}, (), "layer out: with it channel_words must be at least 5, and are 4"),
        ({"layers": 4}, (), "layer out: with it layers must be at least 5, and are 4"),
        ({}, (12,), "layer out: with it layers must be at least 17, and are 16"),
        ({"activations": 64}, (), "layer both: its 116 elements find no room in two places of 64"),
    ],
)
def test_compiler_refuses(params, bases, message):
    with pytest.raises(NetworkError, match=f"^{re.escape(message)}$"):
        compile_network(small(), CnnConfig.parse(SIZES[0] | params), Bases(*bases))
