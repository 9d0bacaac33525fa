"""Exact integer arithmetic in numpy that the golden models of attention share."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from sim.attention.masks import Ints


def exact_product(a: npt.NDArray[np.generic], b: npt.NDArray[np.generic]) -> Ints:
    """Matrix product of integers, int64; float64 holds every sum, as they are all below 2**53."""
    return np.rint(a.astype(np.float64) @ b.astype(np.float64)).astype(np.int64)


def rs(x: Ints, n: Ints | np.int64) -> Ints:
    """x / 2**n to the nearest integer, halves upwards; 0 for a large n, as |x| is below 2**45 everywhere."""
    bounded = np.minimum(n, 46)
    return np.asarray((x + ((np.int64(1) << bounded) >> 1)) >> bounded)
