"""And-inverter graphs, and the AIGER files that hold them: what the source means, for ABC and for the checks."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from flows.errors import BadInput
from flows.paths import shown

MOST_BYTES = 1 << 28


Value = tuple[int, int]
"""Two words with a bit a case: where a value may be 1, and where it may be 0. Both: it is not known."""


@dataclass(frozen=True)
class Aig:
    """A graph of ANDs and inverters, with registers.

    A literal is twice a variable's number, plus 1 if it is inverted; variable 0 is false. After it are numbered the
    inputs, the registers and the ANDs, these so that operands come first.

    Attributes
    ----------
    inputs, outputs : names, as the source has them
    drivers : the literal at each output
    following : the literal that each register takes next
    ands : the two operands of each AND
    """

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    drivers: tuple[int, ...]
    following: tuple[int, ...]
    ands: tuple[tuple[int, int], ...]

    @property
    def sources(self) -> int:
        """Inputs and registers."""
        return len(self.inputs) + len(self.following)

    def evaluate(self, inputs: Sequence[Value], registers: Sequence[Value]) -> tuple[list[Value], list[Value]]:
        """Outputs and next values of the registers."""
        values = [(0, -1), *inputs, *registers]

        def value(literal: int) -> Value:
            one, zero = values[literal >> 1]
            return (zero, one) if literal & 1 else (one, zero)

        for left, right in self.ands:
            (one, zero), (other_one, other_zero) = value(left), value(right)
            values.append((one & other_one, zero | other_zero))
        return [value(literal) for literal in self.drivers], [value(literal) for literal in self.following]

    def run(self, waves: Mapping[str, Sequence[int]]) -> dict[str, list[int | None]]:
        """Outputs of waves of inputs, by name; None while it depends on what the registers held before."""
        count = len(next(iter(waves.values()), ()))
        if not self.following:
            words = [_word(waves[name]) for name in self.inputs]
            found: list[list[int | None]] = [
                [one >> index & 1 for index in range(count)]
                for one, _ in self.evaluate([(word, ~word) for word in words], [])[0]
            ]
            return dict(zip(self.outputs, found, strict=True))
        state: list[Value] = [(1, 1)] * len(self.following)
        table: list[list[int | None]] = [[] for _ in self.outputs]
        for index in range(count):
            bits = [waves[name][index] for name in self.inputs]
            outputs, state = self.evaluate([(bit, 1 - bit) for bit in bits], state)
            for column, (one, zero) in zip(table, outputs, strict=True):
                column.append(None if one & zero & 1 else one & 1)
        return dict(zip(self.outputs, table, strict=True))

    def core(self, instead: Mapping[int, int] | None = None, without: Collection[int] = ()) -> bytes:
        """Binary AIGER of the logic between registers: these are inputs and outputs, after the others; no names.

        Parameters
        ----------
        instead : literals that are taken instead of those of variables
        without : registers, by number, whose next values are no outputs
        """
        taken = instead or {}

        def literal(one: int) -> int:
            return taken.get(one >> 1, one & ~1) ^ (one & 1)

        following = [one for index, one in enumerate(self.following) if index not in without]
        results = [literal(one) for one in (*self.drivers, *following)]
        text = f"aig {self.sources + len(self.ands)} {self.sources} 0 {len(results)} {len(self.ands)}\n"
        text += "".join(f"{one}\n" for one in results)
        coded = bytearray()
        for index, operands in enumerate(self.ands):
            low, high = sorted(map(literal, operands))
            for delta in (2 * (self.sources + 1 + index) - high, high - low):
                rest = delta
                while rest > 0x7F:
                    coded.append(rest & 0x7F | 0x80)
                    rest >>= 7
                coded.append(rest)
        return text.encode() + bytes(coded)

    def reduced(self, clock: str | None = None) -> Aig:
        """The same without registers on which no output ever depends, and without the input that only clocks them."""
        first, used = 1 + len(self.inputs), set[int]()
        ahead = [literal >> 1 for literal in self.drivers]
        while ahead:
            variable = ahead.pop()
            if variable not in used:
                used.add(variable)
                if variable > self.sources:
                    ahead += [literal >> 1 for literal in self.ands[variable - self.sources - 1]]
                elif variable >= first:
                    ahead.append(self.following[variable - first] >> 1)
        inputs = [index for index, name in enumerate(self.inputs) if name != clock]
        registers = [index for index in range(len(self.following)) if first + index in used]
        kept = [1 + index for index in inputs] + [first + index for index in registers]
        kept += range(self.sources + 1, self.sources + 1 + len(self.ands))
        numbers = {0: 0} | {variable: number for number, variable in enumerate(kept, 1)}

        def new(literal: int) -> int:
            return 2 * numbers.get(literal >> 1, 0) + (literal & 1)  # what is left out reaches only what nothing reads

        return Aig(
            inputs=tuple(self.inputs[index] for index in inputs),
            outputs=self.outputs,
            drivers=tuple(map(new, self.drivers)),
            following=tuple(new(self.following[index]) for index in registers),
            ands=tuple((new(one), new(other)) for one, other in self.ands),
        )


def _word(bits: Sequence[int]) -> int:
    return sum(bit << index for index, bit in enumerate(bits))


def read_aiger(path: Path) -> Aig:
    """The graph that a file of AIGER holds, binary (`aig`) or text (`aag`).

    Inputs and outputs without a name are `i0`, `o0` and so on. Bad states are outputs, too: ABC writes outputs
    as such where nothing is known of a register's first value. That value is not asked.

    Raises
    ------
    BadInput
        If the file cannot be read, is no AIGER, or has what is no circuit (constraints, fairness, no output).
    """
    try:
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise BadInput(f"{shown(path)}: {(error.strerror or str(error)).lower()}") from None
    if len(data) > MOST_BYTES:
        raise BadInput(f"{shown(path)}: must have at most {MOST_BYTES:,} bytes")
    try:
        return _parse(data)
    except (ValueError, IndexError, UnicodeDecodeError) as error:
        reason = str(error) if isinstance(error, _NotAiger) else "it ends early, or a number is none"
        raise BadInput(f"{shown(path)}: not AIGER: {reason}") from None


class _NotAiger(ValueError):
    """Says what is wrong."""


class _Lines:
    """A file taken line by line, and byte by byte where ANDs are coded."""

    def __init__(self, data: bytes):
        self.data, self.at = data, 0

    def line(self) -> list[str]:
        end = self.data.index(b"\n", self.at)
        words = self.data[self.at : end].decode().split()
        self.at = end + 1
        return words

    def numbers(self) -> list[int]:
        return [int(word) for word in self.line()]

    def delta(self) -> int:
        found = shift = 0
        while True:
            byte = self.data[self.at]
            self.at += 1
            found |= (byte & 0x7F) << shift
            shift += 7
            if not byte & 0x80:
                return found


def _parse(data: bytes) -> Aig:
    lines = _Lines(data)
    kind, *words = lines.line()
    if kind not in ("aig", "aag"):
        raise _NotAiger("the first word must be aig or aag")
    most, inputs, latches, outputs, ands, *rest = (int(word) for word in words)
    bad = rest[0] if rest else 0
    if min(most, inputs, latches, outputs, ands, bad) < 0 or most < inputs + latches + ands or most > 4 * len(data):
        raise _NotAiger("the numbers of its first line do not fit one another")
    if any(rest[1:]):
        raise _NotAiger("it has constraints, justice or fairness, which are no outputs")
    if not outputs + bad:
        raise _NotAiger("it has no output")
    binary = kind == "aig"
    sources = [2 * (1 + index) for index in range(inputs)] if binary else [lines.numbers()[0] for _ in range(inputs)]
    registers = [([2 * (1 + inputs + index)] if binary else []) + lines.numbers() for index in range(latches)]
    drivers = [lines.numbers()[0] for _ in range(outputs + bad)]
    table: dict[int, tuple[int, int]] = {}
    for index in range(ands):
        if binary:
            left = 2 * (1 + inputs + latches + index)
            high = left - lines.delta()
            table[left >> 1] = (high, high - lines.delta())
        else:
            left, *operands = lines.numbers()
            table[left >> 1] = (operands[0], operands[1])
    names = _symbols(lines)
    ends = [f"o{index}" for index in range(outputs)] + [f"b{index}" for index in range(bad)]
    order = _renumbered([*sources, *(one[0] for one in registers)], table)

    def new(literal: int) -> int:
        if literal >> 1 not in order:
            raise _NotAiger(f"nothing drives literal {literal}")
        return 2 * order[literal >> 1] + (literal & 1)

    ordered = sorted(table, key=order.__getitem__)
    return Aig(
        inputs=tuple(_unique([names.get(f"i{index}", f"i{index}") for index in range(inputs)], "inputs")),
        outputs=tuple(_unique([names.get(key, key) for key in ends], "outputs")),
        drivers=tuple(new(literal) for literal in drivers),
        following=tuple(new(one[1]) for one in registers),
        ands=tuple((new(table[variable][0]), new(table[variable][1])) for variable in ordered),
    )


def _renumbered(sources: list[int], table: Mapping[int, tuple[int, int]]) -> dict[int, int]:
    """Numbers of variables so that operands come first."""
    order = {0: 0}
    for literal in sources:
        order[literal >> 1] = len(order)
    if len(order) != len(sources) + 1:
        raise _NotAiger("two inputs are one variable")
    for root in table:
        ahead, under_way = [root], set[int]()
        while ahead:
            variable = ahead[-1]
            if variable in order:
                ahead.pop()
                continue
            if variable not in table:
                raise _NotAiger(f"nothing drives variable {variable}")
            missing = [one >> 1 for one in table[variable] if one >> 1 not in order]
            if not missing:
                order[variable] = len(order)
                ahead.pop()
            elif variable in under_way:
                raise _NotAiger(f"variable {variable} depends on itself")
            under_way.add(variable)
            ahead += missing
    return order


def _symbols(lines: _Lines) -> dict[str, str]:
    names = {}
    while lines.at < len(lines.data):
        end = lines.data.find(b"\n", lines.at)
        line = lines.data[lines.at : end if end >= 0 else len(lines.data)].decode(errors="replace")
        lines.at = end + 1 if end >= 0 else len(lines.data)
        if line.strip() == "c":
            break
        head, _, name = line.partition(" ")
        if name.strip():
            names[head] = name.strip()
    return names


def _unique(names: list[str], what: str) -> list[str]:
    for name in names:
        if names.count(name) > 1:
            raise _NotAiger(f"two {what} have the name {name}")
    return names
