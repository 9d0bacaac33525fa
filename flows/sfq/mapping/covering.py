"""Logic to gates: ABC maps the graph to a library's cells after each of several scripts, in a fixed order."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path

from flows.errors import ToolError
from flows.sfq.mapping.aig import Aig
from flows.sfq.mapping.full_adders import boxed, can_add, with_adders
from flows.sfq.mapping.kit import Kit
from flows.sfq.mapping.network import LogicNetwork, MappedGate, network_of
from flows.tools import run_tool

_DC2 = "balance; dc2; dc2; balance"
_RESYN = "balance; rewrite; refactor; balance; rewrite; rewrite -z; balance; refactor -z; rewrite -z; balance"
_COMPRESS = (
    "balance -l; resub -K 6 -l; rewrite -l; resub -K 6 -N 2 -l; refactor -l; resub -K 8 -l; balance -l;"
    " resub -K 8 -N 2 -l; rewrite -l; resub -K 10 -l; rewrite -z -l; resub -K 10 -N 2 -l; balance -l;"
    " resub -K 12 -l; refactor -z -l; resub -K 12 -N 2 -l; rewrite -z -l; balance -l"
)
_FASTER = "if -g -K 6; strash; dch; if -g -K 6; strash"

SCRIPTS = {
    "dch": "dch; map",
    "dc2 slack": f"{_DC2}; dch; map -B 0.7",
    "compress slack": f"{_COMPRESS}; dch; map -B 0.9",
    "dch slack": "dch; map -B 0.9",
    "resyn": f"{_RESYN}; dch; map",
    "faster2": f"{_FASTER}; {_FASTER}; dch; map",
    "dc2": f"{_DC2}; dch; map",
    "compress area": f"{_COMPRESS}; dch -f; map -a",
    "faster": f"{_FASTER}; dch; map",
    "faster4": f"{_FASTER}; {_FASTER}; {_FASTER}; {_FASTER}; dch; map",
    "resyn slack": f"{_RESYN}; dch; map -B 0.9",
    "resyn amap": f"{_RESYN}; dch; amap -m",
    "syn3 area": "&get -n; &syn3; &put; dch -f; map -a",
    "syn4 amap": "&get -n; &syn4; &put; dch; amap -m",
    "resyn faster": f"{_RESYN}; {_FASTER}; dch; map",
    "faster2 compress": f"{_FASTER}; {_FASTER}; {_COMPRESS}; dch; map -B 0.9",
}
"""From a graph to mapped gates: ways to few gates, or to few stages. Those that won often are first."""

ADDER_SCRIPTS = ("dch", "dc2 slack")
"""Those that are tried where there are full adders, too, which then stay whole."""

FULL_ADDERS = ("auto", "gates", "t1")
"""What those become: whichever is cheaper, gates, or T1 cells wherever there is one."""

MOST_WORK = 9_000
LEAST_SCRIPTS = 3
"""ANDs times scripts: the larger a graph is, the fewer are tried."""

_TIMEOUT_S = 120


def genlib(kit: Kit, stage_junctions: int) -> str:
    """The gates as ABC reads them: an area in junctions, more for the clock of each, and a delay of one stage."""
    lines = [
        f"GATE {name} {gate.cell.junctions + stage_junctions} {gate.output}={gate.formula()};"
        " PIN * UNKNOWN 1 999 1.0 0.0 1.0 0.0"
        for name, gate in kit.gates.items()
    ]
    return "\n".join([*lines, "GATE _const0_ 0 q=CONST0;", "GATE _const1_ 0 q=CONST1;"]) + "\n"


def scripts_for(source: Aig) -> int:
    """How many ways a graph is worth."""
    return min(len(SCRIPTS), max(LEAST_SCRIPTS, MOST_WORK // (len(source.ands) + 1)))


@dataclass(frozen=True)
class Cover:
    """Mapped gates of a graph, or of what is left of it without its full adders.

    Attributes
    ----------
    name : of the way that led to them
    mapped, inputs, outputs : as ABC wrote them
    adders : how many full adders were taken out
    """

    name: str
    mapped: dict[str, MappedGate]
    inputs: list[str]
    outputs: list[str]
    adders: int

    def network(self, whole: Collection[int], source: Aig, kit: Kit) -> LogicNetwork:
        """The network in which the full adders of these numbers are cells, and the others gates."""
        parts = with_adders(self.mapped, self.inputs, self.outputs, self.adders, kit, whole)
        return network_of(*parts, source, kit)


@dataclass(frozen=True)
class _Way:
    """A script, on a graph in a file, from which so many full adders were taken out."""

    script: str
    graph: str = "core"
    adders: int = 0

    @property
    def name(self) -> str:
        return self.script if self.graph == "core" else f"{self.graph} {self.script}"


def covered(source: Aig, ripple: Aig | None, kit: Kit, folder: Path, scripts: int, full_adders: str) -> Iterator[Cover]:
    """What so many ways lead to, in order; those that ABC cannot do are left out.

    Parameters
    ----------
    ripple : the same logic with more full adders in it, for T1 cells
    full_adders : one of FULL_ADDERS

    Raises
    ------
    ToolError
        If ABC can do none.
    """
    (folder / "kit.genlib").write_text(genlib(kit, kit.splitter.junctions))
    (folder / "core.aig").write_bytes(source.core())
    cells = full_adders != "gates" and kit.full_adder is not None
    ways = [_Way(script) for script in SCRIPTS]
    among = _among("adders", source, folder) if cells or can_add(kit) else []
    rippling = _among("ripple", ripple, folder) if cells and ripple else []
    if full_adders == "t1" and (among or rippling):
        ways = [*rippling, *among][:scripts]
    else:
        ways = [ways[0], *among, *ways[1:]][:scripts] + rippling[: scripts - 1]
    problem: ToolError | None = None
    found = False
    with ThreadPoolExecutor(max_workers=2) as pool:
        for way, result in zip(ways, pool.map(_run, ways, repeat(folder)), strict=True):
            if isinstance(result, ToolError):
                problem = result
            else:
                found = True
                yield Cover(way.name, *read_mapped(result, kit), way.adders)
    if not found:
        raise problem or ToolError("yosys-abc", "mapped nothing")


def _among(name: str, aig: Aig, folder: Path) -> list[_Way]:
    """The ways to map a graph around its full adders; none if it has none."""
    boxes = boxed(aig)
    if boxes is None:
        return []
    (folder / f"{name}.aig").write_bytes(boxes.rest.core())
    return [_Way(script, name, boxes.count) for script in ADDER_SCRIPTS]


def _run(way: _Way, folder: Path) -> str | ToolError:
    """The mapped BLIF, or why there is none."""
    stem = way.name.replace(" ", "_")
    log, written = folder / f"{stem}.log", folder / f"{stem}.blif"
    commands = (
        f"read_genlib kit.genlib; read_aiger {way.graph}.aig; strash; {SCRIPTS[way.script]}; write_blif {written.name}"
    )
    try:
        run_tool(["yosys-abc", "-q", commands], cwd=folder, log=log, timeout_s=_TIMEOUT_S)
    except ToolError as error:
        return error
    return written.read_text() if written.exists() else ToolError("yosys-abc", f"no result of {way.name}", log)


def read_mapped(text: str, kit: Kit) -> tuple[dict[str, MappedGate], list[str], list[str]]:
    """What BLIF of mapped gates says: gates by the signal driven, inputs, outputs."""
    mapped: dict[str, MappedGate] = {}
    inputs, outputs = list[str](), list[str]()
    for line in re.sub(r"\\\n", " ", text).splitlines():
        match line.split():
            case [".inputs", *names]:
                inputs += names
            case [".outputs", *names]:
                outputs += names
            case [".gate", "_const0_" | "_const1_" as cell, pin]:
                mapped[pin.partition("=")[2]] = (cell.strip("_").removeprefix("const"), ())
            case [".gate", cell, *pins]:
                wires = dict(pin.split("=", 1) for pin in pins)
                gate = kit.gates[cell]
                mapped[wires[gate.output]] = (cell, tuple(wires[pin] for pin in gate.inputs))
            case [".barbuf", operand, result]:
                mapped[result] = ("=", (operand,))
    return mapped, inputs, outputs
