"""`niello sfq run`: pulse netlists in event JSON."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

from flows.errors import BadInput
from flows.paths import shown
from flows.text_files import read_json
from hdl.common.config import ConfigError
from hdl.sfq.cells import ps, ticks
from hdl.sfq.netlist import parse_event_json
from sim.sfq.event_model import POLICIES, NeverAtRest, Policy, run

MOST_CHARACTERS = 1 << 28
"""Of a netlist's file."""

MOST_SEED = 0xFFFF

ENGINES = ("model",)


def run_file(path: Path, policy: str, seed: int, until_ps: float | None, engine: str) -> dict[str, Any]:
    """The pulses at a netlist's outputs, and its violations, times in ps.

    Raises
    ------
    BadInput
        If the file or an option is wrong, or the netlist never comes to rest.
    """
    if engine not in ENGINES:
        raise BadInput(f"--engine must be one of {', '.join(ENGINES)}, not {engine}")
    if policy not in POLICIES:
        raise BadInput(f"--policy must be one of {', '.join(POLICIES)}, not {policy}")
    if not 0 <= seed <= MOST_SEED:
        raise BadInput(f"--seed must be in 0..{MOST_SEED}, not {seed}")
    document = read_json(path, MOST_CHARACTERS)
    try:
        netlist, stimulus = parse_event_json(document, path.stem)
    except ConfigError as error:
        raise BadInput(f"{shown(path)}: {error}") from None
    try:
        until = None if until_ps is None else ticks(until_ps, "--until")
        result = run(netlist, stimulus, policy=cast("Policy", policy), seed=seed, until=until)
    except ConfigError as error:
        raise BadInput(str(error)) from None
    except NeverAtRest as error:
        raise BadInput(f"{shown(path)}: {error}", hint="--until PS stops it at a time") from None
    violations = [
        {"time_ps": ps(one.time), "inst": one.instance, "cell": one.cell, "pin": one.pin, "rule": one.rule}
        for one in result.violations
    ]
    return {
        "netlist": netlist.name,
        "outputs": {wire: [ps(time) for time in result.pulses[wire]] for wire in netlist.outputs},
        "violations": violations,
        "cells": len(netlist.instances),
        "jj": netlist.junctions,
        "deliveries": result.deliveries,
    }
