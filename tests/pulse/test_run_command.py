"""`niello pulse run` and `waves`: resolution of what comes out, records and streams, bad input."""

from __future__ import annotations

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from flows.cli import app
from flows.errors import BadInput
from sim.pulse.fisher import bound
from sim.pulse.setup import Setup

CUT = 16


def niello(*words):
    """The JSON object of a command that ends well."""
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout.splitlines()[-1])


@pytest.fixture
def made(tmp_path):
    """Waveforms and the truth about them."""

    def make(*options):
        waves, truth = tmp_path / "waves.npy", tmp_path / "truth.npz"
        niello("pulse", "waves", "-o", waves, "--truth", truth, "--seed", 3, *options)
        return waves, np.load(truth)

    return make


def errors(events, truth):
    """Rms of time, in ps, and of energy, in percent."""
    own = events["record"]
    time = (events["time"] - truth["onset"][own]) * Setup.parse({}).sample_ns * 1e3
    return rms(time), rms(100 * (events["energy"] / truth["amplitude"][own] - 1))


def rms(values):
    return float(np.sqrt(np.mean(values**2)))


@pytest.mark.parametrize("samples", [32, 100])
def test_run_finds_each_pulse_as_well_as_can_be(made, tmp_path, samples):
    """Records that are windows, and longer ones in which pulses are looked for: one pulse each, near the bound."""
    waves, truth = made("--events", 1000, "--samples", samples)
    found = niello("pulse", "run", "--in", waves, "-o", tmp_path / "events.npz")
    events, best = np.load(tmp_path / "events.npz"), bound(Setup.parse({}))
    assert (found["pulses"], found["between_records"], found["whole_windows"]) == (1000, 0, samples == 32)
    assert events["record"].tolist() == list(range(1000))
    time_ps, energy_percent = errors(events, truth)
    assert time_ps < 1.1 * best.time_ps
    assert energy_percent < 1.15 * 100 * best.amplitude
    assert (events["flags"] <= 1).all()
    assert (events["channel"] == 0).all()


def test_run_finds_the_pulses_of_a_stream(made, tmp_path):
    """At random; those that are alone are known well, others have the flag, none is invented."""
    waves, truth = made("--events", 2000, "--rate-hz", 5e5)
    found = niello("pulse", "run", "--in", waves, "-o", tmp_path / "events.npz")
    events, onset = np.load(tmp_path / "events.npz"), truth["onset"]
    assert found["records"] == 1
    assert (events["record"] == 0).all()
    nearest = np.abs(onset[:, None] - events["time"]).argmin(axis=0)
    clean = events["flags"] == 0
    assert clean.sum() > 0.6 * len(onset)
    away = (events["time"] - onset[nearest])[clean] * Setup.parse({}).sample_ns * 1e3
    assert rms(away) < 1.1 * bound(Setup.parse({})).time_ps
    gaps = np.minimum(np.diff(onset, prepend=-1e9), np.diff(onset, append=1e9))
    alone = np.flatnonzero((gaps > 40) & (onset > 40) & (onset < len(np.load(waves)) - 40))
    assert set(alone) <= set(nearest[clean | (events["flags"] == 1)])


def test_run_takes_waveforms_of_several_channels(made, tmp_path):
    """What each channel finds is what it would find alone; records tell whose they are."""
    waves, _ = made("--events", 400, "--samples", 100)
    codes, channels = np.load(waves), 4
    parts = np.split(codes, channels)
    np.save(waves, np.stack(parts))
    together = tmp_path / "together.npz"
    assert niello("pulse", "run", "--in", waves, "-o", together, "--design", "pulse_four")["pulses"] == 400
    events = np.load(together)
    for channel, part in enumerate(parts):
        np.save(waves, part)
        niello("pulse", "run", "--in", waves, "-o", tmp_path / "alone.npz")
        alone, own = np.load(tmp_path / "alone.npz"), events["channel"] == channel
        for name in alone.files:
            assert name == "channel" or events[name][own].tolist() == alone[name].tolist(), name


def test_run_of_falling_pulses_is_that_of_rising_ones(made, tmp_path):
    setup = tmp_path / "falling.yml"
    setup.write_text("polarity: -1\nbaseline: 1.15\n")
    waves, truth = made("--events", 300, setup)
    niello("pulse", "run", "--in", waves, "-o", tmp_path / "events.npz", "--setup", setup)
    time_ps, energy_percent = errors(np.load(tmp_path / "events.npz"), truth)
    assert time_ps < 1.15 * bound(Setup.parse({})).time_ps
    assert energy_percent < 0.3


