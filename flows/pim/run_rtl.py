"""`niello pim run --engine rtl`: a program on the scheduler's gateware, held to the golden model and the checker."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from flows.errors import NielloError
from flows.pim.scheduler import run_on_scheduler
from hdl.pim.channel_config import ChannelConfig
from hdl.pim.commands import Command, Instruction
from sim.pim.channel_run import Run, last_cycle
from sim.pim.scheduler_trace import Told, difference

WORDS_MORE = 1024
"""Of a program, beyond the model's commands with a stall before each: room to differ in, which is told then."""


def run_of_rtl(config: ChannelConfig, program: Sequence[Instruction], run: Run) -> Run:
    """The run as the gateware made it, from its commands, cycles and stalls.

    Parameters
    ----------
    run : the golden model's, which begins where the gateware's first program does

    Raises
    ------
    NielloError
        If gateware and golden model differ, which is a defect, or a tool fails.
    """
    words = 2 * (sum(run.issued.values()) + len(program)) + WORDS_MORE
    (told,) = run_on_scheduler(config, [program], words)
    if told.start != run.start:
        raise NielloError(f"the gateware begins in cycle {told.start}, the golden model in {run.start}")
    if found := difference(told, run):
        raise NielloError(f"the gateware and the golden model differ: {found}")
    issued = Counter(told.commands["command"].tolist())
    return Run(
        cycles=cycles_of(config, told),
        start=told.start,
        end=told.end,
        issued={one: issued[one] for one in Command if issued[one]},
        counters=told.counters,
        skipped=run.skipped,
        commands=run.commands,  # the same; of the gateware's nobody knows the instruction
    )


def cycles_of(config: ChannelConfig, told: Told) -> int:
    """A program's cycles: to the one after EOC's, or to the end of what its commands began."""
    of = {one: told.commands["cycle"][told.commands["command"] == one] for one in Command}
    latest = {one: int(cycles[-1]) for one, cycles in of.items() if len(cycles)}
    return last_cycle(config, told.end, latest) + 2 - told.start
