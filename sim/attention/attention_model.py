"""Golden model of the attention array's arithmetic: one pass over the keys, tile by tile, in integers.

Rows are queries of one or of several heads; a tile is at most `lanes` keys. Source of every step: "Numbers" in
hdl/attention/README.md. rs(x, n) is x / 2**n rounded to the nearest integer, halves towards +infinity.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from sim.attention.integers import exact_product, rs
from sim.attention.kv_model import Keys
from sim.attention.masks import Bools, Ints, Spans, key_tiles

LOGIT_BITS = 20
FRACTION_BITS = 10
SEGMENTS = 16
SIGNIFICAND_BITS = 15
RECIPROCAL_BITS = 17

LOGIT_SATURATED, SCALE_UNDERFLOW, EMPTY_ROW, OUTPUT_SATURATED = 1, 2, 4, 8
"""Bits of a row's status."""

POWERS: Ints = np.rint(2.0 ** (SIGNIFICAND_BITS - np.arange(SEGMENTS + 1) / SEGMENTS)).astype(np.int64)
"""2**-(j/16) with 15 fraction bits, j = 0 .. 16."""


@dataclass(frozen=True)
class Numerics:
    """The widths that the arithmetic depends on.

    Attributes
    ----------
    lanes : int
        Keys of a tile, a power of two.
    p_bits : int
        A tile's largest probability is in 2**(p_bits - 1) .. 2**p_bits.
    guard_bits : int
        Fraction bits of the sums under those of p.
    value_bits : int
        Of a value, two's complement: 14 with formats of blocks.
    wide : bool
        Whether l has room for tiles of twice as many keys too.
    """

    lanes: int = 16
    p_bits: int = 8
    guard_bits: int = 12
    value_bits: int = 8
    wide: bool = False

    @property
    def denominator_bits(self) -> int:
        """Of l, unsigned."""
        return self.p_bits + self.guard_bits + self.lanes.bit_length() - 1 + self.wide + 4

    @property
    def output_bits(self) -> int:
        """Of O, signed."""
        return self.denominator_bits + self.value_bits


@dataclass(frozen=True)
class Result:
    """What attention gives.

    Attributes
    ----------
    o : int16 (rows, d)
        The value is o * 2**-fraction_bits times the scale of v.
    status : uint8 (rows,)
        Bits of this module.
    """

    o: npt.NDArray[np.int16]
    status: npt.NDArray[np.uint8]


def attend(
    numerics: Numerics,
    q: npt.NDArray[np.int8],
    k: npt.NDArray[np.int8] | Keys,
    v: npt.NDArray[np.integer[Any]],
    multiplier: npt.ArrayLike,
    shift: npt.ArrayLike,
    spans: Spans,
    *,
    fraction_bits: int = 8,
    tiles: Sequence[tuple[int, int]] | None = None,
) -> Result:
    """softmax(scale * q * k) * v of every row, bit for bit.

    Parameters
    ----------
    numerics : Numerics
    q : int8 (rows, d)
    k : int8 (keys, d), or Keys
    v : integers (keys, d)
    multiplier, shift : int or int (rows,)
        The rows' `LogitScale`.
    spans : Spans
        Which keys a row sees.
    fraction_bits : int
        Of o, 0 .. 16.
    tiles : sequence of (start, stop), or None for `key_tiles` of all keys
        Keys of each tile, in the order in which they come.
    """
    rows = Rows(numerics, *q.shape)
    multipliers, shifts = (np.broadcast_to(np.asarray(each, np.int64), len(q)) for each in (multiplier, shift))
    for start, stop in key_tiles(len(k), numerics.lanes) if tiles is None else tiles:
        add_tile(rows, q, k[start:stop], v[start:stop], multipliers, shifts, spans.valid(start, stop))
    rows.status |= np.where(multipliers == 0, SCALE_UNDERFLOW, 0).astype(np.uint8)
    return rows.finish(fraction_bits)


def add_tile(
    rows: Rows,
    q: npt.NDArray[np.int8],
    k: npt.NDArray[np.int8] | Keys,
    v: npt.NDArray[np.integer[Any]],
    multipliers: Ints,
    shifts: Ints,
    valid: Bools,
) -> None:
    """Add one tile, k and v (keys, d), to the rows that have a `valid` (rows, keys) key in it."""
    where = np.flatnonzero(valid.any(axis=1))
    if len(where) == 0:
        return
    scores = k.scores(q[where]) if isinstance(k, Keys) else exact_product(q[where], k.T)
    logits, over = scaled_logits(scores, multipliers[where], shifts[where])
    rows.status[where] |= np.where((over & valid[where]).any(axis=1), LOGIT_SATURATED, 0).astype(np.uint8)
    exponents, p = probabilities(rows.numerics, logits, valid[where])
    rows.add(where, exponents, p.sum(axis=1), exact_product(p, v))


