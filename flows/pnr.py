"""Place and route by nextpnr: a board's netlist onto its FPGA, with the figures that come of it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from boards.board import Board
from flows.errors import NielloError, ToolError
from flows.plan import commands
from flows.tools import run_tool

BELS = {
    "ecp5": {
        "lut": ["TRELLIS_COMB"],
        "ff": ["TRELLIS_FF"],
        "bram": ["DP16KD"],
        "dsp": ["MULT18X18D"],
        "io": ["TRELLIS_IO"],
    },
    "ice40": {"lut": ["ICESTORM_LC"], "bram": ["ICESTORM_RAM"], "dsp": ["ICESTORM_DSP"], "io": ["SB_IO"]},
    "gowin": {"lut": ["LUT4", "ALU"], "ff": ["DFF"], "bram": ["BSRAM"], "dsp": ["MULT9X9"], "io": ["IOB"]},
}
"""Names of a device's places in nextpnr's report. A logic cell of iCE40 is a look-up table with a flip-flop."""

TIMEOUT_S = 7200.0
"""An ECP5-85F that is a third full takes ten minutes on a free core, and much longer on a slow or busy machine."""


def pnr_board(
    plan_dir: Path,
    synth_dir: Path,
    out_dir: Path,
    *,
    board: Board,
    clock_hz: float,
    seed: int = 1,
    allow_timing_failure: bool = False,
) -> dict[str, Any]:
    """nextpnr's step of a board's plan: leaves the routed design, `report.json` and `pnr.log` in `out_dir`.

    Parameters
    ----------
    plan_dir, synth_dir : what `boards.platform_top.write_plan` and `flows.synth.synth_board` left
    clock_hz : that the design must reach
    seed : of the placer
    allow_timing_failure : a clock that is missed is not an error

    Returns
    -------
    lut, ff, bram, dsp, io and <each>_available (what the report of the device has), fmax_mhz and clock_mhz of the
    clock that is nearest to failing, clocks {name: {fmax_mhz, clock_mhz}}, seed, seconds, peak_rss_bytes.

    Raises
    ------
    ToolError
        With nextpnr's own error line.
    NielloError
        If a clock is missed: says which, what it reaches and what it must.
    """
    step = commands(plan_dir)[1]
    step += ["--seed", str(seed), "--freq", f"{clock_hz / 1e6:.9g}", "--report", "report.json", "--timing-allow-fail"]
    taken = [file for folder in (plan_dir, synth_dir) for file in sorted(folder.iterdir()) if file.name in step]
    taken += sorted(plan_dir.glob("*.cst"))  # named inside another option
    for file in taken:
        shutil.copyfile(file, out_dir / file.name)
    log = out_dir / "pnr.log"
    run = run_tool(step, cwd=out_dir, log=log, timeout_s=TIMEOUT_S, description=f"nextpnr for {board.name}")
    for file in taken:
        (out_dir / file.name).unlink()
    try:
        report = json.loads((out_dir / "report.json").read_text())
    except ValueError:
        raise ToolError(f"nextpnr for {board.name}", "left a report that cannot be read", log) from None
    metrics: dict[str, Any] = usage(board.family, report)
    metrics["clocks"] = clocks = {
        name: {"fmax_mhz": round(clock["achieved"], 3), "clock_mhz": round(clock["constraint"], 6)}
        for name, clock in report.get("fmax", {}).items()
    }
    if not clocks:
        raise NielloError(f"{board.name}: nextpnr found no path between flip-flops to time; log: {log}")
    worst = min(clocks, key=lambda name: clocks[name]["fmax_mhz"] / clocks[name]["clock_mhz"])
    reached, wanted = clocks[worst]["fmax_mhz"], clocks[worst]["clock_mhz"]
    if reached < wanted and not allow_timing_failure:
        raise NielloError(
            f"{board.name}: timing: clock {worst} reaches {reached:.2f} MHz, needs {wanted:.2f} MHz; log: {log}",
            hint="another seed, a slower target.clock_mhz, or more pipeline stages",
        )
    return {**metrics, **clocks[worst], "seed": seed, **run.metrics}


def usage(family: str, report: dict[str, Any]) -> dict[str, int]:
    """`lut`, `lut_available` and so on, of what the device has, from the JSON of nextpnr's `--report`."""
    places = report["utilization"]
    found: dict[str, int] = {}
    for kind, names in BELS[family].items():
        present = [places[name] for name in names if name in places]
        if present:
            found[kind] = sum(place["used"] for place in present)
            found[f"{kind}_available"] = present[0]["available"]
    return found
