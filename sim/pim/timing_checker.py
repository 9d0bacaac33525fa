"""Is a list of commands one that the memory allows? Judged by their times alone, by a hand of its own.

Times come from the profile's document, read here anew; limits are those of the memory: row limits bind each bank by
itself, also where one command works on many. What the controller does besides (its order, its queues) is not looked at.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from hdl.pim.channel_config import ChannelConfig
from hdl.pim.commands import Command
from hdl.pim.timing import profile_document
from sim.pim.channel_run import Commands

C = Command

LONG_AGO = -(1 << 40)
MOST_OWED = 8

READS, WRITES = (C.RD, C.RDMAC), (C.WR, C.WRGB, C.WRMAC)
MACS = (C.MAC, C.MACB)
OPENING, CLOSING = (C.ACT, C.ACTG), (C.PRE, C.PREA)
REGISTER_SIDE = (C.WRGB, C.WRMAC, C.RDMAC)
BANK_SIDE = (C.RD, C.WR, *MACS, *OPENING, *CLOSING)


@dataclass(frozen=True)
class Violation:
    """What is wrong first: the rule that broke, and when."""

    cycle: int
    command: str
    rule: str
    why: str

    def __str__(self) -> str:
        return f"cycle {self.cycle}, {self.command}: {self.rule}: {self.why}"


@dataclass(frozen=True)
class Limit:
    """`next` at least `cycles` after any of `previous`: on the same bank of the same row buffer, or anywhere."""

    rule: str
    previous: tuple[Command, ...]
    next: tuple[Command, ...]
    cycles: int
    same_bank: bool = False


Banks = tuple[int, slice]
"""A row buffer, and the banks in it that a command works on."""


def _count(touched: list[Banks]) -> int:
    return sum(banks.stop - banks.start for _, banks in touched)


def read_times(profile: str | dict[str, Any]) -> dict[str, int]:
    """Times of a profile in cycles, rounded up, by their names without a unit."""
    document = profile_document(profile)
    written: dict[str, tuple[str, Any]] = {}
    for source in (profile_document(document["base"]) if "base" in document else {}, document):
        for name, value in source.items():
            quantity, _, unit = name.rpartition("_")
            written[quantity] = unit, value
    clock_ns = Fraction(str(written.pop("tCK")[1]))
    times = {}
    for quantity, (unit, value) in written.items():
        if unit == "cycles":
            times[quantity] = value
        elif unit == "ns":
            cycles = Fraction(str(value)) / clock_ns
            times[quantity] = -(-cycles.numerator // cycles.denominator)
    return times


def limits_of(t: dict[str, int], config: ChannelConfig) -> list[Limit]:
    """What a memory asks of two commands."""
    data_after = {
        **{C.RD: t["tCL"], C.RDMAC: t["tCLREG"]},
        **{C.WR: t["tCWL"], C.WRGB: t["tCWLGB"], C.WRMAC: t["tCWLREG"]},
    }
    data_end = {one: latency + t["tBL"] for one, latency in data_after.items()}
    limits = [
        Limit("tBL", READS, READS, t["tBL"]),
        Limit("tBL", WRITES, WRITES, t["tBL"]),
        Limit("tCCD", READS, READS, t["tCCD"]),
        Limit("tCCD", WRITES, WRITES, t["tCCD"]),
        Limit("tCCD", MACS, MACS, t["tCCD"]),
        Limit("tCCD", (C.RD,), MACS, t["tCCD"]),
        Limit("tCCD", MACS, (C.RD,), t["tCCD"]),
        Limit("result beats", (C.RDMAC,), READS, config.result_beats),
        Limit("bias beats", WRITES, (C.WRMAC,), config.bias_beats),
        Limit("tWTR", (C.WR,), (*READS, *MACS), data_end[C.WR] + t["tWTR"]),
        Limit("tWTR", (C.WRMAC,), READS, data_end[C.WRMAC] + t["tWTR"]),
        Limit("tWTRS", (C.WRGB,), READS, data_end[C.WRGB] + t["tWTRS"]),
        Limit("tRRD", OPENING, OPENING, t["tRRD"]),
        Limit("tRFC", (C.REF,), (*OPENING, C.REF), t["tRFC"]),
        Limit("tRC", OPENING, OPENING, t["tRC"], same_bank=True),
        Limit("tRC", OPENING, (C.REF,), t["tRC"], same_bank=True),
        Limit("tRAS", OPENING, CLOSING, t["tRAS"], same_bank=True),
        Limit("tRCDMAC", OPENING, MACS, t["tRCDMAC"], same_bank=True),
        Limit("tRCDRD", OPENING, (C.RD,), t["tRCDRD"], same_bank=True),
        Limit("tRCDWR", OPENING, (C.WR,), t["tRCDWR"], same_bank=True),
        Limit("tRTP", (C.RD, *MACS), CLOSING, t["tRTP"], same_bank=True),
        Limit("tWR", (C.WR,), CLOSING, data_end[C.WR] + t["tWR"], same_bank=True),
        Limit("tRP", CLOSING, (*OPENING, C.REF), t["tRP"], same_bank=True),
        Limit("tRP", (C.PREA,), CLOSING, t["tRP"], same_bank=True),
        Limit("tRP", (C.PRE,), (C.PREA,), t["tRP"], same_bank=True),
    ]
    for one in READS:
        limits += [Limit("tRTW", (one,), (to,), data_end[one] + 3 + t["tWPRE"] - data_after[to]) for to in WRITES]
    every = tuple(one for one in Command if one != C.NOP)
    if not config.overlap:
        limits.append(Limit("tCCD", (C.RDMAC,), MACS, t["tCCD"]))
        limits.append(Limit("tCCD", MACS, (C.RDMAC,), t["tCCD"]))
        limits.append(Limit("answer", (C.RDMAC,), every, data_end[C.RDMAC] + 1))
    if t["mode_switch"]:
        limits.append(Limit("mode switch", (C.TMOD,), every, t["mode_switch"]))
    return limits


class TimingChecker:
    """Looks at a channel's commands from reset on; `check` may be called with one list after the other."""

    def __init__(self, config: ChannelConfig):
        self.config = config
        self.times = read_times(config.profile)
        limits = limits_of(self.times, config)
        self.limits = {one: [limit for limit in limits if one in limit.next] for one in Command}
        self.anywhere = dict.fromkeys(Command, LONG_AGO)
        """The latest of each command."""
        self.at_bank = {
            one: [[LONG_AGO] * config.banks for _ in range(config.row_buffers)]
            for one in (C.RD, C.WR, *MACS, *OPENING, *CLOSING)
        }
        """The latest that worked on a bank, by command, buffer and bank."""
        self.open: list[list[int | None]] = [[None] * config.banks for _ in range(config.row_buffers)]
        self.activated: list[int] = []
        """Cycles of single activations, the latest few; a single shot is none."""
        self.register_side = False
        self.refreshes = self.last_refresh = self.last_cycle = 0

    def check(self, commands: Commands, until: int | None = None) -> Violation | None:
        """The first violation in commands that follow those checked before, or None.

        Parameters
        ----------
        commands : (n,) of `channel_run.COMMAND`, cycles from reset
        until : the last cycle that was looked at, in which a refresh may be late; default: that of the last command
        """
        for cycle, code, bank, row, _, buf, _ in commands.tolist():
            command = Command(code)
            touched = self._touched(command, bank, buf)
            for found in self._judge(cycle, command, touched, row):
                return Violation(cycle, command.name, *found)
            self._note(cycle, command, touched, row)
        if until is not None and self.config.refresh:
            for found in self._late(until):
                return Violation(until, "no command", *found)
        return None

    def _touched(self, command: Command, bank: int, buf: int) -> list[Banks]:
        count = self.config.banks
        if command in (C.ACT, C.PRE, C.RD, C.WR, C.MACB):
            return [(0, slice(bank, bank + 1))]
        if command == C.ACTG:
            return [(buf, slice(bank, bank + min(count, self.config.act_group)))]
        if command in (C.PREA, C.MAC):
            return [(buf, slice(0, count))]
        if command == C.REF:
            return [(one, slice(0, count)) for one in range(self.config.row_buffers)]
        return []

    def _judge(self, cycle: int, command: Command, touched: list[Banks], row: int) -> Iterable[tuple[str, str]]:
        if cycle <= self.last_cycle:
            yield "order", f"comes after a command in cycle {self.last_cycle}"
        yield from self._wrong_state(command, touched, row)
        for limit in self.limits[command]:
            for one in limit.previous:
                before = self.anywhere[one]
                if before + limit.cycles > cycle and limit.same_bank:
                    times = self.at_bank[one]
                    before = max(max(times[buf][banks]) for buf, banks in touched)
                if before + limit.cycles > cycle:
                    yield limit.rule, f"{cycle - before} cycles after {one.name}, at least {limit.cycles} are needed"
        yield from self._too_many_activations(cycle, command, _count(touched))
        if command == C.REF and self.config.refresh:
            yield from self._late(cycle)
            if self.refreshes + 1 - cycle // self.times["tREFI"] > MOST_OWED:
                yield "tREFI", f"more than {MOST_OWED} refreshes ahead"

    def _wrong_state(self, command: Command, touched: list[Banks], row: int) -> Iterable[tuple[str, str]]:
        held = {row for buf, banks in touched for row in self.open[buf][banks]}
        if command in OPENING and held != {None}:
            yield "open", "a bank has a row open"
        if command in (C.RD, C.WR, *MACS) and held != {row}:
            yield "closed", f"not all banks have row {row} open"
        if command == C.REF and held != {None}:
            yield "open", "a bank has a row open"
        if command == C.REF and not self.config.refresh:
            yield "refresh", "is off"
        if self.times["mode_switch"]:
            wrong = BANK_SIDE if self.register_side else REGISTER_SIDE
            # The refresher closes all banks in any mode.
            if command in wrong and command != C.PREA:
                yield "mode", "is of the other mode"
        elif command == C.TMOD:
            yield "mode", "there are no modes"

    def _too_many_activations(self, cycle: int, command: Command, banks: int) -> Iterable[tuple[str, str]]:
        if "tFAW" not in self.times or not self._is_staggered(command):
            return
        within = sum(time > cycle - self.times["tFAW"] for time in self.activated)
        if within + banks > 4:
            yield "tFAW", f"{within + banks} activations within {self.times['tFAW']} cycles"

    def _is_staggered(self, command: Command) -> bool:
        return command == C.ACT or (command == C.ACTG and self.config.act_group < 16)

    def _late(self, cycle: int) -> Iterable[tuple[str, str]]:
        interval = self.times["tREFI"]
        if cycle - self.last_refresh > 9 * interval:
            yield "tREFI", f"{cycle - self.last_refresh} cycles after the last refresh, at most {9 * interval} may be"
        if cycle // interval - self.refreshes > MOST_OWED:
            yield "tREFI", f"more than {MOST_OWED} refreshes are owed"

    def _note(self, cycle: int, command: Command, touched: list[Banks], row: int) -> None:
        self.last_cycle = self.anywhere[command] = cycle
        if command in self.at_bank:
            for buf, banks in touched:
                self.at_bank[command][buf][banks] = [cycle] * (banks.stop - banks.start)
        if command in (*OPENING, *CLOSING):
            for buf, banks in touched:
                self.open[buf][banks] = [row if command in OPENING else None] * (banks.stop - banks.start)
        if self._is_staggered(command):
            self.activated = (self.activated + [cycle] * _count(touched))[-4:]
        if command == C.TMOD:
            self.register_side = not self.register_side
        if command == C.REF:
            self.refreshes += 1
            self.last_refresh = cycle
