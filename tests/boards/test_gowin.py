"""Tang Nano 9K; collected where the extra `gowin` is installed."""

from __future__ import annotations

import re
import sys

import pytest

from boards.catalog import BOARDS
from boards.pll import gowin_pll
from flows.tools import run_tool

BOARD = BOARDS["tang_nano_9k"]


@pytest.mark.deep
def test_bitstream_is_built_and_the_same_elsewhere(build, tmp_path):
    metrics = build(BOARD, tmp_path / "one")
    again = build(BOARD, tmp_path / "two" / "deeper")
    assert metrics["pack"]["bitstream"] == "top.fs"
    assert again["pack"]["bitstream_sha256"] == metrics["pack"]["bitstream_sha256"]
    assert metrics["pack"]["bitstream_bytes"] > 100_000
    routed = metrics["pnr"]
    assert routed["fmax_mhz"] > routed["clock_mhz"] == pytest.approx(27)
    assert routed["dsp"] == 1
    for kind in ("lut", "ff", "bram", "dsp"):
        assert routed[f"{kind}_available"] == getattr(BOARD.resources, kind)
    for step in metrics.values():
        assert step["peak_rss_bytes"] < 1_000_000_000


@pytest.mark.deep
def test_another_clock_goes_through_the_pll(build, tmp_path):
    metrics = build(BOARD, tmp_path, clock_hz=54e6)
    assert metrics["pnr"]["clock_mhz"] == pytest.approx(54, rel=1e-3)


@pytest.mark.parametrize("output_mhz", [20.25, 33, 48, 60, 75.5, 100, 150, 200])
def test_pll_comes_as_near_as_its_calculator(tmp_path, output_mhz):
    start = [sys.executable, "-c", "from apycula.gowin_pll import main; main()"]
    argv = [*start, "-d", "GW1NR-9 C6/I5", "-i", "27", "-o", str(output_mhz), "-f", "pll.v"]
    run_tool(argv, cwd=tmp_path, log=tmp_path / "log")
    text = (tmp_path / "pll.v").read_text()
    other_mhz = (
        27 * (int(re.search(r"FBDIV_SEL\((\d+)", text)[1]) + 1) / (int(re.search(r"IDIV_SEL\((\d+)", text)[1]) + 1)
    )
    found = gowin_pll(27_000_000, round(output_mhz * 1e6))
    assert abs(float(found.output_hz) / 1e6 - output_mhz) <= abs(other_mhz - output_mhz) + 1e-9
