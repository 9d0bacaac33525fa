"""`niello sfq map`: logic to a verified netlist of pulse cells."""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from flows.errors import BadInput, NielloError
from flows.output import check_output, write_output
from flows.paths import shown
from flows.sfq.mapping.aig import Aig
from flows.sfq.mapping.assembly import Mapped, assembled
from flows.sfq.mapping.checks import Simulation, carry_of, equivalent, logic_of, simulated
from flows.sfq.mapping.choice import chosen, in_time
from flows.sfq.mapping.covering import FULL_ADDERS, SCRIPTS, scripts_for
from flows.sfq.mapping.front_end import read_source
from flows.sfq.mapping.kit import kit_of
from flows.sfq.mapping.network import ONE, ZERO, LogicNetwork, Operand
from flows.store import disk_errors
from hdl.sfq.cells import TICKS_PER_PS, ps
from hdl.sfq.netlist import DEFAULT_LIBRARY
from hdl.sfq.netlist_json import event_json
from sim.sfq.decks import JTL_BIAS, JTL_UA
from sim.sfq.event_model import MOST_DELIVERIES, NeverAtRest

MOST_PHASES = 8
MOST_WAVES = 4096
MOST_SLACK_PERCENT = 100

PULSES = 400_000
"""Pulses at cells that the check by simulation takes, at most, where its waves are not given."""

LEAST_WAVES, USUAL_WAVES = 4, 64
"""Of that check, whatever they take."""

SEED = 1


