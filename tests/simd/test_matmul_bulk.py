"""`simd.matmul` from memory to memory in the bulk harness: any products in any formats, against the golden model."""

from __future__ import annotations

import numpy as np
import pytest

from hdl.simd.config import MatmulConfig
from hdl.simd.matmul import build
from hdl.simd.modes import OUTPUT_FORMATS, SINGLE_MODES
from sim.common.harness import HarnessError
from sim.common.harness_device import HarnessDevice
from sim.common.memory_job import run_job
from sim.simd import matmul_vectors

pytestmark = pytest.mark.deep
SHAPES = {
    "small": ({"modes": ["int8"], "outputs": ["int8", "int32"]}, 2, 2, 64, 16),
    "nibbles": ({"modes": ["int4"], "outputs": ["int4"]}, 1, 2, 32, 16),
    "all": ({"modes": list(SINGLE_MODES), "outputs": list(OUTPUT_FORMATS)}, 3, 2, 32, 16),
    "column": ({"modes": ["fp4", "p8_0"], "outputs": ["p8_0", "bf16"]}, 5, 1, 512, 16),
    "single": ({"modes": ["e5m2"], "outputs": ["int32", "fp16"]}, 1, 1, 32, 32),
    "wide": ({"modes": ["int4"], "outputs": ["int4", "int32"]}, 1, 16, 32, 16),
    "posit": ({"modes": ["p16_1"], "outputs": ["p16_1", "fp32"]}, 2, 2, 256, 64),
}
"""Formats, rows, columns, bits of the bus, beats of a buffer's half."""

FEW_JOBS, JOBS = 10, 120


def params(name):
    formats, rows, columns, bus_bits, depth_beats = SHAPES[name]
    return formats | {"rows": rows, "columns": columns, "bus_bits": bus_bits, "depth_beats": depth_beats}


@pytest.fixture(scope="module")
def block():
    def of(name):
        config = MatmulConfig.parse(params(name))
        return params(name), config, build(config)

    return of


def run(built, harness, arrays, **options):
    """The result of a job, once it equals the golden model's."""
    config = built.config
    device = HarnessDevice(harness, **options)
    result = run_job(device, config.registers, matmul_vectors.job(config, arrays))
    got, right = matmul_vectors.results(config, arrays, result), matmul_vectors.model(config, arrays)
    np.testing.assert_array_equal(got["c"], right["c"])
    assert got["status"] == right["status"]
    return result


@pytest.mark.parametrize("built", SHAPES, indirect=True)
def test_matmul_is_exact_in_any_memory(built):
    rng = np.random.default_rng(5)
    with built.harness() as harness:
        for seed in range(JOBS):
            arrays = matmul_vectors.random_arrays(built.config, seed, int(rng.choice([1, 5, 30, 200])))
            run(built, harness, arrays, stall=float(rng.choice([0, 0.3, 0.8])), seed=seed)


@pytest.mark.parametrize(
    ("module", "operator", "other"),
    [
        ("sequencer", "+", "-"),
        ("engine__accumulator", "+", "-"),
        ("biases", "+", "-"),
        ("bursts", "<", ">"),
        ("drain", "+", "-"),
        ("filler", "&", "|"),
        ("fills__queue", "+", "-"),
        ("job", "-", "+"),
        ("loader", "+", "-"),
        ("loader__rows", "-", "+"),
        ("results__queue", "+", "-"),
        ("steps", "&", "|"),
        ("writer", "+", "-"),
        ("writer__tile_rows", "+", "-"),
    ],
)
@pytest.mark.parametrize("built", ["small"], indirect=True)
def test_matmul_mutated_is_caught(built, module, operator, other, tmp_path):
    """An operator in the middle of a module becomes another: a result is wrong, or the job does not end in order."""
    with (
        built.mutant(module, operator, other, tmp_path) as harness,
        pytest.raises((AssertionError, HarnessError)),
    ):
        for seed in range(FEW_JOBS):
            run(built, harness, matmul_vectors.random_arrays(built.config, seed, 30), stall=0.3, seed=seed)


@pytest.mark.parametrize("built", ["small"], indirect=True)
def test_matmul_tiles_follow_without_a_pause(built):
    """The memory is fast enough; what is left are the first loads, the last results, and waits between panels."""
    rng = np.random.default_rng(6)
    with built.harness() as harness:
        for k in (16, 32):
            a, b = (rng.integers(256, size=shape).astype(np.uint16) for shape in ((16, k), (k, 32)))
            job = matmul_vectors.job_array("int8", "int8", scale_exponent=-8)
            result = run(built, harness, {"job": job, "a": a, "b": b, "bias": np.zeros(32, np.int32)})
            beats = 8 * 16 * k // 4
            assert beats < result.cycles < beats + 200


@pytest.mark.parametrize("built", ["small"], indirect=True)
def test_matmul_rounds_up_to_the_smallest_integer(built):
    """Half below it is the smallest still, and no overflow; more is one."""
    job = matmul_vectors.job_array("int8", "int32", has_bias=True, bias_exponent=1, scale_exponent=-1)
    a, b = np.array([[1], [2]], np.uint16), np.array([[0xFF, 0, 1]], np.uint16)
    with built.harness() as harness:
        run(built, harness, {"job": job, "a": a[:1], "b": b, "bias": np.full(3, -(2**31), np.int32)})
        run(built, harness, {"job": job, "a": a, "b": b, "bias": np.full(3, -(2**31), np.int32)})
