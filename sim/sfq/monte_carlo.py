"""Yield of a netlist whose delays are spread: how often its outputs are right, when their pulses come, what goes wrong.

A trial passes if no pulse came too soon, every output gave as many pulses as expected and, where the order is asked for
too, no pulse of the outputs came before one that is expected earlier; pulses expected in the same tick may come in any
order. What is expected are the outputs of the netlist's nominal run, or recorded ones.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from hdl.sfq.netlist import Stimulus
from sim.sfq.bias import delay_scale
from sim.sfq.event_model import Policy, Rule
from sim.sfq.kernel import NEVER, Simulator
from sim.sfq.spread import Spread, nearest
from sim.sfq.trials import RULES, ModelSimulator, Trials

MOST_AT_ONCE = 1 << 20
"""Figures that are held at once, over all trials of a batch: of a trial, of its outputs, and of their pulses."""

BINS = 40
"""Of a histogram, at most."""


@dataclass(frozen=True)
class Point:
    """Where a netlist works.

    Attributes
    ----------
    spread : Spread
    scale : factor of all delays, and of the windows if they scale
    period : factor of the times of all input pulses, which gives the nearest tick, halves to even
    bias : factor of all bias currents; modelled (`bias.delay_scale`)
    """

    spread: Spread = field(default_factory=Spread)
    scale: float = 1.0
    period: float = 1.0
    bias: float = 1.0


@dataclass(frozen=True)
class Statistics:
    """Of some numbers in ticks; all None if there is none."""

    mean: float | None
    std: float | None
    least: int | None
    most: int | None


@dataclass(frozen=True)
class Arrivals:
    """When an output's pulses came, in the trials in which it gave as many as expected.

    Attributes
    ----------
    expected : ticks of its expected pulses
    pulses : of the arrival of each expected pulse
    histogram : trials by how many ticks later than expected a pulse came, over all its pulses
    wrong : trials with another number of pulses
    """

    expected: Sequence[int]
    pulses: list[Statistics]
    histogram: dict[int, int]
    wrong: int


@dataclass(frozen=True)
class Outcome:
    """What some trials gave.

    Attributes
    ----------
    trials, passed, violating : numbers of trials
    disordered : trials with the right numbers of pulses in the wrong order
    arrivals : by output
    broken : violations in all trials, by instance, pin and rule; the most frequent first
    deliveries : pulses that reached a cell, in all trials
    """

    trials: int
    passed: int
    violating: int
    disordered: int
    arrivals: dict[str, Arrivals]
    broken: dict[tuple[str, str, Rule], int]
    deliveries: int

    @property
    def passing(self) -> float:
        """The yield: the share of trials that pass."""
        return self.passed / self.trials


class Experiment:
    """A netlist under test.

    Parameters
    ----------
    simulator : of the netlist; the kernel's and the event model's give the same results
    expected : ticks of the pulses at each output; those of the nominal run if they are not given
    ordered : whether the order of the pulses counts
    policy, coins, until : as in `event_model.run`
    threads : that the kernel may use

    Raises
    ------
    sim.sfq.event_model.NeverAtRest
        If it does not come to rest.
    """

    def __init__(
        self,
        simulator: Simulator | ModelSimulator,
        stimulus: Stimulus,
        *,
        expected: Mapping[str, Sequence[int]] | None = None,
        ordered: bool = False,
        policy: Policy = "flag",
        coins: int = 0,
        until: int | None = None,
        threads: int = 1,
    ):
        self.netlist, self.stimulus, self.ordered = simulator.netlist, stimulus, ordered
        self._simulator, self._policy, self._coins = simulator, policy, coins
        self._until, self._threads = until, threads
        self.nominal = simulator.run(stimulus, policy=policy, seed=coins, until=until)
        if expected is None:
            expected = {wire: self.nominal.pulses[wire] for wire in self.netlist.outputs}
        self.expected = {wire: np.array(times, np.int64) for wire, times in expected.items()}

    def outcome(self, point: Point, trials: int) -> Outcome:
        """What so many trials at a point give.

        Raises
        ------
        ValueError
            If nothing was measured at such a bias.
        sim.sfq.event_model.NeverAtRest
            If a trial does not come to rest.
        """
        places = [(one.name, pin) for one in self.netlist.instances for pin in one.cell.inputs]
        tally = _Tally([*self.expected.values()], self.ordered, len(places))
        for batch in self._batches(point, trials):
            tally.add(batch)
        broken = {
            (*places[place], RULES[rule]): int(tally.broken[place, rule])
            for place, rule in np.argwhere(tally.broken).tolist()
        }
        return Outcome(
            trials=trials,
            passed=tally.passed,
            violating=tally.violating,
            disordered=tally.disordered,
            arrivals=dict(zip(self.expected, tally.arrivals(), strict=True)),
            broken=dict(sorted(broken.items(), key=lambda one: -one[1])),
            deliveries=tally.deliveries,
        )

    def _batches(self, point: Point, trials: int) -> Iterator[Trials]:
        bias = {id(one.cell): delay_scale(one.cell, point.bias) for one in self.netlist.instances}
        scales = np.array([point.scale * bias[id(one.cell)] for one in self.netlist.instances], np.float64)
        stimulus, until = self.stimulus, self._until
        if point.period != 1:
            stimulus = {
                wire: sorted({nearest(time * point.period, 0) for time in times}) for wire, times in stimulus.items()
            }
            until = None if until is None else nearest(until * point.period, 0)
        counts = {wire: len(times) for wire, times in self.expected.items()}
        most = max(1, MOST_AT_ONCE // (1 + len(counts) + sum(counts.values())))
        for first in range(0, trials, most):
            yield self._simulator.trials(
                *(stimulus, point.spread, scales, counts),
                first=first,
                count=min(most, trials - first),
                threads=self._threads,
                policy=self._policy,
                coins=self._coins,
                until=until,
            )


def binned(histogram: Mapping[int, int]) -> tuple[int, int, list[int]]:
    """A histogram by ticks as at most `BINS` bins of whole ticks: where the first begins, their width, their counts.

    One of nothing begins at 0, has a width of 1 and no bin.
    """
    first, last = min(histogram, default=0), max(histogram, default=-1)
    step = max(1, -(-(last - first + 1) // BINS))
    counts = [0] * -(-(last - first + 1) // step)
    for late, count in histogram.items():
        counts[(late - first) // step] += count
    return first, step, counts


class _Tally:
    """What is kept of batches of trials."""

    def __init__(self, expected: Sequence[npt.NDArray[np.int64]], ordered: bool, pins: int):
        self.expected, self.ordered = expected, ordered
        self.passed = self.violating = self.disordered = self.deliveries = 0
        self.broken = np.zeros((pins, len(RULES)), np.int64)
        slots = sum(len(times) for times in expected)
        self._wrong = np.zeros(len(expected), np.int64)
        self._count, self._sum, self._squares = (np.zeros(slots) for _ in range(3))
        self._least, self._most = np.full(slots, NEVER), np.full(slots, -1)
        self._histograms: list[Counter[int]] = [Counter() for _ in expected]
        self._nominal = np.concatenate([*expected, np.zeros(0, np.int64)])
        self._by_time = np.argsort(self._nominal, kind="stable")
        # Where, of the pulses by time, those of another tick begin.
        self._groups = np.flatnonzero(np.diff(self._nominal[self._by_time], prepend=-1))

    def add(self, batch: Trials) -> None:
        """Adds a batch."""
        counts = np.array([len(times) for times in self.expected], np.int64)
        right = batch.pulses == counts
        quiet, whole = batch.violations == 0, right.all(axis=1)
        in_order = whole
        if self.ordered:
            in_order = whole & self._in_order(batch.arrivals)
        self.passed += int((quiet & in_order).sum())
        self.violating += int((~quiet).sum())
        self.disordered += int((whole & ~in_order).sum())
        self.deliveries += batch.deliveries
        self.broken += batch.broken
        self._wrong += (~right).sum(axis=0)
        self._add_arrivals(batch.arrivals, np.repeat(right, counts, axis=1))

    def _in_order(self, arrivals: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        """By trial: whether no pulse came before one that is expected in an earlier tick."""
        if len(self._groups) < 2:
            return np.ones(len(arrivals), bool)
        by_time = arrivals[:, self._by_time]
        latest = np.maximum.accumulate(np.maximum.reduceat(by_time, self._groups, axis=1), axis=1)
        earliest = np.minimum.reduceat(by_time, self._groups, axis=1)
        return np.asarray((latest[:, :-1] <= earliest[:, 1:]).all(axis=1))

    def _add_arrivals(self, arrivals: npt.NDArray[np.int64], known: npt.NDArray[np.bool_]) -> None:
        late = np.where(known, arrivals - self._nominal, 0)
        self._count += known.sum(axis=0)
        self._sum += late.sum(axis=0)
        self._squares += (late.astype(np.float64) ** 2).sum(axis=0)
        self._least = np.minimum(self._least, np.where(known, arrivals, NEVER).min(axis=0, initial=NEVER))
        self._most = np.maximum(self._most, np.where(known, arrivals, -1).max(axis=0, initial=-1))
        for histogram, part in zip(self._histograms, self._parts(late, known), strict=True):
            ticks, counts = np.unique(part, return_counts=True)
            histogram.update(dict(zip(ticks.tolist(), counts.tolist(), strict=True)))

    def _parts(self, late: npt.NDArray[np.int64], known: npt.NDArray[np.bool_]) -> Iterator[npt.NDArray[np.int64]]:
        """The known ones of each output."""
        end = 0
        for times in self.expected:
            begin, end = end, end + len(times)
            yield late[:, begin:end][known[:, begin:end]]

    def arrivals(self) -> list[Arrivals]:
        """The arrivals at each output."""
        found, slot = [], 0
        for place, times in enumerate(self.expected):
            pulses = [self._statistics(slot + number) for number in range(len(times))]
            slot += len(times)
            histogram = dict(sorted(self._histograms[place].items()))
            found.append(Arrivals(times.tolist(), pulses, histogram, int(self._wrong[place])))
        return found

    def _statistics(self, slot: int) -> Statistics:
        count = self._count[slot]
        if not count:
            return Statistics(None, None, None, None)
        mean = self._sum[slot] / count
        std = math.sqrt(max(0.0, self._squares[slot] / count - mean**2))
        return Statistics(float(self._nominal[slot] + mean), std, int(self._least[slot]), int(self._most[slot]))
