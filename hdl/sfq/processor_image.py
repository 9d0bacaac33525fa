"""Netlists as words for `sfq.processor`, and its answers as pulses and violations."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from hdl.common.config import ConfigError
from hdl.sfq.cells import Cell, Reaction, ps
from hdl.sfq.netlist import Netlist, Stimulus, coin_seed
from hdl.sfq.processor_config import ProcessorConfig
from hdl.sfq.processor_words import (
    CONNECTED,
    COUNT_BITS,
    POLICIES,
    WATCHED,
    WINDOW_BITS,
    Answer,
    Finish,
    Limit,
    Opcode,
    parse,
    pulse,
    word,
)

MOST_COUNT = (1 << COUNT_BITS) - 1
"""Of answers, and of pulses taken."""


@dataclass(frozen=True)
class Program:
    """A netlist for processors of one config.

    Attributes
    ----------
    netlist, config : what it was made of and for
    tables : words that say what the cells do; they hold for other netlists of the same cells in the same order, too
    cells : words that say how each cell stands at first, and where its outputs lead; new for every run
    targets : the number, there, of the pin that each wire leads to, of those that lead to one or are looked at
    """

    netlist: Netlist
    config: ProcessorConfig
    tables: tuple[int, ...]
    cells: tuple[int, ...]
    targets: dict[str, int]


@dataclass(frozen=True)
class Results:
    """What the answers of a run say.

    Attributes
    ----------
    pulses : ticks of the pulses on each of the netlist's outputs, increasing
    violations : tick, number of the instance, pin, and bits of the rules broken; by tick, then instance, then in the
        order in which the pulses were taken
    deliveries : pulses that reached a cell, if all answers were sent
    finish : how the run ended
    """

    pulses: dict[str, list[int]]
    violations: list[tuple[int, int, str, int]]
    deliveries: int
    finish: Finish


def make_program(netlist: Netlist, config: ProcessorConfig) -> Program:
    """A netlist as words. A wire that is looked at and leads nowhere leads to a pin of a cell that does nothing.

    Raises
    ------
    ConfigError
        If the processor has no room for it: where, what, how much it has room for.
    """
    kinds = {id(instance.cell): instance.cell for instance in netlist.instances}
    for cell in kinds.values():
        _check_pins(cell, config)
    targets = {
        wire: number << config.pin_bits | netlist.instances[number].cell.inputs.index(pin)
        for wire, (number, pin) in netlist.receivers().items()
    }
    sinks = [wire for wire in dict.fromkeys(netlist.outputs) if wire not in targets]
    targets |= {wire: (len(netlist.instances) << config.pin_bits) + place for place, wire in enumerate(sinks)}
    cells = [*(instance.cell for instance in netlist.instances), *[_sink(config)] * -(-len(sinks) // config.pins)]
    kinds = {id(cell): cell for cell in cells}
    _check_room("cells, those that outputs end in included,", len(cells), config.instance_bits)
    _check_room("states of all kinds of cells", sum(len(cell.states) for cell in kinds.values()), config.state_bits)

    tables: list[int] = []
    initial: dict[int, int] = {}
    base = 0
    for key, cell in kinds.items():
        states = {state: base + place for place, state in enumerate(cell.states)}
        state_words = {state: _state_word(cell, state, number, config) for state, number in states.items()}
        initial[key] = state_words[cell.initial]
        for state, number in states.items():
            for pin, reaction in cell.states[state].items():
                row = number << config.pin_bits | cell.inputs.index(pin)
                tables.append(word(Opcode.NEXT, state_words[reaction.target], address=row))
                tables += _reaction(cell, reaction, row, f"cell {cell.name}, state {state}, pulse at {pin}", config)
        base += len(states)

    words = [word(Opcode.STATE, initial[id(cell)], address=number) for number, cell in enumerate(cells)]
    watched = set(netlist.outputs)
    for number, instance in enumerate(netlist.instances):
        for lane, pin in enumerate(instance.cell.outputs):
            wire = instance.pins.get(pin, "")
            if wire in targets:
                leads = targets[wire] | WATCHED * (wire in watched) | CONNECTED
                words.append(word(Opcode.WIRE, leads, lane=lane, address=number))
    return Program(netlist, config, tuple(tables), tuple(words), targets)


def run_words(
    program: Program,
    stimulus: Stimulus,
    *,
    policy: str = "flag",
    seed: int = 0,
    until: int | None = None,
    most_answers: int = MOST_COUNT,
    most_deliveries: int = MOST_COUNT,
) -> list[int]:
    """All words of a run.

    Parameters
    ----------
    policy : one of `hdl.sfq.processor_words.POLICIES`
    seed : of the coins of `randomise`
    until : the last tick that is looked at; None is the last that the processor knows
    most_answers : answers that are sent, beside END; those that come after them are only counted
    most_deliveries : pulses taken, those at outputs that lead nowhere included, after whose tick the run is stopped

    Raises
    ------
    ConfigError
        If a pulse comes later than the processor can tell.
    """
    config, netlist = program.config, program.netlist
    last = config.last_tick if until is None else min(until, config.last_tick)
    watched, pulses = set(netlist.outputs), []
    for wire, times in stimulus.items():
        if wire in program.targets:
            if times and max(times) > config.last_tick:
                raise ConfigError(
                    f"input {wire}: times must be at most {ps(config.last_tick):g} ps for this processor, "
                    f"not {ps(max(times)):g} ps"
                )
            target, looked_at = program.targets[wire], wire in watched
            pulses += [(time, pulse(time, target, watched=looked_at)) for time in times if time <= last]
    coins = [
        word(Opcode.COIN, coin_seed(seed, number), address=number)
        for number in range(len(netlist.instances) if policy == "randomise" else 0)
    ]
    limits = {Limit.UNTIL: max(last, 0), Limit.ANSWERS: most_answers, Limit.DELIVERIES: most_deliveries}
    return [
        *program.tables,
        *program.cells,
        *coins,
        *(word(Opcode.LIMIT, value, lane=limit) for limit, value in limits.items()),
        word(Opcode.RUN, POLICIES.index(policy)),
        *(one for _, one in sorted(pulses)),
        word(Opcode.END),
    ]


def read_answers(program: Program, answers: Sequence[int]) -> Results:
    """What a run's answers say, the last of them its END."""
    config, netlist = program.config, program.netlist
    wires = {target: wire for wire, target in program.targets.items()}
    pulses: dict[str, list[int]] = {wire: [] for wire in netlist.outputs}
    violations: list[tuple[int, int, str, int]] = []
    *happened, finish = map(parse, answers)
    assert isinstance(finish, Finish)
    in_sinks = 0
    for one in happened:
        assert not isinstance(one, Finish)
        number, place = one.pin >> config.pin_bits, one.pin & config.pins - 1
        if one.kind == Answer.PULSE:
            pulses[wires[one.pin]].append(one.time)
            in_sinks += number >= len(netlist.instances)
        else:
            violations.append((one.time, number, netlist.instances[number].cell.inputs[place], one.rules))
    violations.sort(key=lambda violation: violation[:2])
    return Results(pulses, violations, finish.deliveries - in_sinks, finish)


