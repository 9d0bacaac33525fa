"""`niello sfq map` on benchmark circuits, against the figures of full path balancing that are published for them.

The baseline maps each circuit to the same cells and counts junctions in the same way; its flip-flops are those of
as-soon-as-possible levels with shared chains, and of the retiming program (one phase).
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from bench.common import one_core, say
from flows.sfq.map import map_file

BASELINE = {
    "c432": {"jj": 11350, "dff_asap": 912},
    "c880": {"jj": 14564, "dff_asap": 1027},
    "c1908": {"jj": 9378, "dff_asap": 649},
    "c6288": {"jj": 55586, "dff_asap": 7409},
}
SAVINGS = {2: 67, 3: 80, 4: 87}
"""Flip-flops that several phases are to save, in percent of those as soon as possible."""

KEPT = ("jj", "gates", "dff", "splitters", "depth", "equivalent", "period_ps", "simulated_waves", "wrong_bits")


def measure(circuits: Path, phases: int) -> dict[str, Any]:
    """Every circuit of a folder under a clock of so many phases."""
    figures: dict[str, Any] = {}
    for path in sorted(circuits.glob("*.aig")):
        start = time.perf_counter()
        with one_core():
            result = map_file(path, phases=phases)
        seconds = round(time.perf_counter() - start, 2)
        found = {key: result[key] for key in KEPT} | {"seconds": seconds}
        baseline = BASELINE.get(path.stem)
        if baseline:
            found["jj_less_percent"] = round(100 * (1 - found["jj"] / baseline["jj"]), 1)
            found["dff_less_percent"] = round(100 * (1 - found["dff"] / baseline["dff_asap"]), 1)
        target = f"at most {baseline['jj']}" if baseline and phases == 1 else "none"
        say(f"{path.stem}, {phases} phases", found["jj"], "JJ", target)
        say(f"{path.stem}, {phases} phases", found["dff"], "flip-flops", "none")
        figures[path.stem] = found
    known = [found for name, found in figures.items() if name in BASELINE]
    if known:
        kind, target = ("jj", 5) if phases == 1 else ("dff", SAVINGS.get(phases))
        mean = round(sum(found[f"{kind}_less_percent"] for found in known) / len(known), 1)
        say(f"mean, {phases} phases: fewer {kind}", mean, "percent", f"at least {target}" if target else "none")
        figures["mean"] = {f"{kind}_less_percent": mean}
    return figures
