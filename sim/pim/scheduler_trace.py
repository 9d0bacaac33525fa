"""Programs to a scheduler in gateware, and what it told of them, as the golden model's runs have it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hdl.pim.commands import Command, Instruction, encode_program
from hdl.pim.scheduler_words import FIELDS, STALLS
from sim.common.beats import Beats
from sim.common.harness import Harness
from sim.pim.channel_run import COMMAND, Commands, Counters, Run

MOST_WORDS = 1 << 16
"""Of a program, where nobody says otherwise."""

MOST_IDLE_CYCLES = 1 << 16

USED = {
    "bank": {Command.ACT, Command.ACTG, Command.PRE, Command.RD, Command.WR, Command.MACB},
    "row": {Command.ACT, Command.ACTG, Command.RD, Command.WR, Command.MACB, Command.MAC},
    "col": {Command.RD, Command.WR, Command.MACB, Command.MAC, Command.WRGB},
    "buf": {Command.ACTG, Command.PREA, Command.MAC},
}
"""The commands that a field belongs to; of others it is 0 here."""

COMPARED = ("cycle", "command", *USED)


@dataclass(frozen=True)
class Told:
    """A program as the gateware ran it: its first cycle and that of its EOC, both from reset; its commands, without
    `index`; the cycles in which instructions were skipped for being illegal; row misses, and stalls by cause."""

    start: int
    end: int
    commands: Commands
    illegal: npt.NDArray[np.int64]
    counters: Counters


def run_programs(
    harness: Harness,
    programs: Sequence[Sequence[Instruction]],
    *,
    most_words: int = MOST_WORDS,
    stall: float = 0,
    seed: int = 0,
) -> list[Told]:
    """What a scheduler did with programs one after the other, each ended by EOC, from its reset on.

    Parameters
    ----------
    most_words : of a program
    stall, seed : share of the cycles in which instructions are withheld, and which

    Raises
    ------
    HarnessError
        If it hangs.
    """
    words = np.concatenate([encode_program(program) for program in programs])
    harness.reset()
    taken = harness.run(
        {"program": Beats(words.view(np.uint8).reshape(-1, 8))},
        {"trace": most_words * len(programs)},
        stall_in=stall,
        stall_out=0,
        seed=seed,
        max_idle_cycles=MOST_IDLE_CYCLES,
        drain_cycles=0,
        packets={"trace": len(programs)},
    ).outputs["trace"]
    told = _fields(np.ascontiguousarray(taken.data).view("<u8")[:, 0])
    assert taken.last is not None
    ends = np.flatnonzero(taken.last) + 1
    starts = [0, *ends[:-1]]
    return [_told({name: one[low:high] for name, one in told.items()}) for low, high in zip(starts, ends, strict=True)]


def _fields(words: npt.NDArray[np.uint64]) -> dict[str, npt.NDArray[np.int64]]:
    found, place = {}, 0
    for name, bits in FIELDS.items():
        found[name] = (words >> np.uint64(place) & np.uint64((1 << bits) - 1)).astype(np.int64)
        place += bits
    return found


def _told(fields: dict[str, npt.NDArray[np.int64]]) -> Told:
    there = fields["command"] != Command.NOP
    commands = np.zeros(int(there.sum()), COMMAND)
    commands["index"] = -1
    for name in ("cycle", "command", *USED):
        commands[name] = fields[name][there]
    for name, ops in USED.items():
        commands[name] *= np.isin(commands["command"], [int(one) for one in ops])
    start, end = (int(fields["cycle"][fields[name] == 1][0]) for name in ("start", "end"))
    # What a word says of a cycle without a command holds until the next word; the last is that of EOC's cycle.
    lasts = np.diff(fields["cycle"], append=end + 1)
    stalls = np.bincount(fields["bank"][~there], weights=lasts[~there], minlength=len(STALLS)).astype(int).tolist()
    counters = Counters(int(fields["miss"].sum()), dict(zip(STALLS, stalls, strict=True)))
    return Told(start, end, commands, fields["cycle"][fields["illegal"] == 1], counters)


def difference(told: Told, run: Run) -> str | None:
    """The first thing in which the gateware's run and the model's differ, in a line; None if they are equal.

    `run` has all its commands; those before its start, which belong to no program, are left out.
    """
    assert run.commands is not None
    right = run.commands[run.commands["cycle"] >= run.start]
    for place in range(min(len(right), len(told.commands))):
        got, wanted = ([int(one[name]) for name in COMPARED] for one in (told.commands[place], right[place]))
        if got != wanted:
            return f"command {place}: {_shown(got)}, in the model {_shown(wanted)}"
    if len(right) != len(told.commands):
        return f"{len(told.commands)} commands, in the model {len(right)}"
    if (told.end, len(told.illegal)) != (run.end, len(run.skipped)):
        return f"EOC in cycle {told.end} after {len(told.illegal)} skipped, in the model {run.end}, {len(run.skipped)}"
    if told.counters != run.counters:
        return f"{told.counters}, in the model {run.counters}"
    return None


def _shown(values: list[int]) -> str:
    return " ".join([str(values[0]), Command(values[1]).name, *map(str, values[2:])])
