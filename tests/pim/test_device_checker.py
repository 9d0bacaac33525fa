"""The device's judge of commands, against the rules read as timestamps."""

import numpy as np
import pytest

from hdl.pim.channel_config import ChannelConfig
from hdl.pim.commands import COLUMN_COMMANDS, Command
from hdl.pim.violations import Violation
from tests.pim.device_at_edge import DeviceAtEdge

SHORT = {"base": "pimgpt", "tRFC_cycles": 25, "tREFI_cycles": 150}
SMALL = {"banks": 8, "rows": 2, "columns": 4, "lanes": 1, "dtype": "int8", "checker": True, "accumulators": 2}
CONFIGS = {
    "groups": {**SMALL, "profile": SHORT, "act_group": 2, "row_buffers": 2, "overlap": True},
    "single_shot": {**SMALL, "profile": {"base": "aim", "tREFI_cycles": 400, "tRFC_cycles": 40}, "refresh": True},
    "ddr4": {**SMALL, "profile": "ddr4", "act_group": 4, "refresh": True},
}
SAME_TO_A_BANK = {Command.ACTG: Command.ACT, Command.MAC: Command.MACB}


@pytest.fixture(scope="module")
def block():
    def of(name):
        config = ChannelConfig.parse(CONFIGS[name])
        return CONFIGS[name], config, DeviceAtEdge(config)

    return of


class Judge:
    """All that was carried out, by the cycle; each new command is held against each of them."""

    def __init__(self, config):
        self.config = config
        self.past = []
        self.open = [set() for _ in range(config.row_buffers)]
        self.refreshed = 0
        self.horizon = max(rule.cycles for rule in config.rules) + config.faw_cycles

    def touched(self, command, bank, mask):
        banks = range(self.config.banks)
        match command:
            case Command.MAC | Command.WRMAC | Command.RDMAC:
                return {one for one in banks if mask >> one & 1}
            case Command.PREA | Command.REF:
                return set(banks)
            case Command.ACTG:
                return set(range(bank, bank + self.config.group_banks))
            case _:
                return {bank}

    def verdict(self, cycle, command, bank, mask, buffer):
        """The rule that a command breaks, or 0; what is not illegal is carried out."""
        touched = self.touched(command, bank, mask)
        buffer = buffer if command in (Command.ACTG, Command.PREA, Command.MAC) else 0
        self.past = [one for one in self.past if cycle - one[0] < self.horizon]
        wrong = self._state(command, touched, buffer) or self._time(cycle, command, touched, buffer)
        if wrong and wrong != Violation.REFRESH_LATE:
            return wrong
        self.past.append((cycle, command, touched, buffer))
        if command in (Command.ACT, Command.ACTG):
            self.open[buffer] |= touched
        elif command in (Command.PRE, Command.PREA):
            self.open[buffer] -= touched
        elif command == Command.REF:
            self.refreshed = cycle
        return wrong

    def _state(self, command, touched, buffer):
        if command in COLUMN_COMMANDS and touched - self.open[buffer]:
            return Violation.NOT_OPEN
        if command in (Command.ACT, Command.ACTG) and touched & self.open[buffer]:
            return Violation.ALREADY_OPEN
        return Violation.REFRESH_OPEN if command == Command.REF and any(self.open) else 0

    def _time(self, cycle, command, touched, buffer):
        for rule in self.config.rules:
            for before, previous, banks, other in self.past:
                if cycle - before >= rule.cycles:
                    continue
                if rule.level == "channel":
                    if (rule.previous, rule.next) == (previous, command):
                        return Violation.TOO_EARLY
                    continue
                alike = [SAME_TO_A_BANK.get(one, one) for one in (rule.previous, rule.next, previous, command)]
                meet = touched & banks and (other == buffer or command == Command.REF)
                if alike[:2] == alike[2:] and meet:
                    return Violation.TOO_EARLY
        if self.config.faw_cycles and self._fills(command):
            recent = [
                len(one[2]) for one in self.past if self._fills(one[1]) and cycle - one[0] < self.config.faw_cycles
            ]
            if sum(recent) + len(touched) > 4:
                return Violation.FAW
        late = command == Command.REF and cycle - self.refreshed > 9 * self.config.timing.tREFI_cycles
        return Violation.REFRESH_LATE if late else 0

    def _fills(self, command):
        return command == Command.ACT or (command == Command.ACTG and not self.config.single_shot)


