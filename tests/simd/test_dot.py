"""`simd.dot` in Verilator: the cocotb bench, and vectors in bulk against the golden model."""

from __future__ import annotations

import numpy as np
import pytest

from hdl.simd.config import DotConfig
from hdl.simd.dot import Dot
from sim.common.beats import Beats
from sim.common.stimulus import last_flags
from sim.simd import dot_vectors
from sim.simd.dot_model import dot_packets

VECTORS = 10_000
STALLS = [(0.0, 0.0), (0.4, 0.4), (0.7, 0.1), (0.1, 0.7)]
QUICK = [(4, 2), (16, 2)]
DEEP = [(2, 1), (3, 2), (7, 3), (32, 2), (33, 1), (64, 2), (64, 3)]
CONFIGS = [*QUICK, *(pytest.param(config, marks=pytest.mark.deep) for config in DEEP)]
BENCHES = [(4, 2), *(pytest.param(config, marks=pytest.mark.deep) for config in [(3, 1), (16, 2), (33, 3)])]


@pytest.fixture(scope="module")
def block():
    def of(lanes_and_levels):
        params = dict(zip(["lanes", "tree_levels_per_stage"], lanes_and_levels, strict=True))
        config = DotConfig.parse(params)
        return params, config, Dot(config)

    return of


@pytest.mark.parametrize("built", BENCHES, indirect=True, ids=str)
def test_dot_bench_passes(built, tmp_path):
    assert len(built.bench_tests("sim.simd.dot_bench", tmp_path)) == 31


@pytest.mark.parametrize(("stall_in", "stall_out"), STALLS)
@pytest.mark.parametrize("built", CONFIGS, indirect=True, ids=str)
def test_dot_matches_the_model_on_random_vectors(built, stall_in, stall_out):
    arrays = dot_vectors.random_arrays(built.config, 7, VECTORS)
    result = built.harness().run(
        dot_vectors.pack(built.config, arrays), {"y": VECTORS}, stall_in=stall_in, stall_out=stall_out, seed=3
    )
    got = dot_vectors.unpack(built.config, arrays, result.outputs)
    np.testing.assert_array_equal(got["y"], dot_vectors.model(built.config, arrays)["y"])
    if not stall_in and not stall_out:
        beats = VECTORS * -(-arrays["a"].shape[1] // built.config.lanes)
        assert result.cycles == beats + built.config.latency_cycles


def ragged_packets(rng, lanes):
    """Packets of 1 to 5 beats, one-beat packets as frequent as all others; some hold extreme values alone."""
    lengths = np.where(rng.random(VECTORS) < 0.5, 1, rng.integers(1, 6, VECTORS))
    values = rng.integers(-128, 128, (lengths.sum(), lanes), np.int8)
    extreme = rng.random(len(values)) < 0.3
    values[extreme] = rng.choice(np.array([-128, 127], np.int8), (extreme.sum(), lanes))
    return np.split(values, np.cumsum(lengths)[:-1])


def as_beats(packets):
    return Beats(np.concatenate(packets).view(np.uint8), last_flags([len(packet) for packet in packets]))


@pytest.mark.parametrize(("stall_in", "stall_out"), STALLS)
@pytest.mark.parametrize("built", CONFIGS, indirect=True, ids=str)
def test_dot_matches_the_model_on_ragged_vectors(built, stall_in, stall_out):
    rng = np.random.default_rng(built.config.lanes)
    a, b = ragged_packets(rng, built.config.lanes), ragged_packets(rng, built.config.lanes)
    harness = built.harness()
    result = harness.run(
        {"a": as_beats(a), "b": as_beats(b)}, {"y": VECTORS}, stall_in=stall_in, stall_out=stall_out, seed=4
    )
    np.testing.assert_array_equal(result.outputs["y"].data.view("<i4")[:, 0], dot_packets(built.config, a, b).y)
    registers = built.config.registers
    assert registers["status"].decode(harness.read(registers["status"].offset_bytes)) == {
        "overflow": 0,
        "length_mismatch": 1,
        "busy": 0,
    }
    assert harness.read(registers["vectors"].offset_bytes) == VECTORS
    assert harness.read(registers["beats"].offset_bytes) == sum(map(max, map(len, a), map(len, b)))


@pytest.mark.parametrize("built", CONFIGS, indirect=True, ids=str)
def test_dot_forgets_everything_at_reset(built):
    arrays = {name: array[:300] for name, array in dot_vectors.random_arrays(built.config, 9, 300).items()}
    harness = built.harness()
    for reset_at in (2, 9, 40, 133):
        result = harness.run(
            dot_vectors.pack(built.config, arrays), {"y": 300}, seed=reset_at, reset_at=reset_at, stall_out=0.5
        )
        got = dot_vectors.unpack(built.config, arrays, result.outputs)
        np.testing.assert_array_equal(got["y"], dot_vectors.model(built.config, arrays)["y"])


@pytest.mark.parametrize("built", QUICK[:1], indirect=True, ids=str)
def test_dot_handshakes_do_not_wait_for_each_other_within_a_cycle(built):
    """No input reaches an output without a register between: neither a READY another READY nor a VALID."""
    inputs = ["s_axis_a_tvalid", "s_axis_b_tvalid", "s_axis_a_tlast", "s_axis_b_tlast", "m_axis_y_tready"]
    inputs += ["s_axil_arvalid", "s_axil_awvalid", "s_axil_wvalid", "s_axil_rready", "s_axil_bready"]
    built.assert_handshakes_independent(inputs)
