"""Switching activity of `simd.mac` by mode and part: a table, and a picture of it."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

from bench.common import made
from flows.heat_map import Cell, heat_map
from hdl.simd.power import PARTS, core_path, part_of
from sim.common.harness import Harness, build_harness
from sim.simd.mac_activity import beats_activity

BEATS = 2048
RANDOM_SHARE = 0.5
"""Toggles of a net bit a cycle if it were random."""


def activity(design_name: str) -> dict[str, Any]:
    """Toggles a cycle of each part in each mode, and its net bits, while a dot product's beats come in."""
    design, (rtl,) = made(design_name, "elaborate")
    ports = rtl[f"{design_name}.ports.json"]
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        options: dict[str, Any] = {"optimise": "-O0", "extra_args": ["--trace-saif"]}
        library = build_harness(rtl[f"{design_name}.v"], ports, folder / "build", **options)
        with Harness(library, ports) as harness:
            for mode in design.config.modes:
                found = beats_activity(harness, design.config, mode, BEATS, folder)
                parts: dict[str, dict[str, float]] = {}
                core = core_path(design.config)
                for path, instance in found.instances.items():
                    if path == core or path.startswith(f"{core}/"):
                        part = parts.setdefault(part_of(path[len(core) + 1 :]).name, {"toggles": 0, "bits": 0})
                        part["toggles"] += instance.toggles
                        part["bits"] += instance.bits
                for part in parts.values():
                    part["toggles_per_cycle"] = round(part.pop("toggles") / found.cycles, 3)
                figures[mode] = {"cycles": found.cycles, "parts": parts}
    return figures


def say_table(design_name: str, figures: dict[str, Any]) -> None:
    """A row a part and a column a mode, on standard error."""
    modes = list(figures)
    print(f"{design_name}: toggles a cycle, of a dot product's {BEATS} beats", file=sys.stderr)
    print(f"{'':28}" + "".join(f"{mode:>11}" for mode in modes), file=sys.stderr)
    for title, cells in _cells(figures).items():
        print(f"{title:28}" + "".join(f"{cells[mode].figure:11.1f}" for mode in modes), file=sys.stderr)


def picture(design_name: str, figures: dict[str, Any]) -> str:
    """The table as an SVG file; the colour is the toggles of a net bit a cycle, against those of a random one."""
    description = (
        f"Toggles a cycle of the nets of {design_name}, a row a part and a column a mode, while the beats of a dot "
        "product with random operands come in. What has no figure stands still. Colour: toggles of a net bit a cycle."
    )
    return heat_map("mac-activity", f"Switching activity of {design_name}", description, _cells(figures))


def _cells(figures: dict[str, Any]) -> dict[str, dict[str, Cell]]:
    """By title of the part and mode."""
    rows = {}
    for part in PARTS:
        of_modes = {mode: found["parts"].get(part.name) for mode, found in figures.items()}
        if all(of_modes.values()):
            rows[part.title] = {
                mode: Cell(of["toggles_per_cycle"], of["toggles_per_cycle"] / of["bits"] / RANDOM_SHARE)
                for mode, of in of_modes.items()
            }
    return rows
