"""Netlists to try simulators on: tangles of random cells, and sorting networks of any size."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from hdl.sfq.cell_files import Cells, load_library
from hdl.sfq.cells import Cell, Reaction
from hdl.sfq.netlist import Instance, Netlist, Stimulus

LONGEST_DELAY = 8
LONGEST_WINDOW = 6
"""Of random cells, in ticks: short, so that pulses often come together, and too soon."""


def random_cell(random: Random, name: str) -> Cell:
    """A cell of 1 to 4 inputs, 1 to 3 outputs and 1 to 4 states, all its tables random."""
    inputs = tuple("abcd"[: random.randint(1, 4)])
    outputs = tuple("xyz"[: random.randint(1, 3)])
    states = [str(number) for number in range(random.randint(1, 4))]

    def times(pins: Sequence[str], least: int, most: int) -> dict[str, int]:
        chosen = random.sample(pins, random.randint(0, len(pins)))
        return {pin: random.randint(least, most) for pin in chosen}

    table: dict[str, dict[str, Reaction]] = {}
    for number, state in enumerate(states):
        table[state] = {}
        for pin in random.sample(inputs, len(inputs)):
            ahead = pin == inputs[0] and state != states[-1]  # so that every state is reached
            table[state][pin] = Reaction(
                target=states[number + 1] if ahead else random.choice(states),
                fires=times(outputs, 1, LONGEST_DELAY),
                blocks=times(inputs, 0, LONGEST_WINDOW),
                ages=times(inputs, 0, LONGEST_WINDOW),
            )
    last = table[states[-1]][inputs[0]]
    fires = {**dict.fromkeys(outputs, LONGEST_DELAY), **last.fires}
    table[states[-1]][inputs[0]] = Reaction(last.target, fires, last.blocks, last.ages)
    return Cell(name, inputs, outputs, table)


def random_netlist(random: Random, size: int, inputs: int, *, loops: bool = False) -> Netlist:
    """Random cells, wired at random; some pins stay open. With `loops` wires also lead back to such pins."""
    cells = [random_cell(random, f"R{number}") for number in range(max(1, size // 4))]
    instances: list[Instance] = []
    given = tuple(f"in{number}" for number in range(inputs))
    loose, idle = [*given], list[tuple[int, str]]()
    for number in range(size):
        cell, pins = random.choice(cells), dict[str, str]()
        for pin in cell.inputs:
            if loose and random.random() < 0.9:
                pins[pin] = loose.pop(random.randrange(len(loose)))
            else:
                idle.append((number, pin))
        driven = {pin: f"w{number}{pin}" for pin in cell.outputs if random.random() < 0.9}
        instances.append(Instance(f"u{number}", cell, pins | driven))
        loose += driven.values()
    random.shuffle(idle)
    for number, pin in idle if loops else []:
        back = [wire for wire in loose if wire not in given]
        if back and random.random() < 0.7:
            wire = random.choice(back)
            loose.remove(wire)
            one = instances[number]
            instances[number] = Instance(one.name, one.cell, {**one.pins, pin: wire})
    return Netlist("tangle", tuple(instances), given, tuple(loose))


def random_stimulus(random: Random, netlist: Netlist, pulses: int, span: int) -> Stimulus:
    """Up to so many pulses at each input, within `span` ticks."""
    return {wire: sorted({random.randrange(span) for _ in range(pulses)}) for wire in netlist.inputs}


def bitonic_sorter(width: int) -> Netlist:
    """Batcher's bitonic sorter of `width` wires, a power of two, of PyLSE's cells: pulses come out in order of time.

    Two pulses are compared by two splitters, a C_INV cell (the earlier) and a C cell (the later).
    """
    library = load_library("pylse")
    instances: list[Instance] = []
    wires = [f"i{number}" for number in range(width)]
    given = tuple(wires)
    span = 2
    while span <= width:
        gap = span // 2
        while gap:
            for low in range(width):
                if not low & gap:
                    high = low | gap
                    pair = _comparator(library, instances, wires[low], wires[high])
                    wires[low], wires[high] = pair if not low & span else pair[::-1]
            gap //= 2
        span *= 2
    return Netlist(f"bitonic_{width}", tuple(instances), given, tuple(wires))


def _comparator(library: Cells, instances: list[Instance], first: str, second: str) -> tuple[str, str]:
    """The wires of the earlier and of the later pulse."""
    number = len(instances) // 4
    a, b = f"c{number}a", f"c{number}b"
    early, late = f"c{number}e", f"c{number}l"
    instances += [
        Instance(f"{a}s", library["S"], {"a": first, "l": f"{a}0", "r": f"{a}1"}),
        Instance(f"{b}s", library["S"], {"a": second, "l": f"{b}0", "r": f"{b}1"}),
        Instance(early, library["C_INV"], {"a": f"{a}0", "b": f"{b}0", "q": f"{early}q"}),
        Instance(late, library["C"], {"a": f"{a}1", "b": f"{b}1", "q": f"{late}q"}),
    ]
    return f"{early}q", f"{late}q"