def test_run_says_what_is_wrong_with_a_pulse(made, tmp_path):
    """Clipped, empty and late ones among windows: a row each, with its flag."""
    path, _ = made("--events", 3)
    waves = np.load(path)
    waves[0] = np.minimum(waves[0] + 9000, 8191)
    waves[1] = -8192
    waves[2] = np.concatenate([waves[2, :1].repeat(5), waves[2, :27]])
    np.save(path, waves)
    found = niello("pulse", "run", "--in", path, "-o", tmp_path / "events.npz")
    flags = np.load(tmp_path / "events.npz")["flags"]
    assert found["pulses"] == 3
    assert flags[0] & 2
    assert flags[1] & 2
    assert flags[2] & CUT
    assert found["flags"]["saturated"] == 2


def test_run_finds_nothing_in_silence(tmp_path):
    rng = np.random.default_rng(1)
    np.save(tmp_path / "waves.npy", np.rint(rng.normal(0, 30, 5000)).astype(np.int16))
    found = niello("pulse", "run", "--in", tmp_path / "waves.npy", "-o", tmp_path / "events.npz")
    assert (found["pulses"], found["energy_mean"]) == (0, None)
    assert np.load(tmp_path / "events.npz")["time"].shape == (0,)


def test_run_says_that_a_window_is_cut_at_a_record_s_end(tmp_path, made):
    """A pulse so near a record's end that the fit takes samples of what comes after."""
    waves, _ = made("--events", 20, "--samples", 80)
    codes = np.load(waves)
    np.save(waves, np.concatenate([codes[:, 40:], codes[:, :28]], axis=1))
    niello("pulse", "run", "--in", waves, "-o", tmp_path / "events.npz")
    events = np.load(tmp_path / "events.npz")
    assert len(events["time"]) == 20
    assert (events["flags"] & CUT).all()


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((3, 32)), "must be int16 (records, samples) or (samples,), not float64 (3, 32)"),
        (np.zeros((3, 32), np.uint16), "must be int16 (records, samples) or (samples,), not uint16 (3, 32)"),
        (np.zeros((2, 2, 32), np.int16), "must be int16 (records, samples) or (samples,), not int16 (2, 2, 32)"),
        (np.zeros((3, 31), np.int16), "waveforms must have at least the 32 samples of a window, not (3, 31)"),
        (np.zeros((0, 32), np.int16), "waveforms must have at least the 32 samples of a window, not (0, 32)"),
        (np.zeros(0, np.int16), "waveforms must have at least the 32 samples of a window, not (0,)"),
    ],
)
def test_run_refuses_waveforms(array, message, tmp_path):
    np.save(tmp_path / "waves.npy", array)
    result = CliRunner().invoke(
        app, ["pulse", "run", "--in", str(tmp_path / "waves.npy"), "-o", str(tmp_path / "e.npz")]
    )
    assert isinstance(result.exception, BadInput)
    assert message in str(result.exception)
    assert not (tmp_path / "e.npz").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--engine", "fpga"], "--engine must be one of model, rtl, board-sim, not fpga"),
        (["--design", "pulse_filter_r0"], "--design must be a design of pulse.channel; pulse_filter_r0 is one of"),
        (["--threshold", "0"], "threshold must be in 1..32767 codes, not 0"),
        (["--setup", "r1"], 'no set-up "r1"'),
        (["--design", "pulse_four"], "must be int16 (4, records, samples) or (4, samples), not int16 (100,)"),
    ],
)
def test_run_refuses_options(options, message, tmp_path):
    np.save(tmp_path / "waves.npy", np.zeros(100, np.int16))
    words = ["pulse", "run", "--in", str(tmp_path / "waves.npy"), "-o", str(tmp_path / "e.npz"), *options]
    result = CliRunner().invoke(app, words)
    assert isinstance(result.exception, BadInput)
    assert message in str(result.exception)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--events", "0"], "--events must be in 1..8388608 of 32 samples, not 0"),
        (["--rate-hz", "0"], "--rate-hz must be above 0 and at most 1.25e+08, not 0"),
        (["--seed", "-1"], "--seed must be in 0..2^63 - 1, not -1"),
    ],
)
def test_waves_refuses_options(options, message, tmp_path):
    result = CliRunner().invoke(app, ["pulse", "waves", "-o", str(tmp_path / "w.npy"), *options])
    assert isinstance(result.exception, BadInput)
    assert message in str(result.exception)


@pytest.mark.deep
def test_run_of_ten_thousand_pulses_on_the_gateware(made, tmp_path, monkeypatch):
    """The command holds every record to the golden model's."""
    monkeypatch.setenv("NIELLO_BUILD", str(tmp_path / "build"))
    waves, truth = made("--events", 10_000)
    found = niello("pulse", "run", "--in", waves, "-o", tmp_path / "events.npz", "--engine", "rtl")
    assert (found["pulses"], found["engine"]) == (10_000, "rtl")
    time_ps, energy_percent = errors(np.load(tmp_path / "events.npz"), truth)
    assert (time_ps < 61.3, energy_percent < 0.23) == (True, True)
