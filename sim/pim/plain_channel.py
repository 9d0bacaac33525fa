"""A channel cycle by cycle, as the family's README says it: slow, and simple enough to be read beside it."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from hdl.pim.channel_config import ChannelConfig
from hdl.pim.commands import FINAL_COMMANDS, REGISTER_COMMANDS, REGISTER_OPS, Command, Instruction, Op
from hdl.pim.timing import POSTPONED_REFRESHES
from sim.pim.channel_run import Counters, Run, banks_of, is_legal, last_cycle, table_of

C = Command

ROW_COMMANDS = (C.PRE, C.PREA, C.ACT, C.ACTG)

LONG_AGO = -(1 << 40)


@dataclass
class Entry:
    """An instruction in a lane."""

    index: int
    one: Instruction
    left: int
    """Columns, or commands, that are still to come."""
    opened: bool = False
    """Whether an activation was made for it since its last column command."""

    @property
    def col(self) -> int:
        return self.one.col + self.one.count - self.left


@dataclass(frozen=True)
class Candidate:
    """A command that may be issued; `group` only says which of an activation's it is."""

    command: Command
    bank: int = 0
    row: int = 0
    col: int = 0
    buf: int = 0
    entry: Entry | None = None
    group: int = 0


class PlainChannel:
    """A channel after reset; `run` carries its state from program to program."""

    def __init__(self, config: ChannelConfig):
        self.config = config
        self.cycle = 0
        self.groups = config.banks // config.group_banks
        self.rules = {one: [rule for rule in config.rules if rule.next == one] for one in Command}
        self.last: dict[Command, dict[tuple[int, int], int]] = {one: {} for one in Command}
        """Latest cycle of each command, by buffer and bank."""
        self.activations: deque[int] = deque([LONG_AGO] * 4, 4)
        self.rows: list[list[int | None]] = [[None] * config.banks for _ in range(config.row_buffers)]
        """What is open, by buffer and bank."""
        self.whole: list[int | None] = [None] * config.row_buffers
        """The row of the all-bank activation that has begun, by buffer; none where something has changed it since."""
        self.groups_open = [0] * config.row_buffers
        self.register_mode = False
        self.lanes: dict[str, list[Entry]] = {"bank": [], "register": []}
        self.refreshing = False
        self.debt = self.due = 0
        """Refreshes that are owed, and that have fallen due since the last."""
        self.ahead = 0
        """Refreshes that a REFRESH still asks for."""
        self.log: list[tuple[int, int, int, int, int, int, int]] = []

    def run(self, program: Sequence[Instruction], *, start: int | None = None, commands: bool = True) -> Run:
        """Runs a program to its EOC, which is its last instruction, or stands for it.

        Parameters
        ----------
        start : the cycle from reset that is the program's cycle 1; default: that after the last program's EOC
        commands : whether to give the list of commands
        """
        self.log = []
        start = self.cycle + 1 if start is None else start
        if start <= self.cycle:
            raise ValueError(f"start must be above {self.cycle}, the last program's end, not {start}")
        while self.cycle < start - 1:
            self._begin_cycle()
            self._issue()
        first, counters = len(self.log), Counters()
        skipped: list[int] = []
        rest = deque(enumerate(program))
        while True:
            self._begin_cycle()
            ends = self._dispatch(rest, skipped)
            cause = self._issue(counters)
            if cause:
                counters.stall_cycles[cause] += 1
            if ends:
                break
        last = last_cycle(self.config, self.cycle, {C(command): cycle for cycle, command, *_ in self.log[first:]})
        issued = Counter(C(command) for _, command, *_ in self.log[first:])
        table = table_of([(*one, 1, 0) for one in self.log]) if commands else None
        return Run(last + 2 - start, start, self.cycle, dict(issued), counters, tuple(skipped), table)

    def _begin_cycle(self) -> None:
        self.cycle += 1
        for lane in self.lanes.values():
            if lane and not lane[0].left:
                lane.pop(0)
        if self.config.refresh and self.cycle % self.config.timing.tREFI_cycles == 0:
            self.debt += 1
            self.due += 1

    # Dispatcher

    def _dispatch(self, rest: deque[tuple[int, Instruction]], skipped: list[int]) -> bool:
        """Takes at most one instruction; returns whether it is EOC."""
        empty = not (self.lanes["bank"] or self.lanes["register"] or self.ahead)
        if not rest or (rest[0][1].op == Op.EOC and self._is_mine(rest[0][1])):
            if len(rest) > 1:
                raise ValueError(f"instruction {rest[0][0]} is EOC, which ends a program, but {rest[1][0]} follows")
            return empty and self._answered()
        index, one = rest[0]
        if self.ahead:
            return False
        if not self._is_mine(one):
            rest.popleft()
        elif not is_legal(one, self.config):
            skipped.append(index)
            rest.popleft()
        elif one.op == Op.REFRESH:
            if empty:
                rest.popleft()
                self.ahead = one.count if self.debt > -POSTPONED_REFRESHES else 0
        elif empty or (self.config.overlap and self._has_room(one)):
            rest.popleft()
            columns = 1 if one.op in (Op.WR_BIAS, Op.RD_MAC) else one.count
            self.lanes["register" if one.op in REGISTER_OPS else "bank"].append(Entry(index, one, columns))
        return False

    def _is_mine(self, one: Instruction) -> bool:
        return bool(one.ch_mask >> self.config.channel & 1)

    def _answered(self) -> bool:
        if self.config.overlap:
            return True
        answer = self.config.timing.tCLREG_cycles + self.config.timing.tBL_cycles + 1
        return self.cycle >= self.last[C.RDMAC].get((0, 0), LONG_AGO) + answer

    def _has_room(self, one: Instruction) -> bool:
        register = one.op in REGISTER_OPS
        own, other = ("register", "bank") if register else ("bank", "register")
        conflict = any(
            self._conflict(one, entry.one) if register else self._conflict(entry.one, one)
            for entry in self.lanes[other]
        )
        return len(self.lanes[own]) < self.config.lane_depth and not conflict

    @staticmethod
    def _conflict(register: Instruction, bank: Instruction) -> bool:
        if bank.op not in (Op.MAC_ABK, Op.MAC_SBK):
            return False
        return register.gb == bank.gb if register.op == Op.WR_GB else register.acc == bank.acc

    # Commands

    def _issue(self, counters: Counters | None = None) -> str | None:
        """Issues at most one command; else says why none."""
        self._look_at_refresh()
        chosen = next((one for one in self._candidates() if self._is_ready(one)), None)
        if chosen is None:
            return self._stall()
        wrong_mode = (chosen.command in REGISTER_COMMANDS) != self.register_mode
        if self.config.timing.mode_switch_cycles and chosen.entry and wrong_mode:
            self.register_mode = not self.register_mode
            chosen = Candidate(C.TMOD, entry=chosen.entry)
        index = chosen.entry.index if chosen.entry else -1
        self.log.append((self.cycle, chosen.command, chosen.bank, chosen.row, chosen.col, chosen.buf, index))
        self._record(chosen)
        self._change(chosen, counters)
        return None

    def _look_at_refresh(self) -> None:
        if not self.config.refresh:
            return
        late = self.debt >= POSTPONED_REFRESHES or self.due >= POSTPONED_REFRESHES
        self.refreshing |= late or bool(self.ahead) or (self.debt >= 1 and self._at_row_boundary())

    def _at_row_boundary(self) -> bool:
        lane = self.lanes["bank"]
        if not lane:
            return True
        one = self._bank_command(lane[0])
        return one.command in (C.PRE, C.PREA, C.ACT) or (one.command == C.ACTG and one.group == 0)

    def _candidates(self) -> Iterator[Candidate]:
        """In order of priority."""
        bank, register = self.lanes["bank"], self.lanes["register"]
        column = None
        if self.refreshing:
            full = [buf for buf, rows in enumerate(self.rows) if any(row is not None for row in rows)]
            yield Candidate(C.PREA, buf=full[0]) if full else Candidate(C.REF)
        elif bank:
            one = self._bank_command(bank[0])
            if one.command in ROW_COMMANDS:
                yield one
            else:
                column = one
                yield from self._ahead(bank)
        if register:
            entry = register[0]
            place = entry.col if entry.one.op == Op.WR_GB else 0
            yield Candidate(FINAL_COMMANDS[Op(entry.one.op)], col=place, entry=entry)
        if column:
            yield column

    def _ahead(self, lane: list[Entry]) -> Iterator[Candidate]:
        """What opens the row of the bank lane's next entry in the other buffer."""
        if len(lane) > 1 and lane[0].one.op == lane[1].one.op == Op.MAC_ABK and lane[0].one.buf != lane[1].one.buf:
            one = self._bank_command(lane[1])
            if one.command in ROW_COMMANDS:
                yield one

    def _bank_command(self, entry: Entry) -> Candidate:
        """What an entry of the bank lane needs next."""
        return self._all_bank_command(entry) if entry.one.op == Op.MAC_ABK else self._single_bank_command(entry)

    def _all_bank_command(self, entry: Entry) -> Candidate:
        one, buf = entry.one, entry.one.buf
        begun = self.groups_open[buf] if self.whole[buf] == one.row else 0
        if begun == self.groups:
            return Candidate(C.MAC, 0, one.row, entry.col, buf, entry)
        if not begun and any(row is not None for row in self.rows[buf]):
            return Candidate(C.PREA, buf=buf, entry=entry)
        return Candidate(C.ACTG, begun * self.config.group_banks, one.row, 0, buf, entry, begun)

    def _single_bank_command(self, entry: Entry) -> Candidate:
        one, bank = entry.one, banks_of(entry.one, self.config).bit_length() - 1
        if self.rows[0][bank] == one.row:
            return Candidate(FINAL_COMMANDS[Op(one.op)], bank, one.row, entry.col, 0, entry)
        if self.rows[0][bank] is not None:
            return Candidate(C.PRE, bank, entry=entry)
        return Candidate(C.ACT, bank, one.row, entry=entry)

    def _stall(self) -> str:
        bank = self.lanes["bank"]
        if self.refreshing:
            return "refresh"
        if bank and (bank[0].opened or self._bank_command(bank[0]).command in ROW_COMMANDS):
            return "row"
        return "timing" if bank or self.lanes["register"] else "idle"

    # Time

    def _touched(self, one: Candidate) -> set[tuple[int, int]]:
        """Buffers and banks that a command touches."""
        banks = range(self.config.banks)
        if one.command in (C.ACT, C.PRE, C.RD, C.WR, C.MACB):
            return {(0, one.bank)}
        if one.command == C.ACTG:
            return {(one.buf, bank) for bank in range(one.bank, one.bank + self.config.group_banks)}
        if one.command in (C.PREA, C.MAC):
            return {(one.buf, bank) for bank in banks}
        return {(buf, bank) for buf in range(self.config.row_buffers) for bank in banks}

    def _is_ready(self, one: Candidate) -> bool:
        touched = self._touched(one)
        buffers = {buf for buf, _ in touched}
        for rule in self.rules[one.command]:
            if rule.level == "buffer" and one.group:
                continue
            for place, cycle in self.last[rule.previous].items():
                bound = (
                    rule.level == "channel"
                    or (rule.level == "buffer" and place[0] in buffers)
                    or (rule.level == "bank" and place in touched)
                )
                if bound and self.cycle < cycle + rule.cycles:
                    return False
        if one.command == C.ACT or (one.command == C.ACTG and not self.config.single_shot):
            banks = 1 if one.command == C.ACT else self.config.group_banks
            return self.cycle >= self.activations[banks - 1] + self.config.faw_cycles
        return True

    def _record(self, one: Candidate) -> None:
        self.last[one.command] |= dict.fromkeys(self._touched(one), self.cycle)
        if one.command == C.ACT or (one.command == C.ACTG and not self.config.single_shot):
            self.activations.extend([self.cycle] * (1 if one.command == C.ACT else self.config.group_banks))

    # State

    def _change(self, one: Candidate, counters: Counters | None) -> None:
        command, entry = one.command, one.entry
        if command in (C.ACT, C.PRE):
            self.rows[0][one.bank] = one.row if command == C.ACT else None
            self.whole[0] = None
        elif command == C.ACTG:
            for buf, bank in self._touched(one):
                self.rows[buf][bank] = one.row
            self.whole[one.buf], self.groups_open[one.buf] = one.row, one.group + 1
        elif command == C.PREA:
            self.rows[one.buf] = [None] * self.config.banks
            self.whole[one.buf], self.groups_open[one.buf] = None, 0
        elif command == C.REF:
            self.debt, self.due, self.refreshing = self.debt - 1, 0, False
            self.ahead = max(0, self.ahead - 1) if self.debt > -POSTPONED_REFRESHES else 0
        elif entry and command != C.TMOD:
            entry.left -= 1
            if counters:
                counters.row_misses += entry.opened
            entry.opened = False
        if entry and command in (C.ACT, C.ACTG):
            entry.opened = True
