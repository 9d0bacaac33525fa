"""How long ago commands were issued, as one flag for each time that somebody asks for."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import reduce
from itertools import combinations
from operator import xor

from amaranth.hdl import Cat, Module, Signal, Value

from hdl.common.arithmetic import wire

MOST_BITS = 24


@dataclass(frozen=True)
class Age:
    """Whether an event was so many cycles ago or longer.

    Attributes
    ----------
    reached : in this cycle
    soon : in the next, if the event does not happen in this
    event : whether it does
    """

    reached: Signal
    soon: Signal
    event: Value


class Ages:
    """Flags that say whether an event was at least so many cycles ago; at reset all were.

    An event sets a shift register with linear feedback back to its start and clears the event's flags; a flag is set
    when the register passes the state that belongs to it, and stays. So what has expired does not come alive again
    when the register goes round, and a count costs no carry chain.
    """

    def __init__(self, m: Module):
        self._module = m
        self._ages: dict[str, dict[int, Age]] = {}

    def at_least(self, name: str, event: Value, cycles: int) -> Age:
        """The age of an event, known by its name, in cycles, 2 or more."""
        ages = self._ages.setdefault(name, {})
        if cycles not in ages:
            reached = Signal(init=1, name=f"{name}_{cycles}_ago")
            ages[cycles] = Age(reached, Signal(name=f"{name}_{cycles}_soon"), event)
        return ages[cycles]

    def elaborate(self) -> None:
        """Adds the registers, when everybody has asked."""
        m = self._module
        for name, ages in self._ages.items():
            event = wire(m, next(iter(ages.values())).event, f"{name}_event")
            states, taps, bits = sequence(max(1, max(ages) - 1))
            state = Signal(bits, init=states[0], name=f"{name}_age")
            m.d.sync += state.eq(_next(state, taps))
            with m.If(event):
                m.d.sync += state.eq(states[0])
            for cycles, age in ages.items():
                passes = 1 if cycles == 2 else state == states[cycles - 2]
                m.d.comb += age.soon.eq(age.reached | passes)
                m.d.sync += age.reached.eq(age.soon & ~event)


def in_time(m: Module, ages: Iterable[Age], name: str) -> Signal:
    """A register that says whether all of them are reached."""
    ages = list(ages)
    ready = Signal(init=1, name=name)
    m.d.sync += ready.eq(Cat(age.soon for age in ages).all() & ~Cat(age.event for age in ages).any())
    return ready


def periodic(m: Module, cycles: int, name: str) -> Signal:
    """A pulse every `cycles` cycles, in the first for the first time `cycles` after reset: its last cycle is the one
    with the pulse."""
    states, taps, bits = sequence(cycles)
    state = Signal(bits, init=states[0], name=f"{name}_count")
    pulse = Signal(name=name)
    m.d.comb += pulse.eq(state == states[cycles - 1])
    m.d.sync += state.eq(_next(state, taps))
    with m.If(pulse):
        m.d.sync += state.eq(states[0])
    return pulse


def sequence(length: int) -> tuple[list[int], tuple[int, ...], int]:
    """The first `length` states, all different, of the shortest shift register that has them; its taps and bits."""
    for bits in range(max(2, length.bit_length()), MOST_BITS):
        for count in (2, 4):
            for others in combinations(range(bits - 1), count - 1):
                taps = (*others, bits - 1)
                if states := _states(length, taps, bits):
                    return states, taps, bits
    raise ValueError(f"no register has {length} states")


def _states(length: int, taps: tuple[int, ...], bits: int) -> list[int] | None:
    start = state = (1 << bits) - 1
    found = []
    for _ in range(length):
        found.append(state)
        feedback = reduce(xor, (state >> tap & 1 for tap in taps))
        state = (state << 1 | feedback) & ((1 << bits) - 1)
        # The last tap makes steps reversible, so the first state to come again is the start.
        if state == start and len(found) < length:
            return None
    return found


def _next(state: Signal, taps: tuple[int, ...]) -> Value:
    return Cat(reduce(xor, (state[tap] for tap in taps)), state[:-1])
