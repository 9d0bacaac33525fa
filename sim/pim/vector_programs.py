"""Programs for `pim.vector`: softmax, LayerNorm, GELU, biases and residuals, out of sums and products alone.

    program = VectorProgram(config)
    x = program.load32(values)
    program.store32(softmax(program, x))
    words, data = program.finish()

`data` stands in the order of the loads. Constants are loaded first, into the words from 0 on.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from hdl.pim.vector_config import (
    A_SCALAR,
    B_SCALAR,
    LAST,
    MOST_ELEMENTS,
    VectorConfig,
    VectorInstruction,
    VectorOp,
)
from sim.pim.vector_model import VectorRun

Floats = npt.NDArray[np.float32]
Beats = npt.NDArray[np.uint16]

CONSTANT_WORDS = 32
"""Room for constants, from word 0 on."""

POWER = (
    1.0000000716546849,
    0.6931469670647609,
    0.24022119723839974,
    0.055507132734978495,
    0.009675541334453752,
    0.0013276471992533978,
)
"""2**f, |f| <= 0.5, as a polynomial, lowest degree first: that of the least relative error, by Remez' algorithm."""
POWER_ERROR = 1.6e-7
"""Relative, of the coefficients as fp32; 7.5e-8 before they are rounded."""

LEAST_POWER, GREATEST_POWER = -126.0, 126.0
"""Where arguments of 2**t are cut off: below is 0, and above neither it nor its reciprocal is a normal number."""

LOG2_E = 1.4426950408889634
GELU_SLOPE, GELU_CUBE = 0.7978845608028654, 0.044715
NEWTON_STEPS = 3
"""From a seed of 5 % (1/x) or 3.5 % (1/sqrt x): each step squares the error."""


@dataclass(frozen=True)
class Place:
    """Where n elements stand; one element is a scalar."""

    address: int
    n: int


