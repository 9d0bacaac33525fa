"""The device's own judge of times: not-before counters, made from the profile's rules."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.common.arithmetic import wire
from hdl.pim.channel_config import ChannelConfig
from hdl.pim.commands import Command
from hdl.pim.device_port import COMMAND_BITS
from hdl.pim.device_rows import one_of
from hdl.pim.violations import Violation

REFRESHES_DUE = 9
"""tREFI that may pass between two refreshes."""

SAME_TO_A_BANK = {Command.ACTG: Command.ACT, Command.MAC: Command.MACB}
"""To each bank that it touches, such a command is what another one is to its only bank."""

Loads = dict[Command, int]
"""Cycles that something must wait after a command."""


def channel_waits(config: ChannelConfig) -> dict[frozenset[Command], Loads]:
    """What commands must wait for, whatever they touch, and REF for any bank; those that wait alike stand together."""
    waits: dict[Command, Loads] = defaultdict(dict)
    for rule in config.rules:
        if rule.level == "channel" or rule.next == Command.REF:
            waits[rule.next][rule.previous] = max(rule.cycles, waits[rule.next].get(rule.previous, 0))
    alike: dict[tuple[tuple[Command, int], ...], set[Command]] = defaultdict(set)
    for after, loads in waits.items():
        alike[tuple(sorted(loads.items()))].add(after)
    return {frozenset(after): dict(loads) for loads, after in alike.items()}


def bank_waits(config: ChannelConfig) -> dict[Command, Loads]:
    """What commands must wait for in a row buffer of a bank; of PREA, in a row buffer of any."""
    waits: dict[Command, Loads] = defaultdict(dict)
    for rule in config.rules:
        if rule.level != "channel" and rule.next != Command.REF:
            after = SAME_TO_A_BANK.get(rule.next, rule.next)
            previous = SAME_TO_A_BANK.get(rule.previous, rule.previous)
            waits[after][previous] = max(rule.cycles, waits[after].get(previous, 0))
    return waits


class Checker(wiring.Component):
    """Whether a command comes too early, or a refresh too late.

    Row rules bind each bank by itself: ACTG is an ACT of each of its banks, MAC a MACB of each in its mask. A REF is
    late more than 9 tREFI after the one before, or after reset.

    Members
    -------
    command, touched, buffer : of `OpenRows`
    obeyed : the command is carried out at the end of this cycle
    violation : `Violation.TOO_EARLY`, `FAW`, `REFRESH_LATE` or 0
    """

    def __init__(self, config: ChannelConfig):
        self._config = config
        super().__init__(
            {
                "command": In(COMMAND_BITS),
                "touched": In(config.banks),
                "buffer": In(1),
                "obeyed": In(1),
                "violation": Out(4),
            }
        )

    def elaborate(self, platform):
        m = Module()
        early = wire(m, Cat(*self._channel(m), *self._buffers(m)).any(), "early")
        beyond, late = self._beyond_window(m), self._late(m)
        m.d.comb += self.violation.eq(Mux(late, Violation.REFRESH_LATE, 0))
        with m.If(beyond):
            m.d.comb += self.violation.eq(Violation.FAW)
        with m.If(early):
            m.d.comb += self.violation.eq(Violation.TOO_EARLY)
        return m

    def _channel(self, m: Module) -> Iterable[Value]:
        for index, (after, loads) in enumerate(channel_waits(self._config).items()):
            events = [(self._is(previous), cycles) for previous, cycles in loads.items()]
            yield one_of(self.command, after) & _waits(m, events, f"channel_{index}")

    def _buffers(self, m: Module) -> Iterable[Value]:
        config = self._config
        for buffer in range(config.row_buffers):
            here = wire(m, self.buffer == buffer, f"in_{buffer}")
            for after, loads in bank_waits(config).items():
                name = f"{after.name.lower()}_{buffer}"
                events = [(here & self._like(previous), cycles) for previous, cycles in loads.items()]
                named = wire(m, here & self._asked(after), f"{name}_asked")
                if after == Command.PREA:
                    yield named & _waits(m, events, name)
                    continue
                for bank in range(config.banks):
                    touching = [(event & self.touched[bank], cycles) for event, cycles in events]
                    yield named & self.touched[bank] & _waits(m, touching, f"{name}_{bank}")

    def _beyond_window(self, m: Module) -> Value:
        """Whether an activation makes more than four in tFAW. A place of the window is free again when its time is up;
        the oldest come last."""
        config = self._config
        if not config.faw_cycles:
            return Const(0, 1)
        places = [Signal(range(config.faw_cycles), name=f"place_{index}") for index in range(4)]
        counts = {Command.ACT: 1} if config.single_shot else {Command.ACT: 1, Command.ACTG: config.group_banks}
        passed = [_counted_down(place) for place in places]
        after = passed
        for command, count in counts.items():
            filled = [Const(config.faw_cycles - 1, len(places[0]))] * count + passed[: 4 - count]
            event = self._is(command)
            after = [Mux(event, new, old) for new, old in zip(filled, after, strict=True)]
        m.d.sync += [place.eq(value) for place, value in zip(places, after, strict=True)]
        beyond = [(self.command == command) & places[4 - count].any() for command, count in counts.items()]
        return wire(m, Cat(beyond).any(), "beyond_window")

    def _late(self, m: Module) -> Value:
        """Whether a REF comes too long after the one before."""
        if not self._config.refresh:
            return Const(0, 1)
        most = REFRESHES_DUE * self._config.timing.tREFI_cycles
        elapsed = Signal(range(most + 2))
        with m.If(self._is(Command.REF)):
            m.d.sync += elapsed.eq(1)
        with m.Elif(elapsed != most + 1):
            m.d.sync += elapsed.eq(elapsed + 1)
        return wire(m, (self.command == Command.REF) & (elapsed == most + 1), "late")

    def _is(self, command: Command) -> Value:
        return self.obeyed & (self.command == command)

    def _like(self, command: Command) -> Value:
        """A command is carried out that is like this one to a bank."""
        return self.obeyed & self._asked(command)

    def _asked(self, command: Command) -> Value:
        same = [one for one, other in SAME_TO_A_BANK.items() if other == command]
        return one_of(self.command, [command, *same])


def _waits(m: Module, events: list[tuple[Value, int]], name: str) -> Value:
    """Whether fewer cycles than that have passed since one of the events; no two of them are in one cycle."""
    counter = Signal(range(max(cycles for _, cycles in events)), name=f"{name}_waits")
    load: Value = Const(0, len(counter))
    for event, cycles in events:
        load = load | (Const(cycles - 1, len(counter)) & event.replicate(len(counter)))
    load = wire(m, load, f"{name}_load")
    passed = wire(m, _counted_down(counter), f"{name}_passed")
    m.d.sync += counter.eq(Mux(load > passed, load, passed))
    return counter.any()


def _counted_down(counter: Value) -> Value:
    return (counter - counter.any())[: len(counter)]
