"""`niello pulse scope`: what the picture shows is what is in the waveform."""

from __future__ import annotations

import json
from xml.etree import ElementTree

import numpy as np
import pytest
from typer.testing import CliRunner

from flows.cli import app
from flows.errors import BadInput
from flows.pulse.scope_picture import marks
from sim.pulse.setup import Setup
from sim.pulse.signals import records, stream

SVG = "{http://www.w3.org/2000/svg}"


def scope(*words):
    return CliRunner().invoke(app, ["pulse", "scope", *(str(word) for word in words)])


@pytest.mark.parametrize("samples", [32, 200])
def test_scope_shows_the_pulse_of_a_record(samples, tmp_path):
    """A window, and a longer record: one trigger, one fit where the pulse is, and its shape on the samples."""
    drawn = records(Setup.parse({"samples": samples}), 4, seed=5)
    np.save(tmp_path / "w.npy", drawn.codes)
    result = scope("--in", tmp_path / "w.npy", "-o", tmp_path / "w.svg", "--record", 2)
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout.splitlines()[-1])
    assert len(told["triggers"]) == 1 and told["samples"] == samples
    assert told["pulses"][0]["onset"] == pytest.approx(drawn.first.onset[2], abs=0.05)
    assert told["pulses"][0]["energy"] == pytest.approx(drawn.first.amplitude[2], rel=0.01)
    shapes = {}
    for shape in ElementTree.parse(tmp_path / "w.svg").getroot().iter():
        shapes.setdefault(shape.get("class"), []).append(shape)
    assert [len(shapes[name]) for name in ("sample", "trigger", "time", "fit", "baseline")] == [samples, 2, 2, 2, 2]
    signal, fit = (points(shapes[name][0]) for name in ("signal", "fit"))
    highest = [min(y for _, y in track) for track in (signal, fit)]
    assert highest[0] == pytest.approx(highest[1], abs=5)
    lowest = [max(y for _, y in track) for track in (signal, fit)]
    assert lowest[0] == pytest.approx(lowest[1], abs=5)


def points(line):
    return [tuple(map(float, pair.split(","))) for pair in line.get("points").split()]


def test_scope_shows_a_part_of_a_stream(tmp_path):
    drawn = stream(Setup.parse({}), 6000, 4e5, seed=8)
    np.save(tmp_path / "s.npy", drawn.codes)
    told = json.loads(
        scope("--in", tmp_path / "s.npy", "-o", tmp_path / "s.svg", "--first", 3000, "--samples", 2500).stdout
    )
    inside = [at for at in drawn.pulses.onset.tolist() if 3000 <= at < 5480]
    assert len(inside) > 3
    assert all(min(abs(at - each["onset"]) for each in told["pulses"]) < 0.1 for at in inside)


def test_scope_shows_one_of_several_channels(tmp_path):
    drawn = records(Setup.parse({"samples": 64}), 4, seed=5)
    np.save(tmp_path / "w.npy", drawn.codes[:, None])
    words = ("--in", tmp_path / "w.npy", "-o", tmp_path / "w.svg", "--design", "pulse_four")
    for channel in range(4):
        told = json.loads(scope(*words, "--channel", channel).stdout)
        assert told["channel"] == channel
        assert told["pulses"][0]["onset"] == pytest.approx(drawn.first.onset[channel], abs=0.05)


@pytest.mark.parametrize(("first", "last"), [(0, 31), (-7000, 6000), (0.0, 0.0), (3.5, 4.1), (1000, 1700)])
def test_marks_are_a_few_round_numbers_within(first, last):
    found = marks(first, last)
    assert 1 <= len(found) <= 8
    assert all(first <= mark <= last for mark in found)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--record", 4], "--record must be in 0..3, not 4"),
        (["--first", 64], "--first must be in 0..63, not 64"),
        (["--first", 60, "--samples", 5], "--samples must be in 1..4, not 5"),
        (["--threshold", 0], "--threshold"),
        (["--channel", 1], "--channel must be in 0..0, not 1"),
        (["--design", "pulse_four", "--channel", 4], "--channel must be in 0..3, not 4"),
        (["--design", "pulse_filter_r0"], "--design must be a design of pulse.channel; pulse_filter_r0 is none"),
    ],
)
def test_scope_refuses(options, message, tmp_path):
    np.save(tmp_path / "w.npy", np.zeros((4, 64), np.int16))
    result = scope("--in", tmp_path / "w.npy", "-o", tmp_path / "w.svg", *options)
    assert isinstance(result.exception, BadInput)
    assert message.strip("-") in str(result.exception)
    assert not (tmp_path / "w.svg").exists()
