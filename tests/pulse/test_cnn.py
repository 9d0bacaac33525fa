"""`pulse.cnn` in Verilator: the cocotb bench, and random networks in bulk against the golden model."""

from __future__ import annotations

import re

import numpy as np
import pytest

from hdl.common.config import ConfigError
from hdl.pulse.cnn import Cnn
from hdl.pulse.cnn_config import CnnConfig
from sim.common.harness import HarnessError
from sim.pulse import cnn_vectors
from sim.pulse.cnn_network import INPUT, Dense, Input, Network, Requantisation

SMALL = {"samples": 20, "elements": 2, "activations": 256}
BUILDS = {
    "small": SMALL,
    "one": {"samples": 33, "elements": 1},
    "narrow": {"samples": 16, "products": 8, "elements": 4, "requantisers": 1, "activation_bits": 8},
    "w4a8": SMALL | {"weight_bits": 4, "activation_bits": 8},
    "w4a10": SMALL | {"weight_bits": 4, "activation_bits": 10},
    "w6a10": {"samples": 24, "products": 8, "weight_bits": 6, "activation_bits": 10},
    "w6a12": SMALL | {"weight_bits": 6, "activation_bits": 12, "requantisers": 1},
    "wide": {"samples": 24, "products": 16, "elements": 8, "requantisers": 2, "activations": 1024},
}
PATIENCE_CYCLES = 60_000


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"samples": 8}, "params.samples must be a whole number in 16..256, not 8"),
        ({"elements": 8}, "params: elements must be at most the 4 products, not 8"),
        ({"requantisers": 4}, "params: requantisers must be at most the 2 elements, not 4"),
        ({"weight_bits": 5}, "params.weight_bits must be one of 4, 6, 8, not 5"),
        ({"activation_bits": 9}, "params.activation_bits must be one of 8, 10, 12, 16, not 9"),
        ({"activations": 100}, "params: activations must be a power of 2, not 100"),
    ],
)
def test_cnn_config_refuses(changed, message):
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}$"):
        CnnConfig.parse(SMALL | changed)


@pytest.fixture(scope="module")
def block():
    def of(name):
        config = CnnConfig.parse(BUILDS[name])
        return BUILDS[name], config, Cnn(config)

    return of


def run(harness, config, arrays, **options):
    """Arrays through the gateware."""
    for address, words in cnn_vectors.register_writes(config, arrays):
        for word in words:
            harness.write(address, word)
    result = harness.run(
        cnn_vectors.pack(config, arrays),
        cnn_vectors.expected_beats(config, arrays),
        max_idle_cycles=PATIENCE_CYCLES,
        **options,
    )
    return cnn_vectors.unpack(config, arrays, result.outputs)


def assert_as_the_model(harness, config, seeds, windows):
    """A random network and its windows for each seed, streams stalled differently."""
    for seed in seeds:
        arrays = cnn_vectors.random_arrays(config, seed, windows)
        stalls = {"stall_in": 0.2 * (seed % 3), "stall_out": 0.3 * (seed % 4), "seed": seed}
        got, want = run(harness, config, arrays, **stalls), cnn_vectors.model(config, arrays)
        for name in want:
            np.testing.assert_array_equal(got[name], want[name], f"seed {seed}: {name}")


@pytest.mark.parametrize(
    ("built", "networks"),
    [
        ("small", 10),
        ("narrow", 10),
        ("w4a10", 5),
        pytest.param("one", 200, marks=pytest.mark.deep),
        pytest.param("wide", 200, marks=pytest.mark.deep),
        pytest.param("small", 300, marks=pytest.mark.deep),
        pytest.param("narrow", 300, marks=pytest.mark.deep),
        pytest.param("w4a8", 200, marks=pytest.mark.deep),
        pytest.param("w4a10", 200, marks=pytest.mark.deep),
        pytest.param("w6a10", 200, marks=pytest.mark.deep),
        pytest.param("w6a12", 200, marks=pytest.mark.deep),
    ],
    indirect=["built"],
)
def test_networks_match_the_model(built, networks):
    """50 windows of every network."""
    assert_as_the_model(built.harness(), built.config, range(networks), 50)


@pytest.mark.parametrize(
    "built",
    ["w4a10", *(pytest.param(name, marks=pytest.mark.deep) for name in BUILDS if name != "w4a10")],
    indirect=True,
)
def test_largest_sums_are_exact(built):
    """Rows of the least and of the largest weights on windows of the least and of the largest elements."""
    config = built.config
    corners = [(-(1 << bits - 1), (1 << bits - 1) - 1) for bits in (config.weight_bits, config.activation_bits)]
    weights = np.repeat(np.array(corners[0], np.int8)[:, None], config.samples, axis=1)
    sums = Dense(
        name="sums",
        source=INPUT,
        weights=weights,
        bias=np.zeros(2, np.int32),
        output=Requantisation.power_of_two(2),
    )
    given = Input(config.samples, gain=(1 << 15) - 1)  # codes of one sign become the element that is furthest
    network = Network(given, (sums,), True, config.activation_bits)
    windows = np.repeat(np.array([-(1 << 15), (1 << 15) - 1], np.int16)[:, None], config.samples, axis=1)
    got = run(built.harness(), config, {"windows": windows, "network": cnn_vectors.file_of(network)})
    assert got["values"][:, 0].tolist() == [[config.samples * x * w for w in corners[0]] for x in corners[1]]


@pytest.mark.deep
@pytest.mark.parametrize("built", BUILDS, indirect=True)
def test_cnn_bench_passes(built, tmp_path):
    assert len(built.bench_tests("sim.pulse.cnn_bench", tmp_path)) == 14


@pytest.mark.deep
@pytest.mark.parametrize("built", ["small"], indirect=True)
@pytest.mark.parametrize(
    ("module", "operator", "other"),
    [
        ("sequence", "+", "-"),
        ("element_0", ">", "<"),
        (r"outputs\w*__requantiser_0", "&", "|"),
        ("places", "-", "+"),
        ("places__banks", ">", "<"),
        ("normaliser__rounder", "+", "|"),
        ("normaliser", "-", "+"),
        ("control", "|", "&"),
        ("results", "&", "|"),
    ],
)
def test_cnn_mutants_are_caught(built, module, operator, other, tmp_path):
    mutant = built.mutant(module, operator, other, tmp_path)
    with pytest.raises((HarnessError, AssertionError)):
        assert_as_the_model(mutant, built.config, range(40), 20)


@pytest.mark.deep
@pytest.mark.parametrize("built", ["small"], indirect=True)
def test_cnn_handshakes_do_not_wait_for_each_other_within_a_cycle(built):
    inputs = ["s_axis_window_tvalid", "s_axis_window_tlast", "m_axis_result_tready"]
    inputs += ["s_axil_arvalid", "s_axil_awvalid", "s_axil_wvalid", "s_axil_rready", "s_axil_bready"]
    built.assert_handshakes_independent(inputs, ["s_axis_window_tdata"])
