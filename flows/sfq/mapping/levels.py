"""The clock stage of every gate, so that as few flip-flops as possible keep the waves apart.

A stage is a phase's turn: with n phases, stages s and s + n have the same clock, a cycle apart. A pulse is taken by the
next clock at its sink, so that a signal may cross 1 to n stages; to cross more, it needs a flip-flop every n stages.
All sinks of a signal share one chain. An operand of w waves ago comes w intervals later.

A full adder's carry fires before the clock, when the operands come: as if it had been clocked one cycle of n stages
before its adder. What takes it has the adder's clock, or it waits in a flip-flop that has.

With one phase the fewest flip-flops are a linear program over differences, whose vertices are whole (retiming; HiGHS).
With more, a chain's length is rounded, and the program is no longer that. `staged` counts a flip-flop a stage beyond
the first cycle instead, n to a cycle, which is such a program again; `improved` then moves single gates.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from random import Random

import numpy as np
from scipy.optimize import linprog
from scipy.sparse import csr_array

from flows.sfq.mapping.network import LogicNetwork

OUTPUTS = "outputs"
"""Stands for the clock that would take the outputs: one stage after the depth."""

_INFEASIBLE = 2  # as scipy's `status` says it
_SWEEPS, _IDLE_SWEEPS = 40, 5


@dataclass(frozen=True)
class Span:
    """From a gate or input to a sink: what the signal crosses is the sink's stage less the driver's, and `offset`; it
    is to be `least` or more."""

    driver: str
    sink: str
    offset: int
    signal: str
    least: int = 1


@dataclass(frozen=True)
class Problem:
    """What is to be staged.

    Attributes
    ----------
    inputs : signals at stage 0
    gates : signals whose stages are asked for
    constants : those that take nothing, which must not come before the first clock
    spans : every path from driver to sink
    phases : of the clock
    """

    inputs: tuple[str, ...]
    gates: tuple[str, ...]
    constants: frozenset[str]
    spans: tuple[Span, ...]
    phases: int

    def chains(self, stages: Mapping[str, int]) -> dict[str, int]:
        """Flip-flops behind each signal."""
        found: dict[str, int] = defaultdict(int)
        for span in self.spans:
            crossed = stages[span.sink] - stages[span.driver] + span.offset
            found[span.signal] = max(found[span.signal], -(-crossed // self.phases) - 1)
        return found


def problem_of(network: LogicNetwork, phases: int, interval: int) -> Problem:
    """The problem of a network whose waves come every `interval` cycles."""
    adders = set(network.carries.values())
    spans = list[Span]()
    for one, sink in [*network.edges(), *((operand, OUTPUTS) for operand in network.outputs)]:
        offset, least = one.waves * phases * interval, 1
        if one.signal in network.carries:
            # No full adder takes a carry that no clock has: the times of its pulses would spread from one to the next.
            offset, least = offset + phases, phases + (sink == OUTPUTS or sink in adders)
        spans.append(Span(network.gate_behind(one.signal), sink, offset, one.signal, least))
    constants = frozenset(signal for signal, gate in network.gates.items() if not gate.operands)
    return Problem(network.inputs, tuple(network.gates), constants, tuple(dict.fromkeys(spans)), phases)


def staged(problem: Problem) -> dict[str, int] | None:
    """Stages at a depth of 1 or more; None if there are none. With one phase they have the fewest flip-flops."""
    free = [*problem.gates, OUTPUTS]
    column = {signal: index for index, signal in enumerate(free)}
    chain = {signal: len(free) + index for index, signal in enumerate(dict.fromkeys(s.signal for s in problem.spans))}
    rows, columns, values, bounds = list[int](), list[int](), list[float](), list[float]()

    def at_most(bound: float, terms: Mapping[int | None, int]) -> None:
        for where, factor in terms.items():
            if where is not None:
                rows.append(len(bounds))
                columns.append(where)
                values.append(factor)
        bounds.append(bound)

    for span in problem.spans:
        driver, sink = column.get(span.driver), column[span.sink]
        at_most(span.offset - span.least, {driver: 1, sink: -1} if driver != sink else {})
        beyond = {sink: 1, driver: -1} if driver != sink else {}
        at_most(problem.phases - span.offset, {**beyond, chain[span.signal]: -1})  # of the others, n are free
    cost = np.zeros(len(free) + len(chain))
    cost[len(free) :] = 1
    limits: list[tuple[int | None, None]] = [(1 if gate in problem.constants else None, None) for gate in problem.gates]
    limits += [(2, None)] + [(0, None)] * len(chain)
    matrix = csr_array((values, (rows, columns)), shape=(len(bounds), len(cost)))
    found = linprog(cost, A_ub=matrix, b_ub=bounds, bounds=limits, method="highs-ds")
    if found.status == _INFEASIBLE:
        return None
    return dict.fromkeys(problem.inputs, 0) | {signal: round(found.x[column[signal]]) for signal in free}


def improved(problem: Problem, stages: Mapping[str, int]) -> dict[str, int]:
    """The same with fewer flip-flops, where moving one gate after another leads to fewer; moves that cost nothing are
    made, too, because others may follow. Seeded."""
    phases, random, now = problem.phases, Random(1), dict(stages)
    behind, before, of_signal = defaultdict(list), defaultdict(list), defaultdict(list)
    for span in problem.spans:
        behind[span.driver].append(span)
        before[span.sink].append(span)
        of_signal[span.signal].append(span)
    touched_by = {gate: dict.fromkeys(span.signal for span in (*before[gate], *behind[gate])) for gate in problem.gates}

    def length(signal: str) -> int:
        spans = of_signal[signal]
        return max(-(-(now[one.sink] - now[one.driver] + one.offset) // phases) - 1 for one in spans)

    lengths = {signal: length(signal) for signal in of_signal}
    order, idle = list(problem.gates), 0
    for _ in range(_SWEEPS):
        random.shuffle(order)
        won = 0
        for gate in order:
            here = now[gate]
            low = max(
                [
                    1 if gate in problem.constants else here - 2 * phases,
                    *(now[span.driver] - span.offset + span.least for span in before[gate]),
                ]
            )
            high = min([here + 2 * phases, *(now[span.sink] + span.offset - span.least for span in behind[gate])])
            touched = touched_by[gate]
            least, places = sum(lengths[one] for one in touched), list[int]()
            least_before = least
            for stage in range(low, high + 1):
                now[gate] = stage
                cost = sum(map(length, touched))
                if cost < least:
                    least, places = cost, []
                if cost == least and stage != here:
                    places.append(stage)
            now[gate] = random.choice(places) if places else here
            if places:
                lengths |= {one: length(one) for one in touched}
                won += least_before - least
        idle = 0 if won else idle + 1
        if idle == _IDLE_SWEEPS:
            break
    return now
