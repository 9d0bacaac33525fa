"""Area on ECP5, and of packed rows on UltraScale+, part by part, without what moves data to and from the memory."""

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

PACKED_DESIGN = "attn_16x16_xcup"

MEMORY_SIDE = ("bank", "commands", "bursts", "fills", "filler", "loader", "descriptor", "writer")
"""Registers, and what reads from memory and writes to it."""


def area() -> dict[str, Any]:
    """LUT4e = LUT4 + 2 CCU2C + 4 a LUT RAM on ECP5; LUTs of UltraScale+, LUT RAM apart; each module for itself."""
    figures = {
        name + "".join(f"_{each}" for each in formats): _on_ecp5(name, formats, wanted)
        for name, wanted in DESIGNS.items()
        for formats in ([], ["int4"])
    }
    return figures | {PACKED_DESIGN: _on_xcup(PACKED_DESIGN)}


def _on_ecp5(name: str, formats: list[str], wanted: int) -> dict[str, Any]:
    design = load_design(name)
    config = ArrayConfig.parse({**design.config.model_dump(), "formats": formats})
    parts, whole = _cells(config, design.top, "synth_ecp5 -noflatten")
    array = _array_of(parts)
    figures = {
        "lut4e": _lut4e(array),
        "lut4e_a_mac": round(_lut4e(array) / (config.rows * config.lanes), 2),
        "lut4e_whole": _lut4e(whole),
        "mult18": array["MULT18X18D"],
        "ebr": array["DP16KD"],
        "ff": array["TRELLIS_FF"],
        "parts": _largest_first({part: _lut4e(found) for part, found in parts.items()}),
    }
    what = " and ".join([name, *formats])
    say(f"{what}, without memory side: LUT4e a MAC", figures["lut4e_a_mac"], "", f"at most {wanted}")
    return figures


def _on_xcup(name: str) -> dict[str, Any]:
    design = load_design(name)
    parts, _ = _cells(design.config, design.top, "synth_xilinx -family xcup -noiopad -noclkbuf")
    array = _array_of(parts)
    macs = design.config.rows * design.config.lanes
    figures = {
        "lut": _luts(array),
        "lut_a_mac": round(_luts(array) / macs, 2),
        "lut_ram": {kind: found for kind, found in array.items() if re.match(r"RAM(32|64|128|256|512)[MX]", kind)},
        "dsp": array["DSP48E2"],
        "dsp_a_mac": round(array["DSP48E2"] / macs, 3),
        "parts": _largest_first({part: _luts(found) for part, found in parts.items()}),
    }
    say(f"{name}, without memory side: LUT a MAC", figures["lut_a_mac"], "", "at most 45, LUT RAM apart")
    say(f"{name}, without memory side: DSP48E2 a MAC", figures["dsp_a_mac"], "", "at most 0.6")
    return figures


def _cells(config: ArrayConfig, top: str, synthesis: str) -> tuple[dict[str, Counter[str]], Counter[str]]:
    """Cells by kind: of each part of the array, and of the whole."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "design.v").write_text(emit(Array(config), top))
        passes = ["read_verilog -sv design.v", f"{synthesis} -top {top}", "tee -q -o stat.json stat -json"]
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
            counted = cells(inner) if inner in local else Counter({kind: 1})
            total += Counter({one: number * found for one, found in counted.items()})
        return total

    core = f"{top}__core"
    parts: dict[str, Counter[str]] = {}
    for kind, number in local[core].items():
        module = kind.lstrip("\\")
        if module in local:
            part = re.sub(r"__\d+$", "", module).rsplit("__", 1)[-1]
            parts[part] = Counter({one: number * found for one, found in cells(module).items()})
    return parts, cells(core)


def _array_of(parts: dict[str, Counter[str]]) -> Counter[str]:
    return sum((found for part, found in parts.items() if part not in MEMORY_SIDE), Counter())


def _largest_first(figures: dict[str, int]) -> dict[str, int]:
    return dict(sorted(figures.items(), key=lambda item: -item[1]))


def _luts(cells: Counter[str]) -> int:
    return sum(found for kind, found in cells.items() if re.fullmatch(r"LUT[1-6]|INV", kind))


def _lut4e(cells: Counter[str]) -> int:
    return cells["LUT4"] + 2 * cells["CCU2C"] + 4 * cells["TRELLIS_DPR16X4"]