def scaled_logits(scores: Ints, multipliers: Ints, shifts: Ints) -> tuple[Ints, Bools]:
    """Logits in base 2 with 10 fraction bits, and where they saturated: clamp((s * a + 2**(h-1)) >> h) to 20 bits."""
    exact = rs(scores * multipliers[:, None], shifts[:, None])
    most = 1 << (LOGIT_BITS - 1)
    logits = np.clip(exact, -most, most - 1)
    return logits, logits != exact


def probabilities(numerics: Numerics, logits: Ints, valid: Bools) -> tuple[Ints, Ints]:
    """A tile's exponent m_t (rows,) and p (rows, keys): round(2**(t - m_t + p_bits)), m_t = ceil(largest valid t).

    2**-x is linear between sixteenths; an invalid key has p = 0. Each row has a valid key.
    """
    largest = np.where(valid, logits, np.iinfo(np.int64).min).max(axis=1)
    exponent = (largest + (1 << FRACTION_BITS) - 1) >> FRACTION_BITS
    below = np.where(valid, (exponent[:, None] << FRACTION_BITS) - logits, 0)
    halvings, segment, rest = below >> FRACTION_BITS, (below & 1023) >> 6, below & 63
    power = POWERS[segment] - rs((POWERS[segment] - POWERS[segment + 1]) * rest, np.int64(6))
    p = rs(power, SIGNIFICAND_BITS - numerics.p_bits + halvings)
    return exponent, np.where(valid, p, 0)


@dataclass
class Rows:
    """The state of rows between tiles: an exponent m, the denominator l and the sums O, all integers.

    A row means O / l; l and O are in units of 2**(m - p_bits - guard_bits). l is 0 until a row's first tile only.
    """

    numerics: Numerics
    count: int
    dim: int
    exponents: Ints = field(init=False)
    denominators: Ints = field(init=False)
    sums: Ints = field(init=False)
    status: npt.NDArray[np.uint8] = field(init=False)

    def __post_init__(self) -> None:
        self.exponents, self.denominators = np.zeros(self.count, np.int64), np.zeros(self.count, np.int64)
        self.sums = np.zeros((self.count, self.dim), np.int64)
        self.status = np.zeros(self.count, np.uint8)

    def add(self, where: Ints, exponents: Ints, totals: Ints, sums: Ints) -> None:
        """Add a tile to the rows `where`: its exponents, sums of p, and sums of p * v (rows, d).

        Whichever has the smaller exponent is shifted right.
        """
        at: Any = slice(None) if len(where) == self.count else where  # a slice saves a copy of all
        m, denominators, outputs = self.exponents[at], self.denominators[at], self.sums[at]
        rise = np.where(denominators == 0, 0, exponents - m)
        m = np.where(denominators == 0, exponents, np.maximum(m, exponents))
        lowered, raised = np.maximum(-rise, 0), np.maximum(rise, 0)
        if raised.any():
            denominators, outputs = rs(denominators, raised), rs(outputs, raised[:, None])
        denominators = denominators + rs(totals << self.numerics.guard_bits, lowered)
        outputs = outputs + rs(sums << self.numerics.guard_bits, lowered[:, None])
        self._check(denominators, outputs)
        bump = denominators >= 1 << (self.numerics.denominator_bits - 1)
        if bump.any():
            m, denominators = m + bump, rs(denominators, bump.astype(np.int64))
            outputs[bump] = rs(outputs[bump], np.int64(1))
        self.exponents[at], self.denominators[at], self.sums[at] = m, denominators, outputs

    def _check(self, denominators: Ints, sums: Ints) -> None:
        """The widths hold, whatever the number of keys."""
        most = 1 << (self.numerics.output_bits - 1)
        assert int(denominators.max()) < 1 << self.numerics.denominator_bits, "l overflows"
        assert -most <= int(sums.min()) <= int(sums.max()) < most, "O overflows"

    def finish(self, fraction_bits: int, bits: int = 16) -> Result:
        """O / l by one reciprocal a row: 17 bits of l, floor(2**33 / l), and one rounding of the product.

        Outputs are clamped to `bits` bits.
        """
        empty = self.denominators == 0
        filled = np.where(empty, 1, self.denominators)
        lengths = np.frexp(filled.astype(np.float64))[1].astype(np.int64)
        right, left = np.maximum(lengths - RECIPROCAL_BITS, 0), np.maximum(RECIPROCAL_BITS - lengths, 0)
        reciprocals = (np.int64(1) << 33) // ((filled << left) >> right)
        normal = rs(self.sums << left[:, None], right[:, None])
        exact = rs(normal * reciprocals[:, None], np.int64(33 - fraction_bits))
        most = 1 << (bits - 1)
        o = np.clip(exact, -most, most - 1)
        self.status |= np.where(empty, EMPTY_ROW, 0).astype(np.uint8)
        self.status |= np.where((o != exact).any(axis=1), OUTPUT_SATURATED, 0).astype(np.uint8)
        return Result(o.astype(np.int16), self.status)
