"""Sorters of pulses by their time: netlists of the cells of the library `pylse`.

A comparator is five cells: splitters for its two inputs, an inverted C element that fires on the first of two pulses, a
C element that fires on the second, and a JTL behind it that makes up for its shorter delay. So both outputs come the
same time after what they answer, and pulses that were together stay together.
"""

from __future__ import annotations

from collections.abc import Iterator

from hdl.sfq.cell_files import load_library
from hdl.sfq.cells import Cell, Reaction
from hdl.sfq.netlist import Instance, Netlist

LIBRARY = load_library("pylse")
DELAY = LIBRARY["C_INV"].states["idle"]["a"].fires["q"] - LIBRARY["C"].states["has_a"]["b"].fires["q"]
JTL = Cell("JTL", ("a",), ("q",), {"idle": {"a": Reaction("idle", {"q": DELAY})}}, junctions=2)


def min_max() -> Netlist:
    """One comparator: pulses at A and B, the first of them at LOW, the second at HIGH."""
    return Netlist("min_max", tuple(_comparator("c", ("A", "B"), "LOW", "HIGH")), ("A", "B"), ("LOW", "HIGH"))


def bitonic_sorter(width: int) -> Netlist:
    """Batcher's bitonic sorter (K. E. Batcher, "Sorting networks and their applications", 1968): each input takes one
    pulse, which leaves at the outputs in the order of time.

    Parameters
    ----------
    width : inputs; a power of 2, above 1
    """
    wires = [f"x{lane}" for lane in range(width)]
    inputs, outputs = tuple(wires), tuple(f"y{lane}" for lane in range(width))
    instances: list[Instance] = []
    pairs = list(_bitonic_pairs(width))
    left = [sum(lane in pair for pair in pairs) for lane in range(width)]  # comparators that a lane still goes through
    for number, pair in enumerate(pairs):
        names = []
        for lane in pair:
            left[lane] -= 1
            names.append(f"c{number}_{lane}" if left[lane] else outputs[lane])
        instances += _comparator(f"c{number}", (wires[pair[0]], wires[pair[1]]), *names)
        wires[pair[0]], wires[pair[1]] = names
    return Netlist(f"bitonic{width}", tuple(instances), inputs, outputs)


def _comparator(name: str, inputs: tuple[str, str], first: str, second: str) -> Iterator[Instance]:
    """Instances that give the first of two pulses to one wire and the second to another."""
    wires = {side: [f"{name}_{side}_{pin}" for pin in "lr"] for side in "ab"}
    for side, wire in zip("ab", inputs, strict=True):
        yield Instance(f"{name}_s{side}", LIBRARY["S"], {"a": wire, "l": wires[side][0], "r": wires[side][1]})
    late = f"{name}_late"
    yield Instance(f"{name}_first", LIBRARY["C_INV"], {"a": wires["a"][0], "b": wires["b"][0], "q": first})
    yield Instance(f"{name}_second", LIBRARY["C"], {"a": wires["a"][1], "b": wires["b"][1], "q": late})
    yield Instance(f"{name}_jtl", JTL, {"a": late, "q": second})


def _bitonic_pairs(width: int) -> Iterator[tuple[int, int]]:
    """Lanes of each comparator, that of the first pulse first."""
    block = 2
    while block <= width:
        distance = block // 2
        while distance:
            for lane in range(width):
                other = lane ^ distance
                if lane < other:
                    yield (lane, other) if not lane & block else (other, lane)
            distance //= 2
        block *= 2
