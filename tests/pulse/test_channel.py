"""`pulse.channel`: its model against both papers, the gateware against its model, in Verilator."""

from __future__ import annotations

import re

import numpy as np
import pytest

from hdl.common.config import ConfigError
from hdl.pulse.channel import Channel
from hdl.pulse.channel_config import ChannelConfig
from sim.common.harness import HarnessError
from sim.pulse import channel_vectors
from sim.pulse.channel_model import record_cycles, records
from tests.pulse import filter_oracle
from tests.pulse.front_oracle import Front

SMALL = {
    "front": {"samples": 16, "pre": 4, "events": 4, "code_bits": 12},
    "filter": {"samples": 16, "taps": 11, "pre": 4},
}
BUILDS = {
    "small": SMALL,
    "lanes": {
        "front": {"samples": 32, "pre": 8, "lanes": 4, "events": 8},
        "filter": {"samples": 32, "taps": 20, "pre": 6, "shape": True},
    },
}

THREE = {"three": SMALL | {"channels": 3}}
COUNTED = {"counted": SMALL | {"histogram": {"bins": 64, "count_bits": 8}}}
PAIRS = {"pairs": {"front": SMALL["front"], "filter": SMALL["filter"] | {"pairs": True}}}
LONGEST = {"passes": 7, "pair_passes": 7, "exponent_template": 31}


def test_channel_config_refuses_windows_of_two_sizes():
    wrong = {**SMALL, "filter": {"samples": 32, "taps": 11, "pre": 4}}
    message = "params: filter.samples must be the 16 of the front end's windows, not 32"
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}$"):
        ChannelConfig.parse(wrong)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"channel": np.zeros(2, np.uint8)}, r"^channel must be uint8 \(1,\), not \(2,\)$"),
        ({"front_settings": np.zeros((1, 19), np.int64)}, r"^settings must have run = 1, not 0$"),
        (
            {"samples": np.zeros((9, 2, 1), np.int16), "front_settings": np.zeros((2, 19), np.int64)},
            r"^samples must be int16 \(beats, channels, lanes\) with channels = 1, not \(9, 2, 1\)$",
        ),
        ({"filter_settings": np.full(10, 1 << 40)}, r"^settings must have passes in 0..7, not 1099511627776$"),
    ],
)
def test_channel_vectors_refuse(wrong, message):
    config = ChannelConfig.parse(SMALL)
    arrays = channel_vectors.random_arrays(config, 1, 2) | wrong
    with pytest.raises(ValueError, match=message):
        channel_vectors.check(config, arrays)


def on_paper(config, settings, samples, external, lost):
    """(channel, flags, time, energy, shape, sequence) of each pulse, from both pages sample by sample."""
    front, found, last = Front(config.front, settings.front), [], -1
    for sample, level in zip(samples.tolist(), external.tolist(), strict=True):
        front.take(sample, level)
    rows = [dict(zip(names, memory, strict=True)) for names, memory in (
        (config.filter.weight_rows, settings.bank.weights), (config.filter.template_rows, settings.bank.templates)
    )]  # fmt: skip
    for trigger, event_flags, number, _, codes in front.events(lost):
        time, energy, shape, fit_flags, _ = filter_oracle.record(config.filter, settings.filter, *rows, codes)
        flags = event_flags | fit_flags | (128 if number not in (0, last + 1) else 0)
        time += (trigger - config.front.pre) * 2**16
        energy = max(-(2**23), min(2**23 - 1, energy))
        found.append((settings.channel, flags, time, energy, shape, number % 256))
        last = number
    return found


@pytest.mark.parametrize("streams", [4, pytest.param(150, marks=pytest.mark.deep)])
def test_channel_model_is_both_papers(streams):
    """Random streams, settings, banks, external triggers and lost ones; flags are met."""
    flags = 0
    for seed in range(streams):
        config, rng = ChannelConfig.parse(list(BUILDS.values())[seed % 2]), np.random.default_rng(seed)
        arrays = channel_vectors.random_arrays(config, seed, 25)
        settings, samples = channel_vectors.settings_for(config, arrays), arrays["samples"].ravel()
        external = rng.random(len(samples)) < rng.choice([0, 0.02])
        lost = np.flatnonzero(rng.random(sum_of_triggers(config, settings, samples, external)) < 0.2).tolist()
        got = records(config, settings, samples, lost, external)
        assert got.tolist() == on_paper(config, settings, samples, external, lost)
        flags |= int(np.bitwise_or.reduce(got["flags"], initial=0))
    assert flags & 0b10000011 == 0b10000011
    assert streams < 100 or flags == 0b11111011


def sum_of_triggers(config, settings, samples, external):
    front = Front(config.front, settings.front)
    for sample, level in zip(samples.tolist(), external.tolist(), strict=True):
        front.take(sample, level)
    return len(front.triggers)


@pytest.fixture(scope="module")
def block():
    def of(name):
        given = (BUILDS | THREE | COUNTED | PAIRS)[name]
        config = ChannelConfig.parse(given)
        return given, config, Channel(config)

    return of


def run(harness, config, arrays, **options):
    """Arrays through the gateware."""
    harness.reset()
    for address, words in channel_vectors.register_writes(config, arrays):
        for word in words:
            harness.write(address, word)
    result = harness.run(
        channel_vectors.pack(config, arrays),
        channel_vectors.expected_beats(config, arrays),
        max_idle_cycles=4 * record_cycles(config, LONGEST if config.filter.pairs else {"passes": 7}),
        **options,
    )
    return channel_vectors.unpack(config, arrays, result.outputs)


def assert_equal(got, want):
    for name in want:
        np.testing.assert_array_equal(got[name], want[name], name)


@pytest.mark.parametrize(
    ("built", "streams"),
    [
        ("small", 4),
        ("three", 2),
        *(pytest.param(name, 30, marks=pytest.mark.deep) for name in BUILDS | THREE | COUNTED | PAIRS),
    ],
    indirect=["built"],
)
def test_channel_matches_the_model(built, streams):
    """100 pulses a stream, settings and stalls with it."""
    harness, count = built.harness(), 0
    for seed in range(streams):
        arrays = channel_vectors.random_arrays(built.config, seed, 100)
        stalls = {"stall_in": 0.2 * (seed % 3), "stall_out": 0.2 * (seed % 2), "seed": seed}
        want = channel_vectors.model(built.config, arrays)
        assert_equal(run(harness, built.config, arrays, **stalls), want)
        count += len(want["time"])
    assert count > 10 * streams


@pytest.mark.deep
@pytest.mark.parametrize("built", BUILDS | THREE | COUNTED, indirect=True)
def test_channel_bench_passes(built, tmp_path):
    assert len(built.bench_tests("sim.pulse.channel_bench", tmp_path)) == 13


@pytest.mark.deep
@pytest.mark.parametrize(
    ("built", "module", "operator", "other"),
    [
        ("small", "records", "-", "+"),
        ("small", "records", "|", "&"),
        ("small", "records", "!=", "=="),
        ("small", "records", "&", "|"),
        ("three", "records", "+", "-"),
        ("three", "records", "==", "!="),
        ("three", "turns", "&", "|"),
    ],
    indirect=["built"],
)
def test_channel_mutants_are_caught(built, module, operator, other, tmp_path):
    mutant = built.mutant(module, operator, other, tmp_path)
    with pytest.raises((HarnessError, AssertionError)):
        for seed in range(20):
            arrays = channel_vectors.random_arrays(built.config, seed, 100)
            assert_equal(run(mutant, built.config, arrays), channel_vectors.model(built.config, arrays))
