"""`pulse.filter` in Verilator: the cocotb bench, and windows in bulk against the golden model."""

from __future__ import annotations

import re

import numpy as np
import pytest

from hdl.common.config import ConfigError
from hdl.pulse.config import SIGNED_REGISTERS, FilterConfig
from hdl.pulse.filter import Filter
from sim.common.harness import HarnessError
from sim.pulse import filter_vectors
from sim.pulse.bank import make_bank
from sim.pulse.settings import setting_range
from sim.pulse.setup import Setup
from sim.pulse.signals import records
from tests.pulse.windows import through

SMALL = {"samples": 16, "taps": 11, "pre": 4}
BUILDS = {
    "small": SMALL,
    "shape": SMALL | {"taps": 8, "pre": 0, "shape": True},
    "grid": SMALL | {"taps": 9, "pre": 2, "shape": True, "stretches": 3},
    "wide grid": SMALL | {"taps": 8, "pre": 3, "shape": True, "stretches": 7},
    "whole": SMALL | {"taps": 16, "pre": 15},
    "pairs": SMALL | {"pairs": True},
    "pairs, least": SMALL | {"taps": 8, "pre": 4, "pairs": True},
    "usual pairs": {"samples": 32, "taps": 30, "pre": 7, "pairs": True},
    "long": {"samples": 256, "taps": 128, "pre": 40, "shape": True},
}
RARE = {0: "pile-up", 1: "saturated", 4: "cut", 5: "no pulse", 6: "far"}


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"samples": 8}, "params.samples must be a whole number in 16..256, not 8"),
        ({"taps": 17}, "params: taps must be at most the 16 samples of a window, not 17"),
        ({"pre": 11}, "params: pre must be below the 11 taps, not 11"),
        ({"stretches": 3}, "params: stretches must be 1 without shape, not 3"),
        ({"shape": True, "pairs": True}, "params: pairs must be False with shape, not True"),
        ({"taps": 7, "pairs": True}, "params.taps must be a whole number in 8..128, not 7"),
        ({"taps": 8, "pre": 5, "pairs": True}, "params: taps must be at least 9 with pairs and pre 5, not 8"),
        ({"shape": True, "stretches": 2}, "params.stretches must be one of 1, 3, 5, 7, not 2"),
    ],
)
def test_filter_config_refuses(changed, message):
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}$"):
        FilterConfig.parse(SMALL | changed)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("exponent_a", 32, r"^settings must have exponent_a in 0..31, not 32$"),
        ("guess", 1 << 31, r"^settings must have guess in -2147483648..2147483647, not 2147483648$"),
    ],
)
def test_filter_vectors_refuse_settings(name, value, message):
    config = FilterConfig.parse(SMALL)
    arrays = filter_vectors.random_arrays(config, 1, 2)
    arrays["settings"][config.setting_names.index(name)] = value
    with pytest.raises(ValueError, match=message):
        filter_vectors.check(config, arrays)


def test_filter_vectors_refuse_other_banks():
    arrays = filter_vectors.random_arrays(FilterConfig.parse(BUILDS["shape"]), 1, 2)
    wrong = r"^weights must be int16 \(rows, places, taps\) with rows = 3, not \(4, 16, 8\)$"
    with pytest.raises(ValueError, match=wrong):
        filter_vectors.check(FilterConfig.parse(BUILDS["shape"] | {"shape": False}), arrays)


@pytest.fixture(scope="module")
def block():
    def of(name):
        config = FilterConfig.parse(BUILDS[name])
        return BUILDS[name], config, Filter(config)

    return of


def run(harness, config, arrays, **options):
    patience = 2 * config.fit_cycles(config.most_passes)
    if config.pairs:
        patience += config.pair_cycles(config.most_passes, config.most_passes, 31)
    return through(harness, filter_vectors, config, arrays, patience, **options)


@pytest.mark.parametrize(
    ("built", "banks"),
    [
        ("small", 6),
        pytest.param("shape", 100, marks=pytest.mark.deep),
        pytest.param("grid", 100, marks=pytest.mark.deep),
        pytest.param("wide grid", 100, marks=pytest.mark.deep),
        pytest.param("whole", 100, marks=pytest.mark.deep),
        pytest.param("pairs", 100, marks=pytest.mark.deep),
        pytest.param("pairs, least", 100, marks=pytest.mark.deep),
        pytest.param("long", 10, marks=pytest.mark.deep),
    ],
    indirect=["built"],
)
def test_filter_matches_the_model(built, banks):
    """100 windows of every bank, settings and stalls with it; each flag is met, and is not always."""
    harness, flags = built.harness(), []
    for seed in range(banks):
        arrays = filter_vectors.random_arrays(built.config, seed, 100)
        stalls = {"stall_in": 0.2 * (seed % 3), "stall_out": 0.3 * (seed % 2), "seed": seed}
        got, want = run(harness, built.config, arrays, **stalls), filter_vectors.model(built.config, arrays)
        for name in want:
            np.testing.assert_array_equal(got[name], want[name], name)
        flags.append(want["flags"])
    seen = np.concatenate(flags)
    for bit, name in RARE.items():
        assert 0 < (seen >> bit & 1).mean() < 1, name


