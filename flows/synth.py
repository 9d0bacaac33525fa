"""Synthesis by Yosys: a block alone as a netlist for simulation and counting, or a board top for place and route."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

from flows.plan import commands
from flows.simcells import simulation_library
from flows.tools import run_tool

CELLS = {
    "ecp5": {
        "lut": {"LUT4": 1, "CCU2C": 2, "TRELLIS_DPR16X4": 4},
        "ff": {"TRELLIS_FF": 1},
        "carry": {"CCU2C": 1},
        "lutram": {"TRELLIS_DPR16X4": 1},
        "bram": {"DP16KD": 1, "PDPW16KD": 1},
        "dsp": {"MULT18X18D": 1},
    },
    "ice40": {
        "lut": {"SB_LUT4": 1},
        "ff": {r"SB_DFF\w*": 1},
        "carry": {"SB_CARRY": 1},
        "lutram": {},
        "bram": {r"SB_RAM40_4K\w*": 1},
        "dsp": {"SB_MAC16": 1},
    },
    "gowin": {
        "lut": {"LUT[1-4]": 1, "ALU": 1, r"RAM16S\w*": 4},
        "ff": {r"DFF\w*": 1},
        "carry": {"ALU": 1},
        "lutram": {r"RAM16S\w*": 1},
        "bram": {r"SDPX?9?B|DPX?9?B|SPX?9?|pROM(X9)?": 1},
        "dsp": {r"MULT\w*": 1},
    },
}
"""What each cell of a family counts as. `lut` has those that carry chains and small memories occupy, too."""


def synth_options(family: str, *, dsp: bool, simulated: bool = False) -> list[str]:
    """Options of `synth_<family>`.

    Parameters
    ----------
    dsp : multipliers become DSP blocks where the device has them, else look-up tables
    simulated : the netlist is for simulation: no pad cells, and no block RAM where Yosys has no model of it
    """
    options = []
    if family == "ice40":
        options += ["-dsp"] if dsp else []
    else:
        options += [] if dsp else ["-nodsp"]
        options += ["-nobram"] if simulated else []
    if family == "gowin" and simulated:
        options += ["-noiopads"]
    return options


def cell_counts(family: str, stat: dict[str, Any]) -> dict[str, int]:
    """Cells by kind (`lut`, `ff`, `carry`, `lutram`, `bram`, `dsp`) from the JSON of Yosys' `stat`."""
    by_type = stat["design"].get("num_cells_by_type", {})
    return {
        kind: sum(
            count * weight
            for cell, count in by_type.items()
            for pattern, weight in weights.items()
            if re.fullmatch(pattern, cell)
        )
        for kind, weights in CELLS[family].items()
    }


def netlist(verilog: Path, top: str, family: str, out_dir: Path, *, dsp: bool = True) -> dict[str, Any]:
    """Synthesises one module with all below it, flattened, to cells of a family, and writes for simulation

        <top>.netlist.v   the netlist, with the ports of the source
        <top>.cells.v     models of the cells that it uses
        synth.log         Yosys' own words

    Returns `lut`, `ff`, `carry`, `lutram`, `bram`, `dsp`, `seconds` and `peak_rss_bytes`.

    They count what is built. The netlist for simulation is made without block RAM on ECP5 and Gowin, and on Gowin
    without multipliers: Yosys has no models of them.

    Raises
    ------
    ToolError
        With Yosys' own error line.
    """
    counted = synth_options(family, dsp=dsp)
    simulated = synth_options(family, dsp=dsp and family != "gowin", simulated=True)
    shutil.copyfile(verilog, out_dir / "source.v")
    script = ["read_verilog source.v", "design -save source"]
    script += [" ".join([f"synth_{family}", *counted, "-top", top]), "check -assert", "tee -q -o stat.json stat -json"]
    if _differ(verilog.read_text(), family):
        # A memory that asks for block RAM would get it all the same.
        script += ["design -load source", "setattr -unset ram_style m:*"]
        script += [" ".join([f"synth_{family}", *simulated, "-top", top]), "check -assert"]
    script += [f"write_verilog -noattr {top}.netlist.v"]
    (out_dir / "synth.ys").write_text("\n".join(script) + "\n")
    run = run_tool(["yosys", "synth.ys"], cwd=out_dir, log=out_dir / "synth.log", description=f"yosys on {top}")
    (out_dir / "source.v").unlink()
    file = out_dir / f"{top}.netlist.v"
    text = file.read_text().split("\n", 1)[1].lstrip("\n")  # the first line names the version of Yosys and its compiler
    waivers = "".join(f"/* verilator lint_off {name} */\n" for name in ("PINMISSING", "UNUSEDSIGNAL"))
    file.write_text(waivers + text)
    (out_dir / f"{top}.cells.v").write_text(simulation_library(family, text))
    stat = json.loads((out_dir / "stat.json").read_text())
    return {**cell_counts(family, stat), **run.metrics}


def _differ(verilog: str, family: str) -> bool:
    """Whether the netlist for simulation must be made apart from the one that is counted."""
    has_memory = re.search(r"^\s*reg\b[^;=]*\s\[\d+:\d+\];", verilog, re.MULTILINE) is not None
    return family == "gowin" or (family == "ecp5" and has_memory)


def synth_board(plan_dir: Path, out_dir: Path, *, family: str) -> dict[str, Any]:
    """Yosys' step of a board's plan (`boards.platform_top.write_plan`): leaves the netlist as JSON in `out_dir`.

    Returns `lut`, `ff`, `carry`, `lutram`, `bram`, `dsp`, `seconds` and `peak_rss_bytes`.

    Raises
    ------
    ToolError
        With Yosys' own error line.
    """
    step = commands(plan_dir)[0]
    taken = [file for file in sorted(plan_dir.iterdir()) if file.suffix in (".il", ".ys", ".v", ".sv", ".hex")]
    for file in taken:
        shutil.copyfile(file, out_dir / file.name)
    run = run_tool(step, cwd=out_dir, log=out_dir / "synth.log", description="yosys on the board top")
    for file in taken:
        (out_dir / file.name).unlink()
    stat = json.loads((out_dir / "stat.json").read_text())
    return {**cell_counts(family, stat), **run.metrics}
