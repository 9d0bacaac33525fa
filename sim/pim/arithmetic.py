"""The arithmetic of the banks' multipliers, bit for bit: exact int8, bf16 products in a tree of fp32 additions.

fp32 numbers are float32 arrays without subnormals, NaN always 0x7FC00000; bf16 numbers are uint16 codes. Every addition
rounds to nearest, ties to even; what would be subnormal becomes zero of its sign, and beyond the range is infinity.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Codes = npt.NDArray[np.uint16]
Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]

BF16_NAN = np.uint16(0x7FC0)
FP32_NAN = np.uint32(0x7FC00000).view(np.float32)
LEAST_NORMAL = np.float32(2.0**-126)


def flushed(values: Floats) -> Floats:
    """float32 without subnormals, which become zero of their sign, and with one NaN."""
    small = np.abs(values) < LEAST_NORMAL
    made: Floats = np.where(small, np.copysign(np.float32(0), values), values)
    return np.where(np.isnan(made), FP32_NAN, made)


def widened(codes: npt.ArrayLike) -> Floats:
    """bf16 codes as fp32; subnormal ones count as zero of their sign."""
    return flushed((np.asarray(codes, np.uint16).astype(np.uint32) << np.uint32(16)).view(np.float32))


def rounded(values: Floats) -> Codes:
    """fp32 to bf16 codes, round to nearest even; overflow is infinity, NaN 0x7FC0."""
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    up = (bits >> np.uint32(16) & np.uint32(1)) + np.uint32(0x7FFF)
    with np.errstate(over="ignore"):
        codes = ((bits + up) >> np.uint32(16)).astype(np.uint16)
    return np.where(np.isnan(values), BF16_NAN, codes)


def added(a: Floats, b: Floats) -> Floats:
    """fp32 sums."""
    with np.errstate(over="ignore", invalid="ignore"):
        return flushed(a + b)


def tree_sum(values: Floats) -> Floats:
    """fp32 sums over the last axis, whose length is a power of 2: neighbours first."""
    while values.shape[-1] > 1:
        values = added(values[..., 0::2], values[..., 1::2])
    return values[..., 0]


def dot_bf16(a: npt.ArrayLike, b: npt.ArrayLike) -> Floats:
    """fp32 dot products over the last axis of bf16 codes; products are exact but for their range."""
    with np.errstate(over="ignore", invalid="ignore"):
        products = flushed(widened(a) * widened(b))
    return tree_sum(products)


def dot_int8(a: npt.ArrayLike, b: npt.ArrayLike) -> Ints:
    """int64 dot products over the last axis of int8, exact."""
    dots: Ints = np.sum(np.asarray(a, np.int64) * np.asarray(b, np.int64), axis=-1)
    return dots


def wrapped(values: npt.ArrayLike) -> npt.NDArray[np.int32]:
    """Integers mod 2^32, as int32."""
    return (np.asarray(values, np.int64) & 0xFFFFFFFF).astype(np.uint32).view(np.int32)


def gemv_bf16(weights: npt.ArrayLike, vector: npt.ArrayLike, lanes: int, parts: Sequence[int]) -> Floats:
    """A matrix times a vector in the channel's order, without the channel: float32, (outputs,).

    The vector is cut into columns of `lanes` elements, and those into parts of so many columns. Within a part the
    accumulator takes column after column; its bf16 results are added in fp32, part after part.

    Parameters
    ----------
    weights, vector : bf16 codes, (outputs, inputs) and (inputs,); missing elements of the last column count as +0
    """
    matrix, inputs = np.asarray(weights, np.uint16), np.asarray(vector, np.uint16)
    pad = sum(parts) * lanes - len(inputs)
    matrix = np.pad(matrix, ((0, 0), (0, pad))).reshape(len(matrix), -1, lanes)
    dots = dot_bf16(matrix, np.pad(inputs, (0, pad)).reshape(-1, lanes))
    total: Floats | None = None
    at = 0
    for columns in parts:
        accumulator = np.zeros(len(matrix), np.float32)
        for dot in dots[:, at : at + columns].T:
            accumulator = added(accumulator, dot)
        at += columns
        part = widened(rounded(accumulator))
        total = part if total is None else added(total, part)
    assert total is not None
    return total
