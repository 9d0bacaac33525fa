"""Which step comes next: the choice that `skip` and `tick` differ in.

Times are modulo a power of 2, and less than half of it apart, so that the top bit of a difference says which is
earlier. A stimulus that may be further away is not `near`, and later than all else.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Sequence

from amaranth.hdl import Const, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out


class _Choice(wiring.Component):
    """Members of both choices, and names for those that are there for every queue.

    Parameters
    ----------
    delays : of the queues, in steps, ascending
    time_bits : of times modulo a power of 2

    Members
    -------
    now : In(time_bits)
    begun : In(1)
        This step is not before the first.
    waits_<index>, time_<index>, rival_<index>_<other> : In(1), In(time_bits), In(time_bits)
        Whether a queue has an entry that came earlier than in this step and stays, the step that the first is of, and
        that step less another queue's delay: what comes to that queue in this step is later if `now` is later.
    comes_<index>, after_<index> : In(1), In(time_bits)
        Whether an entry comes in this step, and the step that it would be of: `now` and the queue's delay.
    stimulus_time, stimulus_rival_<index>, near : In(time_bits), In(time_bits), In(1)
        Of the next stimulus; there is always one.
    last : In(1)
        It only ends the run: what is due at its time comes before it.
    due_<index> : Out(1)
        The queue's next entry is due in the next step.
    take : Out(1)
        The stimulus is that of the next step.
    next_now : Out(time_bits)
    """

    def __init__(self, delays: Sequence[int], time_bits: int):
        self._delays = delays
        queues = range(len(delays))
        bit, time = In(1), In(time_bits)
        members = {"now": time, "begun": bit, "stimulus_time": time, "near": bit, "last": bit}
        members |= {"take": Out(1), "next_now": Out(time_bits)}
        of_queue = {"waits": bit, "time": time, "comes": bit, "after": time, "stimulus_rival": time, "due": Out(1)}
        members |= {f"{name}_{index}": port for name, port in of_queue.items() for index in queues}
        members |= {f"rival_{index}_{other}": time for index in queues for other in queues}
        super().__init__(members)
        self.waits, self.times, self.comes, self.afters, self.stimulus_rivals, self.due = (
            [getattr(self, f"{name}_{index}") for index in queues] for name in of_queue
        )
        self.rivals = [[getattr(self, f"rival_{index}_{other}") for other in queues] for index in queues]


class SkipChoice(_Choice):
    """The next step is the earliest in which anything comes.

    What waits is known early, what comes in this step is known last. So all are compared with all at once, as if
    everything came; then what comes chooses: of several the one with the least delay, if it is before all that waits.
    In a queue in which another entry waits it never is.
    """

    def elaborate(self, platform):
        m = Module()
        queues = range(len(self._delays))
        now, stimulus = self.now, self.stimulus_time

        # Of what waits: whether it is the first, the stimulus included.
        sooner = [self.near & _before(stimulus, time) for time in self.times]
        later = [~self.near | _after(stimulus, time) for time in self.times]
        first = [Signal(name=f"first_{i}") for i in queues]
        for i in queues:
            earlier = [self.waits[j] & _before(self.times[j], self.times[i]) for j in queues if j != i]
            m.d.comb += first[i].eq(self.waits[i] & ~_any([sooner[i], *earlier]))
        # A stimulus that comes together with what is due counts as first, one that ends the run does not.
        stimulus_first, waiting = Signal(), Signal.like(self.now)
        ahead = [
            waits & Mux(self.last, ~one, other) for waits, one, other in zip(self.waits, sooner, later, strict=True)
        ]
        m.d.comb += [
            stimulus_first.eq(~_any(ahead)),
            waiting.eq(_any([_if(stimulus_first, stimulus), *map(_if, first, self.times)])),
        ]

        # Of what may come: whether it would be before all of that, or no later, or before the stimulus alone.
        wins, passes, spends = ([Signal(name=f"{name}_{i}") for i in queues] for name in ("wins", "passes", "spends"))
        for i in queues:
            others = [j for j in queues if j != i]
            stimulus_sooner = self.near & _after(now, self.stimulus_rivals[i])
            stimulus_later = ~self.near | _before(now, self.stimulus_rivals[i])
            not_after = [self.waits[j] & ~_before(now, self.rivals[j][i]) for j in others]
            earlier = [self.waits[j] & _after(now, self.rivals[j][i]) for j in others]
            m.d.comb += [
                wins[i].eq(stimulus_later & ~_any([self.waits[i], *not_after])),
                passes[i].eq(~_any([self.waits[i], stimulus_sooner, *earlier])),
                spends[i].eq(Mux(self.last, ~stimulus_sooner, stimulus_later)),
            ]
        won = [come & win for come, win in zip(self.comes, wins, strict=True)]
        next_now = waiting
        for i in reversed(queues):
            next_now = Mux(won[i], self.afters[i], next_now)
        m.d.comb += [
            self.take.eq(stimulus_first & ~_any(map(operator.and_, self.comes, spends))),
            self.next_now.eq(next_now),
        ]
        for i in queues:
            leads = self.comes[i] & ~_any(self.comes[:i])
            m.d.comb += self.due[i].eq((first[i] & ~_any(won)) | (leads & passes[i]))
        return m


class TickChoice(_Choice):
    """The next step is that after this one; only the first is that of the first stimulus."""

    def elaborate(self, platform):
        m = Module()
        after = Signal.like(self.now)
        ends = ~_any([*self.waits, *self.comes]) | (self.near & (self.stimulus_time == self.now))
        comes = self.near & (self.stimulus_time == after)
        m.d.comb += [
            after.eq(self.now + 1),
            self.take.eq(~self.begun | Mux(self.last, ends, comes)),
            self.next_now.eq(Mux(self.begun, after, self.stimulus_time)),
        ]
        for delay, due, waits, time, come in zip(
            self._delays, self.due, self.waits, self.times, self.comes, strict=True
        ):
            at_once = come if delay == 1 else 0
            m.d.comb += due.eq(Mux(waits, time == after, at_once))
        return m


def _before(a, b):
    return (a - b)[len(a) - 1]


def _after(a, b):
    """As `_before(b, a)`, in gates that invert `b`, as those of `_before(a, b)` do: on its way, not in a gate more."""
    return ~(a + ~b)[len(a) - 1]


def _any(values):
    """The or of some values; 0 of none."""
    return functools.reduce(operator.or_, values, Const(0))


def _if(condition, value):
    return Mux(condition, value, 0)
