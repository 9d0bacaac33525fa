"""Golden model of `pim.vector`: executes programs on an array of words, bit for bit, without a clock.

Words are fp32 codes. Sums and products are IEEE's, rounded to nearest even; a subnormal operand or result is zero of
its sign, NaN always 0x7FC00000. LOAD32, STORE32 and COPY move codes as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from hdl.pim.vector_config import (
    LOADS,
    PAIR_OPS,
    RECIP_MAGIC,
    REDUCTIONS,
    RSQRT_MAGIC,
    STORES,
    WIDE_OPS,
    Illegal,
    VectorConfig,
    VectorInstruction,
    VectorOp,
)
from sim.pim.arithmetic import Floats, added, flushed, rounded, tree_sum, widened

Words = npt.NDArray[np.uint32]

_GREATEST_SHIFT = 511
"""No fp32 number is finite, or 2^-126 at the least, after more than that."""


@dataclass
class VectorRun:
    """What a program did.

    Attributes
    ----------
    beats : list of uint16 (lanes,)
        What the stores gave.
    last : list of bool
        Which of them end a packet.
    illegal : list of (index, Illegal)
        Instructions that were skipped.
    ended : int
        ENDs.
    cycles : int
        Of all instructions, one after the other, when no stream stalls.
    """

    beats: list[npt.NDArray[np.uint16]] = field(default_factory=list)
    last: list[bool] = field(default_factory=list)
    illegal: list[tuple[int, Illegal]] = field(default_factory=list)
    ended: int = 0
    cycles: int = 0


class VectorUnit:
    """The unit with its SRAM, all zeros at first; programs go on from what the ones before left there.

    Parameters
    ----------
    config : VectorConfig
    """

    def __init__(self, config: VectorConfig):
        self.config = config
        self.words: Words = np.zeros(config.words, np.uint32)

    def run(self, program: Sequence[VectorInstruction], data: npt.NDArray[np.uint16] | None = None) -> VectorRun:
        """Executes a program. `data` has the beats of its loads, uint16 (beats, lanes).

        Raises
        ------
        ValueError
            If the loads take more beats than there are, or fewer.
        """
        beats = np.zeros((0, self.config.lanes), np.uint16) if data is None else data
        needed = sum(beats_of(self.config, one) for one in program if one.op in LOADS)
        if beats.shape != (needed, self.config.lanes):
            raise ValueError(f"data must be ({needed}, {self.config.lanes}) for this program, not {beats.shape}")
        run, taken = VectorRun(), 0
        for index, one in enumerate(program):
            reason = illegal(self.config, one)
            op = VectorOp.END if reason is not None else VectorOp(one.op)
            run.cycles += self.config.cycles(op, one.n)
            if reason is not None:
                run.illegal.append((index, reason))
            elif op == VectorOp.END:
                run.ended += 1
            elif op in STORES:
                made = self._stored(one)
                run.beats += list(made)
                run.last += [one.last and place == len(made) - 1 for place in range(len(made))]
            elif op in LOADS:
                count = beats_of(self.config, one)
                self.words[one.d : one.d + one.n] = self._loaded(one, beats[taken : taken + count])
                taken += count
            else:
                self._compute(op, one)
        return run

    def _loaded(self, one: VectorInstruction, beats: npt.NDArray[np.uint16]) -> Words:
        if one.op == VectorOp.LOAD:
            return widened(beats.reshape(-1)[: one.n]).view(np.uint32)
        halves = beats.reshape(-1, 2, self.config.lanes).astype(np.uint32)
        words: Words = (halves[:, 0] | halves[:, 1] << np.uint32(16)).reshape(-1)[: one.n]
        return words

    def _stored(self, one: VectorInstruction) -> npt.NDArray[np.uint16]:
        lanes = self.config.lanes
        words = np.zeros(self.config.steps(one.n) * lanes, np.uint32)
        words[: one.n] = self._operand(one.a, one.n, one.a_scalar)
        if one.op == VectorOp.STORE:
            return rounded(flushed(words.view(np.float32))).reshape(-1, lanes)
        halves = np.stack([words & 0xFFFF, words >> 16]).astype(np.uint16)
        return halves.reshape(2, -1, lanes).transpose(1, 0, 2).reshape(-1, lanes)

    def _operand(self, address: int, n: int, scalar: bool) -> Words:
        return np.repeat(self.words[address], n) if scalar else self.words[address : address + n].copy()

    def _compute(self, op: VectorOp, one: VectorInstruction) -> None:
        a = self._operand(one.a, one.n, one.a_scalar)
        b = self._operand(one.b, one.n, one.b_scalar) if op in PAIR_OPS else a
        if op in REDUCTIONS:
            self.words[one.d] = reduced(op, a, self.config.lanes)
        else:
            self.words[one.d : one.d + one.n] = applied(op, a, b)


def beats_of(config: VectorConfig, one: VectorInstruction) -> int:
    """Beats that an instruction takes or gives."""
    if one.op not in LOADS | STORES or illegal(config, one) is not None:
        return 0
    return config.steps(one.n) * (2 if one.op in WIDE_OPS else 1)


def illegal(config: VectorConfig, one: VectorInstruction) -> Illegal | None:
    """Why an instruction is skipped, if it is. Only what an op uses counts."""
    if one.op not in list(VectorOp):
        return Illegal.UNKNOWN
    if one.op == VectorOp.END:
        return None
    sources = []
    if one.op not in LOADS:
        sources.append((one.a, one.a_scalar))
    if one.op in PAIR_OPS:
        sources.append((one.b, one.b_scalar))
    used = list(sources)
    if one.op not in STORES:
        used.append((one.d, one.op in REDUCTIONS))
    if any(start + (1 if scalar else one.n) > config.words for start, scalar in used):
        return Illegal.ADDRESS
    if any(start % config.lanes and not scalar for start, scalar in used):
        return Illegal.ALIGNMENT
    if one.op not in STORES | REDUCTIONS:
        reach = config.steps(one.n) * config.lanes
        if any(start < one.d < start + reach and not scalar for start, scalar in sources):
            return Illegal.OVERLAP
    return None


def applied(op: VectorOp, a: Words, b: Words) -> Words:
    """An element-wise op on fp32 codes, (n,) each."""
    if op == VectorOp.COPY:
        return a
    if op == VectorOp.RECIP_SEED:
        return np.uint32(RECIP_MAGIC) - a
    if op == VectorOp.RSQRT_SEED:
        return np.uint32(RSQRT_MAGIC) - (a >> np.uint32(1))
    x, y = flushed(a.view(np.float32)), flushed(b.view(np.float32))
    with np.errstate(over="ignore", invalid="ignore"):
        if op == VectorOp.ADD:
            made = added(x, y)
        elif op == VectorOp.SUB:
            made = added(x, -y)
        elif op == VectorOp.MUL:
            made = flushed(x * y)
        elif op == VectorOp.ROUND:
            made = flushed(np.rint(x))
        elif op == VectorOp.SCALE:
            made = _scaled(x, y)
        else:
            made = _larger(x, y) if op == VectorOp.MAX else -_larger(-x, -y)
    return flushed(made).view(np.uint32)


def reduced(op: VectorOp, values: Words, lanes: int) -> np.uint32:
    """The code of a sum or of the largest: each lane in order from +0 (of a sum) on, then a tree, neighbours first."""
    start = np.float32(0 if op == VectorOp.SUM else -np.inf)
    filled = np.full(-(-len(values) // lanes) * lanes, start, np.float32)
    filled[: len(values)] = flushed(values.view(np.float32))
    rows = filled.reshape(-1, lanes)
    total: Floats = np.full(lanes, start, np.float32)
    if op == VectorOp.MAXIMUM:
        for row in rows:
            total = _larger(total, row)
        while len(total) > 1:
            total = _larger(total[0::2], total[1::2])
        return np.uint32(flushed(total).view(np.uint32)[0])
    for row in rows:
        total = added(total, row)
    return np.uint32(np.asarray(tree_sum(total), np.float32).view(np.uint32))


def _larger(x: Floats, y: Floats) -> Floats:
    """The larger, +0 above -0; NaN if either is."""
    made: Floats = np.where((x > y) | ((x == y) & ~np.signbit(x)), x, y)
    return np.where(np.isnan(x) | np.isnan(y), np.float32(np.nan), made)


def _scaled(x: Floats, y: Floats) -> Floats:
    """x * 2**y, y cut to an integer within ±511; what is below 2^-126 is zero, without having been rounded."""
    power = np.clip(np.trunc(np.where(np.isnan(y), 0, y)), -_GREATEST_SHIFT, _GREATEST_SHIFT).astype(np.float64)
    exact = x.astype(np.float64) * np.exp2(power)
    small = np.abs(exact) < 2.0**-126
    made: Floats = np.where(small, np.copysign(0.0, exact), exact).astype(np.float32)
    return np.where(np.isnan(y), np.float32(np.nan), made)
