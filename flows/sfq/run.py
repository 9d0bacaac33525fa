"""`niello sfq run`: what a pulse netlist does, on the engine of the user's choice."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from flows.errors import BadInput
from flows.paths import shown
from flows.sfq.conditions import Conditions, not_at_rest
from flows.sfq.engine import simulate
from hdl.common.config import ConfigError
from hdl.sfq.cells import ps
from hdl.sfq.netlist import Netlist
from sim.sfq.event_model import NeverAtRest, Run, Violation

ENGINES = ("model", "rtl", "processor")
MODES = ("skip", "tick")


def run_file(
    path: Path, conditions: Conditions, engine: str, mode: str | None = None, port: str | None = None
) -> dict[str, Any]:
    """The pulses at a netlist's outputs, and its violations, times in ps.

    Parameters
    ----------
    mode : of the engine `rtl`: `skip`, which None means, or `tick`
    port : of the engine `processor`: serial port of a board that runs it; None is the Verilated design

    Raises
    ------
    BadInput
        If the file or an option is wrong, or the netlist never comes to rest.
    """
    if engine not in ENGINES:
        raise BadInput(f"--engine must be one of {', '.join(ENGINES)}, not {engine}")
    if mode is not None and mode not in MODES:
        raise BadInput(f"--mode must be one of {', '.join(MODES)}, not {mode}")
    if mode is not None and engine != "rtl":
        raise BadInput(f"--mode is of --engine rtl, not of {engine}")
    if port is not None and engine != "processor":
        raise BadInput(f"--port is of --engine processor, not of {engine}")
    if engine == "rtl":
        return _run_rtl(path, conditions, mode or MODES[0])
    if engine == "processor":
        return _run_processor(path, conditions, port)
    netlist, result, worked = run_model(path, conditions)
    return shown_run(netlist, result.pulses, result.violations) | {"deliveries": result.deliveries, "engine": worked}


def run_model(path: Path, conditions: Conditions) -> tuple[Netlist, Run, str]:
    """The netlist in a file, what the golden model makes of it, and what did it: `python` or `kernel`.

    Raises
    ------
    BadInput
        As `run_file`.
    """
    rules = conditions.rules()
    netlist, stimulus = conditions.read(path)
    try:
        return netlist, *simulate(netlist, stimulus, **rules)
    except NeverAtRest as error:
        raise not_at_rest(path, error) from None


def _run_rtl(path: Path, conditions: Conditions, mode: str) -> dict[str, Any]:
    """In gateware made of the netlist, in Verilator."""
    from flows.sfq.rtl import emulate

    rules = conditions.rules()
    netlist, stimulus = conditions.read(path)
    try:
        found = emulate(netlist, stimulus, mode=mode, **rules)
    except ConfigError as error:
        raise BadInput(f"{shown(path)}: {error}") from None
    more = {"engine": "rtl", "mode": mode, "clocks": found.clocks, "steps": found.steps}
    return shown_run(netlist, found.pulses, found.violations) | more


def _run_processor(path: Path, conditions: Conditions, port: str | None) -> dict[str, Any]:
    """On gateware that takes the netlist as data, in Verilator or on a board."""
    from flows.sfq.processor import run_on_processor

    rules = conditions.rules()
    netlist, stimulus = conditions.read(path)
    try:
        found = run_on_processor(netlist, stimulus, port=port, **rules)
    except ConfigError as error:
        raise BadInput(f"{shown(path)}: {error}") from None
    more = {"engine": "processor", "deliveries": found.deliveries, "cycles": found.cycles}
    return shown_run(netlist, found.pulses, found.violations) | more


def shown_run(netlist: Netlist, pulses: Mapping[str, Sequence[int]], violations: Iterable[Violation]) -> dict[str, Any]:
    """A run as JSON: sizes, pulses at the outputs, violations."""
    return {
        "netlist": netlist.name,
        "cells": len(netlist.instances),
        "jj": netlist.junctions,
        "outputs": {wire: [ps(time) for time in pulses[wire]] for wire in netlist.outputs},
        "violations": [
            {"time_ps": ps(one.time), "inst": one.instance, "cell": one.cell, "pin": one.pin, "rule": one.rule}
            for one in violations
        ],
    }
