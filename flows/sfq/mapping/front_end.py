"""The source as an and-inverter graph: Verilog by Yosys, BLIF by ABC, AIGER as it is."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

from flows.errors import BadInput, ToolError
from flows.paths import shown
from flows.sfq.mapping.aig import Aig, read_aiger
from flows.tools import run_tool

VERILOG = {".v": "read_verilog", ".sv": "read_verilog -sv"}
FORMATS = (*VERILOG, ".blif", ".aig", ".aag")

WORDS = "words.il"
"""What is left of Verilog in the folder: its words and their operators, before they become gates."""

TO_GATES = (
    r"dfflegalize -cell $_DFF_P_ x -mince 999999 -minsrst 999999",
    "simplemap; opt_expr; opt_clean; aigmap; opt_clean",
)

MOST_ANDS = 200_000
"""Beyond that the tools take hours."""

_TIMEOUT_S = 600

_HINTS = (
    (r"is not part of the design", "every module must be in the file; `include` finds files beside it"),
    (r"Module `.*' not found", "--top names a module of the file"),
    (r"D latches", "a latch holds a level, and pulses have none: assign in every branch, or clock it"),
    (r"async set or reset", "pulse registers have no asynchronous reset; take the reset at the clock"),
)


def read_source(path: Path, top: str | None, folder: Path) -> Aig:
    """The graph of a file of Verilog, BLIF or AIGER; `folder` takes what the tools write.

    Raises
    ------
    BadInput
        If the file has what cannot become pulse logic: latches, loops without a register, black boxes, several clocks,
        asynchronous resets; or is none of these formats.
    """
    suffix = path.suffix.lower()
    if suffix not in FORMATS:
        raise BadInput(f"{shown(path)}: must end in one of {' '.join(FORMATS)}, not {suffix or 'nothing'}")
    if not path.is_file():
        raise BadInput(f"{shown(path)}: {'a folder, not a file' if path.is_dir() else 'no such file'}")
    if top is not None and suffix not in VERILOG:
        raise BadInput(f"--top names a module of Verilog; {shown(path)} is {suffix.removeprefix('.').upper()}")
    if suffix in VERILOG:
        source = _verilog(path, top, folder)
    elif suffix == ".blif":
        source = _blif(path, folder).reduced()
    else:
        source = read_aiger(path).reduced()
    if len(source.ands) > MOST_ANDS:
        raise BadInput(f"{shown(path)}: must have at most {MOST_ANDS:,} AND gates, not {len(source.ands):,}")
    return source


def _verilog(path: Path, top: str | None, folder: Path) -> Aig:
    if top is not None and not re.fullmatch(r"[A-Za-z_][\w$]*", top):
        raise BadInput(f"--top must be a module's name, not {top}")
    source = folder / f"source{path.suffix.lower()}"
    shutil.copyfile(path, source)
    (folder / "include").symlink_to(path.resolve().parent)
    script = [
        f"{VERILOG[path.suffix.lower()]} -Iinclude {source.name}",
        f"hierarchy -check {f'-top {top}' if top else '-auto-top'}",
        "proc; flatten; setattr -unset init w:*; opt; memory; opt",
        f"write_rtlil {WORDS}",
        "techmap; opt; setundef -zero; opt",
        "check -assert",
        *TO_GATES,
        "write_json source.json",
        "write_aiger -symbols source.aig",
    ]
    (folder / "source.ys").write_text("\n".join(script) + "\n")
    log = folder / "source.log"
    try:
        run_tool(["yosys", "-s", "source.ys"], cwd=folder, log=log, timeout_s=_TIMEOUT_S)
    except ToolError as error:
        text = log.read_text(errors="replace") if log.exists() else ""
        raise _refused(path, text, error) from None
    module = _top_module(json.loads((folder / "source.json").read_text()))
    clock = _clock(path, module)
    if not any(port["direction"] == "output" for port in module["ports"].values()):
        raise BadInput(f"{shown(path)}: the top has no output")
    return read_aiger(folder / "source.aig").reduced(clock)


def _refused(path: Path, log: str, error: ToolError) -> BadInput:
    """What Yosys found wrong, as a line of ours."""
    errors = re.findall(r"^ERROR: (.*)|^\S+?:(\d+): ERROR: (.*)", log, re.MULTILINE)
    loop = re.search(r"found logic loop in module (\S+?):\s*\n\s*(.*)", log)
    undriven = re.search(r"Warning: (.* (?:used but has no driver|multiple conflicting drivers).*)", log)
    if loop:
        hint = "a loop needs a register in it"
        return BadInput(f"{shown(path)}: gates go round in a loop in module {loop[1]} ({loop[2].strip()})", hint=hint)
    if undriven:
        return BadInput(f"{shown(path)}: {undriven[1].rstrip(':. ')}")
    if not errors:
        return BadInput(f"{shown(path)}: {error.message}")
    plain, number, message = errors[0]
    text = (plain or message).strip()
    advice = next((advice for pattern, advice in _HINTS if re.search(pattern, text)), None)
    return BadInput(f"{shown(path)}{f':{number}' if number else ''}: {text}", hint=advice)


def _top_module(design: Any) -> Any:
    modules = design["modules"]
    return next(one for one in modules.values() if int(one.get("attributes", {}).get("top", "0"), 2))


def _clock(path: Path, module: Any) -> str | None:
    """The input that clocks all registers, None if there are none."""
    cells = module["cells"]
    for name, port in module["ports"].items():
        if port["direction"] == "inout":
            raise BadInput(f"{shown(path)}: port {name} is inout, and a pulse's wire has one direction")
    clocks, others = set[int | str](), set[int | str]()
    for name, cell in cells.items():
        if cell["type"] not in ("$_DFF_P_", "$_AND_", "$_NOT_", "$scopeinfo"):
            raise BadInput(f"{shown(path)}: cell {name} is of {cell['type']}, which is not logic: a black box?")
        for pin, bits in cell["connections"].items():
            (clocks if cell["type"] == "$_DFF_P_" and pin == "C" else others).update(bits)
    others.update(bit for port in module["ports"].values() if port["direction"] == "output" for bit in port["bits"])
    if not clocks:
        return None
    ports = {
        bit: name if len(port["bits"]) == 1 else f"{name}[{index}]"
        for name, port in module["ports"].items()
        if port["direction"] == "input"
        for index, bit in enumerate(port["bits"], port.get("offset", 0))
    }
    if len(clocks) > 1:
        raise BadInput(f"{shown(path)}: registers have {len(clocks)} clocks", hint="one clock, and its rising edge")
    clock = clocks.pop()
    if clock not in ports:
        raise BadInput(f"{shown(path)}: the registers' clock is no input", hint="one clock, and its rising edge")
    if clock in others:
        raise BadInput(f"{shown(path)}: {ports[clock]} is the registers' clock and data, too")
    return ports[clock]


def _blif(path: Path, folder: Path) -> Aig:
    shutil.copyfile(path, folder / "source.blif")
    log, written = folder / "source.log", folder / "source.aig"
    commands = "read_blif source.blif; strash; write_aiger -s source.aig"
    try:
        run_tool(["yosys-abc", "-q", commands], cwd=folder, log=log, timeout_s=_TIMEOUT_S)
    except ToolError as error:
        raise BadInput(f"{shown(path)}: {error.message}") from None
    if not written.exists():
        lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
        raise BadInput(f"{shown(path)}: not BLIF that ABC reads: {lines[0] if lines else 'it says nothing'}")
    return read_aiger(written)
