"""Wide jobs: two products a lane and cycle, two weights of four, mixed with ordinary jobs."""

import pytest

from sim.common.harness import HarnessError
from tests.attention.lists_on_gateware import random_runs

BOTH = {"formats": ["int4", "int2"], "dual_issue": True, "sparse": True, "linear": True}
CONFIGS = {
    "both": {"rows": 4, "lanes": 4, "dim": 16, "subtiles": 4, "bus_bits": 32} | BOTH,
    "dual": {
        **{"rows": 4, "lanes": 4, "dim": 24, "subtiles": 2, "bus_bits": 32, "softmax_units": 3},
        **{"formats": ["int4"], "dual_issue": True},
    },
    "sparse": {"rows": 8, "lanes": 8, "dim": 32, "subtiles": 4, "bus_bits": 32, "sparse": True, "linear": True},
    "fine": {"rows": 4, "lanes": 8, "dim": 48, "subtiles": 4, "bus_bits": 64, "p_bits": 9, "tile_slots": 8} | BOTH,
}


@pytest.mark.parametrize("built", ["both"], indirect=True)
def test_wide_jobs_match_the_model(built):
    random_runs(built, 20)


@pytest.mark.deep
@pytest.mark.parametrize("built", CONFIGS, indirect=True)
def test_any_list_of_wide_jobs_matches_the_model(built):
    random_runs(built, 300)


@pytest.mark.deep
@pytest.mark.parametrize("built", ["both"], indirect=True)
def test_bad_wide_jobs_are_left_out(built):
    random_runs(built, 200, bad=0.6)


MUTANTS = [
    ("row__lanes", "+", "-"),
    ("row__lanes", "-", "+"),
    ("tiles__decoder", "&", "|"),
    ("passes", "+", "-"),
    ("filler", "&", "|"),
    ("softmax", "-", "+"),
]


@pytest.mark.deep
@pytest.mark.parametrize(("module", "operator", "other"), MUTANTS)
@pytest.mark.parametrize("built", ["both"], indirect=True)
def test_mutants_of_wide_jobs_are_caught(built, module, operator, other, tmp_path):
    with built.mutant(module, operator, other, tmp_path) as mutant, pytest.raises((AssertionError, HarnessError)):
        random_runs(built, 100, mutant)
