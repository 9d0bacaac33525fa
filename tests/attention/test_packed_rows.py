"""Two rows a multiplier: the same results, bit for bit, from half of the multipliers."""

import pytest

from sim.common.harness import HarnessError
from tests.attention.lists_on_gateware import random_runs

CONFIGS = {
    "attention": {"rows": 2, "lanes": 4, "dim": 8, "subtiles": 2, "bus_bits": 32, "packed_rows": True},
    "layers": {
        **{"rows": 8, "lanes": 8, "dim": 16, "subtiles": 2, "bus_bits": 32, "packed_rows": True, "linear": True},
        "formats": ["int4", "int2"],
    },
}


@pytest.mark.parametrize("built", CONFIGS, indirect=True)
def test_packed_rows_match_the_model(built):
    random_runs(built, 20)


@pytest.mark.deep
@pytest.mark.parametrize("built", CONFIGS, indirect=True)
def test_any_list_on_packed_rows_matches_the_model(built):
    random_runs(built, 300)


@pytest.mark.deep
@pytest.mark.parametrize(("operator", "other"), [("+", "-"), ("*", "+")])
@pytest.mark.parametrize("built", ["layers"], indirect=True)
def test_mutants_of_packed_lanes_are_caught(built, operator, other, tmp_path):
    with (
        built.mutant("packedlanes", operator, other, tmp_path) as mutant,
        pytest.raises((AssertionError, HarnessError)),
    ):
        random_runs(built, 100, mutant)
