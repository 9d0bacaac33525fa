"""Blocks of numbers that share a scale: OCP's MX formats, NVFP4, and block floating point (BFP) of any width.

A block is a run of elements along the last axis; the last one may be short. Sources: OCP Microscaling Formats (MX) 1.0,
section 6.3; NVIDIA's description of NVFP4. Every power of two here is found from exponents, never by a logarithm.

NaN and infinities. A NaN makes its block's scale NaN, and with it the whole block, whose element codes are 0; a BFP
block has no NaN, and gets the mantissa 0. An infinity gives its block the largest scale, and becomes what the element's
format makes of infinities. NVFP4's tensor scale is that of the finite values.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from hdl.common.format_table import BLOCKS, BlockFormat, FloatFormat, IntFormat, PowerFormat
from sim.common.formats import Bools, Floats, Overflow, decode, encode, max_value

ScaleRounding = Literal["floor", "ceil", "even"]
_SCALE_ROUNDINGS = ("floor", "ceil", "even")
_Ints = npt.NDArray[np.int64]
_ONE = np.float32(1.0)


@dataclass(frozen=True)
class Blocks:
    """Numbers (..., n) in a block format.

    Attributes
    ----------
    codes : uint8, (..., n)
        One element each.
    scales : uint8, (..., ceil(n / block_length))
        Code of each block's scale.
    tensor_scale : float32
        Factor of all elements; 1 for the formats without.
    """

    codes: npt.NDArray[np.uint8]
    scales: npt.NDArray[np.uint8]
    tensor_scale: np.float32 = _ONE


@dataclass(frozen=True)
class BfpBlocks:
    """Numbers (..., n) in block floating point: mantissa * 2**exponent of its block.

    Attributes
    ----------
    mantissas : int8, int16 or int32, (..., n)
        Two's complement, the smallest type that holds the mantissa's bits.
    exponents : int16, (..., ceil(n / block_length))
        One a block.
    block_length : int
        Numbers that share an exponent.
    """

    mantissas: npt.NDArray[Any]
    exponents: npt.NDArray[np.int16]
    block_length: int


def quantise(
    block_format: BlockFormat | str,
    values: npt.ArrayLike,
    *,
    scale_rounding: ScaleRounding = "floor",
    overflow: Overflow = "saturate",
) -> Blocks:
    """Numbers (..., n) in a block format; each element is divided by its scale and rounded as `formats.encode` does.

    MX: the scale is 2**e with e clamped to -127..127, amax the largest magnitude in the block, emax the exponent of the
    element's largest number, and

    * "floor": e = floor(log2(amax)) - emax, as OCP says. Elements above the element's largest number saturate.
    * "ceil": the least e with amax <= largest element * 2**e, so that nothing saturates.
    * "even": as "floor", of amax rounded (to nearest even) to the element's significand.

    A block of zeros has the smallest scale, 2**-127: the clamped e of an amax that tends to zero, so that a small scale
    alone tells of a small block.

    NVFP4: tensor_scale = amax of the tensor / (6 * 448), rounded to float32 within its normal range, 1 for a tensor of
    zeros; scale = amax of the block / (6 * tensor_scale), rounded to e4m3; element = value / (scale * tensor_scale),
    rounded to fp4, and zero where the scale is. The quotients are float64's: for values of at most 24 significant bits
    (float32) elements and scales are correctly rounded from the exact quotients.

    Parameters
    ----------
    block_format : BlockFormat or str
        A block format or its name.
    values : array-like of float, (..., n)
        n may be 0, or no multiple of the block length.
    scale_rounding : "floor", "ceil" or "even"
        MX only; NVFP4's scales are rounded to nearest even.
    overflow : "saturate" or "inf"
        What too large an element becomes where the element format has infinities (mxfp8_e5m2).

    Raises
    ------
    ValueError
        If `values` have no axis or are not real numbers, or a name is unknown.
    """
    fmt = _block_format(block_format)
    if scale_rounding not in _SCALE_ROUNDINGS:
        raise ValueError(f'scale_rounding must be "floor", "ceil" or "even", not {scale_rounding!r}')
    x = _floats(values)
    amax = _block_maxima(x, fmt.block_length)
    tensor_scale = _ONE
    if isinstance(fmt.scale, PowerFormat):
        exponents = _scale_exponents(fmt.element, amax, scale_rounding)
        exponents = np.clip(exponents, -fmt.scale.bias, fmt.scale.bias)
        scales = (exponents + fmt.scale.bias).astype(np.uint8)
        nan_scale = (1 << fmt.scale.bits) - 1
        scaled = _ldexp(x, -_spread(exponents, x, fmt.block_length))
    else:
        largest = max_value(fmt.element)
        if fmt.has_tensor_scale:
            tensor_scale = _tensor_scale(x, largest * max_value(fmt.scale))
        scales = encode(fmt.scale, amax / (largest * float(tensor_scale))).astype(np.uint8)
        nan_scale = fmt.scale.nan_code or 0
        divisor = _spread(decode(fmt.scale, scales), x, fmt.block_length) * float(tensor_scale)
        with np.errstate(over="ignore", under="ignore"):
            # Zeros that keep their sign where the scale is zero: the quotient would be infinite, or NaN.
            scaled = np.where(divisor == 0, np.copysign(0.0, x), x / np.where(divisor == 0, 1.0, divisor))
    codes = encode(fmt.element, scaled, overflow).astype(np.uint8)
    invalid = _any_nan(x, fmt.block_length)
    scales[invalid] = nan_scale
    codes[_spread(invalid, x, fmt.block_length)] = 0
    return Blocks(codes, scales, tensor_scale)


def dequantise(block_format: BlockFormat | str, blocks: Blocks) -> Floats:
    """The numbers (..., n) that blocks mean, as float64: element * scale * tensor scale, exactly.

    Raises
    ------
    ValueError
        If a code is out of range, or `scales` has not one code a block.
    """
    fmt = _block_format(block_format)
    elements = decode(fmt.element, blocks.codes)
    scales = decode(fmt.scale, blocks.scales)
    _check_blocks("scales", scales.shape, elements.shape, fmt.block_length)
    factor = float(blocks.tensor_scale) if fmt.has_tensor_scale else 1.0
    with np.errstate(invalid="ignore"):  # an infinite element of a scale of zero is NaN
        return elements * (_spread(scales, elements, fmt.block_length) * factor)


def bfp_quantise(values: npt.ArrayLike, mantissa_bits: int, block_length: int, exponent_bits: int = 8) -> BfpBlocks:
    """Numbers (..., n) as two's complement mantissas, value = mantissa * 2**exponent, one exponent a block.

    exponent = floor(log2(largest magnitude)) - (mantissa_bits - 2), so that the largest magnitude takes up all bits
    under the sign; clamped to a signed integer of `exponent_bits`, the smallest for a block of zeros. Mantissas are
    rounded to nearest even and saturate to the whole range of two's complement, -2**(mantissa_bits - 1) included.

    Parameters
    ----------
    values : array-like of float, (..., n)
    mantissa_bits : int
        2..32, with the sign.
    block_length : int
        Numbers that share an exponent, at least 1.
    exponent_bits : int
        2..10.

    Raises
    ------
    ValueError
        If a parameter is out of range, or `values` have no axis or are not real numbers.
    """
    for name, value, low, high in (("mantissa_bits", mantissa_bits, 2, 32), ("exponent_bits", exponent_bits, 2, 10)):
        if not low <= value <= high:
            raise ValueError(f"{name} must be in {low}..{high}, not {value}")
    if block_length < 1:
        raise ValueError(f"block_length must be at least 1, not {block_length}")
    x = _floats(values)
    amax = _block_maxima(x, block_length)
    lowest = -(1 << (exponent_bits - 1))
    exponents = np.clip(_floor_log2(amax) - (mantissa_bits - 2), lowest, -1 - lowest)
    rounded = np.rint(_ldexp(x, -_spread(exponents, x, block_length)))
    largest = (1 << (mantissa_bits - 1)) - 1
    dtype = np.int8 if mantissa_bits <= 8 else np.int16 if mantissa_bits <= 16 else np.int32
    mantissas = np.where(np.isnan(x), 0.0, np.clip(rounded, -1 - largest, largest)).astype(dtype)
    return BfpBlocks(mantissas, exponents.astype(np.int16), block_length)


def bfp_dequantise(blocks: BfpBlocks) -> Floats:
    """The numbers (..., n) that BFP blocks mean, as float64, exactly.

    Raises
    ------
    ValueError
        If `exponents` has not one exponent a block.
    """
    mantissas = blocks.mantissas.astype(np.float64)
    _check_blocks("exponents", blocks.exponents.shape, mantissas.shape, blocks.block_length)
    return _ldexp(mantissas, _spread(blocks.exponents.astype(np.int64), mantissas, blocks.block_length))


def _block_format(block_format: BlockFormat | str) -> BlockFormat:
    if isinstance(block_format, BlockFormat):
        return block_format
    if block_format not in BLOCKS:
        raise ValueError(f"no block format {block_format!r}; there are {', '.join(BLOCKS)}")
    return BLOCKS[block_format]


def _floats(values: npt.ArrayLike) -> Floats:
    array = np.asarray(values)
    if array.ndim == 0 or array.dtype.kind not in "fiu" or array.dtype.itemsize > 8:
        raise ValueError(f"values must be real numbers (..., n), not {array.dtype} {array.shape}")
    with np.errstate(invalid="ignore"):  # a signalling NaN is no more than a NaN
        return array.astype(np.float64)


def _check_blocks(name: str, got: tuple[int, ...], elements: tuple[int, ...], block_length: int) -> None:
    expected = (*elements[:-1], -(-elements[-1] // block_length)) if elements else ()
    if got != expected or not elements:
        raise ValueError(f"{name} must have shape {expected} for elements {elements}, not {got}")


def _by_block(x: npt.NDArray[Any], block_length: int) -> npt.NDArray[Any]:
    """(..., n) -> (..., blocks, block_length), the last block filled up with zeros."""
    blocks = -(-x.shape[-1] // block_length)
    padding = [(0, 0)] * (x.ndim - 1) + [(0, blocks * block_length - x.shape[-1])]
    return np.pad(x, padding).reshape(*x.shape[:-1], blocks, block_length)


def _spread(per_block: npt.NDArray[Any], x: npt.NDArray[Any], block_length: int) -> npt.NDArray[Any]:
    """What each element of `x` has from its block."""
    return np.repeat(per_block, block_length, axis=-1)[..., : x.shape[-1]]


def _block_maxima(x: Floats, block_length: int) -> Floats:
    """The largest magnitude of each block, NaN left out."""
    magnitudes = _by_block(np.where(np.isnan(x), 0.0, np.abs(x)), block_length)
    return np.asarray(magnitudes.max(axis=-1))


def _any_nan(x: Floats, block_length: int) -> Bools:
    return np.asarray(_by_block(np.isnan(x), block_length).any(axis=-1))


def _floor_log2(amax: Floats) -> _Ints:
    """floor(log2(amax)) of magnitudes; far below every exponent for 0, far above for an infinity."""
    exponents = np.frexp(amax)[1].astype(np.int64) - 1
    return np.where(amax == 0, -4096, np.where(np.isinf(amax), 4096, exponents))


def _scale_exponents(element: IntFormat | FloatFormat, amax: Floats, rounding: ScaleRounding) -> _Ints:
    """Exponents of MX scales, not clamped."""
    largest_significand, largest_exponent = math.frexp(max_value(element))  # significands in [0.5, 1)
    significands = np.frexp(amax)[0]
    exponents = _floor_log2(amax) - (largest_exponent - 1)
    if rounding == "ceil":
        return exponents + (significands > largest_significand)
    if rounding == "even":
        fraction_bits = element.mantissa_bits if isinstance(element, FloatFormat) else element.bits - 2
        # From here on (the midpoint is a tie with an odd significand) rounding carries into the exponent.
        return exponents + (significands >= 1 - 2.0 ** -(fraction_bits + 2))
    return exponents


def _tensor_scale(x: Floats, largest: float) -> np.float32:
    """amax / largest as float32; where that is subnormal or infinite, the smallest normal or the largest number."""
    finite = np.abs(x[np.isfinite(x)])
    amax = float(finite.max()) if finite.size else 0.0
    if amax == 0:
        return _ONE
    limits = np.finfo(np.float32)
    return np.float32(min(max(amax / largest, float(limits.tiny)), float(limits.max)))


def _ldexp(x: Floats, exponents: _Ints) -> Floats:
    """x * 2**exponents. What leaves float64's range by it is far beyond every format's, or far under half its step."""
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        return np.asarray(np.ldexp(x, exponents))
