"""Formats of keys and values in the gateware: random lists of jobs in Verilator, against the golden model."""

import pytest

from sim.attention.kv_formats import BY_CODE, scale_bytes
from tests.attention.lists_on_gateware import random_runs

pytestmark = pytest.mark.deep
BLOCKS = ["mxint8", "mxint4", "mxfp4", "nvfp4", "mxfp6", "bfp12"]
CONFIGS = {
    "packed": {"rows": 2, "lanes": 4, "dim": 16, "subtiles": 2, "bus_bits": 32, "formats": ["int4"]},
    "blocks": {"rows": 2, "lanes": 16, "dim": 64, "subtiles": 2, "bus_bits": 64, "formats": ["int4", *BLOCKS]},
    "narrow": {"rows": 2, "lanes": 4, "dim": 64, "subtiles": 2, "bus_bits": 32, "formats": BLOCKS},
    "wide": {"rows": 2, "lanes": 32, "dim": 128, "subtiles": 2, "bus_bits": 256, "formats": ["mxfp6", "mxint4"]},
    "scales": {"rows": 2, "lanes": 4, "dim": 192, "subtiles": 2, "bus_bits": 32, "formats": ["nvfp4", "mxint4"]},
}


@pytest.mark.parametrize("built", CONFIGS, indirect=True)
def test_lists_of_any_formats_match_the_model(built):
    cases = random_runs(built, 150, bad=0.1)
    seen = {(name, job[name]) for case in cases for job in case.jobs for name in ("k_format", "v_format")}
    formats = built.config.built_formats.values()
    assert seen >= {(name, each.code) for each in formats for name in ("k_format", "v_format")}
    assert any("exponent_clipped" in case.status for case in cases) == built.config.has_blocks


@pytest.mark.parametrize("built", ["scales"], indirect=True)
def test_rows_have_several_words_of_scales(built):
    word = built.config.bus_bytes
    jobs = [job for case in random_runs(built, 20) for job in case.jobs]
    for name in ("k_format", "v_format"):
        words = {scale_bytes(BY_CODE[job[name]], job["chunks"] * built.config.lanes, word) // word for job in jobs}
        assert words >= {1, 2, 3}, f"words of a row's scales, of {name}"


@pytest.mark.parametrize("built", ["packed", "blocks"], indirect=True)
def test_array_bench_passes_with_formats(built, tmp_path):
    names = ["results_match_the_model", "reset_in_mid_flight_leaves_no_trace", "bad_jobs_are_left_out"]
    assert built.bench_tests("sim.attention.array_bench", tmp_path, names)
