"""Exact sums of products of codes, as whole numbers in units of one power of two.

Every finite number of an element format is a multiple of its smallest positive one, 2**lsb_exponent. As a whole number
it is cut into limbs of `LIMB_BITS` bits, so that int64 holds the sums of limb products of `MOST_LENGTH` elements:
2 * LIMB_BITS + log2(MOST_LENGTH) = 60 bits, and at most three such sums have the same weight. What is left to Python's
own integers is one addition for each weight and each sum.

A matrix product is made of products of limb matrices in float64, where numpy is ten times as fast: what is added up
there are whole numbers below 2**53, exact in any order.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hdl.common.format_table import NumberFormat
from sim.common.formats import decode

MOST_LENGTH = 1 << 20
"""Elements that one sum may have."""

LIMB_BITS = 20

_CHUNK = 1 << 16
"""Elements of either operand that are worked on at once: their limbs stay in the cache."""

_MATRIX_LENGTH = 1 << 53 - 2 * LIMB_BITS
"""Products of two limbs that float64 adds up exactly."""


@dataclass(frozen=True)
class ElementTable:
    """An element format of at most 16 bits, code by code.

    Attributes
    ----------
    values : float64, (codes,)
        Exact; NaN for NaN and NaR, and infinities.
    lsb_exponent : int
        log2 of the smallest positive number.
    limbs : int64, (limbs, codes)
        number / 2**lsb_exponent = sum over i of limbs[i] * 2**(LIMB_BITS * i). All limbs have the number's sign, and
        those of specials are 0.
    special : bool, (codes,)
        NaN, NaR or an infinity.
    """

    values: npt.NDArray[np.float64]
    lsb_exponent: int
    limbs: npt.NDArray[np.int64]
    special: npt.NDArray[np.bool_]


@functools.cache
def smallest_exponent(fmt: NumberFormat) -> int:
    """log2 of the smallest positive number of a format of at most 16 bits, which all its numbers are multiples of."""
    values = decode(fmt, np.arange(1 << fmt.bits))
    return int(np.frexp(np.min(values[values > 0]))[1]) - 1


@functools.cache
def element_table(element: NumberFormat) -> ElementTable:
    """The table of a format, made once.

    Raises
    ------
    ValueError
        If its numbers over its smallest positive one do not fit int64.
    """
    values = decode(element, np.arange(1 << element.bits))
    special = ~np.isfinite(values)
    finite = np.where(special, 0.0, values)
    lsb_exponent = smallest_exponent(element)
    scaled = np.ldexp(finite, -lsb_exponent)
    most = np.max(np.abs(scaled))
    if most >= 2.0**62:
        raise ValueError(f"{element.name} needs more than 62 bits for its numbers over its smallest positive one")
    whole = scaled.astype(np.int64)
    limb_count = -(-int(most).bit_length() // LIMB_BITS)
    magnitudes = np.abs(whole) >> (LIMB_BITS * np.arange(limb_count))[:, None] & (1 << LIMB_BITS) - 1
    return ElementTable(values, lsb_exponent, np.sign(whole) * magnitudes, special)


@dataclass(frozen=True)
class Sums:
    """Sums of products, exact; (n, sums) of `exact_sums`, (rows, columns) of `exact_product`.

    Attributes
    ----------
    numerators : int64 or Python integers
        The sum of the finite products over 2**(2 * lsb_exponent).
    specials : float64
        0 where the sum is the numerator; else what IEEE 754 makes of the operands: NaN for a NaN or NaR among them,
        infinity * 0, and infinity - infinity; otherwise infinity with its sign.
    """

    numerators: npt.NDArray[Any]
    specials: npt.NDArray[np.float64]


def exact_sums(table: ElementTable, a: npt.NDArray[Any], b: npt.NDArray[Any]) -> Sums:
    """sum over k of a[i, j, k] * b[i, j, k]: codes (n, sums, length) twice -> (n, sums); length at most `MOST_LENGTH`.

    Raises
    ------
    ValueError
        If length is above `MOST_LENGTH`.
    """
    n, sums, length = a.shape
    if length > MOST_LENGTH:
        raise ValueError(f"length must be at most {MOST_LENGTH}, not {length}")
    limb_count = len(table.limbs)
    weights = np.zeros((2 * limb_count - 1, n, sums), np.int64)
    specials = np.zeros((n, sums))
    rows = max(1, _CHUNK // max(1, sums * length))
    for start in range(0, n, rows):
        chunk = slice(start, start + rows)
        a_limbs, b_limbs = table.limbs[:, a[chunk]], table.limbs[:, b[chunk]]
        for i in range(limb_count):
            for j in range(limb_count):
                weights[i + j, chunk] += np.einsum("nsk,nsk->ns", a_limbs[i], b_limbs[j])
        specials[chunk] = _specials(table, a[chunk], b[chunk])
    return Sums(_numerators(weights), specials)


def exact_product(table: ElementTable, a: npt.NDArray[Any], b: npt.NDArray[Any]) -> Sums:
    """sum over k of a[i, k] * b[k, j]: codes (rows, length) and (length, columns) -> (rows, columns).

    Raises
    ------
    ValueError
        If length is above `MOST_LENGTH`.
    """
    length = a.shape[1]
    if length > MOST_LENGTH:
        raise ValueError(f"length must be at most {MOST_LENGTH}, not {length}")
    limb_count = len(table.limbs)
    limbs = table.limbs.astype(np.float64)
    weights = np.zeros((2 * limb_count - 1, a.shape[0], b.shape[1]), np.int64)
    for start in range(0, length, _MATRIX_LENGTH):
        part = slice(start, start + _MATRIX_LENGTH)
        a_limbs, b_limbs = limbs[:, a[:, part]], limbs[:, b[part]]
        for i in range(limb_count):
            for j in range(limb_count):
                weights[i + j] += (a_limbs[i] @ b_limbs[j]).astype(np.int64)
    return Sums(_numerators(weights), _product_specials(table, a, b))


def _numerators(weights: npt.NDArray[np.int64]) -> npt.NDArray[Any]:
    """Sums of limb products, by their weight along the first axis, put together."""
    numerators: npt.NDArray[Any] = weights[0]
    for weight, sum_of_limbs in enumerate(weights[1:], 1):
        numerators = numerators + sum_of_limbs.astype(object) * (1 << LIMB_BITS * weight)
    return numerators


def _specials(table: ElementTable, a: npt.NDArray[Any], b: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    found = np.zeros(a.shape[:2])
    if table.special.any():
        rows = (table.special[a] | table.special[b]).any(axis=2)
        with np.errstate(invalid="ignore"):  # infinity * 0 and infinity - infinity are what is asked for
            found[rows] = (table.values[a[rows]] * table.values[b[rows]]).sum(axis=1)
    return found


def _product_specials(table: ElementTable, a: npt.NDArray[Any], b: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """As `Sums.specials`. Products of counts alone: what a BLAS makes of infinity * 0 is its own affair."""
    nan = np.isnan(table.values)
    found = np.where(nan[a].any(axis=1)[:, None] | nan[b].any(axis=0), np.nan, 0.0)
    infinite = np.isinf(table.values)
    places = np.flatnonzero(infinite[a].any(axis=0) | infinite[b].any(axis=1))
    if not len(places):
        return found
    sign = np.sign(np.where(nan, 0.0, table.values))
    zero = (table.values == 0).astype(np.float64)
    (a_sign, a_infinity, a_zero), (b_sign, b_infinity, b_zero) = (
        (sign[codes], (sign * infinite)[codes], zero[codes]) for codes in (a[:, places], b[places])
    )
    # Of each sum's infinite products: how many there are, and those above zero less those below.
    count = abs(a_infinity) @ abs(b_sign) + abs(a_sign - a_infinity) @ abs(b_infinity)
    balance = a_infinity @ b_sign + (a_sign - a_infinity) @ b_infinity
    without_meaning = abs(a_infinity) @ b_zero + a_zero @ abs(b_infinity)
    found = np.where(count > 0, found + np.copysign(np.inf, balance), found)
    found[(without_meaning > 0) | (abs(balance) < count)] = np.nan
    return found
