"""The boards: found by name, true to their devices, and built to a bitstream by the plan's own steps."""

from __future__ import annotations

import hashlib
import json
import re

import pytest

from boards.board import Board
from boards.catalog import BOARDS, get_board
from boards.dfu import read_suffix
from boards.platform_top import plan, write_plan
from flows.errors import NielloError, ToolError
from flows.pack import pack_board
from flows.plan import commands
from flows.pnr import pnr_board, usage
from hdl.common.config import ConfigError
from hdl.common.uart import uart_divisor

QUICK_BOARDS = ("icebreaker",)
CORE_BOARDS = [name for name, board in BOARDS.items() if board.extra is None]


def test_boards_are_those_promised():
    assert list(BOARDS) == ["icebreaker", "ulx3s_85f", "orangecrab_85f", "colorlight_5a75b", "tang_nano_9k"]
    assert all(get_board(name) is board for name, board in BOARDS.items())


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("ulx3s", '"ulx3s" is not a board; did you mean "ulx3s_85f"?'),
        ("icebraker", '"icebraker" is not a board; did you mean "icebreaker"?'),
        (
            "zzz",
            '"zzz" is not a board; known: icebreaker, ulx3s_85f, orangecrab_85f, colorlight_5a75b, tang_nano_9k',
        ),
    ],
)
def test_unknown_board_names_the_nearest(name, message):
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}$"):
        get_board(name)


@pytest.mark.parametrize("board", BOARDS.values(), ids=BOARDS)
def test_board_agrees_with_its_platform(board: Board):
    platform = board.platform()
    assert platform.default_clk_frequency == board.oscillator_hz
    part = platform.part if board.family == "gowin" else f"{platform.device}"
    assert board.device.startswith(part)
    assert uart_divisor(board.default_clock_hz, board.baud) >= 4
    platform.lookup("uart", 0)
    if board.led is not None:
        platform.lookup(board.led[0], 0)


@pytest.mark.parametrize("board", BOARDS.values(), ids=BOARDS)
def test_plan_is_the_same_whenever_it_is_made(board: Board, tmp_path, echo):
    folders = [tmp_path / "a", tmp_path / "b"]
    for folder in folders:
        folder.mkdir()
        write_plan(plan(board, echo()), folder)
    first, second = ({file.name: file.read_bytes() for file in folder.iterdir()} for folder in folders)
    assert first == second
    assert {"top.il", "top.ys", "build_top.json"} <= set(first)
    assert not any(str(tmp_path).encode() in content for content in first.values())
    assert [argv[0].split("-")[0] for argv in commands(folders[0])][:2] == ["yosys", "nextpnr"]


@pytest.mark.parametrize(
    "name", [name if name in QUICK_BOARDS else pytest.param(name, marks=pytest.mark.deep) for name in CORE_BOARDS]
)
def test_bitstream_is_built_and_the_same_elsewhere(build, tmp_path, name):
    board = BOARDS[name]
    metrics = build(board, tmp_path / "one")
    again = build(board, tmp_path / "two" / "deeper")
    folder = tmp_path / "one" / "pack"
    bitstream = folder / metrics["pack"]["bitstream"]
    assert bitstream.suffix == board.bitstream_suffix
    assert sorted(file.name for file in folder.iterdir()) == ["pack.log", bitstream.name]
    content = bitstream.read_bytes()
    assert metrics["pack"]["bitstream_bytes"] == len(content) > 50_000
    assert metrics["pack"]["bitstream_sha256"] == hashlib.sha256(content).hexdigest()
    assert again["pack"]["bitstream_sha256"] == metrics["pack"]["bitstream_sha256"]
    if board.dfu:
        assert read_suffix(content) == board.dfu

    routed = metrics["pnr"]
    assert routed["clock_mhz"] == pytest.approx(board.default_clock_hz / 1e6, rel=1e-3)
    assert routed["fmax_mhz"] > routed["clock_mhz"]
    for kind in ("lut", "bram", "dsp"):
        assert routed[f"{kind}_available"] == getattr(board.resources, kind)
    assert routed["io"] == (3 if board.led is None else 4)
    if board.led is not None:  # else nothing shows the counter, and it is taken away
        assert routed["dsp"] == 1
        assert metrics["synth"]["ff"] >= 57
    for step in metrics.values():
        assert step["peak_rss_bytes"] < 1_000_000_000


@pytest.mark.parametrize(
    ("name", "clock_mhz"), [pytest.param("ulx3s_85f", 60, marks=pytest.mark.deep), ("icebreaker", 24)]
)
def test_another_clock_goes_through_the_pll(build, tmp_path, name, clock_mhz):
    metrics = build(BOARDS[name], tmp_path, clock_hz=clock_mhz * 1e6)
    assert metrics["pnr"]["clock_mhz"] == pytest.approx(clock_mhz, rel=1e-3)
    report = json.loads((tmp_path / "pnr" / "report.json").read_text())
    pll = {"ecp5": "EHXPLLL", "ice40": "ICESTORM_PLL"}[BOARDS[name].family]
    assert report["utilization"][pll]["used"] == 1


def test_clock_that_is_missed_is_an_error_with_its_number(build, tmp_path):
    board = BOARDS["icebreaker"]
    message = (
        r"^icebreaker: timing: clock clk reaches ([\d.]+) MHz, needs 132\.\d+ MHz; log: \S+pnr\.log "
        r"\(hint: another seed, a slower target\.clock_mhz, or more pipeline stages\)$"
    )
    with pytest.raises(NielloError, match=message) as caught:
        build(board, tmp_path / "strict", clock_hz=132e6)
    metrics = build(board, tmp_path / "lax", clock_hz=132e6, allow_timing_failure=True)
    assert metrics["pnr"]["fmax_mhz"] < 132
    assert f"{metrics['pnr']['fmax_mhz']:.2f}" == re.match(message, str(caught.value))[1]


@pytest.mark.deep
def test_seed_moves_the_placement(build, tmp_path):
    sums = {build(BOARDS["icebreaker"], tmp_path / str(seed), seed=seed)["pack"]["bitstream_sha256"] for seed in (1, 2)}
    assert len(sums) == 2


def test_broken_netlist_ends_with_nextpnrs_error_line(build, tmp_path):
    board = BOARDS["icebreaker"]
    build(board, tmp_path)
    (tmp_path / "synth" / "top.json").write_text("{")
    out = tmp_path / "again"
    out.mkdir()
    with pytest.raises(ToolError, match=r"^nextpnr for icebreaker: ERROR: [^\n]+; log: \S+pnr\.log$"):
        pnr_board(tmp_path / "plan", tmp_path / "synth", out, board=board, clock_hz=12e6)
    (tmp_path / "pnr" / "top.asc").write_text(".nonsense\n")
    out = tmp_path / "packed"
    out.mkdir()
    with pytest.raises(ToolError, match=r"^icepack for icebreaker: [^\n]+; log: \S+pack\.log$"):
        pack_board(tmp_path / "plan", tmp_path / "pnr", out, board=board)


def test_usage_reads_what_the_device_has():
    report = {
        "utilization": {
            "LUT4": {"used": 40, "available": 8640},
            "ALU": {"used": 26, "available": 6480},
            "DFF": {"used": 57, "available": 6480},
            "MULT9X9": {"used": 1, "available": 40},
        }
    }
    expected = {"lut": 66, "lut_available": 8640, "ff": 57, "ff_available": 6480, "dsp": 1, "dsp_available": 40}
    assert usage("gowin", report) == expected
