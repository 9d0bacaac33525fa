"""A convolutional network in floating point: named operations, computed in double precision, before it is quantised.

A tensor is float64 (windows, length, channels). Attributes and paddings mean what they mean in `cnn_network`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from hdl.pulse.cnn_words import Activation
from sim.pulse.cnn_network import INPUT, NetworkError, Shape

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Quant:
    """Values that an operation's outputs are rounded to: whole multiples of `scale`, low to high times.

    A bound that is None cuts nothing off.
    """

    scale: float
    low: int | None
    high: int | None

    def __call__(self, values: Floats) -> Floats:
        """The nearest of them, ties to even."""
        return np.asarray(np.clip(np.rint(values / self.scale), self.low, self.high) * self.scale)


@dataclass(frozen=True, eq=False, kw_only=True)
class Op:
    """What operations have in common: the activation comes after the sum, `quant` after the activation.

    Attributes
    ----------
    reads : names of the operations that it reads, or `INPUT`
    leak : with `LEAKY`, values below 0 are taken times 2**-leak
    """

    name: str
    reads: tuple[str, ...]
    activation: Activation = Activation.NONE
    leak: int = 0
    quant: Quant | None = None

    def shape(self, given: list[Shape]) -> Shape:
        """Of its outputs, for what it reads. Raises `NetworkError` where that does not fit."""
        return given[0]

    def values(self, given: list[Floats]) -> Floats:
        """Before the activation."""
        raise NotImplementedError

    def error(self, what: str) -> NetworkError:
        """One line that names the layer."""
        return NetworkError(f"layer {self.name}: {what}")


@dataclass(frozen=True, eq=False, kw_only=True)
class Linear(Op):
    """An operation with weights; the first axis is the outputs'.

    Attributes
    ----------
    bias : float64 (outputs,)
    steps : float64 (outputs,), where the weights are whole multiples of these already, in -128 .. 127
    """

    weights: Floats
    bias: Floats
    steps: Floats | None = None

    def scaled(self, factor: Floats, offset: Floats) -> Linear:
        """With its outputs times a factor, plus an offset, both (outputs,)."""
        weights = self.weights * factor.reshape(-1, *(1,) * (self.weights.ndim - 1))
        steps = None if self.steps is None else self.steps * np.where(factor == 0, 1, factor)
        return replace(self, weights=weights, bias=self.bias * factor + offset, steps=steps)


@dataclass(frozen=True, eq=False, kw_only=True)
class Conv(Linear):
    """Convolution, weights (outputs, taps, inputs)."""

    stride: int = 1
    dilation: int = 1
    before: int = 0
    after: int = 0

    def shape(self, given: list[Shape]) -> Shape:
        _channels(self, given[0], self.weights.shape[2])
        reach = self.dilation * (self.weights.shape[1] - 1) + 1
        return _slide(self, given[0][0] + self.before + self.after, reach, self.stride), len(self.weights)

    def values(self, given: list[Floats]) -> Floats:
        taps = self.weights.shape[1]
        seen = _windows(given[0], taps, self.stride, self.dilation, (self.before, self.after), 0.0)
        return np.asarray(np.einsum("nxti,oti->nxo", seen, self.weights, optimize=True) + self.bias)


@dataclass(frozen=True, eq=False, kw_only=True)
class Transposed(Linear):
    """Transposed convolution, weights (outputs, taps, inputs): source[x] · weights[:, t] goes to x · stride + t."""

    stride: int = 1
    before: int = 0
    after: int = 0

    def shape(self, given: list[Shape]) -> Shape:
        _channels(self, given[0], self.weights.shape[2])
        length = (given[0][0] - 1) * self.stride + self.weights.shape[1] - self.before - self.after
        if length < 1:
            raise self.error("nothing is left of its outputs")
        return length, len(self.weights)

    def values(self, given: list[Floats]) -> Floats:
        count, length, _ = given[0].shape
        outputs, taps, _ = self.weights.shape
        whole = np.zeros((count, (length - 1) * self.stride + taps, outputs))
        for tap in range(taps):
            whole[:, tap : tap + (length - 1) * self.stride + 1 : self.stride] += given[0] @ self.weights[:, tap].T
        return np.asarray(whole[:, self.before : whole.shape[1] - self.after] + self.bias)


@dataclass(frozen=True, eq=False, kw_only=True)
class Dense(Linear):
    """Weights (outputs, length · channels), position by position."""

    def shape(self, given: list[Shape]) -> Shape:
        if given[0][0] * given[0][1] != self.weights.shape[1]:
            raise self.error(f"reads {self.weights.shape[1]} values, not {given[0][0]} · {given[0][1]}")
        return 1, len(self.weights)

    def values(self, given: list[Floats]) -> Floats:
        return np.asarray(given[0].reshape(len(given[0]), 1, -1) @ self.weights.T + self.bias)


@dataclass(frozen=True, eq=False, kw_only=True)
class Pool(Op):
    """The largest of `taps` values of a channel, or their sum over `taps`, padding counted as zeros."""

    operation: Literal["max", "average"]
    taps: int
    stride: int
    before: int = 0
    after: int = 0

    def shape(self, given: list[Shape]) -> Shape:
        return _slide(self, given[0][0] + self.before + self.after, self.taps, self.stride), given[0][1]

    def values(self, given: list[Floats]) -> Floats:
        pad = -np.inf if self.operation == "max" else 0.0
        seen = _windows(given[0], self.taps, self.stride, 1, (self.before, self.after), pad)
        return np.asarray(seen.max(axis=2) if self.operation == "max" else seen.mean(axis=2))


@dataclass(frozen=True, eq=False, kw_only=True)
class Copy(Op):
    """What it reads, with an activation or rounded."""

    def values(self, given: list[Floats]) -> Floats:
        return given[0]


@dataclass(frozen=True, eq=False, kw_only=True)
class Affine(Op):
    """Each channel times a factor, plus an offset, both float64 (channels,)."""

    factor: Floats
    offset: Floats

    def shape(self, given: list[Shape]) -> Shape:
        _channels(self, given[0], len(self.factor))
        return given[0]

    def values(self, given: list[Floats]) -> Floats:
        return np.asarray(given[0] * self.factor + self.offset)


@dataclass(frozen=True, eq=False, kw_only=True)
class Add(Op):
    """The sum of all that it reads."""

    def shape(self, given: list[Shape]) -> Shape:
        if len(set(given)) != 1:
            raise self.error(f"what it adds must be of one shape, not {given}")
        return given[0]

    def values(self, given: list[Floats]) -> Floats:
        return np.asarray(sum(given[1:], start=given[0]))


@dataclass(frozen=True, eq=False, kw_only=True)
class Concat(Op):
    """The channels of all that it reads, side by side."""

    def shape(self, given: list[Shape]) -> Shape:
        lengths = {length for length, _ in given}
        if len(lengths) != 1:
            raise self.error(f"what it joins must be of one length, not {sorted(lengths)}")
        return lengths.pop(), sum(channels for _, channels in given)

    def values(self, given: list[Floats]) -> Floats:
        return np.concatenate(given, axis=2)


@dataclass(frozen=True, eq=False)
class Graph:
    """Operations in an order in which each reads what comes before it; the last one's outputs are the network's.

    Attributes
    ----------
    input : length and channels
    gain : what the network's inputs are taken times first
    """

    input: Shape
    ops: tuple[Op, ...]
    gain: float = 1.0

    @property
    def last(self) -> Op:
        """The operation whose outputs are the network's."""
        return self.ops[-1]

    @property
    def shapes(self) -> dict[str, Shape]:
        """Of all tensors, `INPUT` among them."""
        found: dict[str, Shape] = {INPUT: self.input}
        for op in self.ops:
            found[op.name] = op.shape([found[name] for name in op.reads])
        return found

    def readers(self, name: str) -> list[Op]:
        """Of a tensor."""
        return [op for op in self.ops if name in op.reads]

    def pruned(self) -> Graph:
        """Without operations that the last one does not need."""
        needed = {self.last.name}
        for op in reversed(self.ops):
            if op.name in needed:
                needed |= set(op.reads)
        return replace(self, ops=tuple(op for op in self.ops if op.name in needed))