def random_command(rng, judge):
    """A command that has a chance where banks are open as they are, its bank, mask and row buffer."""
    config = judge.config
    bank, buffer = int(rng.integers(config.banks)), int(rng.integers(config.row_buffers))
    mask = int(rng.integers(1, 1 << config.banks))
    opened = sum(map(len, judge.open))
    if rng.random() < 0.1:
        command = Command(int(rng.integers(1, 14)))
    elif not opened:
        command = rng.choice([Command.ACT, Command.ACTG, Command.REF, Command.PREA], p=[0.4, 0.3, 0.25, 0.05])
    elif opened < config.banks and rng.random() < 0.5:  # one activation after another, as soon as tRRD allows
        command, bank = Command.ACT, int(rng.choice(sorted({*range(config.banks)} - judge.open[0] or {0})))
    elif rng.random() < 0.3:
        command = rng.choice([Command.PRE, Command.PREA, Command.ACT, Command.ACTG, Command.PREA])
    else:
        mask = sum(1 << one for one in judge.open[buffer]) or mask
        bank = int(rng.choice(sorted(judge.open[0]))) if judge.open[0] else bank
        command = rng.choice([*COLUMN_COMMANDS, Command.WRGB, Command.WRMAC, Command.RDMAC])
    command = Command(int(command))
    if command == Command.ACTG:
        bank -= bank % config.group_banks
    return command, bank, mask, buffer


@pytest.mark.deep
@pytest.mark.parametrize("built", CONFIGS, indirect=True)
def test_verdicts_are_those_of_timestamps(built):
    config, harness = built.config, built.harness()
    judge, rng = Judge(config), np.random.default_rng(6)
    longest = max(rule.cycles for rule in config.rules)
    seen, cycle, last = dict.fromkeys([0, *Violation], 0), 1, 0
    for _ in range(10_000):
        command, bank, mask, buffer = random_command(rng, judge)
        for name, value in (("bank", bank), ("bank_mask", mask), ("row_buffer", buffer), ("command", command)):
            harness.poke(name, value)
        right = judge.verdict(cycle, command, bank, mask, buffer)
        harness.step()
        assert harness.peek("violation") == last, "a verdict comes two cycles after its command"
        gap = int(rng.integers(0, rng.choice([3, 12, 30, longest], p=[0.3, 0.3, 0.3, 0.1])))
        if command in (Command.ACT, Command.ACTG) and rng.random() < 0.7:
            gap = config.timing.tRRD_cycles - 1
        gap += 9 * config.timing.tREFI_cycles if rng.random() < 0.0005 else 0
        if gap:
            harness.poke("command", Command.NOP)
            harness.step()
            assert harness.peek("violation") == right, (cycle, command.name, bank, mask, buffer, judge.past[-8:])
            harness.step(gap - 1)
        seen[right] += 1
        cycle, last = cycle + 1 + gap, 0 if gap else right
    assert seen[0] > 2000
    expected = {Violation.TOO_EARLY, Violation.NOT_OPEN, Violation.ALREADY_OPEN, Violation.REFRESH_OPEN}
    expected |= {Violation.FAW} if config.faw_cycles else set()
    assert all(seen[one] >= 20 for one in expected), list(seen.values())


@pytest.mark.deep
@pytest.mark.parametrize("built", ["groups"], indirect=True)
@pytest.mark.parametrize("late", [False, True])
def test_refresh_is_late_after_nine_intervals(built, late):
    harness, most = built.harness(), 9 * built.config.timing.tREFI_cycles
    harness.reset()
    for skipped in (most - 1 + late, most - 2 + late):  # since reset, whose next cycle is 1; since the refresh before
        harness.step(skipped)
        harness.poke("command", Command.REF)
        harness.step()
        harness.poke("command", Command.NOP)
        harness.step()
        assert harness.peek("violation") == (Violation.REFRESH_LATE if late else 0)
