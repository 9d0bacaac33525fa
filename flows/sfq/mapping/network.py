"""Logic as gates of a kit, with registers taken out: an operand is a signal, some waves ago."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

from flows.errors import BadInput
from flows.sfq.mapping.aig import Aig
from flows.sfq.mapping.kit import Kit

ONE, ZERO = "one", "zero"
"""Signals that are always 1, always 0, wherever one is needed."""


MappedGate = tuple[str, tuple[str, ...]]
"""A gate as ABC writes it: cell and operands, by signal. A cell `=` is a wire, `0` and `1` are constants, `carry` is
that of the full adder whose sum its operand is."""

CARRY = "carry"


class Operand(NamedTuple):
    """A signal, so many waves ago."""

    signal: str
    waves: int = 0


@dataclass(frozen=True)
class Gate:
    """A gate: the name of its cell and what its data pins take, in the cell's order."""

    cell: str
    operands: tuple[Operand, ...]


@dataclass(frozen=True)
class LogicNetwork:
    """Gates between inputs and outputs.

    Attributes
    ----------
    inputs : signals of the source's inputs, in order
    gates : by the signal that each drives; of operands of the same wave, drivers come first
    outputs, registers : what each of the source's outputs and registers is, in order; a register may be a gate that is
        not there, because nothing needs it
    """

    inputs: tuple[str, ...]
    gates: Mapping[str, Gate]
    outputs: tuple[Operand, ...]
    registers: tuple[Operand, ...] = ()
    carries: Mapping[str, str] = field(default_factory=dict)

    def gate_behind(self, signal: str) -> str:
        """The gate that drives a signal, by its own signal; of an input that itself."""
        return self.carries.get(signal, signal)

    @cached_property
    def sinks(self) -> Counter[str]:
        """How many pins and outputs take each signal."""
        taken = Counter(operand.signal for gate in self.gates.values() for operand in gate.operands)
        taken.update(operand.signal for operand in self.outputs)
        return taken

    @cached_property
    def splitters(self) -> int:
        """A signal with n sinks needs n - 1, wherever they are along its flip-flops."""
        return sum(count - 1 for count in self.sinks.values())

    @cached_property
    def depth(self) -> int:
        """Gates on the longest path within a wave."""
        level = dict.fromkeys(self.inputs, 0)
        for signal, gate in self.gates.items():
            before = [level[self.gate_behind(one.signal)] for one in gate.operands if not one.waves]
            level[signal] = 1 + max(before, default=0)
        return max(level.values(), default=0)

    def edges(self) -> Iterator[tuple[Operand, str]]:
        """Every operand, with the gate that takes it."""
        for signal, gate in self.gates.items():
            for operand in gate.operands:
                yield operand, signal


def network_of(
    mapped: Mapping[str, MappedGate],
    inputs: Sequence[str],
    outputs: Sequence[str],
    source: Aig,
    kit: Kit,
) -> LogicNetwork:
    """The network of mapped logic between registers.

    Parameters
    ----------
    mapped : by the signal that each drives
    inputs, outputs : signals of the logic's own inputs and outputs, of which the source's registers are the last

    Raises
    ------
    BadInput
        If registers take one another's values for ever.
    """
    plain = len(source.inputs)
    following = dict(zip(inputs[plain:], outputs[len(source.outputs) :], strict=True))
    constants = {"0": ZERO, "1": ONE}

    def root(signal: str) -> Operand:
        waves, passed = 0, set[str]()
        while signal not in inputs[:plain]:
            if signal in passed:
                raise BadInput("a register holds the same for ever", hint="nothing says what that is; write a constant")
            passed.add(signal)
            if signal in following:
                signal, waves = following[signal], waves + 1
            elif mapped[signal][0] in constants:
                return Operand(constants[mapped[signal][0]])
            elif mapped[signal][0] == "=":
                signal = mapped[signal][1][0]
            else:
                break
        return Operand(signal, waves)

    found = [root(signal) for signal in outputs[: len(source.outputs)]]
    registers = tuple(root(signal) for signal in inputs[plain:])
    gates = {
        signal: Gate(cell, tuple(root(one) for one in operands))
        for signal, (cell, operands) in mapped.items()
        if cell not in ("=", CARRY, *constants)
    }
    carries = {signal: operands[0] for signal, (cell, operands) in mapped.items() if cell == CARRY}
    used = _reached(gates, carries, found)
    kept = {signal: gates[signal] for signal in _ordered(gates, carries) if signal in used}
    asked = {one.signal for gate in kept.values() for one in gate.operands} | {one.signal for one in found}
    # An inverter that nothing ever reaches fires at every clock, a flip-flop never.
    fixed = {ONE: Gate(kit.inverter.cell.name, ()), ZERO: Gate(kit.flip_flop.cell.name, ())}
    fixed = {name: gate for name, gate in fixed.items() if name in asked}
    carries = {signal: adder for signal, adder in carries.items() if adder in kept}
    return LogicNetwork(tuple(inputs[:plain]), fixed | kept, tuple(found), registers, carries)


def _reached(gates: Mapping[str, Gate], carries: Mapping[str, str], outputs: Sequence[Operand]) -> set[str]:
    ahead, reached = [one.signal for one in outputs], set[str]()
    while ahead:
        signal = ahead.pop()
        signal = carries.get(signal, signal)
        if signal in gates and signal not in reached:
            reached.add(signal)
            ahead += [one.signal for one in gates[signal].operands]
    return reached


def _ordered(gates: Mapping[str, Gate], carries: Mapping[str, str]) -> list[str]:
    """Signals of gates, drivers of operands of the same wave first."""
    order: dict[str, None] = {}
    for start in gates:
        ahead = [start]
        while ahead:
            signal = ahead[-1]
            drivers = [carries.get(one.signal, one.signal) for one in gates[signal].operands if not one.waves]
            missing = [driver for driver in drivers if driver in gates and driver not in order]
            if missing and signal not in order:
                ahead += missing
            else:
                order.setdefault(ahead.pop())
    return list(order)
