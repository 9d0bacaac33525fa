"""When everything happens: the clock's period, the delays that hold times ask for, the times of inputs and outputs.

All in ticks. For wave 0 the clock of stage s reaches the cells deepest in their phase's tree at `start + s * step`, and
others as much earlier as they are nearer to the root.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from flows.sfq.mapping.adder_cells import AdderCell, staggered
from flows.sfq.mapping.clock_tree import clock_trees, edges_within_a_phase, fan_out_tree
from flows.sfq.mapping.insertion import Pipeline, Sink
from flows.sfq.mapping.kit import Kit, delay_of, least_period
from flows.sfq.mapping.levels import OUTPUTS
from flows.sfq.mapping.trees import Tree, leaves


@dataclass(frozen=True)
class Timing:
    """A pipeline with its trees and times.

    Attributes
    ----------
    fan_outs : the splitters behind each signal that has sinks
    clocks : the splitters of each phase that has cells
    delays : how many delay cells stand before a sink
    entries : of each full adder: the entry that each operand takes
    step : from a stage to the next; the period is `phases` of them
    first_clock : of each phase's pin
    inputs_at : of a pulse of wave 0 at any input
    outputs_at : of a pulse of wave 0 at each output
    """

    fan_outs: Mapping[str, Tree]
    clocks: Mapping[int, Tree]
    delays: Mapping[Sink, int]
    entries: Mapping[str, Mapping[str, str]]
    step: int
    first_clock: Mapping[int, int]
    inputs_at: int
    outputs_at: tuple[int, ...]


@dataclass(frozen=True)
class _Path:
    """From an input or cell to a sink, in ticks.

    Attributes
    ----------
    way : from the driver's clock, or from an input, to the sink
    driver_at, sink_at : when their clocks come, less the times of their stages; None for an input
    crossed : stages
    """

    sink: Sink
    way: int
    driver_at: int | None
    sink_at: int
    crossed: int
    setup: int = 0
    hold: int = 0


def timed(pipeline: Pipeline, kit: Kit) -> Timing:
    """The trees of a pipeline and the fastest clock at which no pulse comes too soon."""
    unit, phases = delay_of(kit.splitter), pipeline.phases
    fan_outs = {signal: fan_out_tree(pipeline, signal) for signal, sinks in pipeline.sinks.items() if sinks}
    clocks = clock_trees(pipeline, edges_within_a_phase(pipeline, fan_outs, kit), phases)
    deepest = {phase: max(depth for _, depth in leaves(tree)) for phase, tree in clocks.items()}
    clocked_at = {
        signal: (depth - deepest[phase]) * unit for phase, tree in clocks.items() for signal, depth in leaves(tree)
    }
    paths = _paths(pipeline, fan_outs, clocked_at, unit)
    delay = delay_of(kit.delay)
    adders = _adders(pipeline, paths, fan_outs, clocked_at, unit)
    apart = {OUTPUTS, *(adder.signal for adder in adders)}
    inner = [path for path in paths if path.driver_at is not None and path.sink.cell not in apart]
    taken = [path for path in paths if path.driver_at is None and path.sink.cell != OUTPUTS]
    first = [path for path in taken if path.sink.cell not in apart]

    cells = [placed.gate.cell for placed in pipeline.cells.values()]
    cells += [kit.splitter, kit.delay, *(adder.cell.merger for adder in adders)]
    least = least_period({cell.name: cell for cell in cells}.values()) + kit.slack
    step = max([-(-least // phases), *map(_least_step, inner)])
    delays = {path.sink: -(-lack // delay) for path in inner if (lack := _lack(path, step, phases)) > 0}
    # An input that is an output, with nothing between them, would be one wire of two names.
    delays |= {path.sink: 1 for path in paths if path.driver_at is None and path.sink.cell == OUTPUTS and not path.way}
    step = max([step, *(_least_step(path, delays.get(path.sink, 0) * delay) for path in inner)])
    while True:
        inputs_at = max((_lack(path, step, phases) for path in taken), default=0)
        placed = {adder.signal: adder.placed(step, phases, inputs_at, delay) for adder in adders}
        enough = max(
            [step, *(_least_step(path, inputs_at) for path in first), *(one.least_step for one in placed.values())]
        )
        if enough == step:
            break
        step = enough
    for one in placed.values():
        delays |= one.delays
    start = max([depth * unit for depth in deepest.values()] + [-inputs_at])
    depth = pipeline.depth
    outputs_at = {
        int(path.sink.pin): start
        + (depth + 1 - path.crossed) * step
        + path.way
        + delays.get(path.sink, 0) * delay
        + (inputs_at if path.driver_at is None else path.driver_at)
        for path in paths
        if path.sink.cell == OUTPUTS
    }
    return Timing(
        fan_outs=fan_outs,
        clocks=clocks,
        delays=delays,
        entries={signal: one.entries for signal, one in placed.items()},
        step=step,
        first_clock={phase: start + phase * step - deepest[phase] * unit for phase in clocks},
        inputs_at=start + inputs_at,
        outputs_at=tuple(outputs_at[number] for number in range(len(outputs_at))),
    )


def _paths(pipeline: Pipeline, fan_outs: Mapping[str, Tree], clocked_at: Mapping[str, int], unit: int) -> list[_Path]:
    found = []
    for signal, tree in fan_outs.items():
        if signal in pipeline.carries:
            continue  # they hang on the adder's operands: `_Adder`
        cell = pipeline.cells.get(signal)
        for sink, depth in leaves(tree):
            way = depth * unit + (cell.gate.delay if cell else 0)
            crossed, driver_at = pipeline.crossed(signal, sink), clocked_at.get(signal)
            if sink.cell == OUTPUTS:
                found.append(_Path(sink, way, driver_at, 0, crossed))
            else:
                gate = pipeline.cells[sink.cell].gate
                setup, hold = gate.setup[sink.pin], gate.hold[sink.pin]
                found.append(_Path(sink, way, driver_at, clocked_at[sink.cell], crossed, setup, hold))
    return found


def _lack(path: _Path, step: int, phases: int) -> int:
    """Ticks by which a pulse comes too soon after the sink's clock of the cycle before."""
    return path.sink_at + path.hold - (phases - path.crossed) * step - path.way - (path.driver_at or 0)


