"""The golden model of a channel, from event to event: what `sim.pim.plain_channel` does cycle by cycle.

An event is a cycle in which something changes: a command goes, an instruction is given to a lane, a refresh falls due.
The columns of a burst that nothing comes between are one event, and so are two bursts that alternate.
"""

from __future__ import annotations

from collections.abc import Sequence

from hdl.pim.channel_config import ChannelConfig
from hdl.pim.commands import Command
from hdl.pim.timing import POSTPONED_REFRESHES
from sim.pim.channel_lanes import AHEAD, SKIP, STEP, Entry, Program, has_room, prepare
from sim.pim.channel_run import Burst, Counters, Run, last_cycle, table_of
from sim.pim.not_before import NotBefore, answer_cycles

NEVER = 1 << 62

# Plain numbers: the loop below looks at little else.
ACT, ACTG, PRE, PREA, REF, MACB, MAC, WRGB, RDMAC, TMOD = (
    *(int(Command.ACT), int(Command.ACTG), int(Command.PRE), int(Command.PREA), int(Command.REF)),
    *(int(Command.MACB), int(Command.MAC), int(Command.WRGB), int(Command.RDMAC), int(Command.TMOD)),
)
ROWS = (ACT, ACTG, PRE, PREA)
UNADDRESSED = (PRE, PREA, TMOD)
ALTERNATING = ({MAC, WRGB}, {MACB, WRGB})
"""Bursts of two lanes that no rule lets bind each other."""

Need = tuple[int, int, int, int]
"""A command, its buffer, its bank, and an ACTG's place in its activation."""

Candidate = tuple[int, Need, Entry | None]
"""The first cycle in which a command can go, the command, and whose it is: None is the refresher."""


