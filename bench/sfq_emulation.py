"""What emulated pulse logic takes: look-up tables a cell, the clock that it reaches, clocks for each event time."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from bench.common import made, say
from bench.ecp5 import LFE5U_85F, routed, synthesised
from flows.steps import HARNESS_LIBRARY
from sim.common.harness import Harness
from sim.sfq import emulation_beats
from sim.sfq.event_model import run

DESIGNS = ("bitonic8", "bitonic8_tick", "full_adder", "min_max")
TARGET = "bitonic8"
NETLIST = "netlist-ecp5"
SEEDS = (1, 2, 3)
FREQUENCY_MHZ = 100
"""That place and route aims at."""

PULSES = 200
"""At the inputs of a run, on the average 15 ps apart at each."""


def emulation() -> dict[str, Any]:
    """Of each named design: ECP5 cells (`lut` is LUT4 + 2 CCU2C + 4 TRELLIS_DPR16X4), and clocks against event times.

    Of the sorter in `skip` also the routed clock, out of context, on an LFE5U-85F of speed grade 6.
    """
    figures = {}
    for name in DESIGNS:
        design, (rtl, netlist, library) = made(name, "elaborate", NETLIST, "harness")
        cells = len(design.config.plan.netlist.instances)
        found: dict[str, Any] = {"cells": cells, "mode": design.config.mode}
        found |= {kind: netlist.metrics[kind] for kind in ("lut", "carry", "lutram", "bram", "ff")}
        found["lut_a_cell"] = round(netlist.metrics["lut"] / cells, 2)
        say(f"{name}: LUT4 a cell", found["lut_a_cell"], "", "at most 60" if name == TARGET else "none")
        found |= _clocks(design.config, library[HARNESS_LIBRARY], rtl[f"{name}.ports.json"])
        rate, target = found["clocks"] / found["event_times"], "1" if design.config.mode == "skip" else "none"
        say(f"{name}: clocks an event time", rate, "", target)
        if name == TARGET:
            found["fmax_mhz"] = _routed(rtl[f"{name}.v"], design.top)
            say(f"{name}: routed clock, worst of {len(SEEDS)} seeds", min(found["fmax_mhz"]), "MHz", "at least 80")
        figures[name] = found
    return figures


def _clocks(config: Any, library: Path, ports: Path) -> dict[str, int]:
    """Clocks of a random run, from its first beat taken to its last given, and its distinct event times."""
    rng = np.random.default_rng(1)
    netlist = config.plan.netlist
    each = PULSES // len(netlist.inputs)
    stimulus = {wire: np.cumsum(rng.integers(1, 300, each)).tolist() for wire in netlist.inputs}
    right = run(netlist, stimulus)
    with Harness(library, ports) as harness:
        beats = {"stimulus": emulation_beats.pack(config, stimulus)}
        result = harness.run(beats, {"capture": 1 << 16}, packets={"capture": 1}, stall_in=0, stall_out=0)
    pulses, violations = emulation_beats.unpack(config, result.outputs["capture"])
    if violations != right.violations or any(times != right.pulses[wire] for wire, times in pulses.items()):
        raise SystemExit("the emulation differs from the model")
    times = {time for of_wire in right.pulses.values() for time in of_wire}
    return {"clocks": result.cycles, "event_times": len(times), "violations": len(violations)}


def _routed(verilog: Path, top: str) -> list[float]:
    """MHz by seed."""
    with tempfile.TemporaryDirectory() as folder:
        synthesised(verilog.read_text(), top, Path(folder))
        return [routed(Path(folder), LFE5U_85F, FREQUENCY_MHZ, seed) for seed in SEEDS]