@pytest.mark.parametrize(
    ("built", "count"),
    [("usual pairs", 600), pytest.param("usual pairs", 10_000, marks=pytest.mark.deep)],
    indirect=["built"],
)
def test_pairs_of_pulses_match_the_model(built, count):
    """Pulses of a tenth to the whole height, half of them with a second one; 37 dB, so that a few are far off."""
    given = {"pile_up_share": 0.5, "full_scale": 2.5, "amplitude_least": 0.1, "snr_db": 37.0}
    setup = Setup.parse(given)
    bank, settings = make_bank(setup, built.config)
    arrays = {"windows": records(setup, count, seed=5).codes, "weights": bank.weights, "templates": bank.templates}
    arrays["settings"] = np.array([settings[name] for name in built.config.setting_names], np.int64)
    got, want = run(built.harness(), built.config, arrays), filter_vectors.model(built.config, arrays)
    for name in want:
        np.testing.assert_array_equal(got[name], want[name], name)
    assert 0.4 < (want["shape"] > 0).mean() < 0.6


@pytest.mark.parametrize("built", [pytest.param(name, marks=pytest.mark.deep) for name in BUILDS], indirect=True)
def test_filter_takes_extremes(built):
    """All codes, coefficients and settings at the ends of their ranges; a bank of zeros; a guess out of the window."""
    config, harness = built.config, built.harness()
    base = filter_vectors.random_arrays(config, 0, 6)
    ends = np.array([-(2**15), 2**15 - 1, 0], np.int16)
    base["windows"][:3], base["windows"][3:] = ends[:, None], np.resize(ends[:2], config.samples)
    for weight in ends:
        for template in ends:
            for end in (0, 1):
                arrays = {name: array.copy() for name, array in base.items()}
                arrays["weights"][:], arrays["templates"][:] = weight, template
                limits = [setting_range(config, SIGNED_REGISTERS, name)[end] for name in config.setting_names]
                arrays["settings"][:] = limits
                got, want = run(harness, config, arrays), filter_vectors.model(config, arrays)
                for name in want:
                    np.testing.assert_array_equal(got[name], want[name], name)


@pytest.mark.deep
@pytest.mark.parametrize("built", ["small", "shape", "grid", "pairs", "whole"], indirect=True)
def test_filter_bench_passes(built, tmp_path):
    assert len(built.bench_tests("sim.pulse.filter_bench", tmp_path)) == 12 + 6 * built.config.pairs


@pytest.mark.deep
@pytest.mark.parametrize("built", ["grid"], indirect=True)
@pytest.mark.parametrize(
    ("module", "operator", "other"),
    [
        ("core__divider", "-", "+"),
        ("core__width", "-", "+"),
        ("core__width__divider", "-", "+"),
        ("core__threshold", "&", "|"),
        ("core__rounder", "+", "|"),
        ("core__squares", "-", "+"),
        ("windows", "&", "|"),
    ],
)
def test_filter_mutants_are_caught(built, module, operator, other, tmp_path):
    mutant = built.mutant(module, operator, other, tmp_path)
    with pytest.raises((HarnessError, AssertionError)):
        for seed in range(20):
            arrays = filter_vectors.random_arrays(built.config, seed, 100)
            got, want = run(mutant, built.config, arrays), filter_vectors.model(built.config, arrays)
            for name in want:
                np.testing.assert_array_equal(got[name], want[name], name)


@pytest.mark.deep
@pytest.mark.parametrize("built", ["pairs"], indirect=True)
@pytest.mark.parametrize(
    ("module", "operator", "other"),
    [
        ("core__pair", "-", "+"),
        ("core__pair", "+", "-"),
        ("core__pair__solver", "-", "+"),
        ("core__pair__solver__delay", "-", "+"),
        ("core__sequence", "&", "|"),
    ],
)
def test_mutants_of_pairs_are_caught(built, module, operator, other, tmp_path):
    mutant = built.mutant(module, operator, other, tmp_path)
    with pytest.raises((HarnessError, AssertionError)):
        for seed in range(20):
            arrays = filter_vectors.random_arrays(built.config, seed, 100)
            got, want = run(mutant, built.config, arrays), filter_vectors.model(built.config, arrays)
            for name in want:
                np.testing.assert_array_equal(got[name], want[name], name)


@pytest.mark.deep
@pytest.mark.parametrize("built", ["small"], indirect=True)
def test_filter_handshakes_do_not_wait_for_each_other_within_a_cycle(built):
    inputs = ["s_axis_window_tvalid", "s_axis_window_tlast", "m_axis_fit_tready"]
    inputs += ["s_axil_arvalid", "s_axil_awvalid", "s_axil_wvalid", "s_axil_rready", "s_axil_bready"]
    built.assert_handshakes_independent(inputs, ["s_axis_window_tdata"])