class Channel:
    """A channel after reset; `run` carries its state from program to program."""

    def __init__(self, config: ChannelConfig):
        self.config = config
        self.end = 0
        """The cycle of the last program's EOC."""
        self.now = 1
        """The next cycle to be looked at."""
        self.times = NotBefore(config)
        self.steps = [max([1, *(r.cycles for r in config.rules if r.previous == r.next == one)]) for one in Command]
        """From a command to the next of its burst."""
        self.groups = config.banks // config.group_banks
        self.rows = [[-1] * config.banks for _ in range(config.row_buffers)]
        """What is open, by buffer and bank; -1: nothing."""
        self.whole = [-1] * config.row_buffers
        """The row of the all-bank activation that has begun, by buffer; -1 where something has changed it since."""
        self.groups_open = [0] * config.row_buffers
        self.modes, self.register_mode = config.timing.mode_switch_cycles > 0, False
        self.bank_lane: list[Entry] = []
        self.register_lane: list[Entry] = []
        self.refreshing = False
        self.refreshes = self.due_at_last = 0
        """Those done, and those that had fallen due by the last one."""
        self.ahead = 0
        """Refreshes that a REFRESH still asks for."""
        self.rest: list[Entry | int] = []
        """What is still to be taken of the program, the next last: of lanes, numbers of refreshes, `SKIP`."""
        self.answered = 0
        """From when on EOC may be taken after RDMAC, which without overlap is waited for."""
        self.answer_cycles = answer_cycles(config)
        self.bursts: list[Burst] = []
        self._begin_count()
        self._set_deadlines()

    def run(self, program: Program, *, start: int | None = None, commands: bool = True) -> Run:
        """Runs a program to its EOC, which is its last instruction, or stands for it.

        Parameters
        ----------
        start : the cycle from reset that is the program's cycle 1; default: that after the last program's EOC
        commands : whether to give the list of commands

        Raises
        ------
        ValueError
            If `start` has passed, or something follows an EOC.
        """
        start = self.end + 1 if start is None else start
        if start <= self.end:
            raise ValueError(f"start must be above {self.end}, the last program's end, not {start}")
        steps, skipped = prepare(program, self.config)
        self.bursts = []
        self._advance(start)
        self._begin_count()
        self.rest = [self._taken(index, step) for index, step in enumerate(steps.tolist())][::-1]
        self._advance(NEVER)
        self.end = self.now - 1
        latest = {Command(one): cycle for one, cycle in self.latest.items()}
        return Run(
            cycles=last_cycle(self.config, self.end, latest) + 2 - start,
            start=start,
            end=self.end,
            issued={Command(one): count for one, count in sorted(self.issued.items())},
            counters=self.counters,
            skipped=skipped,
            commands=table_of(self.bursts) if commands else None,
        )

    def _begin_count(self) -> None:
        self.counters = Counters()
        self.issued: dict[int, int] = {}
        self.latest: dict[int, int] = {}

    def _set_deadlines(self) -> None:
        """From when on a refresh is owed, and from when on it is forced."""
        interval = self.config.timing.tREFI_cycles
        self.owed_from = self.forced_from = NEVER
        if self.config.refresh:
            self.owed_from = (self.refreshes + 1) * interval
            self.forced_from = (min(self.refreshes, self.due_at_last) + POSTPONED_REFRESHES) * interval

    # From event to event

    def _advance(self, stop: int) -> None:
        """All until the cycle before `stop`; with `NEVER`, until EOC's."""
        while self.now < stop:
            for lane in (self.bank_lane, self.register_lane):
                if lane and not lane[0].left:
                    del lane[0]
            horizon = stop
            if self.rest:
                if self._dispatch():
                    horizon = self.now + 1
            elif stop == NEVER and not (self.bank_lane or self.register_lane or self.ahead):
                horizon = stop = max(self.now, self.answered) + 1
            working = self.bank_lane[0] if self.bank_lane else None
            need = self._need(working) if working else None
            candidates, calm_until = self._candidates(working, need)
            self._issue(candidates, min(horizon, calm_until), need)

    def _dispatch(self) -> bool:
        """Takes one instruction if it can; says whether the next might be taken in the next cycle."""
        rest, step = self.rest, self.rest[-1]
        busy = self.bank_lane or self.register_lane
        if self.ahead:
            return False
        if isinstance(step, Entry):
            own, other = self.bank_lane, self.register_lane
            if step.register:
                own, other = other, own
            if busy and not (self.config.overlap and has_room(step, own, other, self.config.lane_depth)):
                return False
            own.append(step)
            rest.pop()
            return self.config.overlap or bool(rest and rest[-1] == SKIP)
        if step != SKIP:
            if busy:
                return False
            debt = self.now // self.config.timing.tREFI_cycles - self.refreshes
            self.ahead = step if debt > -POSTPONED_REFRESHES else 0
        rest.pop()
        return True

    @staticmethod
    def _taken(index: int, step: list[int]) -> Entry | int:
        if step[0] == AHEAD:
            return step[STEP.index("left")]
        return SKIP if step[0] == SKIP else Entry(index, step)

    def _need(self, entry: Entry) -> Need:
        """What an entry of the bank lane needs next."""
        bank, buf, row = entry.bank, entry.buf, entry.row
        if entry.final != MAC:
            held = self.rows[0][bank]
            return (entry.final if held == row else ACT if held < 0 else PRE), 0, bank, 0
        begun = self.groups_open[buf] if self.whole[buf] == row else 0
        if begun == self.groups:
            return MAC, buf, 0, 0
        if not begun and max(self.rows[buf]) >= 0:
            return PREA, buf, 0, 0
        return ACTG, buf, begun * self.config.group_banks, begun

    def _candidates(self, working: Entry | None, need: Need | None) -> tuple[list[Candidate], int]:
        """What can go, in order of priority, and until when no refresh changes that."""
        found: list[Candidate] = []
        cycle, calm_until, column = self.times.cycle, NEVER, None
        boundary = not need or (need[0] in ROWS and not need[3])
        wanted_from = min(self.owed_from, self.forced_from) if boundary else self.forced_from
        if self.refreshing or self.ahead or self.now >= wanted_from:
            self.refreshing = True
            first = self._refresh_command()
            found.append((cycle(*first), first, None))
        else:
            calm_until = wanted_from
            if need and need[0] in ROWS:
                found.append((cycle(*need), need, working))
            elif working and need:
                column = (cycle(*need), need, working)
                if len(self.bank_lane) > 1:
                    following = self.bank_lane[1]
                    if working.final == MAC == following.final and working.buf != following.buf:
                        opening = self._need(following)
                        if opening[0] in ROWS:
                            found.append((cycle(*opening), opening, following))
        if self.register_lane:
            entry = self.register_lane[0]
            found.append((cycle(entry.final), (entry.final, 0, 0, 0), entry))
        if column:
            found.append(column)
        return found, calm_until

    def _refresh_command(self) -> Need:
        for buf, rows in enumerate(self.rows):
            if max(rows) >= 0:
                return PREA, buf, 0, 0
        return REF, 0, 0, 0

    # Commands

    def _issue(self, candidates: list[Candidate], horizon: int, need: Need | None) -> None:
        """Issues the first command that can go before the horizon, and of its burst what nothing comes between."""
        at, place = NEVER, 0
        for number, (cycle, _, _) in enumerate(candidates):
            if cycle < at and self.now < at:
                at, place = max(cycle, self.now), number
        if at >= horizon:
            self._stall(need, horizon - self.now)
            self.now = horizon
            return
        if at > self.now:
            self._stall(need, at - self.now)
        _, (command, *where), entry = candidates[place]
        if self.modes and entry and entry.register != self.register_mode:
            self.register_mode = not self.register_mode
            self._send(TMOD, at, 1, (0, 0, 0), entry)
            self.now = at + 1
        elif entry and command == entry.final and entry.left > 1:
            self._issue_burst(candidates, place, at, horizon, need)
        else:
            self._send(command, at, 1, where, entry)
            self.now = at + 1

    def _issue_burst(self, candidates: list[Candidate], place: int, at: int, horizon: int, need: Need | None) -> None:
        """Issues columns of a burst, one or more, and of one that alternates with it."""
        _, (command, *where), entry = candidates[place]
        assert entry
        step = self.steps[command]
        count = min(entry.left, -(-(horizon - at) // step))
        twin, beside = None, horizon
        for number, (cycle, (other, *_), whose) in enumerate(candidates):
            if number == place:
                continue
            first = max(cycle, at + 1)
            # One that comes before it takes its cycle; one that comes after it a cycle between two columns.
            if number < place:
                count = min(count, -(-(first - at) // step))
            elif step > 1:
                count = min(count, (first - at) // step + 1)
            if step > 1 and whose and {command, other} in ALTERNATING and first < at + step == at + self.steps[other]:
                twin = first, other, whose
            else:
                beside = min(beside, first)
        if twin and twin[2].left > 1 and not (entry.opened or twin[2].opened):
            first, other, whose = twin
            # Not its last: what follows it in its lane may take the other's cycle.
            pairs = min(entry.left - 1, whose.left, -(-(beside - first) // step))
            if pairs > 1:
                self._send(command, at, pairs, where, entry)
                self._send(other, first, pairs, (whose.buf, whose.bank, 0), whose)
                self.now = first + (pairs - 1) * step + 1
                self._stall(need, self.now - at - 2 * pairs)
                return
        self._send(command, at, count, where, entry)
        if step > 1 and count > 1:
            self._stall(need, (count - 1) * (step - 1))
        self.now = at + (count - 1) * step + 1

    def _send(self, command: int, cycle: int, count: int, where: Sequence[int], entry: Entry | None) -> None:
        """A command, or `count` of a burst, and what they change."""
        buf, bank, group = where
        step = self.steps[command]
        last = cycle + (count - 1) * step
        self.times.issued(command, last, buf, bank)
        self.issued[command] = self.issued.get(command, 0) + count
        self.latest[command] = last
        row = entry.row if entry and command not in UNADDRESSED else 0
        col = entry.col if entry and command == entry.final else 0
        index = entry.index if entry else -1
        self.bursts.append((cycle, command, bank, row, col, buf, index, count, step))
        if entry and command == entry.final:
            entry.left -= count
            entry.col += count
            self.counters.row_misses += entry.opened
            entry.opened = False
            if command == RDMAC and not self.config.overlap:
                self.answered = cycle + self.answer_cycles
        elif command == REF:
            self._refreshed(cycle)
        elif command != TMOD:
            self._change_rows(command, buf, bank, group, row)
            if entry and command in (ACT, ACTG):
                entry.opened = True

    def _refreshed(self, cycle: int) -> None:
        self.refreshes += 1
        self.due_at_last = cycle // self.config.timing.tREFI_cycles
        self.refreshing = False
        self.ahead = max(0, self.ahead - 1) if self.due_at_last - self.refreshes > -POSTPONED_REFRESHES else 0
        self._set_deadlines()

    def _change_rows(self, command: int, buf: int, bank: int, group: int, row: int) -> None:
        if command in (ACT, PRE):
            self.rows[0][bank] = row if command == ACT else -1
            self.whole[0] = -1
        elif command == ACTG:
            banks = self.config.group_banks
            self.rows[buf][bank : bank + banks] = [row] * banks
            self.whole[buf], self.groups_open[buf] = row, group + 1
        else:
            self.rows[buf] = [-1] * self.config.banks
            self.whole[buf], self.groups_open[buf] = -1, 0

    def _stall(self, need: Need | None, cycles: int) -> None:
        """Counts cycles without a command."""
        if self.refreshing:
            cause = "refresh"
        elif need:
            cause = "row" if need[0] in ROWS or self.bank_lane[0].opened else "timing"
        else:
            cause = "timing" if self.register_lane else "idle"
        self.counters.stall_cycles[cause] += cycles
