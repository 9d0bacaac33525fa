"""Golden model of keys and values whose blocks have scales: aligned to one exponent of their job.

"Formats of keys, values and weights" in hdl/attention/README.md. Nothing is lost of the elements themselves: keys are
aligned after the sum over a chunk, values one by one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hdl.attention.formats import KvFormat
from sim.attention.integers import exact_product, rs
from sim.attention.kv_formats import Elements
from sim.attention.masks import Ints


@dataclass(frozen=True)
class Keys:
    """Keys of one format; a slice of them is keys again.

    Attributes
    ----------
    fmt : KvFormat
    integers : int64 (keys, d)
    shifts : int64 (keys, d // block)
        How far each block's scale is below the job's; no columns for formats without.
    lanes : int
        Channels of a chunk, which lies in one block.
    """

    fmt: KvFormat
    integers: Ints
    shifts: Ints
    lanes: int

    def __len__(self) -> int:
        return len(self.integers)

    def __getitem__(self, part: slice) -> Keys:
        return Keys(self.fmt, self.integers[part], self.shifts[part], self.lanes)

    def scores(self, q: npt.NDArray[np.integer[Any]]) -> Ints:
        """q * k of each row (rows, d) and key, in units of the job's exponent with `key_shift` fraction bits."""
        if not self.fmt.block:
            return exact_product(q, self.integers.T)
        total = np.zeros((len(q), len(self)), np.int64)
        for start in range(0, q.shape[1], self.lanes):
            chunk = slice(start, start + self.lanes)
            sums = exact_product(q[:, chunk], self.integers[:, chunk].T)
            total += rs(sums << self.fmt.key_shift, self.shifts[:, start // self.fmt.block])
        return total


def aligned_keys(fmt: KvFormat, elements: Elements, exponent: int, lanes: int) -> tuple[Keys, bool]:
    """Keys on their job's exponent, and whether a scale was above it, and counts as equal."""
    return Keys(fmt, elements.integers, np.maximum(exponent - elements.exponents, 0), lanes), _above(elements, exponent)


def aligned_values(fmt: KvFormat, elements: Elements, exponent: int) -> tuple[Ints, bool]:
    """Values (keys, d) in units of the job's exponent with `value_shift` fraction bits, and the same."""
    if not fmt.block:
        return elements.integers, False
    shifts = np.repeat(np.maximum(exponent - elements.exponents, 0), fmt.block, axis=1)
    return _to_even(elements.integers << fmt.value_shift, shifts), _above(elements, exponent)


def _to_even(x: Ints, n: Ints) -> Ints:
    """x / 2**n to the nearest integer, halves to the even one: a mean of many values would keep what halves add."""
    bounded = np.minimum(n, 46)
    floor = x >> bounded
    twice_rest = 2 * (x - (floor << bounded))
    unit = np.int64(1) << bounded
    return np.asarray(floor + ((twice_rest > unit) | ((twice_rest == unit) & (floor & 1 == 1))))


def _above(elements: Elements, exponent: int) -> bool:
    return bool((elements.exponents > exponent).any())
