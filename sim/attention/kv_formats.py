"""Rows of keys, values and weights in memory: how many bytes they take, and the exact integers that they hold.

"Formats of keys, values and weights" in hdl/attention/README.md is the source; `hdl.attention.formats` has the table.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hdl.attention.formats import FORMATS, KvFormat
from sim.attention.masks import Ints

Bytes = npt.NDArray[np.uint8]

BY_CODE = {each.code: each for each in FORMATS.values()}

_E2M1: Ints = np.array([0, 1, 2, 3, 4, 6, 8, 12], np.int64)
"""Twice the magnitude of the codes without sign."""

_E2M3: Ints = np.concatenate([np.arange(8), *((8 + np.arange(8)) << shift for shift in range(3))]).astype(np.int64)
"""Eight times the magnitude of the codes without sign."""


@dataclass(frozen=True)
class Elements:
    """What rows hold: element f of a row means integers[f] * 2**exponents[f // block], up to its format's constants.

    Attributes
    ----------
    integers : int64 (rows, dim)
        Of at most 9 bits.
    exponents : int64 (rows, dim // block)
        x, 0 .. 255; no columns for formats without scales.
    """

    integers: Ints
    exponents: Ints


def scale_bytes(fmt: KvFormat, dim: int, word_bytes: int) -> int:
    """Bytes of a row's scales, padded to memory words; 0 without scales."""
    return -(-(dim // fmt.block) // word_bytes) * word_bytes if fmt.block else 0


def row_bytes(fmt: KvFormat, dim: int, word_bytes: int) -> int:
    """Bytes of a row of `dim` elements, scales and elements each padded to memory words."""
    return scale_bytes(fmt, dim, word_bytes) + -(-dim * fmt.bits // (8 * word_bytes)) * word_bytes


def read_rows(fmt: KvFormat, rows: Bytes, dim: int, word_bytes: int) -> Elements:
    """The integers of rows (rows, `row_bytes`) as they lie in memory."""
    start = scale_bytes(fmt, dim, word_bytes)
    codes = unpack_bits(rows[:, start:], fmt.bits, dim)
    integers = _signed_magnitude(fmt, codes) if fmt.element != "int" else codes - (codes >> (fmt.bits - 1) << fmt.bits)
    if not fmt.block:
        return Elements(integers, np.zeros((len(rows), 0), np.int64))
    scales = rows[:, : dim // fmt.block].astype(np.int64)
    if fmt.scale == "e8m0":
        return Elements(integers, scales)
    field, mantissa = scales >> 3 & 15, scales & 7
    significands = mantissa + np.where(field > 0, 8, 0)
    return Elements(integers * np.repeat(significands, fmt.block, axis=1), np.maximum(field, 1))


def unpack_bits(rows: Bytes, bits: int, count: int) -> Ints:
    """The first `count` unsigned codes of each row, from the lowest bit of its first byte on: (rows, count)."""
    flat = np.unpackbits(rows, axis=1, count=count * bits, bitorder="little")
    return np.asarray(flat.reshape(len(rows), count, bits).astype(np.int64) @ (1 << np.arange(bits)))


def pack_bits(integers: npt.NDArray[np.integer], bits: int) -> Bytes:
    """Rows of integers (rows, count), their lowest `bits` each, as rows of bytes; the last byte is filled with 0."""
    places = integers.astype(np.int64)[..., None] >> np.arange(bits) & 1
    flat = places.astype(np.uint8).reshape(len(integers), integers.shape[1] * bits)
    return np.packbits(flat, axis=1, bitorder="little")


def _signed_magnitude(fmt: KvFormat, codes: Ints) -> Ints:
    sign = codes >> (fmt.bits - 1)
    magnitude = (_E2M1 if fmt.element == "e2m1" else _E2M3)[codes & ((1 << (fmt.bits - 1)) - 1)]
    return np.asarray(np.where(sign == 1, -magnitude, magnitude))