def map_file(
    path: Path,
    *,
    top: str | None = None,
    phases: int = 1,
    library: str = DEFAULT_LIBRARY,
    scripts: int | None = None,
    waves: int | None = None,
    full_adders: str = "auto",
    slack_percent: int = 0,
    out: Path | None = None,
) -> dict[str, Any]:
    """Maps a file of Verilog, BLIF or AIGER, checks the netlist against it, and writes it.

    `jj` counts the cells, and a splitter for every clocked cell but one: one tree for all. With several phases, each
    with a tree of its own, `netlist_jj` is that much less. `slack_percent` of the fastest clock's period is time that
    every pulse has to spare.

    Raises
    ------
    BadInput
        If the source or an option is wrong.
    NielloError
        If the netlist is not what the source is; nothing is written then.
    """
    if not 1 <= phases <= MOST_PHASES:
        raise BadInput(f"--phases must be in 1..{MOST_PHASES}, not {phases}")
    if scripts is not None and not 1 <= scripts <= len(SCRIPTS):
        raise BadInput(f"--scripts must be in 1..{len(SCRIPTS)}, not {scripts}")
    if waves is not None and not 1 <= waves <= MOST_WAVES:
        raise BadInput(f"--waves must be in 1..{MOST_WAVES}, not {waves}")
    if full_adders not in FULL_ADDERS:
        raise BadInput(f"--full-adders must be one of {', '.join(FULL_ADDERS)}, not {full_adders}")
    if not 0 <= slack_percent <= MOST_SLACK_PERCENT:
        raise BadInput(f"--slack-percent must be in 0..{MOST_SLACK_PERCENT}, not {slack_percent}")
    if out is not None:
        check_output(out, inputs=(path,))
    kit = kit_of(library)
    if full_adders == "t1" and kit.full_adder is None:
        raise BadInput(f"--full-adders t1: {library} has no T1 cell, or no merger")
    with tempfile.TemporaryDirectory(prefix="niello-map-") as name:
        folder = Path(name)
        source = read_source(path, top, folder)
        choice = chosen(source, kit, phases, folder, scripts or scripts_for(source), full_adders)
        slack = -(-choice.timing.step * phases * slack_percent // 100)
        if slack:
            kit = kit.slackened(slack)
            choice = in_time(choice.candidate, kit, phases)
        best, pipeline, timing = choice.candidate, choice.pipeline, choice.timing
        mapped = assembled(top or path.stem, source.inputs, source.outputs, pipeline, timing, kit)
        logic = logic_of(mapped)
        same = equivalent(logic, source, _registers(best.network, source), folder)
    cells = len(mapped.stages)
    try:
        simulation = simulated(mapped, source, source.inputs, _waves(mapped) if waves is None else waves, SEED)
    except NeverAtRest as error:
        raise BadInput(f"--waves {waves} are too many: {error}") from None
    if not same or simulation.wrong or simulation.violations:
        raise NielloError(
            f"{shown(path)}: the netlist is not what the source is: equivalent {same}, wrong bits {simulation.wrong},"
            f" pulses that come too soon {simulation.violations}"
        )
    counts = Counter(one.cell.name for one in mapped.netlist.instances)
    delays = sum(timing.delays.values())
    clock_splitters = max(cells - 1, 0)
    biases = [one.cell.bias_ua for one in mapped.netlist.instances]
    if out is not None:
        with disk_errors(out, hint="make room, or name another file with -o"):
            write_output(out, _document(mapped, simulation, library).encode())
    return {
        "circuit": mapped.netlist.name,
        "jj": choice.junctions,
        "gates": len(best.network.gates),
        "t1": len(pipeline.adders),
        "dff": best.flip_flops,
        "splitters": best.network.splitters,
        "clock_splitters": clock_splitters,
        "delays": delays,
        "depth": mapped.depth,
        "phases": phases,
        "equivalent": same,
        "simulated_waves": simulation.count,
        "wrong_bits": simulation.wrong if simulation.count else None,
        "violations": simulation.violations if simulation.count else None,
        "latency_cycles": -(-mapped.depth // phases),
        "interval_cycles": mapped.interval,
        "period_ps": ps(mapped.period),
        "slack_ps": ps(slack),
        "clock_ghz": round(1000 * TICKS_PER_PS / mapped.period, 2) if mapped.period else None,
        "bias_ma": round(sum(b for b in biases if b is not None) / 1000, 3) if None not in biases else None,
        "bias_ma_modelled": round(mapped.netlist.junctions * JTL_BIAS * JTL_UA / 1000, 3),
        "netlist_jj": mapped.netlist.junctions,
        "cells": dict(sorted(counts.items())),
        "script": best.script,
        "netlist": str(out) if out else None,
    }


def _registers(network: LogicNetwork, source: Aig) -> list[Operand | int | None]:
    """What each register of the source is in the netlist."""
    known: dict[str, str | int] = {signal: f"u_{signal}" for signal in network.gates}
    known |= {carry: carry_of(f"u_{adder}") for carry, adder in network.carries.items()}
    known |= zip(network.inputs, source.inputs, strict=True)
    known |= {ONE: 1, ZERO: 0}
    found = [(known.get(one.signal), one.waves) for one in network.registers]
    return [Operand(signal, waves) if isinstance(signal, str) else signal for signal, waves in found]


def _waves(mapped: Mapped) -> int:
    """How many waves the check by simulation takes: some, or none where the model would not come to an end."""
    pins, before = len(mapped.netlist.receivers()), mapped.depth // mapped.phases + 1
    waves = max(LEAST_WAVES, min(USUAL_WAVES, PULSES // (pins + 1) // mapped.interval - before))
    return waves if ((waves - 1) * mapped.interval + before) * pins <= MOST_DELIVERIES else 0


def _document(mapped: Mapped, simulation: Simulation, library: str) -> str:
    """Event JSON, with what it takes to drive the netlist; the pulses are those of the check by simulation."""
    document = event_json(mapped.netlist, simulation.stimulus, library)
    document |= {
        "phases": mapped.phases,
        "period_ps": ps(mapped.period),
        "clocks": {wire: {"phase": one.phase, "first_ps": ps(one.first)} for wire, one in mapped.clocks.items()},
        "interval_cycles": mapped.interval,
        "depth": mapped.depth,
        "latency_cycles": -(-mapped.depth // mapped.phases),
        "inputs_at_ps": ps(mapped.inputs_at),
        "outputs_at_ps": {wire: ps(time) for wire, time in mapped.outputs_at.items()},
        "waves": {wire: list(bits) for wire, bits in simulation.waves.items()},
        "stages": mapped.stages,
    }
    return json.dumps(document) + "\n"
