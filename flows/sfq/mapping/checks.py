"""Whether a netlist that was mapped does what its source says: three checks that read its own cells and wires.

- `logic_of`: waves stay apart. Every clocked cell has a stage, its clock is that of the stage's phase, and what reaches
  its data pins was clocked 1 to n stages before, or a whole number of waves earlier. So the netlist is a circuit of
  gates and registers, which is read back as BLIF;
- `equivalent`: ABC proves that this circuit is the source, by SAT; registers by induction, in pairs;
- `simulated`: pulses of random waves, one every interval, run through the event model; no pulse comes too soon, and the
  outputs are those of the source.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

from flows.errors import NielloError, ToolError
from flows.sfq.engine import simulate
from flows.sfq.mapping.adder_cells import MAJORITY, OPERANDS, PARITY, toggle_of
from flows.sfq.mapping.aig import Aig
from flows.sfq.mapping.assembly import Mapped
from flows.sfq.mapping.kit import CLOCK, gate_of
from flows.sfq.mapping.network import Operand
from flows.tools import run_tool

_TIMEOUT_S = 600


class NotInStep(NielloError):
    """Pulses of different waves meet in a cell."""


@dataclass(frozen=True)
class Logic:
    """A netlist read back: gates with their operands, inputs or gates, some waves ago, and what the outputs are."""

    gates: Mapping[str, tuple[tuple[int, ...], tuple[Operand, ...]]]
    """By instance: its function (`GateCell.table`), and an operand for each data pin that has a driver. A T1 is two: by
    its own name the parity of its operands, by `carry_of` that their majority."""
    outputs: Mapping[str, Operand]


def carry_of(instance: str) -> str:
    """The name of a T1's carry, which no wire or instance has."""
    return f"{instance} carry"