def _least_step(path: _Path, later: int = 0) -> int:
    """The shortest step at which a pulse still comes before the sink's clock."""
    return -(-((path.driver_at or 0) + path.way + later + path.setup - path.sink_at) // path.crossed)


@dataclass(frozen=True)
class _Placed:
    """The entries and delay cells of a full adder, and the shortest step at which all its pulses come in time."""

    entries: Mapping[str, str]
    delays: Mapping[Sink, int]
    least_step: int


@dataclass(frozen=True)
class _Adder:
    """A full adder with the paths of its operands, and those from its carry to sinks of its own clock."""

    signal: str
    cell: AdderCell
    operands: tuple[_Path, ...]
    carries: tuple[_Path, ...]

    def placed(self, step: int, phases: int, inputs_at: int, delay: int) -> _Placed:
        """The adder in time, if a step takes so long and inputs come then."""
        cell, operands = self.cell, self.operands
        come = [  # after the clock of the driver's stage, as the adder's clock counts
            path.way - path.sink_at + (inputs_at if path.driver_at is None else path.driver_at) for path in operands
        ]
        before = [time - path.crossed * step for time, path in zip(come, operands, strict=True)]
        stagger = staggered(cell, before, [time + phases * step for time in before], delay)
        entries, waits = stagger.entries, [count * delay for count in stagger.delays]
        come = [time + wait for time, wait in zip(come, waits, strict=True)]
        steps = [1]
        for time, path, entry in zip(come, operands, entries, strict=True):
            steps.append(-(-(time + cell.way[entry] + cell.setup) // path.crossed))
            for next_time, next_path, next_entry in zip(come, operands, entries, strict=True):
                crossed = phases + path.crossed - next_path.crossed
                steps.append(-(-(time + cell.apart[entry, next_entry] - next_time) // crossed))
        delays = {path.sink: count for path, count in zip(operands, stagger.delays, strict=True) if count}
        toggled = [
            (time + cell.way[entry] + cell.carry_delay, path.crossed)
            for time, path, entry in zip(come, operands, entries, strict=True)
        ]
        # The pulse that comes first at the T1 never is a carry.
        toggled = sorted(toggled, key=lambda one: one[0] - one[1] * step)[1:]
        for sink in self.carries:
            paths = [replace(sink, driver_at=time, crossed=crossed) for time, crossed in toggled]
            count = max(0, *(-(-_lack(path, step, phases) // delay) for path in paths))
            delays |= {sink.sink: count} if count else {}
            steps += [_least_step(path, count * delay) for path in paths]
        return _Placed(
            {path.sink.pin: entry for path, entry in zip(operands, entries, strict=True)}, delays, max(steps)
        )


def _adders(
    pipeline: Pipeline, paths: list[_Path], fan_outs: Mapping[str, Tree], clocked_at: Mapping[str, int], unit: int
) -> list[_Adder]:
    entering = {path.sink: path for path in paths}
    carry_of = {cell: signal for signal, cell in pipeline.carries.items()}
    found = []
    for signal, placed in pipeline.cells.items():
        adder = placed.gate.adder
        if adder:
            carry = carry_of.get(signal, "")
            carries = []
            for sink, depth in leaves(fan_outs[carry]) if carry in fan_outs else ():
                gate = pipeline.cells[sink.cell].gate
                sink_at = clocked_at[sink.cell] - clocked_at[signal]
                carries.append(_Path(sink, depth * unit, 0, sink_at, 0, gate.setup[sink.pin], gate.hold[sink.pin]))
            operands = tuple(entering[Sink(signal, pin)] for pin in placed.gate.inputs)
            found.append(_Adder(signal, adder, operands, tuple(carries)))
    return found
