"""A float network's operations as `pulse.cnn` can have them: copies where a tensor needs another place or elements.

A tensor that is added to, or that is part of a concatenation, lies where the result will lie, in elements of the same
meaning (`cnn_places`); and a layer cuts values off at both ends only where an element ends there, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from hdl.pulse.cnn_words import Activation
from sim.pulse.cnn_graph import Add, Concat, Copy, Graph, Op, Pool, Quant, Transposed
from sim.pulse.cnn_network import INPUT


@dataclass(frozen=True)
class Form:
    """What a tensor's elements mean: scale · (element - zero). `wide` as a requantisation has it."""

    scale: float
    zero: int
    wide: bool


def form_of(op: Op, activation_bits: int) -> Form | None:
    """Of outputs that an operation rounds itself, such that an element ends where the values do; None if there is none.

    Raises
    ------
    NetworkError
        If elements have too few bits.
    """
    if (quant := op.quant) is None:
        return None
    top = 255 if quant.low == 0 else 127
    narrow = (quant.low is None or quant.low >= -128) and (quant.high is None or quant.high <= top)
    if not narrow and activation_bits == 8:
        raise op.error(f"its outputs, {quant.low} to {quant.high} steps, are no elements of 8 bits")
    most = 127 if narrow else 32767
    if quant.low is None or quant.low == 0:
        assert quant.high is not None
        return Form(quant.scale, most - quant.high, not narrow)
    return Form(quant.scale, -1 - most - quant.low if quant.high is None else 0, not narrow)


def origin(ops: Sequence[Op], name: str) -> Op | None:
    """What made a tensor's elements: a maximum only passes on what it reads. None for the input."""
    found = next((op for op in ops if op.name == name), None)
    passes = isinstance(found, Pool) and found.operation == "max"
    return origin(ops, found.reads[0]) if found and passes else found


def lowered(graph: Graph, activation_bits: int) -> Graph:
    """The same function, in order, with copies.

    Raises
    ------
    NetworkError
        If elements have too few bits for what an operation rounds to.
    """
    draft = _Draft(graph, activation_bits)
    for op in graph.ops:
        draft.take(op)
    return replace(graph, ops=tuple(draft.ops))


class _Draft:
    """Operations that grow."""

    def __init__(self, graph: Graph, bits: int) -> None:
        self.graph, self.bits = graph, bits
        self.ops: list[Op] = []
        self.made: dict[str, Op] = {}
        self.claimed: set[str] = set()
        self.names = {INPUT, *(op.name for op in graph.ops)}

    def take(self, op: Op) -> None:
        """An operation, or the several that it becomes; the last of these has its name."""
        last = op is self.graph.last
        if isinstance(op, Add):
            self._add(op, last)
        elif isinstance(op, Concat):
            op = replace(op, reads=self._parts(op))
            self._split(op, last or op.quant is not None or op.activation != Activation.NONE)
        elif isinstance(op, Pool) and op.operation == "max":
            self._split(op, last or op.quant is not None or op.activation != Activation.NONE)
        elif isinstance(op, Transposed):
            given = origin(self.ops, op.reads[0])
            if given and (form := form_of(given, self.bits)) and form.zero:
                quant = Quant(form.scale, -128, 127) if self.bits == 8 else Quant(form.scale, -(1 << 15), (1 << 15) - 1)
                op = replace(op, reads=(self._copy(op.reads[0], quant),))
            self._split(op, last and op.stride > 1)
        else:
            self._split(op, False)

    def _append(self, op: Op) -> None:
        self.ops.append(op)
        self.made[op.name] = op

    def _new(self, name: str) -> str:
        number = 2
        found = name
        while found in self.names:
            found, number = f"{name}{number}", number + 1
        self.names.add(found)
        return found

    def _copy(self, name: str, quant: Quant | None = None) -> str:
        """Of a tensor; its name."""
        copy = Copy(name=self._new(f"{name}_copy"), reads=(name,), quant=quant)
        self._append(copy)
        return copy.name

    def _split(self, op: Op, copied: bool) -> None:
        """Its sum and what follows it as two, if `copied`; and what is cut off, the top first, if an element ends at
        neither end."""
        if copied:
            plain = replace(op, name=self._new(f"{op.name}_sum"), activation=Activation.NONE, leak=0, quant=None)
            self._append(plain)
            ends = {"activation": op.activation, "leak": op.leak, "quant": op.quant}
            op = Copy(name=op.name, reads=(plain.name,), **ends)  # type: ignore[arg-type]
        quant = op.quant
        if quant and quant.low == 0:
            op = replace(op, activation=Activation.RELU)
        elif quant and (quant.low, quant.high) not in ((-128, 127), (-(1 << 15), (1 << 15) - 1)):
            first = replace(op, name=self._new(f"{op.name}_top"), quant=replace(quant, low=None))
            self._append(first)
            op = Copy(name=op.name, reads=(first.name,), quant=replace(quant, high=None))
        self._append(op)

    def _parts(self, op: Concat) -> tuple[str, ...]:
        """What it reads, copied where it cannot lie in the result."""
        quants = {self.made[name].quant if name in self.made else None for name in op.reads}
        alike = len(quants) == 1
        found: list[str] = []
        for name in op.reads:
            free = self._free(name) and name not in found and (alike or self.made[name].quant is None)
            if free and isinstance(self.made[name], Add) and set(self.made[name].reads) & set(op.reads):
                free = False
            found.append(name if free else self._copy(name))
        self.claimed |= set(found)
        return tuple(found)

    def _free(self, name: str) -> bool:
        """Whether a tensor may lie in another's place."""
        op = self.made.get(name)
        passes = isinstance(op, Pool) and op.operation == "max"
        return op is not None and not passes and name not in self.claimed

    def _add(self, op: Add, last: bool) -> None:
        """A chain of sums of two."""
        total, *others = op.reads
        for number, other in enumerate(others):
            whole = number == len(others) - 1
            base = (
                op if whole else replace(op, name=self._new(f"{op.name}_sum"), activation=Activation.NONE, quant=None)
            )
            split = whole and (last or (op.quant is not None and self.bits == 8))
            quant = None if split else base.quant
            order = [(total, other), (other, total)]
            pairs = [pair for pair in order if self._adds(pair, op, quant)]
            source, added = pairs[0] if pairs else (total, self._copy(other))
            self.claimed.add(added)
            self._split(replace(base, reads=(source, added)), split)
            total = base.name

    def _adds(self, pair: tuple[str, str], op: Add, quant: Quant | None) -> bool:
        """Whether the second may be overwritten by its sum with the first."""
        source, added = pair
        if source == added or not self._free(added):
            return False
        later = self.graph.ops[[one.name for one in self.graph.ops].index(op.name) + 1 :]
        if any(added in one.reads for one in later) or op.reads.count(added) > 1:
            return False
        own = self.made[added].quant
        return own is None or (self.bits == 16 and quant in (None, own))
