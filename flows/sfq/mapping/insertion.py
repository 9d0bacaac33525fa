"""Stages to cells: chains of flip-flops behind signals, and what takes each signal where."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from flows.sfq.mapping.kit import GateCell, Kit
from flows.sfq.mapping.levels import OUTPUTS
from flows.sfq.mapping.network import LogicNetwork, Operand


@dataclass(frozen=True)
class Sink:
    """Where a pulse goes: a data pin of a clocked cell, or an output of the circuit (then `pin` is its number)."""

    cell: str
    pin: str


@dataclass(frozen=True)
class Placed:
    """A clocked cell at its stage."""

    gate: GateCell
    stage: int
    logic: bool
    """Whether it is a gate of the network, not a flip-flop of a chain."""


@dataclass
class Pipeline:
    """Clocked cells, and who takes their signals.

    Attributes
    ----------
    phases, interval : clocks a cycle, cycles a wave
    depth : the last stage
    inputs : the circuit's, at stage 0
    cells : by signal
    sinks : of each input, cell and carry; an output's is `Sink(OUTPUTS, number)`
    carries : signals of full adders' carries, with those of their cells
    """

    phases: int
    interval: int
    depth: int
    inputs: tuple[str, ...]
    cells: dict[str, Placed] = field(default_factory=dict)
    sinks: dict[str, list[Sink]] = field(default_factory=dict)
    carries: Mapping[str, str] = field(default_factory=dict)

    @property
    def adders(self) -> list[str]:
        """Signals of full adders' cells."""
        return [signal for signal, placed in self.cells.items() if placed.gate.adder]

    def stage(self, signal: str) -> int:
        """Of an input, a cell or a carry, which is a cycle before its cell."""
        if signal in self.carries:
            return self.cells[self.carries[signal]].stage - self.phases
        return self.cells[signal].stage if signal in self.cells else 0

    def sink_stage(self, sink: Sink) -> int:
        """The clock that takes what reaches it; outputs are taken one stage after the depth."""
        return self.depth + 1 if sink.cell == OUTPUTS else self.cells[sink.cell].stage

    def crossed(self, signal: str, sink: Sink) -> int:
        """Stages from a signal to one of its sinks within the netlist, where registers are flip-flops as any."""
        return (self.sink_stage(sink) - self.stage(signal) - 1) % self.phases + 1


def inserted(network: LogicNetwork, stages: Mapping[str, int], kit: Kit, phases: int, interval: int) -> Pipeline:
    """Gates at their stages, with a chain of flip-flops behind each signal that has to wait."""
    pipeline = Pipeline(phases, interval, stages[OUTPUTS] - 1, network.inputs, carries=network.carries)
    pipeline.sinks = {signal: [] for signal in (*network.inputs, *network.carries)}
    for signal, gate in network.gates.items():
        pipeline.cells[signal] = Placed(kit.cell(gate.cell), stages[signal], logic=True)
        pipeline.sinks[signal] = []

    def connect(operand: Operand, sink: Sink, sink_stage: int) -> None:
        start = pipeline.stage(operand.signal)
        crossed = sink_stage - start + operand.waves * phases * interval
        tap = operand.signal
        for number in range(1, -(-crossed // phases)):
            name = f"{operand.signal}_{number}"
            if name not in pipeline.cells:
                pipeline.cells[name] = Placed(kit.flip_flop, start + number * phases, logic=False)
                pipeline.sinks[name] = []
                pipeline.sinks[tap].append(Sink(name, kit.flip_flop.inputs[0]))
            tap = name
        pipeline.sinks[tap].append(sink)

    for signal, gate in network.gates.items():
        for pin, operand in zip(kit.cell(gate.cell).inputs, gate.operands, strict=False):
            connect(operand, Sink(signal, pin), stages[signal])
    for number, operand in enumerate(network.outputs):
        connect(operand, Sink(OUTPUTS, str(number)), stages[OUTPUTS])
    return pipeline