def evaluate(graph: Graph, inputs: Floats) -> dict[str, Floats]:
    """All tensors, for inputs (windows, length · channels)."""
    return dict(tensors(graph, inputs))


def tensors(graph: Graph, inputs: Floats) -> Iterator[tuple[str, Floats]]:
    """One tensor after another, each forgotten when nothing reads it any more; as `evaluate`."""
    known: dict[str, Floats] = {INPUT: (graph.gain * inputs).reshape(len(inputs), *graph.input)}
    yield INPUT, known[INPUT]
    for number, op in enumerate(graph.ops):
        made = activated(op, op.values([known[name] for name in op.reads]))
        known[op.name] = made
        yield op.name, made
        later = {name for other in graph.ops[number + 1 :] for name in other.reads}
        known = {name: values for name, values in known.items() if name in later}


def activated(op: Op, sums: Floats) -> Floats:
    """After activation and rounding."""
    if op.activation == Activation.RELU:
        sums = np.maximum(sums, 0)
    elif op.activation == Activation.LEAKY:
        sums = np.where(sums < 0, np.ldexp(sums, -op.leak), sums)
    return op.quant(sums) if op.quant else sums


def _channels(op: Op, given: Shape, wanted: int) -> None:
    if given[1] != wanted:
        raise op.error(f"reads {wanted} channels, not {given[1]}")


def _slide(op: Op, length: int, reach: int, stride: int) -> int:
    if length < reach:
        raise op.error(f"looks at {reach} positions, of which there are {length}")
    return (length - reach) // stride + 1


def _windows(given: Floats, taps: int, stride: int, dilation: int, around: tuple[int, int], pad: float) -> Floats:
    """What each position looks at: (windows, positions, taps, channels)."""
    padded: Any = np.pad(given, ((0, 0), around, (0, 0)), constant_values=pad)
    positions = (padded.shape[1] - dilation * (taps - 1) - 1) // stride + 1
    looked = stride * np.arange(positions)[:, None] + dilation * np.arange(taps)
    return np.asarray(padded[:, looked])
