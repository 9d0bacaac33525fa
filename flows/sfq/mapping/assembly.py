"""The netlist: cells, splitters and delays as instances, between them wires of one driver and one sink."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from flows.sfq.mapping.insertion import Pipeline, Sink
from flows.sfq.mapping.kit import Kit
from flows.sfq.mapping.levels import OUTPUTS
from flows.sfq.mapping.timing import Timing
from flows.sfq.mapping.trees import Tree
from hdl.sfq.cells import Cell
from hdl.sfq.netlist import Instance, Netlist


@dataclass(frozen=True)
class Clock:
    """The pin of a phase, and the tick of its first pulse."""

    phase: int
    first: int


@dataclass(frozen=True)
class Mapped:
    """A netlist and how to drive it, in ticks.

    Attributes
    ----------
    phases : stages a period
    clocks : by input wire; a phase without a cell has none
    period : from a pulse of a clock to the next
    interval : periods from a wave to the next
    depth : the last stage
    inputs_at : when a pulse of wave 0 comes at any input
    outputs_at : when it leaves, by wire
    stages : of each clocked instance
    """

    netlist: Netlist
    phases: int
    clocks: dict[str, Clock]
    period: int
    interval: int
    depth: int
    inputs_at: int
    outputs_at: dict[str, int]
    stages: dict[str, int]


def assembled(
    name: str, inputs: Sequence[str], outputs: Sequence[str], pipeline: Pipeline, timing: Timing, kit: Kit
) -> Mapped:
    """The netlist of a timed pipeline, whose inputs and outputs have these names.

    An output of the name of an input gets another one: they are two wires.
    """
    work = _Netlist(kit, inputs)
    ends = [work.fresh(output) for output in outputs]
    clocks = {phase: work.fresh(f"clk{phase}" if len(timing.clocks) > 1 else "clk") for phase in timing.clocks}
    pins: dict[str, dict[str, str]] = {signal: {} for signal in pipeline.cells}

    def wire_before(node: Tree, wanted: str) -> str:
        """The wire that leads to a splitter or sink: an output's is named already."""
        direct = isinstance(node, Sink) and node.cell == OUTPUTS and node not in timing.delays
        return ends[int(node.pin)] if direct else work.fresh(wanted)

    def spread(signal: str, wire: str, tree: Tree) -> None:
        ahead = [(wire, tree)]
        while ahead:
            wire, node = ahead.pop()
            if isinstance(node, Sink):
                for number in reversed(range(timing.delays.get(node, 0))):
                    last = node.cell == OUTPUTS and not number
                    wire = work.delayed(wire, ends[int(node.pin)] if last else work.fresh(f"{signal}_late"))
                if node.cell != OUTPUTS:
                    pins[node.cell][node.pin] = wire
            else:
                branches = [wire_before(one, signal) for one in node]
                work.split(wire, branches)
                ahead += zip(branches, node, strict=True)

    for signal, wire in zip(pipeline.inputs, inputs, strict=True):
        if signal in timing.fan_outs:
            spread(signal, wire, timing.fan_outs[signal])
    drivers = [(signal, signal, cell.gate.output) for signal, cell in pipeline.cells.items()]
    for signal, owner in pipeline.carries.items():
        adder = pipeline.cells[owner].gate.adder
        drivers += [(signal, owner, adder.toggle.carry)] if adder else []
    for signal, cell, pin in drivers:
        if signal in timing.fan_outs:  # of a full adder, sum or carry may have no sink
            tree = timing.fan_outs[signal]
            pins[cell][pin] = wire_before(tree, signal)
            spread(signal, pins[cell][pin], tree)
    for signal, entries in timing.entries.items():
        adder = pipeline.cells[signal].gate.adder
        operands = {entry: pins[signal].pop(pin) for pin, entry in entries.items()}
        if adder:
            both = work.merged(adder.merger, operands["a"], operands["b"], f"{signal}_merged")
            pins[signal][adder.toggle.toggle] = work.merged(adder.merger, both, operands["c"], f"{signal}_merged")
    for phase, tree in timing.clocks.items():
        ahead = [(clocks[phase], tree)]
        while ahead:
            wire, node = ahead.pop()
            if isinstance(node, str):
                pins[node][pipeline.cells[node].gate.clock] = wire
            else:
                branches = [work.fresh(clocks[phase]) for _ in node]
                work.split(wire, branches)
                ahead += zip(branches, node, strict=True)
    clocked = tuple(Instance(f"u_{signal}", cell.gate.cell, pins[signal]) for signal, cell in pipeline.cells.items())
    return Mapped(
        netlist=Netlist(name, (*clocked, *work.others), (*inputs, *clocks.values()), tuple(ends)),
        phases=pipeline.phases,
        clocks={wire: Clock(phase, timing.first_clock[phase]) for phase, wire in clocks.items()},
        period=timing.step * pipeline.phases,
        interval=pipeline.interval,
        depth=pipeline.depth,
        inputs_at=timing.inputs_at,
        outputs_at=dict(zip(ends, timing.outputs_at, strict=True)),
        stages={f"u_{signal}": cell.stage for signal, cell in pipeline.cells.items()},
    )


class _Netlist:
    """The names that are taken, and the cells that have no clock."""

    def __init__(self, kit: Kit, inputs: Sequence[str]):
        self.kit, self.taken = kit, dict.fromkeys(inputs, 1)
        self.others: list[Instance] = []

    def fresh(self, wanted: str) -> str:
        """A wire's name: the one wanted, or that with a number."""
        name = wanted
        while name in self.taken:
            name = f"{wanted}_{self.taken[wanted]}"
            self.taken[wanted] += 1
        self.taken[name] = 1
        return name

    def split(self, wire: str, branches: Sequence[str]) -> None:
        """A splitter from a wire to two."""
        cell = self.kit.splitter
        pins = dict(zip((*cell.inputs, *cell.outputs), (wire, *branches), strict=True))
        self.others.append(Instance(f"split_{len(self.others)}", cell, pins))

    def merged(self, cell: Cell, one: str, other: str, wanted: str) -> str:
        """A wire with the pulses of two."""
        end = self.fresh(wanted)
        pins = dict(zip((*cell.inputs, *cell.outputs), (one, other, end), strict=True))
        self.others.append(Instance(f"merge_{len(self.others)}", cell, pins))
        return end

    def delayed(self, wire: str, end: str) -> str:
        """A delay cell from a wire to another, which is returned."""
        cell = self.kit.delay
        self.others.append(Instance(f"delay_{len(self.others)}", cell, {cell.inputs[0]: wire, cell.outputs[0]: end}))
        return end
