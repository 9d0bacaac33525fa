"""`sfq.network` in Verilator: the cocotb bench, and windows in bulk against the golden model."""

from __future__ import annotations

import numpy as np
import pytest

from hdl.sfq.network import Network
from hdl.sfq.network_config import StochasticConfig, load_currents
from sim.sfq import network_vectors as vectors
from sim.sfq.network_model import Program, first_states
from sim.sfq.network_program import program
from sim.sfq.network_tasks import task

SMALL = ((5, 3, 2), 2, 8)
WIDE = ((40, 9, 5, 3), 4, 16)
SHAPES = [((4, 2, 1), 2, 16), WIDE, ((1, 1), 1, 24), ((33, 16), 16, 32)]
STALLS = [(0.0, 0.0), (0.4, 0.4), (0.7, 0.1), (0.1, 0.7)]


@pytest.fixture(scope="module")
def block():
    def of(shape):
        layers, lanes, bits = shape
        params = {"layers": list(layers), "lanes": lanes, "count_bits": bits}
        params |= {"task": "xor", "slot_ps": 60.0, "window_slots": 4}
        config = StochasticConfig.parse(params)
        return params, config, Network(config)

    return of


def differing(built, seed, windows, **options):
    """Windows of random programs whose counts the model has otherwise."""
    arrays = vectors.random_arrays(built.config, seed, windows)
    harness = options.pop("harness", None) or built.harness()
    result = harness.run(vectors.pack(built.config, arrays), {"y": windows}, seed=seed, **options)
    got = vectors.unpack(built.config, arrays, result.outputs)["counts"]
    return int((got != vectors.model(built.config, arrays)["counts"]).any(axis=1).sum())


@pytest.mark.parametrize("built", [SMALL], indirect=True, ids=str)
def test_network_matches_the_model(built):
    harness = built.harness()
    assert [differing(built, seed, 40, harness=harness) for seed in range(10)] == [0] * 10
    for seed, reset_at in enumerate((2, 30, 60, 61, 62, 63, 133)):
        assert differing(built, seed, 10, harness=harness, reset_at=reset_at, stall_out=0.5) == 0


@pytest.mark.deep
@pytest.mark.parametrize(("stall_in", "stall_out"), STALLS)
@pytest.mark.parametrize("built", [SMALL, *SHAPES], indirect=True, ids=str)
def test_network_matches_the_model_on_many_windows(built, stall_in, stall_out):
    harness, windows = built.harness(), 30
    for seed in range(30):
        stalls = {"stall_in": stall_in, "stall_out": stall_out}
        reset_at = [None, 7 * seed + 1][seed % 3 == 0]
        assert differing(built, seed, windows, harness=harness, reset_at=reset_at, **stalls) == 0


@pytest.mark.deep
@pytest.mark.parametrize("built", [SMALL, WIDE], indirect=True, ids=str)
def test_network_bench_passes(built, tmp_path):
    assert len(built.bench_tests("sim.sfq.network_bench", tmp_path)) == 14


@pytest.mark.deep
@pytest.mark.parametrize(("module", "operator", "other"), [("synapses", "<", "<="), ("neurons", "+", "-")])
@pytest.mark.parametrize("built", [SMALL], indirect=True, ids=str)
def test_network_mutant_is_found(built, module, operator, other, tmp_path):
    harness = built.mutant(module, operator, other, tmp_path)
    assert any(differing(built, seed, 40, harness=harness) for seed in range(10))


@pytest.mark.deep
@pytest.mark.parametrize("built", [((128, 16, 3), 8, 16)], indirect=True, ids=str)
def test_network_of_the_digits_computes_xor(built):
    """Loaded with XOR's synapses in a corner, the others shut and their neurons silent."""
    xor = StochasticConfig.parse({"layers": [4, 2, 1], "lanes": 2, "task": "xor", "slot_ps": 60.0, "window_slots": 256})
    small = program(xor, load_currents(xor))
    hidden, output = np.zeros((16, 128), np.int64), np.zeros((3, 16), np.int64)
    hidden[:2, :4], output[0, :2] = small.thresholds[:8].reshape(2, 4), small.thresholds[8:]
    neurons = np.tile([0, 0, 0, vectors.NEVER], (19, 1))
    neurons[[0, 1, 16]] = small.neurons
    thresholds = np.concatenate([hidden.ravel(), output.ravel()])
    pulses = np.zeros((4, 256, 128), np.uint8)
    pulses[..., :4] = task("xor").test.pulses(256)
    loaded = Program(thresholds, neurons, first_states(np.array(1), built.config.synapses))
    arrays = vectors.arrays_of(loaded, pulses)
    result = built.harness().run(vectors.pack(built.config, arrays), {"y": 4}, stall_in=0, stall_out=0)
    got = vectors.unpack(built.config, arrays, result.outputs)["counts"]
    assert (got == vectors.model(built.config, arrays)["counts"]).all()
    assert (got[:, 1:] == 0).all()
    assert got[[1, 2], 0].min() - got[[0, 3], 0].max() > 0.5 * 256
    assert result.cycles >= 4 * 256 * built.config.slot_cycles


@pytest.mark.deep
@pytest.mark.parametrize("built", [WIDE], indirect=True, ids=str)
def test_network_handshakes_do_not_wait_for_each_other_within_a_cycle(built):
    inputs = ["s_axis_x_tvalid", "s_axis_x_tlast", "m_axis_y_tready", "s_axil_arvalid", "s_axil_awvalid"]
    built.assert_handshakes_independent(
        [*inputs, "s_axil_wvalid", "s_axil_rready", "s_axil_bready"], ["s_axis_x_tdata"]
    )


def test_network_vectors_refuse_in_one_line():
    config = StochasticConfig.parse({"layers": [3, 2], "lanes": 1, "task": "xor", "slot_ps": 60.0, "window_slots": 4})
    good = vectors.random_arrays(config, 1, 2)
    bad = {
        "pulses must be uint8 (windows, slots, rails) with rails = 3, not (2, 4, 5)": {
            "pulses": np.zeros((2, 4, 5), np.uint8)
        },
        "pulses must be in 0..1, not 2": {"pulses": np.full((2, 4, 3), 2, np.uint8)},
        "thresholds must be uint32 (synapses,) with synapses = 6, not (5,)": {
            "thresholds": np.zeros(5, np.uint32),
            "states": np.ones(5, np.uint32),
        },
        "thresholds must be in 0..65536, not 65537": {"thresholds": np.full(6, 65537, np.uint32)},
        "states must be in 1..4294967295, not 0": {"states": np.zeros(6, np.uint32)},
        "neurons, kick, must be in 0..65535, not -1": {"neurons": np.full((2, 4), -1, np.int32)},
        "neurons, threshold, must be in -32768..32767, not 40000": {"neurons": np.full((2, 4), 40000, np.int32)},
    }
    for message, wrong in bad.items():
        with pytest.raises(ValueError) as found:
            vectors.check(config, good | wrong)
        assert str(found.value) == message
