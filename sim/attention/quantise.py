"""From floats to what the array multiplies: symmetric INT8 with one scale a head, and the logits' fixed-point scale."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

LARGEST = 127
"""Magnitude of an INT8 operand: symmetric, -128 is not used."""

MULTIPLIER_BITS = 16
MOST_SHIFT = 31
LOGIT_FRACTION_BITS = 10


@dataclass(frozen=True)
class LogitScale:
    """multiplier * 2**-shift turns an integer score into a base-2 logit with 10 fraction bits.

    Attributes
    ----------
    multiplier : int
        16 bits, unsigned; in 2**15 .. 2**16 - 1 unless shift is 31.
    shift : int
        1 .. 31.
    """

    multiplier: int
    shift: int


def symmetric(x: npt.ArrayLike, largest: int = LARGEST) -> tuple[npt.NDArray[np.int8], float]:
    """Integers in ±largest and their scale, x ≈ integer * scale, rounded to nearest even.

    scale = max |x| / largest; a tensor of zeros has the scale 1.

    Raises
    ------
    ValueError
        If there are NaN or infinities.
    """
    values = np.asarray(x, np.float64)
    if not np.isfinite(values).all():
        raise ValueError("NaN or infinite numbers cannot be quantised")
    most = float(np.abs(values).max(initial=0.0))
    scale = most / largest if most else 1.0
    if scale == 0:  # most is subnormal
        scale = float(np.finfo(np.float64).tiny)
    return np.clip(np.rint(values / scale), -largest, largest).astype(np.int8), scale


def logit_scale(factor: float) -> LogitScale:
    """The scale whose value is nearest to `factor` * log2(e) * 2**10, for logits that are score * `factor` in base e.

    Below 2**-16 the multiplier has fewer bits than 16, down to 0: then all logits are 0.

    Raises
    ------
    ValueError
        If `factor` is negative, not finite, or so large that a score of 1 is a logit beyond 16 bits.
    """
    wanted = factor * math.log2(math.e) * (1 << LOGIT_FRACTION_BITS)
    most = ((1 << MULTIPLIER_BITS) - 1) / 2
    if not 0 <= wanted <= most:
        limit = most / math.log2(math.e) / (1 << LOGIT_FRACTION_BITS)
        raise ValueError(f"the scale of a score must be in 0..{limit:.4g}, not {factor:.4g}")
    return fixed_point(wanted)


def fixed_point(wanted: float) -> LogitScale:
    """The scale whose multiplier * 2**-shift is nearest to `wanted`, 0 .. 32767.

    Below 2**-16 the multiplier has fewer bits than 16, down to 0.

    Raises
    ------
    ValueError
        If `wanted` is negative, not finite, or larger.
    """
    if not 0 <= wanted <= ((1 << MULTIPLIER_BITS) - 1) / 2:
        raise ValueError(f"a scale must be in 0..{((1 << MULTIPLIER_BITS) - 1) / 2}, not {wanted:.4g}")
    for shift in range(MOST_SHIFT, 0, -1):
        multiplier = round(math.ldexp(wanted, shift))
        if multiplier < 1 << MULTIPLIER_BITS:
            return LogitScale(multiplier, shift)
    raise AssertionError("a shift of 1 holds every wanted scale")