def _sink(config: ProcessorConfig) -> Cell:
    """A cell that takes pulses and does nothing."""
    pins = tuple(str(pin) for pin in range(config.pins))
    return Cell("sink", pins, (), {"0": {pin: Reaction("0") for pin in pins}})


def _state_word(cell: Cell, state: str, number: int, config: ProcessorConfig) -> int:
    order = [cell.inputs.index(pin) for pin in cell.states[state]]
    order += [pin for pin in range(config.pins) if pin not in order]
    return number | sum(pin << config.state_bits + place * config.pin_bits for place, pin in enumerate(order))


def _reaction(cell: Cell, reaction: Reaction, row: int, at: str, config: ProcessorConfig) -> Iterator[int]:
    """The words of a reaction beside its next state."""
    for what, times, bits in (
        ("delay", reaction.fires, config.horizon_bits),
        ("blocked time", reaction.blocks, config.window_bits),
        ("least age", reaction.ages, config.window_bits),
    ):
        for pin, time in times.items():
            if time >> bits:
                raise ConfigError(
                    f"{at}: the {what} of {pin} must be at most {ps((1 << bits) - 1):g} ps for this processor, "
                    f"not {ps(time):g} ps"
                )
    for pin, delay in reaction.fires.items():
        yield word(Opcode.FIRE, delay, lane=cell.outputs.index(pin), address=row)
    for lane, pin in enumerate(cell.inputs):
        window = reaction.blocks.get(pin, 0) | reaction.ages.get(pin, 0) << WINDOW_BITS
        if window:
            yield word(Opcode.WINDOW, window, lane=lane, address=row)


def _check_pins(cell: Cell, config: ProcessorConfig) -> None:
    for what, pins, most in (("inputs", cell.inputs, config.pins), ("outputs", cell.outputs, config.outputs)):
        if len(pins) > most:
            raise ConfigError(f"cell {cell.name} has {len(pins)} {what}; this processor has room for {most}")


def _check_room(what: str, count: int, bits: int) -> None:
    if count > 1 << bits:
        raise ConfigError(f"{count} {what} are too many; this processor has room for {1 << bits}")
