"""Float keys and values as rows of bytes in a format, and what their integers mean.

Blocks are quantised by `sim.common.block_formats`; MXINT4 and BFP12 are its MX arithmetic with elements of two's
complement that have `bits` - 2 fraction bits.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hdl.attention.formats import KvFormat
from hdl.common.format_table import BLOCKS, E8M0, BlockFormat, IntFormat
from sim.attention.kv_formats import Bytes, pack_bits, read_rows
from sim.attention.quantise import Floats, symmetric
from sim.common import block_formats

SYMMETRIC = {"int8": 127, "int4": 7}
"""Largest magnitude of formats with one scale for all."""

_OF_OCP = {"mxint8": "mxint8", "mxfp4": "mxfp4", "mxfp6": "mxfp6_e2m3", "nvfp4": "nvfp4"}

_POINT = {"mxint8": 133, "mxint4": 129, "bfp12": 129, "mxfp4": 128, "mxfp6": 130, "nvfp4": 11}
"""An element is integer * 2**(x - point), times NVFP4's tensor scale."""


@dataclass(frozen=True)
class Encoded:
    """Rows in a format.

    Attributes
    ----------
    rows : uint8 (keys, `row_bytes`)
    exponent : int
        Largest x of a block that is not zero, the job's; 0 without blocks.
    unit : float
        What 1 means of an integer whose scale has that exponent.
    """

    rows: Bytes
    exponent: int
    unit: float


def encode_rows(fmt: KvFormat, values: npt.NDArray[Any], word_bytes: int) -> Encoded:
    """Keys or values (keys, d) as rows in memory, each number rounded to nearest even on its scale.

    Scales are those of the largest magnitude: of all numbers for `int8` and `int4`, symmetric; of a block else, as OCP
    and NVIDIA say.

    Raises
    ------
    ValueError
        If there are NaN or infinities, or d is no multiple of the block.
    """
    if not fmt.block:
        integers, scale = symmetric(values, SYMMETRIC[fmt.name])
        return Encoded(_padded(pack_bits(integers, fmt.bits), word_bytes), 0, scale)
    if values.shape[1] % fmt.block:
        raise ValueError(f"d must be a multiple of {fmt.block}, a block of {fmt.name}, not {values.shape[1]}")
    if not np.isfinite(values).all():
        raise ValueError("NaN or infinite numbers cannot be quantised")
    blocks = block_formats.quantise(block_format(fmt), values)
    rows = np.hstack([_padded(blocks.scales, word_bytes), _padded(pack_bits(blocks.codes, fmt.bits), word_bytes)])
    found = read_rows(fmt, rows, values.shape[1], word_bytes)
    filled = np.repeat(found.exponents, fmt.block, axis=1)[found.integers != 0]
    exponent = int(filled.max(initial=0)) if filled.size else _POINT[fmt.name]
    return Encoded(rows, exponent, float(np.ldexp(float(blocks.tensor_scale), exponent - _POINT[fmt.name])))


def decode_rows(fmt: KvFormat, encoded: Encoded, dim: int, word_bytes: int) -> Floats:
    """The numbers (keys, d) that rows mean, exactly."""
    found = read_rows(fmt, encoded.rows, dim, word_bytes)
    if not fmt.block:
        return np.asarray(found.integers * encoded.unit)
    shifts = np.repeat(found.exponents, fmt.block, axis=1) - encoded.exponent
    return np.asarray(np.ldexp(found.integers * encoded.unit, shifts))


def block_format(fmt: KvFormat) -> BlockFormat:
    """What a format with blocks is called among all formats."""
    if fmt.name in _OF_OCP:
        return BLOCKS[_OF_OCP[fmt.name]]
    return BlockFormat(fmt.name, IntFormat(fmt.name, fmt.bits, lsb_exponent=2 - fmt.bits), fmt.block, E8M0)


def key_unit(fmt: KvFormat, encoded: Encoded) -> float:
    """What 1 of a score means, beside the query's scale."""
    return float(np.ldexp(encoded.unit, -fmt.key_shift))


def value_unit(fmt: KvFormat, encoded: Encoded) -> float:
    """What 1 of an output without fraction bits means."""
    return float(np.ldexp(encoded.unit, -fmt.value_shift))


def _padded(rows: npt.NDArray[Any], word_bytes: int) -> Bytes:
    return np.pad(rows.view(np.uint8), ((0, 0), (0, -rows.shape[1] % word_bytes)))
