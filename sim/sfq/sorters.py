"""Sorters of pulses by their time: netlists in event JSON, of the cells of the library `pylse`.

A comparator is five cells: splitters for its two inputs, an inverted C element that fires on the first of two pulses, a
C element that fires on the second, and a JTL behind it that makes up for its shorter delay. So both outputs come the
same time after what they answer, and pulses that were together stay together.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from hdl.sfq.cell_files import load_library
from hdl.sfq.cells import ps

LIBRARY = "pylse"


def comparator(name: str, inputs: tuple[str, str], first: str, second: str) -> list[dict[str, Any]]:
    """Instances that give the first of two pulses to one wire and the second to another."""
    cells = load_library(LIBRARY)
    shorter = cells["C_INV"].states["idle"]["a"].fires["q"] - cells["C"].states["has_a"]["b"].fires["q"]
    delay = [{"src": "idle", "trig": "a", "dst": "idle", "fire": {"q": ps(shorter)}}]
    ends = {"a": f"{name}_late", "q": second}
    wires = {side: [f"{name}_{side}_{pin}" for pin in "lr"] for side in "ab"}
    splitters: list[dict[str, Any]] = [
        {"inst": f"{name}_s{side}", "cell": "S", "pins": {"a": wire, "l": wires[side][0], "r": wires[side][1]}}
        for side, wire in zip("ab", inputs, strict=True)
    ]
    return [
        *splitters,
        {"inst": f"{name}_first", "cell": "C_INV", "pins": {"a": wires["a"][0], "b": wires["b"][0], "q": first}},
        {"inst": f"{name}_second", "cell": "C", "pins": {"a": wires["a"][1], "b": wires["b"][1], "q": ends["a"]}},
        {"inst": f"{name}_jtl", "cell": "JTL", "jj": 2, "pins": ends, "transitions": delay},
    ]


def min_max() -> dict[str, Any]:
    """One comparator: pulses at A and B, the first of them at LOW, the second at HIGH."""
    return _document(comparator("c", ("A", "B"), "LOW", "HIGH"), ["A", "B"], ["LOW", "HIGH"])


def bitonic_sorter(inputs: int) -> dict[str, Any]:
    """Batcher's bitonic sorter (K. E. Batcher, "Sorting networks and their applications", 1968): each input takes one
    pulse, which leaves at the outputs in the order of time.

    Parameters
    ----------
    inputs : a power of 2, above 1
    """
    wires = [f"x{lane}" for lane in range(inputs)]
    instances: list[dict[str, Any]] = []
    pairs = list(_bitonic_pairs(inputs))
    left = [sum(lane in pair for pair in pairs) for lane in range(inputs)]  # comparators that a lane still goes through
    for number, pair in enumerate(pairs):
        names = []
        for lane in pair:
            left[lane] -= 1
            names.append(f"c{number}_{lane}" if left[lane] else f"y{lane}")
        instances += comparator(f"c{number}", (wires[pair[0]], wires[pair[1]]), *names)
        wires[pair[0]], wires[pair[1]] = names
    return _document(instances, [f"x{lane}" for lane in range(inputs)], [f"y{lane}" for lane in range(inputs)])


def _bitonic_pairs(inputs: int) -> Iterator[tuple[int, int]]:
    """Lanes of each comparator, that of the first pulse first."""
    block = 2
    while block <= inputs:
        distance = block // 2
        while distance:
            for lane in range(inputs):
                other = lane ^ distance
                if lane < other:
                    yield (lane, other) if not lane & block else (other, lane)
            distance //= 2
        block *= 2


def _document(instances: list[dict[str, Any]], inputs: list[str], outputs: list[str]) -> dict[str, Any]:
    return {"library": LIBRARY, "inputs": {wire: [] for wire in inputs}, "outputs": outputs, "netlist": instances}
