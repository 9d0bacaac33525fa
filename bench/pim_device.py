"""What the behavioural device takes on an ECP5: cells, by part too, and the clock that it reaches."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

from amaranth.lib.wiring import Component

from bench.common import made, say
from flows.synth import cell_counts
from flows.tools import run_tool
from flows.verilog import emit
from hdl.pim.channel_config import ChannelConfig
from hdl.pim.device_bank import Bank
from hdl.pim.device_checker import Checker
from hdl.pim.device_checksum import Checksum
from hdl.pim.device_mac_bf16 import MacBf16
from hdl.pim.device_mac_int8 import MacInt8

DESIGNS = ("device_int8", "device_bf16")
LUTS_85F = 83_640
SEED = 1


def device() -> dict[str, Any]:
    """Of each named design alone, streams and registers with it: cells, and the clock after place and route, out of
    context, on an LFE5U-85F of speed grade 6. `lut` is LUT4 + 2 CCU2C + 4 TRELLIS_DPR16X4."""
    figures = {}
    for name in DESIGNS:
        design, (rtl,) = made(name, "elaborate")
        found = placed(rtl[f"{name}.v"], design.top)
        figures[name] = found
        say(f"{name}: LUT4 + 2 CCU2C + 4 DPR16X4", found["lut"], "", f"60 % of {LUTS_85F} with channel and board top")
        for kind in ("ff", "bram", "dsp", "fmax_mhz"):
            say(f"{name}: {kind}", found[kind], "", "none")
    return figures


def placed(verilog: Path, top: str) -> dict[str, Any]:
    """Cells of a design on an ECP5, and its routed clock."""
    with tempfile.TemporaryDirectory() as folder:
        found: dict[str, Any] = synthesised(verilog.read_text(), top, Path(folder))
        found["fmax_mhz"] = routed(Path(folder))
    return found


CLOCKED = ("4 lanes of bf16, tCCD 1", "4 lanes of bf16, tCCD 2")
"""Pieces whose clock is asked for, too."""


def parts() -> dict[str, Any]:
    """Cells of one piece of each kind: a bank and its multipliers, what stands once in a device."""
    small = {"profile": "pimgpt", "banks": 4, "rows": 16}
    bf16, int8 = (ChannelConfig.parse(small | more) for more in ({"lanes": 4}, {"lanes": 8, "dtype": "int8"}))
    slow = ChannelConfig.parse(small | {"lanes": 4, "profile": "aim"})
    wide = ChannelConfig.parse({"profile": "aim", "banks": 16, "refresh": True})
    pieces: dict[str, Component] = {
        "bank of 64-bit columns": Bank(int8),
        "4 lanes of bf16, tCCD 1": MacBf16(bf16),
        "4 lanes of bf16, tCCD 2": MacBf16(slow),
        "8 lanes of int8": MacInt8(int8),
        "checksum of 4 banks of 8 lanes": Checksum(int8),
        "checker of 4 banks, pimgpt": Checker(int8),
        "checker of 16 banks, aim": Checker(wide),
    }
    figures = {}
    for name, piece in pieces.items():
        with tempfile.TemporaryDirectory() as folder:
            figures[name] = synthesised(emit(piece, "niello_part"), "niello_part", Path(folder))
            if name in CLOCKED:
                figures[name]["fmax_mhz"] = routed(Path(folder))
                say(f"{name}: clock", figures[name]["fmax_mhz"], "MHz", ">= 50")
        say(f"{name}: LUT4 + 2 CCU2C + 4 DPR16X4", figures[name]["lut"], "", "none")
    return figures


def synthesised(verilog: str, top: str, folder: Path) -> dict[str, Any]:
    """Cells of a module, whose netlist stays in the folder."""
    (folder / "source.v").write_text(verilog)
    script = f"read_verilog source.v\nsynth_ecp5 -top {top} -json netlist.json\ntee -o stat.json stat -json\n"
    (folder / "synth.ys").write_text(script)
    run_tool(["yosys", "synth.ys"], cwd=folder, log=folder / "log", description="yosys")
    return cell_counts("ecp5", json.loads((folder / "stat.json").read_text()))


def routed(folder: Path) -> float:
    """The clock of the netlist in a folder, out of context, in MHz."""
    device_options = ["--85k", "--package", "CABGA381", "--speed", "6", "--out-of-context"]
    aim = ["--freq", "60", "--timing-allow-fail", "--seed", str(SEED)]
    files = ["--json", "netlist.json", "--report", "report.json"]
    run_tool(["nextpnr-ecp5", *device_options, *aim, *files], cwd=folder, log=folder / "log", description="nextpnr")
    clocks = json.loads((folder / "report.json").read_text())["fmax"]
    return round(min(clock["achieved"] for clock in clocks.values()), 2)
