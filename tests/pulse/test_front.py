"""`pulse.front` in Verilator: the cocotb bench, and streams in bulk against the golden model."""

from __future__ import annotations

import re

import numpy as np
import pytest

from hdl.common.config import ConfigError
from hdl.pulse.front import Front
from hdl.pulse.front_config import FrontConfig
from sim.common.harness import HarnessError
from sim.pulse import front_vectors
from sim.pulse.front_model import PILE_UP, SATURATED, UNSETTLED

SMALL = {"samples": 16, "pre": 4, "events": 2, "code_bits": 12}
BUILDS = {
    "small": SMALL,
    "two": {"samples": 31, "pre": 30, "lanes": 2, "events": 4, "code_bits": 16},
    "four": {"samples": 50, "pre": 0, "lanes": 4, "events": 16, "code_bits": 8},
    "long": {"samples": 256, "pre": 124, "lanes": 4, "events": 64, "code_bits": 14},
}


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"samples": 8}, "params.samples must be a whole number in 16..256, not 8"),
        ({"pre": 16}, "params: pre must be below the 16 samples of a window, not 16"),
        ({"lanes": 4, "pre": 6}, "params: pre must be a multiple of the 4 lanes, not 6"),
        ({"events": 3}, "params.events must be one of 2, 4, 8, 16, 32, 64, not 3"),
    ],
)
def test_front_config_refuses(changed, message):
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}$"):
        FrontConfig.parse(SMALL | changed)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("threshold", 1 << 23, r"^settings must have threshold in -8388608..8388607, not 8388608$"),
        ("hysteresis", -1, r"^settings must have hysteresis in 0..16777215, not -1$"),
        ("run", 0, r"^settings must have run = 1, not 0$"),
    ],
)
def test_front_vectors_refuse_settings(name, value, message):
    config = FrontConfig.parse(SMALL)
    arrays = front_vectors.random_arrays(config, 1, 2)
    arrays["settings"][config.setting_names.index(name)] = value
    with pytest.raises(ValueError, match=message):
        front_vectors.check(config, arrays)


def test_front_vectors_refuse_other_lanes():
    arrays = front_vectors.random_arrays(FrontConfig.parse(SMALL), 1, 2)
    wrong = r"^samples must be int16 \(beats, lanes\) with lanes = 2, not \(\d+, 1\)$"
    with pytest.raises(ValueError, match=wrong):
        front_vectors.check(FrontConfig.parse(SMALL | {"lanes": 2}), arrays)


@pytest.fixture(scope="module")
def block():
    def of(name):
        config = FrontConfig.parse(BUILDS[name])
        return BUILDS[name], config, Front(config)

    return of


def assert_matches(harness, config, seed, pulses):
    """A stream through the gateware is what the model says; its events."""
    arrays = front_vectors.random_arrays(config, seed, pulses)
    harness.reset()
    for address, words in front_vectors.register_writes(config, arrays):
        for word in words:
            harness.write(address, word)
    result = harness.run(
        front_vectors.pack(config, arrays),
        front_vectors.expected_beats(config, arrays),
        stall_in=0.2 * (seed % 3),
        stall_out=0.3 * (seed % 2),
        seed=seed,
        drain_cycles=config.latency_cycles + config.window_cycles,
    )
    got, want = front_vectors.unpack(config, arrays, result.outputs), front_vectors.model(config, arrays)
    for name in want:
        np.testing.assert_array_equal(got[name], want[name], name)
    lasts = result.outputs["window"].last.reshape(-1, config.samples)
    assert lasts[:, -1].all()
    assert not lasts[:, :-1].any()
    return want["flags"]


@pytest.mark.parametrize(
    ("built", "streams"),
    [
        ("small", 12),
        pytest.param("two", 150, marks=pytest.mark.deep),
        pytest.param("four", 150, marks=pytest.mark.deep),
        pytest.param("long", 60, marks=pytest.mark.deep),
    ],
    indirect=["built"],
)
def test_front_matches_the_model(built, streams):
    """Streams of 100 pulses, settings and stalls with each; every flag is met, and is not always."""
    harness = built.harness()
    flags = np.concatenate([assert_matches(harness, built.config, seed, 100) for seed in range(streams)])
    for flag in (PILE_UP, SATURATED, UNSETTLED):
        assert 0 < (flags & flag != 0).mean() < 1


@pytest.mark.deep
@pytest.mark.parametrize("built", ["small", "two", "four"], indirect=True)
def test_front_bench_passes(built, tmp_path):
    assert len(built.bench_tests("sim.pulse.front_bench", tmp_path)) == 12 + built.config.lanes


@pytest.mark.deep
@pytest.mark.parametrize("built", ["two"], indirect=True)
@pytest.mark.parametrize(
    ("module", "operator", "other"),
    [
        ("conditioner", "-", "+"),
        ("discriminator", "-", "+"),
        ("baselines", "+", "-"),
        ("triggers", "&", "|"),
        ("recorder", "|", "&"),
        ("ring", "&", "|"),
        ("reader", "-", "+"),
    ],
)
def test_front_mutants_are_caught(built, module, operator, other, tmp_path):
    mutant = built.mutant(module, operator, other, tmp_path)
    with pytest.raises((HarnessError, AssertionError)):
        for seed in range(30):
            assert_matches(mutant, built.config, seed, 100)


@pytest.mark.deep
@pytest.mark.parametrize("built", ["small"], indirect=True)
def test_front_handshakes_do_not_wait_for_each_other_within_a_cycle(built):
    inputs = ["s_axis_samples_tvalid", "m_axis_window_tready", "m_axis_event_tready"]
    inputs += ["s_axil_arvalid", "s_axil_awvalid", "s_axil_wvalid", "s_axil_rready", "s_axil_bready"]
    built.assert_handshakes_independent(inputs, ["s_axis_samples_tdata"])
