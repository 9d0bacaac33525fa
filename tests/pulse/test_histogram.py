"""`pulse.histogram` in Verilator: the cocotb bench, and records in bulk against the golden model."""

from __future__ import annotations

import re

import numpy as np
import pytest

from hdl.common.config import ConfigError
from hdl.pulse.histogram import Histogram
from hdl.pulse.histogram_config import HistogramConfig
from sim.common.harness import HarnessError
from sim.pulse import histogram_vectors
from sim.pulse.settings import setting_range

BUILDS = {"small": {"bins": 64, "count_bits": 8}, "usual": {"bins": 512}, "large": {"bins": 65536, "count_bits": 12}}


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"bins": 100}, "params: bins must be a power of 2, not 100"),
        ({"bins": 32}, "params.bins must be a whole number in 64..65536, not 32"),
        ({"count_bits": 33}, "params.count_bits must be a whole number in 8..32, not 33"),
    ],
)
def test_histogram_config_refuses(params, message):
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}$"):
        HistogramConfig.parse(params)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"records": np.zeros((3, 15), np.uint8)}, "records must be uint8 (n, bytes) with bytes = 16, not (3, 15)"),
        ({"settings": np.zeros(7, np.int64)}, "settings must be int64 (settings,) with settings = 8, not (7,)"),
        ({"settings": np.full(8, 2)}, "settings must have run in 0..1, not 2"),
    ],
)
def test_histogram_vectors_refuse(wrong, message):
    config = HistogramConfig.parse({})
    arrays = histogram_vectors.random_arrays(config, 1, 3) | wrong
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        histogram_vectors.check(config, arrays)


@pytest.fixture(scope="module")
def block():
    def of(name):
        config = HistogramConfig.parse(BUILDS[name])
        return BUILDS[name], config, Histogram(config)

    return of


def run(harness, config, arrays, **options):
    """Arrays through the gateware, which was used before."""
    for address, words in histogram_vectors.register_writes(config, arrays):
        for word in words:
            harness.write(address, word)
    beats, expected = histogram_vectors.pack(config, arrays), histogram_vectors.expected_beats(config, arrays)
    result = harness.run(beats, expected, max_idle_cycles=config.bins + 100, **options)
    words = [
        [harness.read(address) for _ in range(count)]
        for address, count in histogram_vectors.register_reads(config, arrays)
    ]
    outputs = histogram_vectors.unpack(config, arrays, result.outputs)
    return outputs | histogram_vectors.unpack_registers(config, arrays, words)


def assert_matches_the_model(harness, config, arrays, **options):
    got, want = run(harness, config, arrays, **options), histogram_vectors.model(config, arrays)
    for name, right in want.items():
        np.testing.assert_array_equal(got[name], right, name)
    return want


@pytest.mark.parametrize(
    ("built", "draws"),
    [
        ("small", 20),
        pytest.param("small", 300, marks=pytest.mark.deep),
        pytest.param("usual", 100, marks=pytest.mark.deep),
        pytest.param("large", 3, marks=pytest.mark.deep),
    ],
    indirect=["built"],
)
def test_histogram_matches_the_model(built, draws):
    """300 records of every draw, settings and stalls with it; each counter counts, in bins that are full, too."""
    harness, counters, most = built.harness(), 0, 0
    for seed in range(draws):
        arrays = histogram_vectors.random_arrays(built.config, seed, 300)
        stalls = {"stall_in": 0.2 * (seed % 3), "stall_out": 0.3 * (seed % 2), "seed": seed}
        want = assert_matches_the_model(harness, built.config, arrays, **stalls)
        counters, most = counters + want["counters"], max(most, int(want["bins"].max()))
    assert draws < 10 or (counters > 0).all()
    assert draws < 100 or built.config.count_bits > 8 or most == 255


@pytest.mark.deep
@pytest.mark.parametrize("built", ["small"], indirect=True)
def test_histogram_takes_extremes(built):
    """Each setting at either end of its range, and all of them, over records at theirs."""
    config, harness = built.config, built.harness()
    drawn = histogram_vectors.random_arrays(config, 5, 64)
    drawn["records"][:32] = np.random.default_rng(1).choice(np.array([0, 0x7F, 0x80, 0xFF], np.uint8), (32, 16))
    ranges = [setting_range(config, config.signed_settings, name) for name in config.setting_names]
    for place in (0, 1):
        whole = np.array([each[place] for each in ranges], np.int64)
        assert_matches_the_model(harness, config, drawn | {"settings": whole})
        for number, each in enumerate(whole):
            for source in range(4):
                settings = np.array([1, source, 0, 0, 0, 0, 0, 0], np.int64)
                settings[number] = each
                assert_matches_the_model(harness, config, drawn | {"settings": settings})


@pytest.mark.parametrize("built", ["small"], indirect=True)
def test_histogram_is_right_while_it_is_read(built, tmp_path):
    names = ["bins_can_be_read_at_any_time", "records_wait_while_bins_are_cleared", "a_full_bin_stays_full_and_is_told"]
    assert len(built.bench_tests("sim.pulse.histogram_bench", tmp_path, names)) == len(names)


@pytest.mark.deep
@pytest.mark.parametrize("built", ["small", "usual"], indirect=True)
def test_histogram_bench_passes(built, tmp_path):
    assert len(built.bench_tests("sim.pulse.histogram_bench", tmp_path)) == 10


@pytest.mark.deep
@pytest.mark.parametrize("built", ["small"], indirect=True)
@pytest.mark.parametrize(
    ("module", "operator", "other"),
    [
        ("core", "-", "+"),
        ("core", "+", "-"),
        ("core", ">>>", ">>"),
        ("bins", "+", "-"),
        ("bins", "&", "|"),
        ("bins", "==", "!="),
    ],
)
def test_histogram_mutants_are_caught(built, module, operator, other, tmp_path):
    mutant = built.mutant(module, operator, other, tmp_path)
    with pytest.raises((HarnessError, AssertionError)):
        for seed in range(20):
            arrays = histogram_vectors.random_arrays(built.config, seed, 300)
            assert_matches_the_model(mutant, built.config, arrays)


@pytest.mark.deep
@pytest.mark.parametrize("built", ["small"], indirect=True)
def test_histogram_handshakes_do_not_wait_for_each_other_within_a_cycle(built):
    inputs = ["s_axis_record_tvalid", "m_axis_counted_tready"]
    inputs += ["s_axil_arvalid", "s_axil_awvalid", "s_axil_wvalid", "s_axil_rready", "s_axil_bready"]
    built.assert_handshakes_independent(inputs, ["s_axis_record_tdata"])
