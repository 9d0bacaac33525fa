"""`niello sfq train` and `niello sfq network`: what they print, what they refuse, and in which words."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flows.cli import app
from flows.errors import BadInput
from flows.load import load_design
from flows.sfq import network
from flows.sfq.train import as_text
from hdl.sfq.network_config import Currents, StochasticConfig, load_currents
from sim.sfq.network_study import Axis
from sim.sfq.network_vectors import model


def result_of(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    app(args=["sfq", *arguments], standalone_mode=False)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1
    found: dict[str, Any] = json.loads(lines[0])
    return found


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["network", "dot_int8x4"], "a network is a design of sfq.network; dot_int8x4 is simd.dot"),
        (["network", "xor_network", "--engine", "board"], "--engine must be one of model, rtl, not board"),
        (["network", "xor_network", "--seeds", "0"], "--seeds must be in 1..256, not 0"),
        (["network", "xor_network", "--slots", "65536"], "--slots must be in 1..65535, not 65536"),
        (["network", "xor_network", "--examples", "5"], "--examples must be in 1..4, not 5"),
        (
            ["network", "xor_network", "--examples", "1"],
            "--examples must leave true ones and false ones, or there is no margin",
        ),
        (["network", "xor_network", "--picture", "/"], "/: a folder, not a file"),
        (["train", "dot_int8x4", "-o", "x.json"], "a network is a design of sfq.network; dot_int8x4 is simd.dot"),
        (["train", "xor_network", "-o", "x.json", "--seed", "-1"], "--seed must be in 0..65535, not -1"),
        (["train", "xor_network", "-o", "/nowhere/x.json"], "/nowhere/x.json: no such folder"),
    ],
)
def test_sfq_network_refuses_in_one_line(arguments: list[str], message: str) -> None:
    with pytest.raises(BadInput, match=f"^{re.escape(message)}$"):
        app(args=["sfq", *arguments], standalone_mode=False)


def test_sfq_network_prints_sweeps_and_ranges(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    values = {"bias": (0.5, 1.0), "spread": (0.0, 0.3), "temperature_k": (1.0, 4.2), "slots": (8.0, 16.0)}
    axes = {axis: Axis(points, "", axis in {"temperature_k", "slots"}, 2.0) for axis, points in values.items()}
    monkeypatch.setattr(network, "AXES", axes)
    monkeypatch.setattr(network, "ranges", lambda *_: {"bias": (0.75, 1.25)})
    picture, arrays = tmp_path / "margins.svg", tmp_path / "xor.npz"
    asked = ["xor_network", "--seeds", "1", "--slots", "16", "--picture", str(picture), "--arrays", str(arrays)]
    found = result_of(capsys, "network", *asked)
    assert (found["quality"], found["seeds"], found["slots"], found["examples"]) == ("margin", 1, 16, 4)
    assert found["positive"] == {"bias": [0.75, 1.25]}
    assert {axis: [one["at"] for one in points] for axis, points in found["sweeps"].items()} == {
        axis: list(points) for axis, points in values.items()
    }
    assert found["sweeps"]["bias"][1] == {"at": 1.0} | found["nominal"]
    assert found["sweeps"]["bias"][0]["best"] == 0.0  # at half the bias nothing passes
    assert found["nominal"]["worst"] > 0.3
    assert picture.read_text().count('class="mean-dot"') == 8
    counts = model(load_design("xor_network").config, dict(np.load(arrays)))["counts"][:, 0] / 16
    assert round(counts[[1, 2]].min() - counts[[0, 3]].max(), 4) == found["sweeps"]["slots"][1]["worst"]


def test_sfq_currents_are_read_as_they_are_written() -> None:
    config = StochasticConfig.parse(
        {"layers": [4, 2, 1], "lanes": 2, "task": "xor", "slot_ps": 60.0, "window_slots": 256}
    )
    currents = load_currents(config)
    assert Currents.parse(json.loads(as_text(currents))) == currents
