"""`niello sfq run`: what a pulse netlist does."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from flows.errors import BadInput
from flows.paths import shown
from flows.sfq.netlists import read_netlist
from hdl.common.config import ConfigError
from hdl.sfq.cells import ps, ticks
from hdl.sfq.netlist import Netlist
from sim.sfq.event_model import POLICIES, NeverAtRest, Policy, Run, run

MOST_SEED = 0xFFFF

ENGINES = ("model",)


@dataclass(frozen=True)
class Conditions:
    """What a run is asked for beside its netlist: options of the command line, as the user wrote them."""

    policy: str = "flag"
    seed: int = 0
    until_ps: float | None = None
    library: str | None = None
    inputs: Path | None = None


def run_file(path: Path, conditions: Conditions, engine: str) -> dict[str, Any]:
    """The pulses at a netlist's outputs, and its violations, times in ps.

    Raises
    ------
    BadInput
        If the file or an option is wrong, or the netlist never comes to rest.
    """
    if engine not in ENGINES:
        raise BadInput(f"--engine must be one of {', '.join(ENGINES)}, not {engine}")
    netlist, result = run_model(path, conditions)
    return {"netlist": netlist.name, **shown_result(netlist, result)}


def run_model(path: Path, conditions: Conditions) -> tuple[Netlist, Run]:
    """The netlist in a file, and what the golden model makes of it.

    Raises
    ------
    BadInput
        As `run_file`.
    """
    policy, seed, until_ps = conditions.policy, conditions.seed, conditions.until_ps
    if policy not in POLICIES:
        raise BadInput(f"--policy must be one of {', '.join(POLICIES)}, not {policy}")
    if not 0 <= seed <= MOST_SEED:
        raise BadInput(f"--seed must be in 0..{MOST_SEED}, not {seed}")
    try:
        until = None if until_ps is None else ticks(until_ps, "--until")
    except ConfigError as error:
        raise BadInput(str(error)) from None
    if until is not None and until < 0:
        raise BadInput(f"--until must be at least 0, not {until_ps:g}")
    netlist, stimulus = read_netlist(path, conditions.library, conditions.inputs)
    try:
        return netlist, run(netlist, stimulus, policy=cast("Policy", policy), seed=seed, until=until)
    except NeverAtRest as error:
        raise BadInput(f"{shown(path)}: {error}", hint="--until PS stops it at a time") from None


def shown_result(netlist: Netlist, result: Run) -> dict[str, Any]:
    """A run as JSON: pulses at the outputs, violations, sizes."""
    violations = [
        {"time_ps": ps(one.time), "inst": one.instance, "cell": one.cell, "pin": one.pin, "rule": one.rule}
        for one in result.violations
    ]
    return {
        "outputs": {wire: [ps(time) for time in result.pulses[wire]] for wire in netlist.outputs},
        "violations": violations,
        "cells": len(netlist.instances),
        "jj": netlist.junctions,
        "deliveries": result.deliveries,
    }
