"""The stage model: against closed forms of dead time, and against a channel's own counters in Verilator."""

from __future__ import annotations

import json
from xml.etree import ElementTree

import numpy as np
import pytest
from typer.testing import CliRunner

from flows.cli import app
from flows.errors import BadInput
from hdl.pulse.channel import Channel
from hdl.pulse.channel_config import ChannelConfig
from hdl.pulse.front_config import FRAME_SAMPLES
from sim.pulse.daq import Stages, covered, follow, random_times
from sim.pulse.dead_time import counted, random_pulses, stages

SMALL = {
    "front": {"samples": 16, "pre": 4, "events": 4, "code_bits": 12},
    "filter": {"samples": 16, "taps": 11, "pre": 4},
}
FREE = Stages(over=0, hold_off=0, complete=0, inspect=0, ring=1 << 30, read=0, between=0, fit=0)


def through(rate, cycles=2_000_000, **changes):
    """A random stream through stages of which some take time."""
    return follow(Stages(**{**vars(FREE), **changes}), random_times(rate, cycles, 1), cycles)


@pytest.mark.parametrize("busy", [0.1, 1.0, 4.0])
def test_hold_off_is_dead_time_that_is_not_extended(busy):
    found = through(0.01, hold_off=busy / 0.01)
    assert found.triggers / found.pulses == pytest.approx(1 / (1 + busy), rel=0.02)
    assert found.dead == found.held_off == pytest.approx(busy / (1 + busy), rel=0.02)
    assert found.lost == 0 and found.records == found.triggers


@pytest.mark.parametrize("busy", [0.1, 1.0, 3.0])
def test_long_pulses_are_dead_time_that_is_extended(busy):
    found = through(0.01, over=busy / 0.01)
    assert found.triggers / found.pulses == pytest.approx(np.exp(-busy), rel=0.03)


@pytest.mark.parametrize("load", [0.5, 1.5])
def test_a_ring_of_one_is_a_stage_without_a_queue(load):
    """A window stays in the ring until it is complete."""
    found = through(0.01, ring=1, complete=load / 0.01)
    assert found.lost / found.triggers == pytest.approx(load / (1 + load), rel=0.02)
    assert found.full == found.dead == pytest.approx(load / (1 + load), rel=0.02)


def test_a_fit_takes_so_many_and_no_more():
    found = through(0.05, fit=100, ring=8)
    assert found.records / 2_000_000 == pytest.approx(0.01, rel=0.01)
    assert found.lost == found.triggers - found.records
    slower = through(0.05, fit=100, ring=8, link=300)
    assert slower.records / 2_000_000 == pytest.approx(1 / 300, rel=0.01)


def test_covered_is_what_any_span_has():
    assert covered([(5, 7), (0, 2), (1, 3), (6, 20)], 10) == 3 + 5
    assert covered([], 10) == 0


@pytest.fixture(scope="module")
def block():
    def of(name):
        params = SMALL | {"channels": 1 if name == "small" else 3}
        config = ChannelConfig.parse(params)
        return params, config, Channel(config)

    return of


@pytest.mark.parametrize("built", ["small"], indirect=True)
@pytest.mark.parametrize("load", [0.3, 0.9, 2.5])
def test_dead_time_is_the_gateware_s(built, load):
    """Told when pulses come, the model has the triggers to the last, and losses and dead time nearly."""
    harness, config = built.harness(), built.config
    samples = 200_000
    times = random_pulses(load / config.filter.latency_cycles, samples, 3)
    got = counted(harness, config, times, samples)
    found = follow(stages(config), times.astype(float), samples)
    assert got["live"] + got["dead"] == samples
    assert got["triggers"] == found.triggers
    assert got["triggers"] - got["windows"] - got["lost"] in (0, 1)  # the last one waits for its inspection's end
    assert got["windows"] == pytest.approx(found.records, rel=0.005)
    assert got["dead"] - FRAME_SAMPLES == pytest.approx(found.dead * samples, rel=0.02)


@pytest.mark.parametrize("built", ["three"], indirect=True)
@pytest.mark.parametrize("loads", [(0.1, 0.1, 0.1), (0.2, 0.5, 0.1), (0.3, 1.5, 0.4)])
def test_dead_time_of_channels_that_share_a_filter(built, loads):
    """Of each channel its own load; the busy one loses most."""
    harness, config, samples = built.harness(), built.config, 200_000
    rates = [load / config.filter.latency_cycles for load in loads]
    times = [random_pulses(rate, samples, seed) for seed, rate in enumerate(rates)]
    got = counted(harness, config, times, samples)
    found = follow(stages(config), [each.astype(float) for each in times], samples)
    assert got["live"] + got["dead"] == 3 * samples
    assert got["triggers"] == found.triggers
    assert got["windows"] == pytest.approx(found.records, rel=0.005)
    assert got["dead"] - 3 * FRAME_SAMPLES == pytest.approx(found.dead * 3 * samples, rel=0.02)


def daq(*words):
    return CliRunner().invoke(app, ["pulse", "daq", *(str(word) for word in words)])


def test_daq_says_what_each_stage_has(tmp_path):
    result = daq("--rate-hz", 1e5, "--plot", tmp_path / "daq.svg", "--baud", 3e6, "--channels", 2, "--accepted", 0.05)
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout.splitlines()[-1])
    stages_told = told["stages"]
    assert stages_told["samples"] == {"rate_hz": 5e7, "bytes_per_s": 1e8}
    assert stages_told["link"]["rate_hz"] == pytest.approx(0.1 * stages_told["records"]["rate_hz"])
    assert stages_told["link"]["bytes_per_s"] == pytest.approx(16 * stages_told["link"]["rate_hz"], rel=1e-3)
    assert 0 < told["dead"] < 0.1 and told["lost"] == 0
    assert ElementTree.parse(tmp_path / "daq.svg").getroot().tag.endswith("svg")


def test_daq_of_a_filter_that_channels_share():
    """Each has a quarter of it; a channel that has it alone loses nothing at the same rate."""
    shared, alone = (
        json.loads(daq("--rate-hz", 1e5, "--design", design).stdout.splitlines()[-1])
        for design in ("pulse_four", "pulse_r0")
    )
    assert (shared["channels"], alone["channels"]) == (4, 1)
    assert alone["lost"] == 0 < shared["lost"]
    assert shared["fit_busy"] > 0.95
    assert 4 * shared["stages"]["records"]["rate_hz"] == pytest.approx(shared["most_records_hz"], rel=0.05)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--rate-hz", 0], "--rate-hz must be in 0.001..5e+07, not 0"),
        (["--rate-hz", 1e5, "--channels", 0], "--channels must be in 1..256, not 0"),
        (
            ["--rate-hz", 1e5, "--design", "pulse_four", "--channels", 6],
            "--channels must be a multiple of the design's 4,",
        ),
        (["--rate-hz", 1e5, "--accepted", 2], "--accepted must be in 1e-06..1, not 2"),
        (["--rate-hz", 1e5, "--baud", 0], "--baud must be in 1..1e+10, not 0"),
        (["--rate-hz", 1e5, "--design", "pulse_filter_r0"], "--design must be a design of pulse.channel"),
    ],
)
def test_daq_refuses(options, message):
    result = daq(*options)
    assert isinstance(result.exception, BadInput) and str(result.exception).startswith(message)
