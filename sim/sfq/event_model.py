"""What a netlist of pulse logic does: every pulse and every violation, exact to the tick of 0.1 ps.

Pulses are taken in order of time. Those that reach a cell in the same tick are taken in the order of the pins in the
cell's state before them; a wire carries one pulse a tick. A pulse comes too soon, and is a violation,

- of `transition_time`, while the cell is busy, or the pin is blocked, by an earlier pulse (up to, not at, the end);
- of `prior_input`, if another input's last pulse, or the pin's own one before, is younger than the reaction asks.

A violation is recorded, and the policy says what becomes of the pulse: `flag` obeys it as if nothing were wrong; `drop`
acts as if it had not come; `randomise` does one or the other by a coin. That is the top bit of the cell's generator, a
xorshift of 16 bits, seeded by `coin_seed`, which moves on with every violating pulse of the cell.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

from hdl.sfq.cells import Ticks
from hdl.sfq.netlist import Instance, Netlist, Stimulus, coin_seed

Policy = Literal["flag", "drop", "randomise"]
POLICIES: tuple[str, ...] = get_args(Policy)

MOST_DELIVERIES = 30_000_000

Rule = Literal["transition_time", "prior_input"]


DelayOf = Callable[[int, int, str, int], int]
"""A delay in place of the table's: of the instance's number, how many pulses it had obeyed, the output, the table's."""


@dataclass(frozen=True)
class Violation:
    """A pulse that came too soon: at which tick, at which pin of which instance, of which cell, and by which rule."""

    time: int
    instance: str
    cell: str
    pin: str
    rule: Rule


@dataclass(frozen=True)
class Run:
    """What happened.

    Attributes
    ----------
    pulses : ticks of the pulses on every wire, increasing
    violations : by time, then instance, then in the order in which the pulses were taken
    deliveries : pulses that reached a cell
    """

    pulses: dict[str, list[int]]
    violations: list[Violation]
    deliveries: int


class NeverAtRest(Exception):
    """Pulses go round and round."""

    def __init__(self, netlist: Netlist, most: int):
        super().__init__(f"{netlist.name} is not at rest after {most:,} pulses")


def check_options(policy: str, seed: int) -> None:
    """Raises ValueError if the policy or the seed of its coins is none."""
    if policy not in POLICIES:
        raise ValueError(f"policy must be one of {', '.join(POLICIES)}, not {policy}")
    if not 0 <= seed < 1 << 16:
        raise ValueError(f"seed must be in 0..65535, not {seed}")


class _Machine:
    """An instance at work."""

    def __init__(self, instance: Instance, index: int, seed: int):
        self.instance, self.states = instance, instance.cell.states
        self.state = instance.cell.initial
        self.blocked_until = dict.fromkeys(instance.cell.inputs, 0)
        self.last: dict[str, int] = {}
        self.coin = coin_seed(seed, index)
        self.taken = 0

    def order(self, pins: set[str]) -> list[str]:
        """Pins whose pulses come together, in the order in which they are taken."""
        return [pin for pin in self.states[self.state] if pin in pins]

    def broken_rules(self, pin: str, now: int) -> list[Rule]:
        """The rules that a pulse breaks."""
        ages = self.states[self.state][pin].ages
        rules: list[Rule] = []
        if now < self.blocked_until[pin]:
            rules.append("transition_time")
        if any(now - self.last[other] < age for other, age in ages.items() if other in self.last):
            rules.append("prior_input")
        return rules

    def obey(self, pin: str, now: int) -> Ticks:
        """Takes a pulse: the delay of each output that it fires."""
        reaction = self.states[self.state][pin]
        self.state = reaction.target
        for other, time in reaction.blocks.items():
            self.blocked_until[other] = max(self.blocked_until[other], now + time)
        self.last[pin] = now
        self.taken += 1
        return reaction.fires

    def toss(self) -> bool:
        """Whether the coin says that a violating pulse is obeyed."""
        word = self.coin
        word ^= word << 7 & 0xFFFF
        word ^= word >> 9
        word ^= word << 8 & 0xFFFF
        self.coin = word
        return bool(word >> 15)


def run(
    netlist: Netlist,
    stimulus: Stimulus,
    *,
    policy: Policy = "flag",
    seed: int = 0,
    until: int | None = None,
    delay_of: DelayOf | None = None,
    most: int | None = None,
) -> Run:
    """Simulates until nothing happens any more.

    Parameters
    ----------
    policy : what becomes of violating pulses
    seed : of the coins of `randomise`, below 2**16
    until : the last tick that is looked at; a netlist with loops may never come to rest
    delay_of : delays of its own for every pulse, above 0
    most : deliveries after which it gives up; `MOST_DELIVERIES` if it is not given

    Raises
    ------
    ValueError
        If the policy or seed is none.
    NeverAtRest
        After more than `most` deliveries.
    """
    check_options(policy, seed)
    most = MOST_DELIVERIES if most is None else most
    machines = [_Machine(instance, index, seed) for index, instance in enumerate(netlist.instances)]
    receivers = netlist.receivers()
    pulses: dict[str, list[int]] = {wire: [] for wire in netlist.wires}
    violations: list[Violation] = []
    deliveries = 0

    ahead: list[tuple[int, int, str]] = []  # ticks, instances and pins of pulses under way

    def send(wire: str, time: int) -> None:
        if until is None or time <= until:
            pulses[wire].append(time)
            if wire in receivers:
                heapq.heappush(ahead, (time, *receivers[wire]))

    for wire, times in stimulus.items():
        for time in times:
            send(wire, time)
    while ahead:
        now, index, pin = heapq.heappop(ahead)
        together = {pin}
        while ahead and ahead[0][:2] == (now, index):
            together.add(heapq.heappop(ahead)[2])
        machine = machines[index]
        for pin in machine.order(together):
            deliveries += 1
            rules = machine.broken_rules(pin, now)
            instance = machine.instance
            violations += [Violation(now, instance.name, instance.cell.name, pin, rule) for rule in rules]
            if rules and (policy == "drop" or (policy == "randomise" and not machine.toss())):
                continue
            for output, delay in machine.obey(pin, now).items():
                if output in instance.pins:
                    chosen = delay_of(index, machine.taken - 1, output, delay) if delay_of else delay
                    send(instance.pins[output], now + chosen)
        if deliveries > most:
            raise NeverAtRest(netlist, most)
    return Run({wire: sorted(set(times)) for wire, times in pulses.items()}, violations, deliveries)
