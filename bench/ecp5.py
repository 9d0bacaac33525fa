"""What a design takes on an ECP5 by itself, without pins: cells, and the clock that it reaches."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

from bench.common import made, say
from flows.synth import cell_counts
from flows.tools import run_tool

LFE5U_25F = ("--25k", "--package", "CABGA381", "--speed", "6")
LFE5U_85F = ("--85k", "--package", "CABGA381", "--speed", "6")

SEEDS = (1, 2, 3)


def routed_design(name: str, aim_mhz: int, wanted: str) -> dict[str, Any]:
    """Cells of a design, and the median clock of three seeds, out of context, on an LFE5U-85F of speed grade 6."""
    design, (rtl,) = made(name, "elaborate")
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        found = synthesised(rtl[f"{design.name}.v"].read_text(), design.top, folder)
        clocks = [routed(folder, LFE5U_85F, aim_mhz, seed) for seed in SEEDS]
    say(f"{name}: clock", median(clocks), "MHz", wanted)
    return {**found, "fmax_mhz": median(clocks), "fmax_seeds_mhz": clocks}


def synthesised(verilog: str, top: str, folder: Path) -> dict[str, Any]:
    """Cells of a module, whose netlist stays in the folder; `lut` is LUT4 + 2 CCU2C + 4 TRELLIS_DPR16X4."""
    (folder / "source.v").write_text(verilog)
    script = f"read_verilog source.v\nsynth_ecp5 -top {top} -json netlist.json\ntee -o stat.json stat -json\n"
    (folder / "synth.ys").write_text(script)
    run_tool(["yosys", "synth.ys"], cwd=folder, log=folder / "log", description="yosys")
    return cell_counts("ecp5", json.loads((folder / "stat.json").read_text()))


def routed(folder: Path, device: tuple[str, ...], aim_mhz: int, seed: int) -> float:
    """The clock of the netlist in a folder, out of context, in MHz; of several, the slowest."""
    aim = ["--out-of-context", "--freq", str(aim_mhz), "--timing-allow-fail", "--seed", str(seed)]
    files = ["--json", "netlist.json", "--report", "report.json"]
    run_tool(["nextpnr-ecp5", *device, *aim, *files], cwd=folder, log=folder / "log", description="nextpnr")
    clocks = json.loads((folder / "report.json").read_text())["fmax"]
    return round(min(clock["achieved"] for clock in clocks.values()), 2)
