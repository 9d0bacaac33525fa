"""Which step comes next: the choice that `skip` and `tick` differ in.

Times are modulo a power of 2, and less than half of it apart, so that the top bit of a difference says which is
earlier. A stimulus that may be further away is not `near`, and later than all else.
"""

from __future__ import annotations

import functools
import operator

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out


class _Choice(wiring.Component):
    """Members of both choices, and names for those that are there for every queue.

    now : In(time_bits)
    begun : In(1)
        This step is not before the first.
    there_<index>, time_<index> : In(1), In(time_bits)
        Whether a queue has a next entry, and of which step.
    stimulus_time, near : In(time_bits), In(1)
        Of the next stimulus; there is always one.
    last : In(1)
        It only ends the run: what is due at its time comes before it.
    due_<index> : Out(1)
        The queue's next entry is due in the next step.
    take : Out(1)
        The stimulus is that of the next step.
    next_now : Out(time_bits)
    """

    def __init__(self, queues: int, time_bits: int):
        members = {"now": In(time_bits), "begun": In(1), "stimulus_time": In(time_bits), "near": In(1), "last": In(1)}
        members |= {"take": Out(1), "next_now": Out(time_bits)}
        for index in range(queues):
            members |= {f"there_{index}": In(1), f"time_{index}": In(time_bits), f"due_{index}": Out(1)}
        super().__init__(members)
        self.there, self.times, self.due = (
            [getattr(self, f"{name}_{index}") for index in range(queues)] for name in ("there", "time", "due")
        )


class SkipChoice(_Choice):
    """The next step is the earliest in which anything comes.

    All comparisons are made at once, so that what is known last, whether anything fires in this step, passes few gates.
    """

    def elaborate(self, platform):
        m = Module()
        times, stimulus = self.times, self.stimulus_time
        earlier = {
            (i, j): Signal(name=f"earlier_{i}_{j}") for i in range(len(times)) for j in range(len(times)) if i != j
        }
        for (i, j), is_earlier in earlier.items():
            m.d.comb += is_earlier.eq(_before(times[i], times[j]))
        stimulus_first, stimulus_late = [], []
        for index, time in enumerate(times):
            later, sooner = Signal(name=f"stimulus_after_{index}"), Signal(name=f"stimulus_before_{index}")
            m.d.comb += [
                later.eq(~self.near | _before(time, stimulus)),
                sooner.eq(self.near & _before(stimulus, time)),
            ]
            # A stimulus that comes together with what is due counts as first, one that ends the run does not.
            stimulus_first.append(~self.there[index] | Mux(self.last, sooner, ~later))
            stimulus_late.append(~sooner)
        for i in range(len(times)):
            others = [~(self.there[j] & earlier[j, i]) for j in range(len(times)) if j != i]
            m.d.comb += self.due[i].eq(_all([self.there[i], stimulus_late[i], *others]))
        m.d.comb += [
            self.take.eq(_all([Const(1), *stimulus_first])),
            # Those that are chosen are of the same step.
            self.next_now.eq(
                functools.reduce(
                    operator.or_,
                    [Mux(due, time, 0) for due, time in zip(self.due, times, strict=True)],
                    Mux(self.take, stimulus, 0),
                )
            ),
        ]
        return m


class TickChoice(_Choice):
    """The next step is that after this one; only the first is that of the first stimulus."""

    def elaborate(self, platform):
        m = Module()
        after = Signal.like(self.now)
        ends = ~Cat(self.there).any() | (self.near & (self.stimulus_time == self.now))
        comes = self.near & (self.stimulus_time == after)
        m.d.comb += [
            after.eq(self.now + 1),
            self.take.eq(~self.begun | Mux(self.last, ends, comes)),
            self.next_now.eq(Mux(self.begun, after, self.stimulus_time)),
        ]
        for due, there, time in zip(self.due, self.there, self.times, strict=True):
            m.d.comb += due.eq(there & (time == after))
        return m


def _before(a, b):
    return (a - b)[len(a) - 1]


def _all(values):
    return functools.reduce(operator.and_, values)
