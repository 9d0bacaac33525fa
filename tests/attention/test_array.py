"""`attention.array` in Verilator: the cocotb bench, and any attention in bulk, against the golden model."""

import numpy as np
import pytest

from sim.attention import array_vectors
from sim.attention.schedule import cost
from sim.common.harness import HarnessError
from sim.common.harness_device import HarnessDevice
from sim.common.memory_job import run_job

pytestmark = pytest.mark.deep
CONFIGS = {
    "small": {"rows": 2, "lanes": 4, "dim": 16, "subtiles": 2, "bus_bits": 32},
    "layers": {
        **{"rows": 4, "lanes": 4, "dim": 16, "subtiles": 4, "bus_bits": 32, "linear": True},
        "formats": ["int4", "int2"],
    },
    "fine": {"rows": 4, "lanes": 8, "dim": 24, "subtiles": 4, "p_bits": 9, "guard_bits": 10, "bus_bits": 64}
    | {"normalisers": 2},
    "tall": {"rows": 8, "lanes": 4, "dim": 8, "subtiles": 2, "bus_bits": 32, "normalisers": 4} | {"softmax_units": 3},
}
BENCH_TESTS = 18


def run(built, harness, arrays, **memory):
    """Counters of a list, once its results are the golden model's."""
    config = built.config
    harness.write(config.registers["control"].offset_bytes, config.registers["control"]["clear_counters"].mask)
    result = run_job(HarnessDevice(harness, **memory), config.registers, array_vectors.job(config, arrays))
    got, right = array_vectors.results(config, arrays, result), array_vectors.model(config, arrays)
    np.testing.assert_array_equal(got["o"], right["o"])
    assert got["status"] == right["status"]
    names = ("macs", "span", "words_read", "words_written", "jobs", "cycles")
    return {name: harness.read(config.registers[name].offset_bytes) for name in names}


def random_runs(built, seeds, mutant=None):
    """Lists of so many seeds on the gateware, or on a mutant of it."""
    rng = np.random.default_rng(9)
    with mutant or built.harness() as harness:
        for seed in range(seeds):
            arrays = array_vectors.random_arrays(built.config, seed, int(rng.choice([1, 5, 30, 60])))
            stall = float(rng.choice([0, 0.3, 0.8]))
            counted = run(built, harness, arrays, stall=stall, seed=seed, latency_cycles=int(rng.integers(0, 65)))
            wanted = cost(built.config, array_vectors.problem_of(arrays))
            assert (counted["jobs"], counted["macs"]) == (wanted.jobs, wanted.mac_cycles)
            assert (counted["words_read"], counted["words_written"]) == (wanted.words_read, wanted.words_written)


@pytest.mark.parametrize("built", CONFIGS, indirect=True)
def test_any_attention_matches_the_model(built):
    random_runs(built, 300)


@pytest.mark.parametrize("built", CONFIGS, indirect=True)
def test_array_bench_passes(built, tmp_path):
    assert len(built.bench_tests("sim.attention.array_bench", tmp_path)) == BENCH_TESTS


MUTANTS = [
    ("commands", "+", "-"),
    ("passes__walk", "+", "-"),
    ("row__scores", "+", "-"),
    ("aligner", "+", "-"),
    ("turns", "+", "-"),
    ("softmaxunit__exponential", "-", "+"),
    ("softmax__state", "-", "+"),
    ("passes__walk", "|", "&"),
    ("normaliser", "+", "-"),
    ("divider", "+", "-"),
    ("reciprocal", "-", "+"),
    ("writer", "+", "-"),
]


@pytest.mark.parametrize(("module", "operator", "other"), MUTANTS)
@pytest.mark.parametrize("built", ["fine"], indirect=True)
def test_array_mutants_are_caught(built, module, operator, other, tmp_path):
    with built.mutant(module, operator, other, tmp_path) as mutant, pytest.raises((AssertionError, HarnessError)):
        random_runs(built, 100, mutant)
