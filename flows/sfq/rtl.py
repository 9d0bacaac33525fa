"""`niello sfq run --engine rtl`: a netlist as gateware, in Verilator."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flows.catalog import BLOCKS
from flows.engines import read_ports, simulation_errors
from flows.errors import BadInput, NielloError
from flows.load import Budgets, Design, Target
from flows.road import Route, results_or_error, travel
from flows.steps import HARNESS_LIBRARY
from flows.store import Result
from hdl.common.registers import load_registers
from hdl.sfq.config import EmulationConfig
from hdl.sfq.emulation_plan import EmulationPlan
from hdl.sfq.netlist import DEFAULT_LIBRARY, Netlist, Stimulus
from hdl.sfq.netlist_json import event_json
from sim.sfq.event_model import Policy, Violation

FIRST_SLOTS, FIRST_TIME_BITS, MOST_TIME_BITS = 64, 32, 64

MOST_CAPTURES = 1 << 20
MOST_IDLE_CLOCKS = 3_000_000
"""Clocks without a capture after which a netlist counts as one that never comes to rest."""


@dataclass(frozen=True)
class Emulated:
    """What came of a run: as `event_model.Run`, at the outputs alone; `clocks` from the first stimulus to the end."""

    pulses: dict[str, list[int]]
    violations: list[Violation]
    clocks: int
    steps: int


def emulate(
    netlist: Netlist, stimulus: Stimulus, *, mode: str, policy: Policy, seed: int, until: int | None
) -> Emulated:
    """Builds the gateware of a netlist, unless it is there, and runs it.

    Parameters
    ----------
    mode : `skip` or `tick`
    policy, seed, until : as of `event_model.run`

    Raises
    ------
    NielloError
        If a tool fails, or the netlist never comes to rest.
    ConfigError
        If there can be no gateware of the netlist.
    """
    params: dict[str, Any] = {
        "netlist": event_json(netlist, {}, DEFAULT_LIBRARY),
        "mode": mode,
        "policy": policy,
        "seed": seed if policy == "randomise" else 0,
        "slots": FIRST_SLOTS,
        "step_ticks": _common_step(netlist, stimulus) if mode == "tick" else 1,
        "time_bits": FIRST_TIME_BITS,
    }
    modulus_bits = EmulationPlan(netlist, params["step_ticks"]).time_modulus_bits
    latest = max([until or 0, *(time for times in stimulus.values() for time in times)])
    while (latest + 1) >> params["time_bits"] or params["time_bits"] <= modulus_bits:
        params["time_bits"] += 16
    while True:
        config = EmulationConfig.parse(params)
        found, overflows = _run(_design(netlist.name, config), config, stimulus, until)
        if not overflows:
            return found
        if overflows["time"] and params["time_bits"] == MOST_TIME_BITS:
            raise BadInput(f"times pass {MOST_TIME_BITS} bits", hint="--until PS stops at a time")
        params["slots"] *= 4 if overflows["slots"] else 1
        params["time_bits"] += 16 if overflows["time"] else 0


def _common_step(netlist: Netlist, stimulus: Stimulus) -> int:
    """The most ticks of which all delays and times are multiples."""
    delays = [
        ticks
        for cell in {id(one.cell): one.cell for one in netlist.instances}.values()
        for reactions in cell.states.values()
        for reaction in reactions.values()
        for ticks in reaction.fires.values()
    ]
    return math.gcd(*delays, *(time for times in stimulus.values() for time in times)) or 1


def _design(name: str, config: EmulationConfig) -> Design:
    plain = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")[:40] or "netlist"
    return Design(f"sfq_run_{plain}", Path(name), BLOCKS["sfq.emulation"], config, Target(), Budgets())


def _run(
    design: Design, config: EmulationConfig, stimulus: Stimulus, until: int | None
) -> tuple[Emulated, dict[str, bool]]:
    """What came of it; and what overflowed, nothing if nothing did."""
    from sim.common.harness import Harness
    from sim.sfq.emulation_beats import pack, unpack

    route = Route.of(design)
    needs = [route.block("harness"), route.block("elaborate")]
    results: Mapping[str, Result] = results_or_error(travel([route], lambda _: needs))
    harness, rtl = (results[need] for need in needs)
    times = sorted({0, *(time for pulses in stimulus.values() for time in pulses)})
    longest = max((after - before for before, after in itertools.pairwise(times)), default=0)
    idle = MOST_IDLE_CLOCKS + (longest // config.step_ticks if config.mode == "tick" else 0)
    registers = load_registers(*config.register_source)
    ports = read_ports(rtl[f"{design.name}.ports.json"])
    try:
        with simulation_errors(), Harness(harness[HARNESS_LIBRARY], ports) as emulation:
            beats = {"stimulus": pack(config, stimulus, until)}
            most, packets = {"capture": MOST_CAPTURES}, {"capture": 1}
            result = emulation.run(beats, most, packets=packets, stall_in=0, stall_out=0, max_idle_cycles=idle)
            status = registers["status"].decode(emulation.read(registers["status"].offset_bytes))
            steps = emulation.read(registers["steps"].offset_bytes)
        captures = result.outputs["capture"]
        if captures.last is None or not captures.last[-1]:
            raise NielloError(f"{design.top}: not at rest after {MOST_CAPTURES:,} captures")
    except NielloError as error:
        raise NielloError(error.message, hint="--until PS stops a netlist that never comes to rest") from None
    overflows = {"slots": bool(status["slot_overflow"]), "time": bool(status["time_overflow"])}
    found = Emulated(*unpack(config, captures), result.cycles, steps)
    return found, overflows if any(overflows.values()) else {}
