"""`niello pim run`: a command trace on a channel."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from flows.errors import BadInput, NielloError
from flows.output import check_output, write_output
from flows.paths import shown
from flows.pim.engine import simulate
from flows.pim.profiles import channel_of
from flows.pim.timeline import timeline
from flows.store import disk_errors
from flows.text_files import read_text
from hdl.pim.channel_config import ChannelConfig
from hdl.pim.commands import Command, Instruction
from sim.pim.channel_run import Run
from sim.pim.timing_checker import TimingChecker
from sim.pim.trace import TraceError, read_trace

ENGINES = ("model", "rtl")
REFRESH = {None: None, "on": True, "off": False}
MOST_CHARACTERS = 1 << 27
MOST_COMMANDS = 1 << 24
"""Of a trace, which are held in memory and checked one by one: some minutes' worth."""


def run_file(
    path: Path, profile: str, engine: str = "model", refresh: str | None = None, plot: Path | None = None
) -> dict[str, Any]:
    """A trace's cycles, commands and stalls on a channel that takes one instruction after the other.

    Parameters
    ----------
    profile : a profile's name or YAML file
    refresh : on or off; None: as the profile says
    plot : where a picture of the first commands goes

    Raises
    ------
    BadInput
        If the trace, the profile or an option is wrong.
    NielloError
        If the memory would not allow a command, or gateware and golden model differ.
    """
    if engine not in ENGINES:
        raise BadInput(f"--engine must be one of {', '.join(ENGINES)}, not {engine}")
    if refresh not in REFRESH:
        raise BadInput(f"--refresh must be on or off, not {refresh}")
    if plot:
        check_output(plot, inputs=(path,))
    program = read_program(path)
    config = channel_of(profile, refresh=REFRESH[refresh])
    run = simulate(config, program)
    if engine == "rtl":
        from flows.pim.run_rtl import run_of_rtl

        run = run_of_rtl(config, program, run)
    check(config, run)
    if plot:
        with disk_errors(plot, hint="make room, or name another file"):
            write_output(plot, timeline(path.stem, run, config).encode(errors="replace"))
    return {"trace": path.name, "profile": profile, "engine": engine} | figures(config, program, run)


def read_program(path: Path) -> list[Instruction]:
    """The program of a trace's file.

    Raises
    ------
    BadInput
        Naming the file and the line.
    """
    try:
        program = read_trace(read_text(path, "trace", MOST_CHARACTERS).split("\n"))
    except TraceError as error:
        raise BadInput(f"{shown(path)}: {error}") from None
    commands = sum(one.count for one in program)
    if commands > MOST_COMMANDS:
        many = f"must ask for at most {MOST_COMMANDS:,} commands, not {commands:,}"
        raise BadInput(f"{shown(path)}: {many}", hint="run it in parts, each ended by AiM ISR_EOC")
    return program


def check(config: ChannelConfig, run: Run) -> None:
    """Holds a run from reset against what the memory allows."""
    assert run.commands is not None
    found = TimingChecker(config).check(run.commands, run.end)
    if found:
        raise NielloError(f"the memory would not allow it: {found}")


def figures(config: ChannelConfig, program: list[Instruction], run: Run) -> dict[str, Any]:
    """A legal run as JSON; shares are of 1, and None where there is nothing to share."""
    return {
        "cycles": run.cycles,
        "time_ns": round(run.cycles * config.timing.tCK_ns, 3),
        "instructions": len(program),
        "commands": {one.name: count for one, count in run.issued.items()},
        "row_hit_rate": round(run.row_hits / run.column_commands, 6) if run.column_commands else None,
        "utilisation": round(run.utilisation(config), 6),
        "refresh": config.refresh,
        "refreshes": run.issued.get(Command.REF, 0),
        "stall_cycles": run.counters.stall_cycles,
        "checker": "legal",
    }
