"""Simulation models of the FPGA cells in a netlist: Yosys' own, and ours where Yosys has none."""

from __future__ import annotations

import re
from importlib import resources
from pathlib import Path

from flows.errors import NielloError

OURS = {"ecp5": [Path(__file__).resolve().parent / "cells" / "mult18x18d.v"], "ice40": [], "gowin": []}
"""Models that Yosys lacks, by family."""

# What Yosys' cell models trip by their style. Waived in the file itself, so that everything else stays fatal.
_WAIVERS: tuple[str, ...] = (
    "DECLFILENAME",
    "GENUNNAMED",
    "INITIALDLY",
    "MODDUP",
    "PINMISSING",
    "SPECIFYIGN",
    "TIMESCALEMOD",
)
_WAIVERS += ("UNUSEDPARAM", "UNUSEDSIGNAL", "WIDTHEXPAND", "WIDTHTRUNC", "LATCH", "CASEINCOMPLETE")

_START = r"^[ \t]*(?:\(\*[^)]*\*\)\s*)?module\s+(\\\S+|\w+)"
_MODULE = re.compile(_START + r".*?^[ \t]*endmodule[^\n]*\n", re.DOTALL | re.MULTILINE)
_ONE_LINE = re.compile(_START + r"[^\n]*\bendmodule[ \t]*\n", re.MULTILINE)


def simulation_sources(family: str) -> list[Path]:
    """The files with the family's cell models. They may include others from their own folder.

    Raises
    ------
    KeyError
        For an unknown family.
    """
    ours = OURS[family]
    return [Path(str(resources.files("pyosys"))) / "share" / family / "cells_sim.v", *ours]


def simulation_library(family: str, netlist: str) -> str:
    """One self-contained Verilog text with the models of just the cells that a netlist uses, and of theirs.

    Raises
    ------
    NielloError
        If the netlist uses a memory or arithmetic block that has no model.
    """
    others: list[str] = []
    models: dict[str, str] = {}
    for source in simulation_sources(family):
        text = _included(source)
        for pattern in (_ONE_LINE, _MODULE):
            for match in pattern.finditer(text):
                models.setdefault(match[1], match[0])
            text = pattern.sub("", text)
        others.append("".join(line for line in text.splitlines(keepends=True) if _is_directive(line)))
    used: set[str] = set()
    pending = re.findall(r"^  (\w+)(?: #\(| \S+\s*\()", netlist, re.MULTILINE)
    while pending:
        name = pending.pop()
        if name in models and name not in used:
            used.add(name)
            pending += re.findall(r"\w+", models[name])
    missing = sorted(name for name in used if re.search(r"\(\*\s*blackbox", models[name]))
    if missing:
        raise NielloError(f"no simulation model of {', '.join(missing)} ({family})")
    waivers = "".join(f"/* verilator lint_off {name} */\n" for name in _WAIVERS)
    return waivers + "".join(others) + "".join(models[name] for name in models if name in used)


def _included(source: Path) -> str:
    """A file's text with its includes in their places, each once."""
    seen: set[str] = set()

    def insert(match: re.Match[str]) -> str:
        if match[1] in seen:
            return ""
        seen.add(match[1])
        return re.sub(r'`include "([^"]+)"', insert, source.with_name(match[1]).read_text())

    return re.sub(r'`include "([^"]+)"', insert, source.read_text())


def _is_directive(line: str) -> bool:
    return line.lstrip().startswith(("`define", "`ifdef", "`ifndef", "`else", "`elsif", "`endif", "`undef"))
