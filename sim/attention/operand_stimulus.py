"""Seeded rows of queries, keys, values and weights in every format, as bytes: awkward ones on purpose."""

from __future__ import annotations

import numpy as np

from hdl.attention.config import ArrayConfig
from hdl.attention.formats import FORMATS, KvFormat
from sim.attention.descriptors import attention_formats, attention_tile_keys
from sim.attention.kv_formats import Bytes, pack_bits, row_bytes, scale_bytes
from sim.attention.sparse_weights import place_bytes


def random_formats(rng: np.random.Generator, config: ArrayConfig, dim: int) -> list[KvFormat]:
    """Formats of keys and values of attention that go with `dim`; often those that are done two at a time."""
    usable, int4 = attention_formats(config, dim), FORMATS["int4"]
    if attention_tile_keys(config, dim, int4.code, int4.code) > config.lanes and rng.random() < 0.5:
        return [int4, int4]
    return [usable[int(rng.integers(len(usable)))] for _ in range(2)]


def random_rows(
    rng: np.random.Generator, fmt: KvFormat, count: int, dim: int, word_bytes: int, exponent: int, *, extreme: bool
) -> Bytes:
    """Rows of `dim` elements with their scales, near to a job's exponent: (count, `row_bytes`), noise between."""
    size = row_bytes(fmt, dim, word_bytes)
    before = scale_bytes(fmt, dim, word_bytes)
    rows = rng.integers(0, 256, (count, size)).astype(np.uint8)
    rows[:, before:] = _elements(rng, fmt, (count, size - before), extreme)
    if fmt.block:
        rows[:, : dim // fmt.block] = _scales(rng, fmt, exponent, (count, dim // fmt.block))
    return rows


def random_sparse_rows(
    rng: np.random.Generator, fmt: KvFormat, count: int, inputs: int, part: int, word_bytes: int, *, extreme: bool
) -> Bytes:
    """Rows of weights of which two of each four are kept, in parts of `part` inputs: any places, noise as padding."""
    pieces = []
    for _ in range(inputs // part):
        pieces.append(rng.integers(0, 256, (count, place_bytes(part, word_bytes))).astype(np.uint8))
        pieces.append(random_rows(rng, fmt, count, part // 2, word_bytes, 0, extreme=extreme))
    return np.hstack(pieces)


def _elements(rng: np.random.Generator, fmt: KvFormat, shape: tuple[int, int], extreme: bool) -> Bytes:
    """Anything, or the largest of both signs; never -128."""
    count, size = shape
    most = (1 << (fmt.bits - 1)) - 1
    if fmt.element != "int":  # a sign and a magnitude
        codes = rng.integers(0, 1 << fmt.bits, (count, 8 * size // fmt.bits))
        return pack_bits(np.asarray(codes | most if extreme else codes), fmt.bits)
    least = -most if fmt.bits == 8 else -most - 1
    integers = rng.integers(least, most + 1, (count, 8 * size // fmt.bits))
    if extreme:
        integers = np.where(integers > 0, most, least)
    return pack_bits(integers, fmt.bits)


def _scales(rng: np.random.Generator, fmt: KvFormat, exponent: int, shape: tuple[int, int]) -> Bytes:
    """Most below the job's exponent, near or far, and many at it; half of the time some are above it."""
    below = np.minimum(rng.geometric(0.3, shape) - 1, rng.integers(0, 256))
    if rng.random() < 0.2:
        below = rng.integers(0, 50, shape)
    if rng.random() < 0.5:
        below = np.where(rng.random(shape) < 0.05, -below, below)
    if fmt.scale == "e8m0":
        return np.asarray(np.clip(exponent - below, 0, 255), np.uint8)
    field = np.clip(exponent - below, 0, 15)
    return np.asarray(field << 3 | rng.integers(0, 8, shape) | rng.integers(0, 2, shape) << 7, np.uint8)