class VectorProgram:
    """A program in the making, with its data and the SRAM that it uses.

    Parameters
    ----------
    config : VectorConfig

    Raises
    ------
    ValueError
        Of any method: if the SRAM does not hold what the program needs.
    """

    def __init__(self, config: VectorConfig):
        self.config = config
        self._instructions: list[VectorInstruction] = []
        self._data: list[Beats] = []
        self._constants: list[np.float32] = []
        self._free = CONSTANT_WORDS

    def room(self, n: int) -> Place:
        """Room for n elements, from the next multiple of the lanes on."""
        start, lanes = self._free, self.config.lanes
        self._free += -(-n // lanes) * lanes
        if self._free > self.config.words:
            raise ValueError(f"the program needs {self._free} words at least, and the SRAM has {self.config.words}")
        return Place(start, n)

    @contextmanager
    def scratch(self) -> Iterator[None]:
        """Room that is taken within is free again behind."""
        mark = self._free
        yield
        self._free = mark

    def constant(self, value: float) -> Place:
        """A scalar that is loaded before the program begins."""
        number = np.float32(value)
        if number not in self._constants:
            if len(self._constants) == CONSTANT_WORDS:
                raise ValueError(f"a program has at most {CONSTANT_WORDS} constants")
            self._constants.append(number)
        return Place(self._constants.index(number), 1)

    def load(self, codes: npt.NDArray[np.uint16]) -> Place:
        """bf16 codes (n,) from the stream."""
        return self.load_into(self.room(len(codes)), codes)

    def load_into(self, place: Place, codes: npt.NDArray[np.uint16]) -> Place:
        """bf16 codes (n,) from the stream, to a place. Returns it."""
        for part, start in self._parts(place):
            self._instructions.append(VectorInstruction(VectorOp.LOAD, d=part.address, n=part.n))
            self._data.append(_rows(codes[start : start + part.n], self.config.lanes))
        return place

    def load32(self, values: Floats) -> Place:
        """float32 (n,) from the stream."""
        return self.load32_into(self.room(len(values)), values)

    def load32_into(self, place: Place, values: Floats) -> Place:
        """float32 (n,) from the stream, to a place. Returns it."""
        for part, start in self._parts(place):
            self._instructions.append(VectorInstruction(VectorOp.LOAD32, d=part.address, n=part.n))
            self._data.append(_halves(values[start : start + part.n], self.config.lanes))
        return place

    def store(self, place: Place, *, wide: bool = False) -> None:
        """A vector to the stream, as a packet of bf16."""
        op = VectorOp.STORE32 if wide else VectorOp.STORE
        for part, start in self._parts(place):
            last = LAST * (start + part.n == place.n)
            flags = A_SCALAR * (place.n == 1) | last
            self._instructions.append(VectorInstruction(op, a=part.address, n=part.n, flags=flags))

    def store32(self, place: Place) -> None:
        """A vector to the stream, as a packet of fp32."""
        self.store(place, wide=True)

    def apply(self, op: VectorOp, d: Place, a: Place, b: Place | None = None) -> Place:
        """d = op(a, b), element by element; an operand of one element stands for as many as d has. Returns d."""
        flags = A_SCALAR * (a.n == 1) | B_SCALAR * (b is not None and b.n == 1)
        for part, start in self._parts(d):
            at = [0 if one is None else one.address + start * (one.n > 1) for one in (a, b)]
            self._instructions.append(VectorInstruction(op, part.address, at[0], at[1], part.n, flags))
        return d

    def reduce(self, op: VectorOp, d: Place, a: Place) -> Place:
        """d = the sum or the largest of a: of each 1024 elements, and of those in order. Returns d."""
        together = VectorOp.ADD if op == VectorOp.SUM else VectorOp.MAX
        flags = A_SCALAR * (a.n == 1)
        with self.scratch():
            other = self.room(1)
            for part, start in self._parts(a):
                to = other if start else d
                self._instructions.append(VectorInstruction(op, to.address, part.address, n=part.n, flags=flags))
                if start:
                    self.apply(together, d, d, other)
        return d

    def finish(self) -> tuple[list[VectorInstruction], Beats]:
        """The program, END behind it, and the beats of its loads, uint16 (beats, lanes)."""
        program, data = [*self._instructions, VectorInstruction(VectorOp.END)], list(self._data)
        if self._constants:
            program.insert(0, VectorInstruction(VectorOp.LOAD32, d=0, n=len(self._constants)))
            data.insert(0, _halves(np.array(self._constants, np.float32), self.config.lanes))
        return program, np.concatenate([np.zeros((0, self.config.lanes), np.uint16), *data])

    @staticmethod
    def _parts(place: Place) -> Iterator[tuple[Place, int]]:
        """What instructions can name, each with its first element."""
        for start in range(0, place.n, MOST_ELEMENTS):
            yield Place(place.address + start, min(MOST_ELEMENTS, place.n - start)), start


def power_of_two(p: VectorProgram, t: Place) -> Place:
    """t = 2**t, for t within `LEAST_POWER` and `GREATEST_POWER`: a polynomial of what rounding leaves, then SCALE."""
    with p.scratch():
        whole, value = p.room(t.n), p.room(t.n)
        p.apply(VectorOp.ROUND, whole, t)
        p.apply(VectorOp.SUB, t, t, whole)
        p.apply(VectorOp.MUL, value, t, p.constant(POWER[-1]))
        for coefficient in reversed(POWER[1:-1]):
            p.apply(VectorOp.ADD, value, value, p.constant(coefficient))
            p.apply(VectorOp.MUL, value, value, t)
        p.apply(VectorOp.ADD, value, value, p.constant(POWER[0]))
        return p.apply(VectorOp.SCALE, t, value, whole)


def reciprocal(p: VectorProgram, d: Place, a: Place) -> Place:
    """d = 1 / a, by y = y (2 - a y); 0 where a is 2**126 or more. d is not a."""
    with p.scratch():
        rest = p.room(a.n)
        p.apply(VectorOp.RECIP_SEED, d, a)
        for _ in range(NEWTON_STEPS):
            p.apply(VectorOp.MUL, rest, a, d)
            p.apply(VectorOp.SUB, rest, p.constant(2), rest)
            p.apply(VectorOp.MUL, d, d, rest)
    return d


def reciprocal_root(p: VectorProgram, d: Place, a: Place) -> Place:
    """d = 1 / sqrt(a), by y = y (1.5 - a/2 y y). d is not a."""
    with p.scratch():
        half, rest = p.room(a.n), p.room(a.n)
        p.apply(VectorOp.MUL, half, a, p.constant(0.5))
        p.apply(VectorOp.RSQRT_SEED, d, a)
        for _ in range(NEWTON_STEPS):
            p.apply(VectorOp.MUL, rest, d, d)
            p.apply(VectorOp.MUL, rest, rest, half)
            p.apply(VectorOp.SUB, rest, p.constant(1.5), rest)
            p.apply(VectorOp.MUL, d, d, rest)
    return d


def softmax(p: VectorProgram, x: Place) -> Place:
    """x = exp(x - max x) over its sum."""
    with p.scratch():
        scalar, inverse = p.room(1), p.room(1)
        p.reduce(VectorOp.MAXIMUM, scalar, x)
        p.apply(VectorOp.SUB, x, x, scalar)
        p.apply(VectorOp.MUL, x, x, p.constant(LOG2_E))
        p.apply(VectorOp.MAX, x, x, p.constant(LEAST_POWER))
        power_of_two(p, x)
        p.reduce(VectorOp.SUM, scalar, x)
        reciprocal(p, inverse, scalar)
        return p.apply(VectorOp.MUL, x, x, inverse)


def layer_norm(p: VectorProgram, x: Place, gain: Place, bias: Place, epsilon: float = 1e-5) -> Place:
    """x = (x - mean) / sqrt(variance + epsilon) * gain + bias."""
    with p.scratch():
        scalar, inverse = p.room(1), p.room(1)
        share = p.constant(1 / x.n)
        p.reduce(VectorOp.SUM, scalar, x)
        p.apply(VectorOp.MUL, scalar, scalar, share)
        p.apply(VectorOp.SUB, x, x, scalar)
        with p.scratch():
            squares = p.apply(VectorOp.MUL, p.room(x.n), x, x)
            p.reduce(VectorOp.SUM, scalar, squares)
        p.apply(VectorOp.MUL, scalar, scalar, share)
        p.apply(VectorOp.ADD, scalar, scalar, p.constant(epsilon))
        reciprocal_root(p, inverse, scalar)
        p.apply(VectorOp.MUL, x, x, inverse)
        p.apply(VectorOp.MUL, x, x, gain)
        return p.apply(VectorOp.ADD, x, x, bias)


def gelu(p: VectorProgram, x: Place) -> Place:
    """x = x / (1 + exp(-2 u)), u = sqrt(2 / pi) (x + 0.044715 x**3): GPT-2's GELU by tanh."""
    slope = -2 * GELU_SLOPE * LOG2_E
    with p.scratch():
        t, inverse = p.room(x.n), p.room(x.n)
        p.apply(VectorOp.MUL, t, x, x)
        p.apply(VectorOp.MUL, t, t, p.constant(slope * GELU_CUBE))
        p.apply(VectorOp.ADD, t, t, p.constant(slope))
        p.apply(VectorOp.MUL, t, t, x)
        p.apply(VectorOp.MAX, t, t, p.constant(LEAST_POWER))
        p.apply(VectorOp.MIN, t, t, p.constant(GREATEST_POWER))
        power_of_two(p, t)
        p.apply(VectorOp.ADD, t, t, p.constant(1))
        reciprocal(p, inverse, t)
        return p.apply(VectorOp.MUL, x, x, inverse)


def add(p: VectorProgram, x: Place, other: Place) -> Place:
    """x = x + other: a bias, a residual."""
    return p.apply(VectorOp.ADD, x, x, other)


class Unit(Protocol):
    """What executes programs: the golden model, or gateware behind the same face."""

    config: VectorConfig

    def run(self, program: Sequence[VectorInstruction], data: Beats | None = None) -> VectorRun:
        """Executes a program; `data` has the beats of its loads."""


class VectorHost:
    """The functions between products (`sim.pim.gpt_host.Host`) as programs on a vector unit.

    Attributes
    ----------
    cycles : int
        Of all programs so far.
    """

    def __init__(self, unit: Unit):
        self._unit, self.cycles = unit, 0

    def softmax(self, scores: Floats) -> Floats:
        """Exponentials that sum to 1."""
        p = VectorProgram(self._unit.config)
        return self._run(p, softmax(p, p.load32(scores)))

    def layer_norm(self, values: Floats, gain: Floats, bias: Floats) -> Floats:
        """Less the mean, over the deviation, times gain, plus bias."""
        p = VectorProgram(self._unit.config)
        x, by, plus = p.load32(values), p.load32(gain), p.load32(bias)
        return self._run(p, layer_norm(p, x, by, plus))

    def gelu(self, values: Floats) -> Floats:
        """x · Φ(x), by tanh as in GPT-2."""
        p = VectorProgram(self._unit.config)
        return self._run(p, gelu(p, p.load32(values)))

    def _run(self, p: VectorProgram, result: Place) -> Floats:
        p.store32(result)
        run = self._unit.run(*p.finish())
        self.cycles += run.cycles
        return wide_values(np.array(run.beats), result.n)


def wide_values(beats: Beats, n: int) -> Floats:
    """The float32 (n,) of STORE32's beats."""
    halves = beats.reshape(-1, 2, beats.shape[1]).astype(np.uint32)
    values: Floats = (halves[:, 0] | halves[:, 1] << np.uint32(16)).reshape(-1)[:n].view(np.float32)
    return values


def _rows(codes: npt.NDArray[np.uint16], lanes: int) -> Beats:
    return np.pad(codes, (0, -len(codes) % lanes)).reshape(-1, lanes)


def _halves(values: Floats, lanes: int) -> Beats:
    words = np.ascontiguousarray(values, np.float32).view(np.uint32)
    low, high = (_rows((words >> shift & 0xFFFF).astype(np.uint16), lanes) for shift in (0, 16))
    return np.stack([low, high], axis=1).reshape(-1, lanes)
