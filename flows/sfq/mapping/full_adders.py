"""Full adders in a graph, however it was written: two ANDs that are the sum and the carry of the same three signals.

Array multipliers and ripple adders come as NORs or worse, and mapping covers what it finds. Here the pairs are taken
out of the graph before it is mapped, and come back as gates.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cache

from flows.sfq.mapping.aig import Aig
from flows.sfq.mapping.kit import Kit
from flows.sfq.mapping.network import CARRY, MappedGate

MOST_CUTS = 12
"""Cuts kept at an AND, the smallest first."""

FULL_ADDER_TABLES = (0, 0, 0, 1), (0, 1, 1, 1), (0, 1, 1, 0)
"""AND, OR, XOR: what a library must have."""

_VARIABLES = (0b10101010, 0b11001100, 0b11110000)
_PARITY = 0b10010110

Cut = tuple[int, ...]
"""Up to three variables on which an AND depends, increasing."""


@dataclass(frozen=True)
class FullAdder:
    """A full adder of three variables.

    Attributes
    ----------
    sum, carry : variables
    sum_inverted : whether the sum is the inverse of the parity
    carry_mask : operands that the carry takes inverted, as bits
    """

    operands: Cut
    sum: int
    carry: int
    sum_inverted: bool
    carry_mask: int


def _majorities() -> dict[int, int]:
    """The mask of inverted operands, by the table of their majority."""
    found = {}
    for mask in range(8):
        a, b, c = (table ^ (0xFF if mask >> index & 1 else 0) for index, table in enumerate(_VARIABLES))
        found[a & b | a & c | b & c] = mask
    return found


_MAJORITIES = _majorities()


def full_adders(aig: Aig) -> list[FullAdder]:
    """The full adders of a graph, the first where several have the same operands."""
    sums: dict[Cut, tuple[int, bool]] = {}
    carries: dict[Cut, tuple[int, int]] = {}
    cuts = [dict[Cut, int]({(): 0})]
    cuts += [{(variable,): _VARIABLES[0]} for variable in range(1, aig.sources + 1)]
    for variable, (left, right) in enumerate(aig.ands, aig.sources + 1):
        found = dict[Cut, int]()
        for one, one_table in cuts[left >> 1].items():
            for other, other_table in cuts[right >> 1].items():
                cut = tuple(sorted({*one, *other}))
                if len(cut) <= 3 and cut not in found:
                    first = _spread(one_table, one, cut) ^ (0xFF if left & 1 else 0)
                    second = _spread(other_table, other, cut) ^ (0xFF if right & 1 else 0)
                    found[cut] = first & second
        for cut, table in found.items():
            if len(cut) == 3 and table in (_PARITY, _PARITY ^ 0xFF):
                sums.setdefault(cut, (variable, table != _PARITY))
            if len(cut) == 3 and table in _MAJORITIES:
                carries.setdefault(cut, (variable, _MAJORITIES[table]))
        kept = sorted(found, key=lambda cut: (len(cut), [-one for one in cut]))[: MOST_CUTS - 1]
        cuts.append({(variable,): _VARIABLES[0]} | {cut: found[cut] for cut in kept})
    return [
        FullAdder(cut, total, carry, inverted, mask)
        for cut, (carry, mask) in carries.items()
        if cut in sums
        for total, inverted in [sums[cut]]
    ]


@cache
def _spread(table: int, cut: Cut, wider: Cut) -> int:
    """The table of a function of some variables, over more of them."""
    places = [wider.index(variable) for variable in cut]
    found = 0
    for code in range(8):
        narrow = sum((code >> place & 1) << index for index, place in enumerate(places))
        found |= (table >> narrow & 1) << code
    return found


@dataclass(frozen=True)
class Boxed:
    """A graph whose full adders were taken out.

    Attributes
    ----------
    rest : what is left, without registers: its inputs are the graph's, its registers, then sum and carry of every full
        adder; its outputs are the graph's, what its registers take, then three operands of every full adder, of which
        the last comes latest
    count : full adders
    """

    rest: Aig
    count: int


def boxed(aig: Aig) -> Boxed | None:
    """A graph without its full adders; None if it has none.

    Operands come inverted where the carry takes them so, or all the other way round: sum and carry are the plain parity
    and majority of them.
    """
    found = full_adders(aig)
    boxes = {one.sum: one for one in found} | {one.carry: one for one in found}
    found = [one for one in found if boxes[one.sum] is one and boxes[one.carry] is one]
    if not found:
        return None
    first = 1 + aig.sources
    base = first + 2 * len(found)  # the variables below it are inputs of the rest
    numbers = {id(one): index for index, one in enumerate(found)}
    inside = {variable: one for one in found for variable in (one.sum, one.carry)}
    new, ands = [2 * variable for variable in range(first)], list[tuple[int, int]]()
    results, operands = dict[int, int](), [list[int]() for _ in found]
    stages = _stages(aig, found)

    def literal(one: int) -> int:
        return new[one >> 1] ^ (one & 1)

    for variable, (left, right) in enumerate(aig.ands, first):
        box = inside.get(variable)
        if box is None:
            new.append(2 * (base + len(ands)))
            ands.append((literal(left), literal(right)))
            continue
        number = numbers[id(box)]
        if not operands[number]:
            mask = _cheaper_mask([new[one] for one in box.operands], box.carry_mask, base)
            ends = [2 * one + (mask >> index & 1) for index, one in enumerate(box.operands)]
            operands[number] = [literal(end) for end in sorted(ends, key=lambda end: stages[end >> 1])]
            total = 2 * (first + 2 * number)
            results[box.sum] = total ^ (mask.bit_count() & 1) ^ box.sum_inverted
            results[box.carry] = total + 2 + (mask != box.carry_mask)
        new.append(results[variable])
    names = [*aig.inputs, *(f"r{index}" for index in range(base - 1 - len(aig.inputs)))]
    drivers = [*map(literal, (*aig.drivers, *aig.following)), *(one for some in operands for one in some)]
    rest = Aig(tuple(names), tuple(f"o{index}" for index in range(len(drivers))), tuple(drivers), (), tuple(ands))
    return Boxed(rest, len(found))


def _cheaper_mask(literals: list[int], mask: int, base: int) -> int:
    """The mask, or its inverse, which inverts the carry: that under which fewer inputs of the rest must be inverted."""
    sides = [(literal & 1) ^ (mask >> index & 1) for index, literal in enumerate(literals) if literal < 2 * base]
    return mask ^ 7 if 2 * sum(sides) > len(sides) else mask


def _stages(aig: Aig, found: list[FullAdder]) -> list[int]:
    """About when each variable is there, in gates."""
    boxes = {one.sum: one for one in found} | {one.carry: one for one in found}
    stages = [0] * (1 + aig.sources)
    for variable, operands in enumerate(aig.ands, 1 + aig.sources):
        one = boxes.get(variable)
        if one is None:
            stages.append(1 + max(stages[end >> 1] for end in operands))
        else:
            early, middle, late = sorted(stages[end] for end in one.operands)
            half = 1 + max(early, middle)
            stages.append(max(half, late) + (1 if variable == one.sum else 2))
    return stages


def can_add(kit: Kit) -> bool:
    """Whether a library has the gates of a full adder."""
    return all(kit.named(table) for table in FULL_ADDER_TABLES)


def with_adders(
    mapped: dict[str, MappedGate],
    inputs: Sequence[str],
    outputs: Sequence[str],
    count: int,
    kit: Kit,
    whole: Collection[int],
) -> tuple[dict[str, MappedGate], list[str], list[str]]:
    """Mapped gates of `Boxed.rest` with the full adders among them, and the graph's own inputs and outputs.

    Those of the numbers in `whole` are a library's cell. Of the others, two XORs make the sum; the carry is (a AND b)
    OR (c AND (a XOR b)), so that the latest operand is one gate from the sum and two from the carry.
    """
    found = dict(mapped)
    plain, ends = len(inputs) - 2 * count, len(outputs) - 3 * count
    for index in range(count):
        total, carry = inputs[plain + 2 * index : plain + 2 * index + 2]
        a, b, c = outputs[ends + 3 * index : ends + 3 * index + 3]
        if index in whole and kit.full_adder:
            found |= {total: (kit.full_adder.cell.name, (a, b, c)), carry: (CARRY, (total,))}
            continue
        both, either, differ = (kit.named(table) or "" for table in FULL_ADDER_TABLES)
        half, made, passed = (f"{total}_{name}" for name in ("half", "made", "passed"))
        found |= {half: (differ, (a, b)), total: (differ, (half, c))}
        found |= {made: (both, (a, b)), passed: (both, (half, c)), carry: (either, (made, passed))}
    return found, list(inputs[:plain]), list(outputs[:ends])
