"""A block without registers, the bare core of `simd.mac`, wherever other blocks' registers are written or read."""

from __future__ import annotations

import dataclasses
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from flows import docs, engines, report
from flows.load import Design, load_design
from flows.road import Route, results_or_error, travel
from flows.show import description
from flows.verilog import write_rtl
from hdl.simd.config import MacConfig


@pytest.fixture
def design() -> Design:
    """The smallest one, so that it is built in no time."""
    quad = load_design("mac_quad_core")
    config = MacConfig(modes=("fp4",), outputs=("fp4",), core_only=True)
    return dataclasses.replace(quad, name="mac_tiny", config=config)


def test_no_registers_header_says_the_widths_of_the_ports(design: Design, tmp_path: Path) -> None:
    files = write_rtl(design, tmp_path)
    header = files["h"].read_text()
    widths = {name: int(width) for name, width in re.findall(r"#define MAC_TINY__(\w+)_bw (\d+)\n", header)}
    ports = engines.read_ports(files["ports.json"])["ports"]
    assert widths == {port["name"].upper(): port["width"] for port in ports}
    assert (widths["S_AXIS_OP_TDATA"], widths["M_AXIS_Y_TDATA"]) == (80, 40)
    program = tmp_path / "program.c"
    program.write_text('#include "mac_tiny.h"\n#include "mac_tiny.h"\nint bits = MAC_TINY__S_AXIS_OP_TDATA_bw;\n')
    compiler = shutil.which("gcc") or shutil.which("cc") or "g++"
    options = ["-x", "c++"] if compiler == "g++" else ["-std=c11", "-x", "c"]
    command = [compiler, "-Wall", "-Wextra", "-Werror", *options, "-fsyntax-only", str(program)]
    subprocess.run(command, check=True)


def test_no_registers_no_pages_and_no_link(design: Design, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NIELLO_BUILD", str(tmp_path / "build"))
    route = Route.of(design)
    results = results_or_error(travel([route], lambda route: [route.block("elaborate")], plain=True))
    made = results[route.block("elaborate")]
    assert not [name for name in made.outputs if name.startswith("registers")]
    linked = {path.name for path in (tmp_path / "build" / "mac_tiny").iterdir() if path.is_symlink()}
    assert linked == {"mac_tiny.v", "mac_tiny.ports.json", "mac_tiny.h", "mac_tiny.core"}


def test_no_registers_are_described(design: Design, capsys: pytest.CaptureFixture[str]) -> None:
    said = description(design)
    assert said["registers"] == []
    assert list(said["arrays"]["inputs"]) == ["job", "a", "b"]
    assert "no registers" in capsys.readouterr().err
    assert docs.TABLES["registers"]("mac_quad_core") == "No registers.\n"


def test_no_registers_in_the_report(fake_road: Callable, tmp_path: Path) -> None:
    road = fake_road("mac_quad_core")
    report.step(road.design, road.board, road.results).action(tmp_path)
    page = (tmp_path / "report.html").read_text()
    assert "None: this block has streams alone." in page
    assert 'class="register"' not in page
    assert 'id="registers"' in page, "the page's head links there"


@pytest.mark.deep
def test_no_registers_so_no_cycles_from_a_board(
    design: Design, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The board top in Verilator, behind its serial line."""
    monkeypatch.setenv("NIELLO_BUILD", str(tmp_path / "build"))
    from flows import run

    route = Route.of(design)
    needed = run.needs(route, "board-sim")
    results = results_or_error(travel([route], lambda _: needed, plain=True))
    arrays = design.block.vectors_module().random_arrays(design.config, 1, 30)
    expected, _ = run.execute(route, "model", results, arrays)
    got, metrics = run.execute(route, "board-sim", results, arrays)
    for name, right in expected.items():
        np.testing.assert_array_equal(got[name], right)
    assert (metrics["cycles"], metrics["operations_per_cycle"]) == (None, None)
