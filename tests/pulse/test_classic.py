"""`pulse.classic` in Verilator: the cocotb bench, and windows in bulk against the golden model."""

from __future__ import annotations

import numpy as np
import pytest

from hdl.pulse import classic
from hdl.pulse.classic_config import SIGNED_SETTINGS, ClassicConfig
from sim.common.harness import HarnessError
from sim.pulse import classic_vectors
from sim.pulse.settings import setting_range
from tests.pulse.windows import through

BUILDS = {"small": {"samples": 16}, "r0": {"samples": 32}, "odd": {"samples": 37}, "long": {"samples": 256}}
RARE = {1: "saturated", 5: "no pulse", 6: "no zero crossing"}


@pytest.fixture(scope="module")
def block():
    def of(name):
        config = ClassicConfig.parse(BUILDS[name])
        return BUILDS[name], config, classic.Classic(config)

    return of


def assert_matches_the_model(harness, config, arrays, **options):
    want = classic_vectors.model(config, arrays)
    got = through(harness, classic_vectors, config, arrays, 2 * config.latency_cycles, **options)
    for name in want:
        np.testing.assert_array_equal(got[name], want[name], name)
    return want


@pytest.mark.parametrize(
    ("built", "draws"),
    [
        ("r0", 20),
        pytest.param("small", 200, marks=pytest.mark.deep),
        pytest.param("odd", 200, marks=pytest.mark.deep),
        pytest.param("long", 40, marks=pytest.mark.deep),
    ],
    indirect=["built"],
)
def test_classic_matches_the_model(built, draws):
    """100 windows of every draw, settings, table and stalls with it; each flag is met, and is not always."""
    harness, flags = built.harness(), []
    for seed in range(draws):
        arrays = classic_vectors.random_arrays(built.config, seed, 100)
        stalls = {"stall_in": 0.2 * (seed % 3), "stall_out": 0.3 * (seed % 2), "seed": seed}
        flags.append(assert_matches_the_model(harness, built.config, arrays, **stalls)["flags"])
    seen = np.concatenate(flags)
    for bit, name in RARE.items():
        assert 0 < (seen >> bit & 1).mean() < 1, name


@pytest.mark.deep
@pytest.mark.parametrize("built", BUILDS, indirect=True)
def test_classic_takes_extremes(built):
    """Each setting at either end of its range, and all of them; codes and entries of the table at theirs."""
    config, harness = built.config, built.harness()
    drawn = classic_vectors.random_arrays(config, 5, 8)
    ends = np.array([-(2**15), 2**15 - 1], np.int16)
    drawn["windows"][:2], drawn["windows"][2:4] = ends[:, None], np.resize(ends, config.samples)
    half = np.arange(config.samples) < config.samples // 2
    drawn["windows"][4:6] = np.where(half, ends[:, None], ends[::-1, None])
    ranges = [setting_range(config, SIGNED_SETTINGS, name) for name in config.setting_names]
    for place in (0, 1):
        drawn["table"][:] = ends[place]
        whole = np.array([each[place] for each in ranges], np.int64)
        assert_matches_the_model(harness, config, drawn | {"settings": whole})
        for number, each in enumerate(whole):
            settings = drawn["settings"].copy()
            settings[number] = each
            assert_matches_the_model(harness, config, drawn | {"settings": settings})


@pytest.mark.deep
@pytest.mark.parametrize("built", ["small", "r0", "odd"], indirect=True)
def test_classic_bench_passes(built, tmp_path):
    assert len(built.bench_tests("sim.pulse.classic_bench", tmp_path)) == 14


@pytest.mark.deep
@pytest.mark.parametrize("built", ["small"], indirect=True)
@pytest.mark.parametrize(
    ("module", "operator", "other"),
    [
        ("scan", "-", "+"),
        (r"scan__edge\w*", "&", "|"),
        (r"scan__risen\w*", ">=", ">"),
        (r"divide\w*", "-", "+"),
        (r"divide\w*__rounder\w*", "+", "|"),
        ("windows", "&", "|"),
    ],
)
def test_classic_mutants_are_caught(built, module, operator, other, tmp_path):
    mutant = built.mutant(module, operator, other, tmp_path)
    with pytest.raises((HarnessError, AssertionError)):
        for seed in range(20):
            assert_matches_the_model(mutant, built.config, classic_vectors.random_arrays(built.config, seed, 100))


@pytest.mark.deep
@pytest.mark.parametrize("built", ["small"], indirect=True)
def test_classic_handshakes_do_not_wait_for_each_other_within_a_cycle(built):
    inputs = ["s_axis_window_tvalid", "s_axis_window_tlast", "m_axis_fit_tready"]
    inputs += ["s_axil_arvalid", "s_axil_awvalid", "s_axil_wvalid", "s_axil_rready", "s_axil_bready"]
    built.assert_handshakes_independent(inputs, ["s_axis_window_tdata"])
