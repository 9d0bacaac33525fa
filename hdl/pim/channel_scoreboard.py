"""What the rules of a profile come to as conditions of commands: which flags each waits for."""

from __future__ import annotations

from functools import reduce
from operator import or_

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value

from hdl.pim.channel_ages import Age, Ages, in_time
from hdl.pim.channel_config import ChannelConfig
from hdl.pim.commands import Command
from hdl.pim.timing import Rule

Event = tuple[Command, int]
"""A command on a row buffer; where it names none, buffer 0."""

Bound = tuple[Command, int, bool]
"""An event that must wait; whether only an ACTG that is the first of its activation."""

EITHER = (Command.MAC, Command.ACTG, Command.PREA)
FIRST = (Command.RD, Command.WR, Command.MACB, Command.ACT, Command.PRE)
ACTIVATIONS = (Command.ACT, Command.ACTG)
ON_BANK = (Command.RD, Command.WR, Command.MACB, Command.ACT)
"""Commands whose times after an activation are those of their bank: `BankTimes` has them."""


class Scoreboard:
    """Whether commands may be issued, as far as times that are the same for all banks go.

    Commands that the same ones must follow in the same time share a flag. What cannot bind is left out, and one rule
    is wider than written, where it cannot bind either: PRE counts as PREA of its buffer, as the bank's ACT or a refresh
    always comes before another PRE.

    Parameters
    ----------
    issued : of each command, whether it is issued in this cycle
    buffer : the row buffer that it touches
    first_group : whether an ACTG now would be the first of its activation
    """

    def __init__(
        self,
        m: Module,
        config: ChannelConfig,
        ages: Ages,
        issued: dict[Command, Value],
        buffer: Value,
        first_group: Value,
    ):
        self._module, self._config, self._issued, self._buffer = m, config, issued, buffer
        self._buffers = range(config.row_buffers)
        shared: dict[tuple[int, frozenset[Bound]], set[Event]] = {}
        for event, binds in self._times().items():
            for cycles in set(binds.values()):
                nexts = frozenset(one for one, time in binds.items() if time == cycles)
                shared.setdefault((cycles, nexts), set()).add(event)
        waits: dict[Bound, list[Age]] = {}
        for (cycles, nexts), events in shared.items():
            age = ages.at_least(*self.named(events), cycles)
            for one in nexts:
                waits.setdefault(one, []).append(age)
        if config.faw_cycles and not self._spaced(config.faw_cycles, 4):
            self._window = self._add_window(ages)
        else:
            self._window = {}
        self._ready = {
            one: in_time(m, waited, f"{one[0].name.lower()}_{one[1]}_in_time{'_first' * one[2]}")
            for one, waited in waits.items()
        }
        self._first_group = first_group

    def ready(self, command: Command, buffer: int = 0) -> Value:
        """Whether the channel's times allow it."""
        always = self._ready.get((command, buffer, False), Const(1))
        first = self._ready.get((command, buffer, True))
        found = always if first is None else always & (first | ~self._first_group)
        return found & self._window[command] if command in self._window else found

    def named(self, events: set[Event]) -> tuple[str, Value]:
        """A name for any of some events, and whether one happens."""
        names, happens = [], []
        for command, buffer in sorted(events):
            two = command in EITHER and len(self._buffers) == 2
            names.append(f"{command.name.lower()}{buffer}" if two else command.name.lower())
            happens.append(self._issued[command] & (self._buffer == buffer) if two else self._issued[command])
        return "_".join(names), reduce(or_, happens)

    def _times(self) -> dict[Event, dict[Bound, int]]:
        """Of each event, what must wait for it, and how long."""
        found: dict[Event, dict[Bound, int]] = {}

        def bind(one: Event, other: Bound, cycles: int) -> None:
            times = found.setdefault(one, {})
            times[other] = max(cycles, times.get(other, 0))

        for rule in self._config.rules:
            for one in self._events(rule.previous):
                for other in self._events(rule.next):
                    if self._has(rule, one, other):
                        bind(one, (*other, rule.level == "buffer" and rule.next == Command.ACTG), rule.cycles)
        for other, cycles in found.get((Command.PREA, 0), {}).items():
            bind((Command.PRE, 0), other, cycles)
        # A MAC follows an ACTG, and no ACT comes between, so ACT may stand beside it.
        if cycles := found.get((Command.ACTG, 0), {}).get((Command.MAC, 0, False), 0):
            bind((Command.ACT, 0), (Command.MAC, 0, False), cycles)
        return found

    def _events(self, command: Command) -> list[Event]:
        return [(command, buffer) for buffer in (self._buffers if command in EITHER else [0])]

    def _has(self, rule: Rule, one: Event, other: Event) -> bool:
        """Whether a rule binds these here."""
        if rule.level == "channel":
            rrd = rule.name == "tRRD" and self._spaced(rule.cycles, 1)
            return not rrd
        if rule.level == "bank":
            return rule.previous == Command.PRE
        if rule.previous in ACTIVATIONS and rule.next in ON_BANK:
            return False
        return one[1] == other[1] or Command.REF in (rule.previous, rule.next)

    def _spaced(self, cycles: int, activations: int) -> bool:
        """Whether activations lie so far apart that so many take `cycles`: of one row buffer, whose instruction uses
        what it opened before the next is opened."""
        t = self._config.timing
        apart = min(min(t.tRCDMAC_cycles, t.tRCDRD_cycles, t.tRCDWR_cycles) + 1, t.tRAS_cycles + t.tRP_cycles)
        return self._config.single_shot and self._config.row_buffers == 1 and activations * apart >= cycles

    def _add_window(self, ages: Ages) -> dict[Command, Value]:
        """tFAW: the ages of the last four activated banks, in a ring that `turn` points into at the oldest."""
        m, config = self._module, self._config
        turn = Signal(4, init=1, name="faw_turn")
        fills = {Command.ACT: 1}
        if not config.single_shot:
            fills[Command.ACTG] = config.group_banks
        flags = []
        for place in range(4):
            events = []
            for command, banks in fills.items():
                reached = Cat(turn[(place - step) % 4] for step in range(banks)).any()
                events.append(self._issued[command] & reached)
            flags.append(ages.at_least(f"faw_{place}", reduce(or_, events), config.faw_cycles).reached)
        for command, banks in fills.items():
            with m.If(self._issued[command]):
                m.d.sync += turn.eq(turn.rotate_left(banks % 4))
        return {
            command: Cat(turn[(place - banks + 1) % 4] & flags[place] for place in range(4)).any()
            for command, banks in fills.items()
        }


def choose(buffer: Value, ready: list[Value]) -> Value:
    """What belongs to a row buffer."""
    return Mux(buffer, ready[1], ready[0]) if len(ready) == 2 else ready[0]
