"""Lists of jobs of every kind on `attention.array` in Verilator, against the golden model."""

import numpy as np
import pytest

from sim.attention.array_stimulus import random_case
from sim.common.harness import HarnessError
from tests.attention.lists_on_gateware import begin, random_runs, run

pytestmark = pytest.mark.deep
CONFIGS = {
    "small": {"rows": 4, "lanes": 4, "dim": 8, "subtiles": 4, "bus_bits": 32, "linear": True},
    "three": {"rows": 4, "lanes": 8, "dim": 16, "subtiles": 2, "bus_bits": 32, "softmax_units": 3, "linear": True},
    "parts": {"rows": 4, "lanes": 8, "dim": 24, "subtiles": 8, "bus_bits": 32, "linear": True},
    "packed": {
        "rows": 8,
        "lanes": 8,
        "dim": 32,
        "subtiles": 2,
        "bus_bits": 64,
        "linear": True,
        "formats": ["int4", "int2"],
    },
}


@pytest.mark.parametrize("built", CONFIGS, indirect=True)
def test_any_list_matches_the_model(built):
    random_runs(built, 300)


@pytest.mark.parametrize("built", ["small", "packed"], indirect=True)
def test_bad_jobs_are_left_out(built):
    random_runs(built, 200, bad=0.6)


@pytest.mark.parametrize("built", ["small"], indirect=True)
def test_reset_in_mid_flight_leaves_no_trace(built):
    rng = np.random.default_rng(12)
    with built.harness() as harness:
        for seed in range(60):
            begin(built, harness, random_case(rng, built.config), stall=0.2, seed=seed)
            harness.step(int(rng.choice([1, rng.integers(2, 60), rng.integers(60, 3000)])))
            harness.reset()
            run(built, harness, random_case(rng, built.config), stall=0.2, seed=seed)


MUTANTS = [
    ("loader", "+", "-"),
    ("passes__walk", "&", "|"),
    ("passes__walk__layers", "+", "-"),
    ("layer_outputs", "&", "|"),
    ("layers", "+", "-"),
    ("write_port", "&", "|"),
]


@pytest.mark.parametrize(("module", "operator", "other"), MUTANTS)
@pytest.mark.parametrize("built", ["small"], indirect=True)
def test_mutants_of_linear_layers_are_caught(built, module, operator, other, tmp_path):
    with built.mutant(module, operator, other, tmp_path) as mutant, pytest.raises((AssertionError, HarnessError)):
        random_runs(built, 100, mutant)
