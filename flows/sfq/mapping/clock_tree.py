"""Which cells a phase's clock reaches later than others, and the tree of splitters that does so.

A cell whose pulse would reach its sink before the sink may take it (its hold time) must be clocked later than the sink.
A tree can do that without any further junction: every splitter on the way of the clock costs its delay. So each cell
has a lateness, in splitters; those of the highest are paired, join those of the next, and so on to the root.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from flows.sfq.mapping.insertion import Pipeline, Sink
from flows.sfq.mapping.kit import Kit, delay_of
from flows.sfq.mapping.levels import OUTPUTS
from flows.sfq.mapping.trees import Tree, balanced, leaves, paired


@dataclass(frozen=True)
class Edge:
    """From a cell to a sink of the same phase, a cycle later: the cell must be clocked so many splitters later."""

    driver: str
    sink: str
    later: int


def fan_out_tree(pipeline: Pipeline, signal: str) -> Tree:
    """The splitters behind a signal, with its sinks as leaves: those with little time left are nearest."""

    def hurry(sink: Sink) -> tuple[int, int]:
        setup = 0 if sink.cell == OUTPUTS else pipeline.cells[sink.cell].gate.setup[sink.pin]
        return -pipeline.crossed(signal, sink), setup

    return balanced(sorted(pipeline.sinks[signal], key=hurry))


def edges_within_a_phase(pipeline: Pipeline, trees: Mapping[str, Tree], kit: Kit) -> list[Edge]:
    """Every path on which a pulse could come before the clock of the cycle before it is over at its sink."""
    unit, found = delay_of(kit.splitter), []
    for signal, cell in pipeline.cells.items():
        for sink, depth in leaves(trees[signal]) if pipeline.sinks[signal] else ():
            if sink.cell != OUTPUTS and pipeline.crossed(signal, sink) == pipeline.phases:
                spare = cell.gate.delay + depth * unit - pipeline.cells[sink.cell].gate.hold[sink.pin]
                found.append(Edge(signal, sink.cell, max(0, -(spare // unit))))
    return found


def clock_trees(pipeline: Pipeline, edges: list[Edge], phases: int) -> dict[int, Tree]:
    """The tree of each phase that has cells."""
    late = _lateness(pipeline, edges)
    drivers = defaultdict(list)
    for edge in edges:
        drivers[edge.sink].append(edge)
    members: dict[int, list[str]] = defaultdict(list)
    for signal in sorted(pipeline.cells, key=pipeline.stage):
        members[pipeline.stage(signal) % phases].append(signal)
    return {phase: _tree(members[phase], late, drivers) for phase in sorted(members)}


def _lateness(pipeline: Pipeline, edges: list[Edge]) -> dict[str, int]:
    """The least lateness of each cell that every path allows; paths back to an earlier stage are left out."""
    behind = defaultdict(list)
    for edge in edges:
        if pipeline.stage(edge.driver) < pipeline.stage(edge.sink):
            behind[edge.driver].append(edge)
    late: dict[str, int] = {}
    for signal in sorted(pipeline.cells, key=pipeline.stage, reverse=True):
        late[signal] = max([late[edge.sink] + edge.later for edge in behind[signal]], default=0)
    return late


def _tree(members: list[str], late: Mapping[str, int], drivers: Mapping[str, list[Edge]]) -> Tree:
    """The tree over cells in the order of their stages.

    Where a lateness has an odd number of branches, a cell of a lower one that may be as late fills up; where there is
    none, the last branch comes a splitter earlier, and what it drives is delayed (`timing`).
    """
    waiting: dict[int, list[str]] = defaultdict(list)
    for signal in members:
        waiting[late[signal]].append(signal)
    now = dict(late)
    branches: list[Tree] = []
    for lateness in range(max(waiting), 0, -1):
        branches += waiting.pop(lateness, [])
        if len(branches) % 2:
            for signal in (one for lower in sorted(waiting, reverse=True) for one in waiting[lower]):
                if all(lateness <= now[edge.driver] - edge.later for edge in drivers[signal]):
                    waiting[now[signal]].remove(signal)
                    now[signal] = lateness
                    branches.append(signal)
                    break
        branches = paired(branches)
    return balanced(branches + waiting.get(0, []))
