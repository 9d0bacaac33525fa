"""`niello pim run --engine rtl`: a program on the scheduler's gateware, held to the golden model and the checker."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from flows.errors import NielloError
from flows.pim.scheduler import run_on_scheduler
from hdl.pim.channel_config import ChannelConfig
from hdl.pim.commands import MOST_COUNT, Command, Instruction
from sim.pim.channel_model import Channel
from sim.pim.channel_run import last_cycle
from sim.pim.scheduler_trace import Told, difference
from sim.pim.timing_checker import TimingChecker

WORDS_AN_INSTRUCTION = MOST_COUNT + 64
"""More than an instruction's commands, and the refreshes beside them."""


def figures_of_rtl(config: ChannelConfig, program: Sequence[Instruction]) -> dict[str, Any]:
    """Cycles and commands as the gateware made them.

    Raises
    ------
    NielloError
        If gateware and golden model differ, which is a defect, or a tool fails.
    """
    (told,) = run_on_scheduler(config, [program], WORDS_AN_INSTRUCTION * len(program))
    run = Channel(config).run(program, start=told.start)
    if found := difference(told, run):
        raise NielloError(f"the gateware and the golden model differ: {found}")
    assert run.commands is not None
    if illegal := TimingChecker(config).check(run.commands, run.end):
        raise NielloError(f"the memory would not allow it: {illegal}")
    cycles = cycles_of(config, told)
    issued = Counter(int(one) for one in told.commands["command"])
    return {
        "cycles": cycles,
        "time_ns": round(cycles * config.timing.tCK_ns, 3),
        "instructions": len(program),
        "commands": {one.name: issued[one] for one in Command if issued[one]},
        "refresh": config.refresh,
        "refreshes": issued[Command.REF],
        "model": "equal",
        "checker": "legal",
    }


def cycles_of(config: ChannelConfig, told: Told) -> int:
    """A program's cycles: to the one after EOC's, or to the end of what its commands began."""
    of = {one: told.commands["cycle"][told.commands["command"] == one] for one in Command}
    latest = {one: int(cycles[-1]) for one, cycles in of.items() if len(cycles)}
    return last_cycle(config, told.end, latest) + 2 - told.start
