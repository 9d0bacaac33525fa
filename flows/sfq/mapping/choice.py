"""Which network of a source is taken: of several ways to map it, with T1 cells and without, the cheapest."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from flows.errors import BadInput
from flows.sfq.mapping.aig import Aig
from flows.sfq.mapping.covering import covered
from flows.sfq.mapping.full_adders import can_add
from flows.sfq.mapping.insertion import Pipeline, inserted
from flows.sfq.mapping.kit import Kit
from flows.sfq.mapping.levels import Problem, improved, problem_of, staged
from flows.sfq.mapping.network import LogicNetwork
from flows.sfq.mapping.ripple import rippled
from flows.sfq.mapping.timing import Timing, timed

MOST_INTERVAL = 64
"""Cycles from a wave to the next: beyond it a loop is refused."""

WORTH_A_LOOK = 1.2
"""A kind of network is put in time only if it has at most so many times the junctions of the other."""


@dataclass(frozen=True)
class Candidate:
    """A network with its stages, and what it costs."""

    script: str
    network: LogicNetwork
    stages: Mapping[str, int]
    interval: int
    flip_flops: int
    junctions: int


@dataclass(frozen=True)
class InTime:
    """A candidate with its cells and times; its junctions are those of delay cells, too."""

    candidate: Candidate
    pipeline: Pipeline
    timing: Timing
    junctions: int


def chosen(source: Aig, kit: Kit, phases: int, folder: Path, scripts: int, full_adders: str) -> InTime:
    """The cheapest of so many ways, delay cells included; of equal ones the first.

    Raises
    ------
    BadInput
        If a loop takes more than MOST_INTERVAL cycles.
    """
    found: dict[bool, list[Candidate]] = {False: [], True: []}
    for whole, candidate in _candidates(source, kit, phases, folder, scripts, full_adders):
        found[whole].append(candidate)
    best = [min(some, key=lambda one: one.junctions) for some in found.values() if some]
    most = WORTH_A_LOOK * min(one.junctions for one in best)
    compared = [in_time(_improved(one, kit, phases), kit, phases) for one in best if one.junctions <= most]
    return min(compared, key=lambda one: one.junctions)


def in_time(candidate: Candidate, kit: Kit, phases: int) -> InTime:
    """A candidate under the windows of a kit."""
    pipeline = inserted(candidate.network, candidate.stages, kit, phases, candidate.interval)
    timing = timed(pipeline, kit)
    delays = sum(timing.delays.values())
    return InTime(candidate, pipeline, timing, candidate.junctions + delays * kit.delay.junctions)


def _candidates(
    source: Aig, kit: Kit, phases: int, folder: Path, scripts: int, full_adders: str
) -> Iterator[tuple[bool, Candidate]]:
    """Every network, and whether its full adders are cells."""
    looks = full_adders == "t1" or (full_adders == "auto" and scripts > 1)
    ripple = rippled(source, folder) if looks and kit.full_adder else None
    for cover in covered(source, ripple, kit, folder, scripts, full_adders):
        if not cover.adders or (full_adders != "t1" and can_add(kit)):
            yield False, _candidate(cover.name, cover.network((), source, kit), kit, phases)
        if full_adders != "gates" and cover.adders and kit.full_adder:
            network = cover.network(range(cover.adders), source, kit)
            yield True, _candidate(f"t1 {cover.name.removeprefix('adders ')}", network, kit, phases)


def _candidate(script: str, network: LogicNetwork, kit: Kit, phases: int) -> Candidate:
    """A network staged at the shortest interval at which all its loops can be kept."""
    for interval in range(1, MOST_INTERVAL + 1):
        problem = problem_of(network, phases, interval)
        stages = staged(problem)
        if stages is not None:
            return _costed(script, network, problem, stages, interval, kit)
    raise BadInput(f"a loop takes more than {MOST_INTERVAL} cycles from a wave to the next")


def _costed(
    script: str, network: LogicNetwork, problem: Problem, stages: Mapping[str, int], interval: int, kit: Kit
) -> Candidate:
    flip_flops = sum(problem.chains(stages).values())
    clocked = len(network.gates) + flip_flops
    junctions = sum(kit.cell(gate.cell).junctions for gate in network.gates.values())
    junctions += flip_flops * kit.flip_flop.cell.junctions
    junctions += (network.splitters + max(clocked - 1, 0)) * kit.splitter.junctions
    return Candidate(script, network, stages, interval, flip_flops, junctions)


def _improved(candidate: Candidate, kit: Kit, phases: int) -> Candidate:
    """With several phases: the same with fewer flip-flops."""
    if phases == 1:
        return candidate
    network, interval = candidate.network, candidate.interval
    problem = problem_of(network, phases, interval)
    return _costed(candidate.script, network, problem, improved(problem, candidate.stages), interval, kit)
