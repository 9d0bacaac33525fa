"""From which cycle on a command may be issued: the rules of a config as times that commands leave behind."""

from __future__ import annotations

from hdl.pim.channel_config import ChannelConfig
from hdl.pim.commands import Command

LONG_AGO = -(1 << 40)

ACT, ACTG, PRE, REF = int(Command.ACT), int(Command.ACTG), int(Command.PRE), int(Command.REF)
RD, WR, MACB = int(Command.RD), int(Command.WR), int(Command.MACB)
SINGLE = {ACT, PRE, RD, WR, MACB}


def answer_cycles(config: ChannelConfig) -> int:
    """From RDMAC to what waits for its answer, where there is no overlap."""
    return config.timing.tCLREG_cycles + config.timing.tBL_cycles + 1


class NotBefore:
    """For each command, buffer and bank the first cycle in which it may come after what was issued before."""

    def __init__(self, config: ChannelConfig):
        self.faw_cycles = config.faw_cycles
        self.filling = [0] * len(Command)
        """Banks that a command puts into the window of four activations."""
        self.filling[ACT] = 1
        self.filling[ACTG] = 0 if config.single_shot else config.group_banks
        self.channel = [0] * len(Command)
        self.buffer = [[0] * len(Command) for _ in range(config.row_buffers)]
        self.bank = [[0] * len(Command) for _ in range(config.banks)]
        self.activations = [LONG_AGO] * 4
        """The latest four, the latest last."""
        self.after: dict[str, list[list[tuple[int, int]]]] = {
            level: [
                [(int(rule.next), rule.cycles) for rule in config.rules if (rule.level, rule.previous) == (level, one)]
                for one in Command
            ]
            for level in ("channel", "buffer", "bank")
        }
        self.after_channel, self.after_buffer, self.after_bank = self.after.values()

    def cycle(self, command: int, buf: int = 0, bank: int = 0, group: int = 0) -> int:
        """The first cycle in which a command may be issued; `group` is an ACTG's place in its activation."""
        found = self.channel[command]
        if command == REF:
            return max(found, *(times[REF] for times in self.buffer))
        if not group:
            found = max(found, self.buffer[buf][command])
        if command in SINGLE:
            found = max(found, self.bank[bank][command])
        banks = self.filling[command]
        if banks and self.faw_cycles:
            found = max(found, self.activations[banks - 1] + self.faw_cycles)
        return found

    def issued(self, command: int, cycle: int, buf: int = 0, bank: int = 0) -> None:
        """Notes a command, or the last of a burst."""
        for times, rules in (
            (self.channel, self.after_channel[command]),
            (self.buffer[buf], self.after_buffer[command]),
            (self.bank[bank], self.after_bank[command]),
        ):
            for after, cycles in rules:
                if times[after] < cycle + cycles:  # noqa: PLR1730  quicker than max()
                    times[after] = cycle + cycles
        banks = self.filling[command]
        if banks:
            self.activations = self.activations[banks:] + [cycle] * banks
