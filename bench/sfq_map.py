"""`niello sfq map` on benchmark circuits, against the figures of full path balancing that are published for them, and
on adders and multipliers, each with full adders as gates and as whatever is cheaper.

The baseline maps each circuit to the same cells and counts junctions in the same way; its flip-flops are those of
as-soon-as-possible levels with shared chains, and of the retiming program (one phase).
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

from bench.common import one_core, say
from flows.paths import ROOT
from flows.sfq.map import map_file

BASELINE = {
    "c432": {"jj": 11350, "dff_asap": 912},
    "c880": {"jj": 14564, "dff_asap": 1027},
    "c1908": {"jj": 9378, "dff_asap": 649},
    "c6288": {"jj": 55586, "dff_asap": 7409},
}
SAVINGS = {2: 67, 3: 80, 4: 87}
"""Flip-flops that several phases are to save, in percent of those as soon as possible."""

EXAMPLES = ROOT / "hdl/sfq/examples"
ADDER_BITS = (8, 16, 32)

KEPT = ("jj", "t1", "dff", "delays", "depth", "period_ps", "interval_cycles", "equivalent", "wrong_bits", "script")


def measure(circuits: Path, phases: int) -> dict[str, Any]:
    """Every circuit of a folder, the arithmetic examples and plain adders, under a clock of so many phases."""
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="niello-bench-") as name:
        adders = [_adder(bits, Path(name)) for bits in ADDER_BITS]
        for path in [
            *sorted(circuits.glob("*.aig")),
            *adders,
            *(EXAMPLES / f"{one}.v" for one in ("mac4", "dot_lane_int8")),
        ]:
            figures[path.stem] = {kind: _measured(path, phases, kind) for kind in ("gates", "auto")}
    known = {name: figures[name]["gates"] for name in BASELINE if name in figures}
    for name, found in known.items():
        found["jj_less_percent"] = _less(found["jj"], BASELINE[name]["jj"])
        found["dff_less_percent"] = _less(found["dff"], BASELINE[name]["dff_asap"])
    for name, found in figures.items():
        gates, cheapest = found["gates"], found["auto"]
        target = f"at most {BASELINE[name]['jj']}" if name in BASELINE and phases == 1 else "none"
        say(f"{name}, {phases} phases, no T1", gates["jj"], "JJ", target)
        say(f"{name}, {phases} phases, no T1", gates["dff"], "flip-flops", "none")
        cheapest["jj_less_than_gates_percent"] = _less(cheapest["jj"], gates["jj"])
        say(f"{name}, {phases} phases, {cheapest['t1']} T1", cheapest["jj"], "JJ", f"at most {gates['jj']}")
        say(f"{name}, {phases} phases, with T1: fewer JJ", cheapest["jj_less_than_gates_percent"], "percent", "none")
    if known:
        kind, wanted = ("jj", 5) if phases == 1 else ("dff", SAVINGS.get(phases))
        mean = round(sum(found[f"{kind}_less_percent"] for found in known.values()) / len(known), 1)
        say(f"mean, {phases} phases: fewer {kind}", mean, "percent", f"at least {wanted}" if wanted else "none")
        figures["mean"] = {f"{kind}_less_percent": mean}
    return figures


def _measured(path: Path, phases: int, full_adders: str) -> dict[str, Any]:
    start = time.perf_counter()
    with one_core():
        result = map_file(path, phases=phases, full_adders=full_adders)
    return {key: result[key] for key in KEPT} | {"seconds": round(time.perf_counter() - start, 2)}


def _less(count: int, than: int) -> float:
    return round(100 * (1 - count / than), 1)


def _adder(bits: int, folder: Path) -> Path:
    """Verilog of an adder of so many bits."""
    path = folder / f"adder{bits}.v"
    ports = f"input [{bits - 1}:0] a, b, output [{bits}:0] sum"
    path.write_text(f"module adder{bits}({ports});\n  assign sum = a + b;\nendmodule\n")
    return path
