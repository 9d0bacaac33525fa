"""Area of the array on ECP5, part by part, without what moves data between it and the memory."""

from __future__ import annotations

import json
import os
import re
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from bench.common import say, timed
from flows.load import load_design
from flows.verilog import emit
from hdl.attention.array import Array
from hdl.attention.config import ArrayConfig

DESIGNS = {"attn_16x16_d64": 55, "attn_16x32_d64": 40}
"""And the LUT4e a MAC that they are to keep to."""

MEMORY_SIDE = ("bank", "commands", "bursts", "fills", "filler", "loader", "descriptor", "writer")
"""Registers, and what reads from memory and writes to it."""

KINDS = ("LUT4", "CCU2C", "TRELLIS_DPR16X4", "MULT18X18D", "DP16KD", "TRELLIS_FF")


def area() -> dict[str, Any]:
    """LUT4e = LUT4 + 2 CCU2C + 4 a LUT RAM, each module synthesised for itself."""
    return {
        name + "".join(f"_{each}" for each in formats): _measure(name, formats, wanted)
        for name, wanted in DESIGNS.items()
        for formats in ([], ["int4"])
    }


def _measure(name: str, formats: list[str], wanted: int) -> dict[str, Any]:
    design = load_design(name)
    config = ArrayConfig.parse({**design.config.model_dump(), "formats": formats})
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "design.v").write_text(emit(Array(config), design.top))
        passes = [
            "read_verilog -sv design.v",
            f"synth_ecp5 -noflatten -top {design.top}",
            "tee -q -o stat.json stat -json",
        ]
        script = "from pyosys import libyosys as ys\nd = ys.Design()\n" + "".join(
            f"ys.run_pass({one!r}, d)\n" for one in passes
        )
        timed([sys.executable, "-c", script], cwd=Path(folder), env=dict(os.environ))
        modules = json.loads((Path(folder) / "stat.json").read_text())["modules"]
    local = {module.lstrip("\\"): found["num_cells_by_type"] for module, found in modules.items()}

    def cells(module: str) -> Counter[str]:
        total: Counter[str] = Counter()
        for kind, number in local[module].items():
            inner = kind.lstrip("\\")
            counted = cells(inner) if inner in local else Counter({kind: 1} if kind in KINDS else {})
            total += Counter({one: number * found for one, found in counted.items()})
        return total

    core = f"{design.top}__core"
    parts: dict[str, Counter[str]] = {}
    for kind, number in local[core].items():
        module = kind.lstrip("\\")
        if module in local:
            part = re.sub(r"__\d+$", "", module).rsplit("__", 1)[-1]
            parts[part] = Counter({one: number * found for one, found in cells(module).items()})
    array = sum((found for part, found in parts.items() if part not in MEMORY_SIDE), Counter())
    macs = config.rows * config.lanes
    each = {part: _lut4e(found) for part, found in parts.items()}
    figures = {
        "lut4e": _lut4e(array),
        "lut4e_a_mac": round(_lut4e(array) / macs, 2),
        "lut4e_whole": _lut4e(cells(core)),
        "mult18": array["MULT18X18D"],
        "ebr": array["DP16KD"],
        "ff": array["TRELLIS_FF"],
        "parts": dict(sorted(each.items(), key=lambda item: -item[1])),
    }
    what = " and ".join([name, *formats])
    say(f"{what}, without memory side: LUT4e a MAC", figures["lut4e_a_mac"], "", f"at most {wanted}")
    return figures


def _lut4e(cells: Counter[str]) -> int:
    return cells["LUT4"] + 2 * cells["CCU2C"] + 4 * cells["TRELLIS_DPR16X4"]
