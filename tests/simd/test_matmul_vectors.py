"""`simd.matmul` as arrays: what is refused, in which words, and that memory and back is no change."""

from __future__ import annotations

import re

import numpy as np
import pytest

from hdl.simd.config import MatmulConfig
from sim.common.errors import HarnessError
from sim.common.memory_job import JobResult
from sim.simd import matmul_memory, matmul_vectors
from sim.simd.matmul_vectors import job_array

CONFIG = MatmulConfig(
    modes=("fp4", "p8_0", "p16_1"), outputs=("p8_0", "fp32", "fp4"), rows=2, columns=2, bus_bits=64, depth_beats=16
)
GOOD = {
    "job": job_array("fp4", "p8_0"),
    "a": np.zeros((2, 3), np.uint16),
    "b": np.zeros((3, 4), np.uint16),
    "bias": np.zeros(4, np.int32),
}
MODES = "0 (fp4), 2 (p8_0), 3 (p16_1)"


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"job": np.zeros(2, np.int32)}, "job must have 3 elements, not 2"),
        ({"job": np.array([1 << 11, 0, 0], np.int32)}, "job[0] must be in 0..2047, not 2048"),
        ({"job": np.array([5 | 2 << 4, 0, 0], np.int32)}, f"job[0] must have one of the modes {MODES}, not 5 (int8)"),
        ({"job": np.array([15, 0, 0], np.int32)}, f"job[0] must have one of the modes {MODES}, not 15 (nothing)"),
        (
            {"job": job_array("fp4", "int8")},
            "job[0] must have one of the outputs 0 (fp4), 2 (p8_0), 12 (fp32), not 5 (int8)",
        ),
        ({"job": job_array("fp4", "fp4", bias_exponent=33)}, "job[1] must be in -56..32, not 33"),
        ({"job": job_array("fp4", "fp4", scale_exponent=-65)}, "job[2] must be in -64..63, not -65"),
        ({"a": np.full((2, 3), 16, np.uint16)}, "a[0, 0] must be in 0..15 for fp4, not 16"),
        ({"b": np.zeros((4, 4), np.uint16)}, "b must be uint16 (k, n) with k = 3 as in a, not uint16 (4, 4)"),
        ({"bias": np.zeros(4, np.int64)}, "bias must be int32 (n,), not int64 (4,)"),
        (
            {
                "job": job_array("p16_1", "fp4"),
                "a": np.zeros((1, 32768), np.uint16),
                "b": np.zeros((32768, 4), np.uint16),
            },
            "k must be at most 32767 for p16_1, not 32768",
        ),
    ],
)
def test_matmul_vectors_refuse_in_one_line(wrong, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        matmul_vectors.check(CONFIG, GOOD | wrong)


@pytest.mark.parametrize("seed", range(20))
def test_matmul_vectors_go_to_memory_and_come_back(seed):
    """Results put where the job says are read from there; operands and results do not overlap."""
    arrays = matmul_vectors.random_arrays(CONFIG, seed, 30)
    matmul_vectors.check(CONFIG, arrays)
    job = matmul_vectors.job(CONFIG, arrays)
    expected = matmul_vectors.model(CONFIG, arrays)
    assert not job.image[job.result.start :].any()
    (m, k), n = arrays["a"].shape, arrays["b"].shape[1]
    assert [job.registers[name] for name in "mnk"] == [m, n, k]
    found, _ = matmul_vectors._layout(CONFIG, arrays)
    image = job.image.copy()
    matmul_memory.write_results(image, 0, found, expected["c"])
    assert (image[: job.result.start] == job.image[: job.result.start]).all()
    result = JobResult(image[job.result.start :], int(expected["status"][0]) << 1 | 1, 100)
    got = matmul_vectors.results(CONFIG, arrays, result)
    np.testing.assert_array_equal(got["c"], expected["c"])
    np.testing.assert_array_equal(got["status"], expected["status"])


@pytest.mark.parametrize(("bit", "name"), [(6, "bus_error"), (7, "bad_job")])
def test_matmul_vectors_take_no_results_of_a_job_that_failed(bit, name):
    result = JobResult(np.zeros(16, np.uint8), 1 | 1 << bit, 1)
    with pytest.raises(HarnessError, match=f"^the block says {name} of a job that is right$"):
        matmul_vectors.results(CONFIG, GOOD, result)
