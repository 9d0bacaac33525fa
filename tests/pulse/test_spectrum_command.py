"""`niello pulse spectrum`: numpy's histogram of what is in the file, and the width of a peak of known width."""

from __future__ import annotations

import json
import re
from xml.etree import ElementTree

import numpy as np
import pytest
from typer.testing import CliRunner

from flows.cli import app
from flows.errors import BadInput
from flows.pulse.spectrum import peak


def spectrum(*words):
    return CliRunner().invoke(app, ["pulse", "spectrum", *(str(word) for word in words)])


def told(result):
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout.splitlines()[-1])


@pytest.fixture
def events(tmp_path):
    """Two channels, energies of two lines, every tenth pulse flagged; and the file."""
    rng, count = np.random.default_rng(4), 20_000
    channel = rng.integers(0, 2, count).astype(np.uint8)
    columns = {
        "record": np.zeros(count, np.int64),
        "time": np.cumsum(rng.exponential(500.0, count)),
        "energy": rng.normal(np.where(channel == 1, 3000.0, 1000.0), 40.0),
        "flags": np.where(np.arange(count) % 10 == 0, 1, np.where(np.arange(count) % 50 == 3, 32, 0)).astype(np.uint8),
        "channel": channel,
        "sequence": (np.arange(count) % 256).astype(np.uint8),
        "shape": rng.normal(0.0, 0.01, count),
    }
    np.savez(tmp_path / "e.npz", **columns)
    return tmp_path / "e.npz", columns


def test_spectrum_is_the_histogram_of_the_file(events, tmp_path):
    path, columns = events
    words = ["--low", 200, "--high", 2900, "--bins", 90, "-o", tmp_path / "s.csv", "--plot", tmp_path / "s.svg"]
    found = told(spectrum(path, *words))
    kept = columns["energy"][columns["flags"] & 32 == 0]
    counts, edges = np.histogram(kept, 90, (200, 2900))
    lines = (tmp_path / "s.csv").read_text().splitlines()
    assert lines[0] == "low,high,count"
    got = np.array([[float(word) for word in line.split(",")] for line in lines[1:]])
    np.testing.assert_array_equal(got[:, 2], counts)
    np.testing.assert_allclose(got[:, :2], np.stack([edges[:-1], edges[1:]], 1))
    assert (found["under"], found["over"]) == ((kept < 200).sum(), (kept > 2900).sum())
    assert (found["pulses"], found["counted"]) == (20_000, len(kept))
    assert found["mean"] == pytest.approx(kept.mean(), rel=1e-5)
    lines = [shape for shape in ElementTree.parse(tmp_path / "s.svg").getroot().iter() if shape.get("class") == "line0"]
    assert len(lines) == 1 and len(lines[0].get("points").split()) == 2 * 90 + 2


def test_spectrum_of_a_channel_without_flagged_pulses(events):
    path, columns = events
    found = told(spectrum(path, "--channel", 1, "--without", "pile_up,no_pulse", "--bins", 100))
    assert found["counted"] == ((columns["channel"] == 1) & (columns["flags"] & 33 == 0)).sum()
    assert found["under"] == found["over"] == 0
    assert found["low"] <= columns["energy"][columns["channel"] == 1].min() and found["high"] % 10 == 0
    assert found["peak"] == pytest.approx(3000, abs=25)
    assert found["fwhm"] == pytest.approx(40 * 2.3548, rel=0.15)


def test_spectrum_of_intervals(events):
    """An exponential's mean, in each channel for itself; and none where each record has one pulse."""
    path, columns = events
    found = told(spectrum(path, "--of", "interval", "--without", ""))
    differences = [np.diff(columns["time"][columns["channel"] == number]) for number in (0, 1)]
    assert found["counted"] == 19_998
    assert found["mean"] == pytest.approx(np.concatenate(differences).mean(), rel=1e-5)
    columns["record"] = np.arange(20_000)
    np.savez(path, **columns)
    result = spectrum(path, "--of", "interval")
    assert isinstance(result.exception, BadInput)
    assert result.exception.args[0].endswith("no pulse is left of 20000")


def test_spectrum_of_one_value(events):
    """One pulse has a bin, too."""
    path, columns = events
    np.savez(path, **{name: column[1:2] for name, column in columns.items()})
    found = told(spectrum(path, "--bins", 1))
    assert found["counted"] == 1 and found["low"] <= columns["energy"][1] <= found["high"]
    assert found["fwhm"] is None


def test_peak_of_known_counts():
    edges = np.arange(8.0)
    assert peak(np.array([0, 2, 4, 8, 4, 0, 9]), edges) == (6.5, None)
    assert peak(np.array([0, 2, 4, 8, 4, 0, 1]), edges) == (3.5, 2.0)
    assert peak(np.array([0, 2, 8, 8, 0, 0, 0]), edges) == (2.5, pytest.approx(4.0 - (1.5 + 1 / 3), rel=1e-5))
    assert peak(np.zeros(7, int), edges) == (None, None)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--of", "charge"], "--of must be one of energy, time, interval, shape, apart, not charge"),
        (["--bins", 0], "--bins must be in 1..65536, not 0"),
        (["--without", "far,late"], "--without must be of pile_up, saturated, .*, not late"),
        (["--low", 5, "--high", 5], "--low must be below --high, not 5 and 5"),
        (["--low", "nan"], "--low and --high must be numbers, not nan and .*"),
        (["--channel", 7], ".*e.npz: no pulse is left of 20000"),
        (["--of", "apart"], ".*e.npz: must have apart, a number a pulse; it has record, .*"),
    ],
)
def test_spectrum_refuses(events, words, message):
    result = spectrum(events[0], *words)
    assert isinstance(result.exception, BadInput)
    assert re.fullmatch(message, result.exception.args[0])


def test_spectrum_refuses_files_that_are_none(tmp_path):
    for content in (b"", b"energy"):
        (tmp_path / "e.npz").write_bytes(content)
        assert isinstance(spectrum(tmp_path / "e.npz").exception, BadInput)
    np.savez(tmp_path / "e.npz", energy=np.zeros(3), flags=np.zeros(2), channel=np.zeros(3), record=np.zeros(3))
    result = spectrum(tmp_path / "e.npz")
    assert "must have flags, a number a pulse" in str(result.exception)
    np.savez(
        tmp_path / "e.npz", energy=np.full(3, np.nan), **dict.fromkeys(("flags", "channel", "record"), np.zeros(3))
    )
    assert "energy has values that are no numbers" in str(spectrum(tmp_path / "e.npz").exception)