def logic_of(mapped: Mapped) -> Logic:
    """The gates and registers that a netlist is.

    Raises
    ------
    NotInStep
        If waves do not stay apart.
    """
    netlist, phases = mapped.netlist, mapped.phases
    cycles = phases * mapped.interval
    drivers = {one.pins[pin]: (one, pin) for one in netlist.instances for pin in one.cell.outputs if pin in one.pins}
    toggles = {one.name: found for one in netlist.instances if (found := toggle_of(one.cell))}
    clocked = {one.name: one for one in netlist.instances if one.cell.clocked or one.name in toggles}
    functions = {one.cell.name: gate_of(one.cell) for one in clocked.values()}
    stages = mapped.stages | {carry_of(name): mapped.stages[name] - phases for name in toggles}

    def origins(wire: str) -> list[str]:
        """The clocked instances, carries or inputs that a wire's pulses come from: several behind mergers."""
        if wire not in drivers:
            return [wire]
        one, pin = drivers[wire]
        if one.name in clocked:
            return [carry_of(one.name) if one.name in toggles and pin == toggles[one.name].carry else one.name]
        return [source for pin in one.cell.inputs for source in origins(one.pins[pin])]

    def operands(wire: str, stage: int, what: str) -> list[Operand]:
        """The origins, and how many waves ago what comes in time for this stage was their value."""
        found = []
        for source in origins(wire):
            crossed = stage - stages.get(source, 0)
            waves = -((crossed - 1) // cycles)
            # A carry comes at some time within its adder's cycle: only a sink of the same clock has it in step.
            least = phases if source in stages and source not in clocked else 1
            if waves < 0 or not least <= crossed + waves * cycles <= phases:
                raise NotInStep(f"{what}: waves meet; {source} is {crossed} stages before, of {phases} a cycle")
            found.append(Operand(source, waves))
        return found

    def operand(wire: str, stage: int, what: str) -> Operand:
        found = operands(wire, stage, what)
        if len(found) > 1:
            raise NotInStep(f"{what}: {len(found)} signals come by one wire")
        return found[0]

    gates: dict[str, tuple[tuple[int, ...], tuple[Operand, ...]]] = {}
    for name, one in clocked.items():
        toggle, stage = toggles.get(name), mapped.stages[name]
        by, *others = origins(one.pins[toggle.reset if toggle else CLOCK])
        clock = mapped.clocks.get(by)
        if others or clock is None or clock.phase != stage % phases:
            raise NotInStep(f"{name}: its clock is not that of stage {stage}")
        if toggle:
            taken = tuple(operands(one.pins[toggle.toggle], stage, f"{name}.{toggle.toggle}"))
            if len(taken) != len(OPERANDS):
                raise NotInStep(f"{name}: {len(taken)} signals come to a full adder")
            gates |= {name: (PARITY, taken), carry_of(name): (MAJORITY, taken)}
            continue
        gate = functions[one.cell.name]
        if gate is None:
            raise NotInStep(f"{name}: {one.cell.name} is no gate")
        pins = [pin for pin in gate.inputs if pin in one.pins]
        gates[name] = gate.table, tuple(operand(one.pins[pin], stage, f"{name}.{pin}") for pin in pins)
    outputs = {wire: operand(wire, mapped.depth + 1, f"output {wire}") for wire in netlist.outputs}
    return Logic(gates, outputs)


def equivalent(logic: Logic, source: Aig, registers: Sequence[Operand | int | None], folder: Path) -> bool:
    """Whether ABC proves that a netlist is its source, by induction over waves.

    Parameters
    ----------
    registers : what each register of the source is in the netlist: the value of a gate or input one or more waves ago,
        or a constant, or None where the netlist does without it

    Raises
    ------
    ToolError
        If ABC comes to no answer.
    """
    keys = [_through(logic, one) if isinstance(one, Operand) else one for one in registers]
    first = {key: index for index, key in reversed(list(enumerate(keys))) if isinstance(key, Operand)}
    at = 1 + len(source.inputs)
    instead = {
        at + index: 2 * (at + first[key]) if isinstance(key, Operand) else key
        for index, key in enumerate(keys)
        if key is not None
    }
    without = {index for index, key in enumerate(keys) if key is None}
    (folder / "source.aig").write_bytes(source.core(instead, without))
    (folder / "netlist.blif").write_text(_blif(logic, source.inputs, keys, first))
    return same_logic(folder, "source.aig", "netlist.blif")


def same_logic(folder: Path, one: str, other: str) -> bool:
    """Whether ABC proves by SAT that two files are the same logic, input by input and output by output.

    Raises
    ------
    ToolError
        If ABC comes to no answer.
    """
    log = folder / f"{one}.log"
    run_tool(["yosys-abc", "-q", f"cec -n {one} {other}"], cwd=folder, log=log, timeout_s=_TIMEOUT_S)
    text = log.read_text(errors="replace")
    if "Networks are equivalent" in text:
        return True
    if "NOT EQUIVALENT" in text:
        return False
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    raise ToolError("yosys-abc cec", lines[-1] if lines else "said nothing", log)


def _through(logic: Logic, operand: Operand) -> Operand:
    """Through flip-flops, to the gate or input that they repeat."""
    signal, waves = operand
    while signal in logic.gates and logic.gates[signal][0] == (0, 1) and logic.gates[signal][1]:
        signal, more = logic.gates[signal][1][0]
        waves += more
    return Operand(signal, waves)


def _blif(
    logic: Logic, inputs: Sequence[str], keys: Sequence[Operand | int | None], first: Mapping[Operand, int]
) -> str:
    """The circuit between registers: these are inputs and outputs, after the others. Names are numbers."""
    numbers = {name: f"n{index}" for index, name in enumerate([*inputs, *logic.gates])}

    def name(operand: Operand) -> str:
        found = _through(logic, operand)
        return f"r{first[found]}" if found.waves else numbers[found.signal]

    lines = []
    kept = [key for key in keys if key is not None]
    results = [f"o{index}" for index in range(len(logic.outputs) + len(kept))]
    followed = [Operand(key.signal, key.waves - 1) if isinstance(key, Operand) else key for key in kept]
    for result, one in zip(results, [*logic.outputs.values(), *followed], strict=True):
        if isinstance(one, Operand):
            lines += [f".names {name(one)} {result}", "1 1"]
        else:
            lines += [f".names {result}", *(["1"] if one else [])]
    for signal, (table, operands) in logic.gates.items():
        if table == (0, 1) and operands:
            continue  # a flip-flop, which `name` looks through
        lines.append(" ".join([".names", *map(name, operands), numbers[signal]]))
        # A data pin without a driver never has a pulse: only the codes without its bit remain.
        for code in range(1 << len(operands)):
            if table[code]:
                lines.append("".join(str(code >> bit & 1) for bit in range(len(operands))) + " 1")
    head = [
        ".model netlist",
        " ".join([".inputs", *(numbers[one] for one in inputs), *(f"r{k}" for k in range(len(keys)))]),
    ]
    return "\n".join([*head, " ".join([".outputs", *results]), *lines, ".end", ""])


@dataclass(frozen=True)
class Simulation:
    """Waves of inputs that ran through a netlist, with the source's outputs and what differs.

    Attributes
    ----------
    count : waves
    stimulus : ticks of the pulses, clocks included
    waves : bits a wave, by wire; an output's are None where the source does not know
    wrong : bits at outputs that differ from the source's, and pulses at other times than a wave's
    violations : pulses that came too soon
    """

    count: int
    stimulus: Mapping[str, list[int]]
    waves: Mapping[str, Sequence[int | None]]
    wrong: int
    violations: int


def simulated(mapped: Mapped, source: Aig, inputs: Sequence[str], waves: int, seed: int) -> Simulation:
    """Random waves through the event model, held against the source."""
    random = Random(seed)
    bits = {wire: [random.getrandbits(1) for _ in range(waves)] for wire in inputs}
    expected = source.run(dict(zip(source.inputs, bits.values(), strict=True)))
    apart = mapped.interval * mapped.period
    stimulus = {
        wire: [mapped.inputs_at + index * apart for index, bit in enumerate(found) if bit]
        for wire, found in bits.items()
    }
    clocks = (waves - 1) * mapped.interval + mapped.depth // mapped.phases + 1 if waves else 0
    for wire, clock in mapped.clocks.items():
        stimulus[wire] = [clock.first + index * mapped.period for index in range(clocks)]
    result, _ = simulate(mapped.netlist, stimulus)
    wrong = 0
    known = dict(zip(mapped.netlist.outputs, expected.values(), strict=True))
    for wire, values in known.items():
        pulses, start = set(result.pulses[wire]), mapped.outputs_at[wire]
        wrong += sum(bit is not None and (start + k * apart in pulses) != bit for k, bit in enumerate(values))
        wrong += sum((time - start) % mapped.period != 0 for time in pulses)
    return Simulation(waves, stimulus, {**bits, **known}, wrong, len(result.violations))
