"""Golden model of `simd.mac`: what its results and its status bits must be, without a clock.

Numerics. Single formats: the dot product is exact and rounded once into the output format. Block formats: an fp32
accumulator, +0 at first; for each block in order the exact sum of its products times both scales is added and the sum
is rounded once, to nearest even, subnormals included; after the last block the accumulator is rounded into the output
format. An exact sum of 0 is +0; -0 comes only of a negative number that underflows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hdl.common.config import nearest
from hdl.common.format_table import ELEMENTS, ElementFormat, PositFormat, element_format
from hdl.simd.modes import MODES, STATUS, Mode, default_output
from sim.common.formats import Overflow, decode, encode_flags, to_odd
from sim.simd.exact import ElementTable, element_table, exact_sums, smallest_exponent

Codes = npt.NDArray[Any]
"""Codes of a number format, in an unsigned dtype."""

STATUS_BIT = {name: 1 << place for place, name in enumerate(STATUS)}
"""The bit of each name in a status."""

_FP32 = ELEMENTS["fp32"]
_FP32_LSB_EXPONENT = -149
_TO_INT = np.frompyfunc(int, 1, 1)


@dataclass(frozen=True)
class MacResult:
    """What the block says of each dot product.

    Attributes
    ----------
    codes : uint32, (n,); of a matrix product (rows, columns)
        Results in the output format; upper bits zero.
    status : uint8, shape of `codes`
        Bits by `STATUS_BIT`. `nar`: a NaR among the operands. `nan`: not a number, whether or not the output format
        can say so. `inf`: infinite before the last rounding, by an infinite operand or an infinite accumulator; never
        together with `nan`. `overflow`, `underflow`: of the last rounding, and of any rounding of the accumulator.
    """

    codes: npt.NDArray[np.uint32]
    status: npt.NDArray[np.uint8]


def dot(
    mode: str,
    a: Codes,
    b: Codes,
    *,
    scale_a: Codes | None = None,
    scale_b: Codes | None = None,
    out_format: str | None = None,
    overflow: Overflow = "saturate",
) -> MacResult:
    """y[i] = sum over k of a[i, k] * b[i, k], by the numerics of this module.

    Parameters
    ----------
    mode : name in `hdl.simd.modes.MODES`
    a, b : uint8 or uint16, (n, length)
        Codes of the mode's elements; length from 0 (the sum is 0) to 2**20.
    scale_a, scale_b : uint8, (n, ceil(length / block_length))
        Codes of the blocks' scales; for block formats only. A last block may be short.
    out_format : name of an element format
        `hdl.simd.modes.default_output` of the mode if None.
    overflow : `saturate`, or `inf` for infinity where a format has one; of the output and of the fp32 accumulator

    Raises
    ------
    ValueError
        With one line that names the argument, what it must be and what it is.
    """
    if mode not in MODES:
        raise ValueError(f'mode must be one of {", ".join(MODES)}, not "{mode}"{nearest(mode, list(MODES))}')
    found = MODES[mode]
    output = element_format(out_format or default_output(found))
    _check_operands(found, a, b, scale_a, scale_b)
    table = element_table(found.element)
    if found.block is None:
        sums = exact_sums(table, a[:, None], b[:, None])
        exact, special = to_odd(sums.numerators[:, 0], 2 * table.lsb_exponent), sums.specials[:, 0]
        # Where NaN or an infinity takes part the numerator means nothing; NaN == 0 is false, as it should be here.
        values, status = np.where(special == 0, exact, special), np.zeros(len(a), np.uint8)
    else:
        assert scale_a is not None and scale_b is not None  # checked with the operands
        values, status = _accumulate(found, table, a, b, scale_a, scale_b, overflow)
    not_a_number = "nar" if isinstance(found.element, PositFormat) else "nan"
    return rounded(output, values, status, not_a_number, overflow)


def apply_tensor_scales(
    acc_codes: Codes,
    status: npt.NDArray[np.uint8],
    tensor_scale_a: Codes,
    tensor_scale_b: Codes,
    out_format: str,
    overflow: Overflow = "saturate",
) -> MacResult:
    """y = acc * tensor_scale_a * tensor_scale_b, exact and rounded once: what the host does with NVFP4's accumulators.

    Parameters
    ----------
    acc_codes, tensor_scale_a, tensor_scale_b : fp32 codes, (n,)
        `acc_codes` are `dot`'s with the output format fp32.
    status : uint8, (n,)
        `dot`'s; its overflow and underflow stay, nan and inf are those of y.

    With both scales 1.0, y is what `dot` gives with `out_format`. A product of 0 is +0, but that an accumulator of -0
    stays -0.

    Raises
    ------
    ValueError
        If `out_format` or `overflow` is unknown, or a code has more than 32 bits.
    """
    output = element_format(out_format)
    acc, scale_a, scale_b = (decode(_FP32, codes) for codes in (acc_codes, tensor_scale_a, tensor_scale_b))
    with np.errstate(invalid="ignore"):  # infinity * 0 is NaN
        inexact = acc * scale_a * scale_b  # of three fp32 numbers: float64 has the exponents for it, not the bits
    acc_whole, a_whole, b_whole = (_whole(one, _FP32_LSB_EXPONENT) for one in (acc, scale_a, scale_b))
    exact = np.where(acc == 0, acc, to_odd(acc_whole * a_whole * b_whole, 3 * _FP32_LSB_EXPONENT))
    kept = status & np.uint8(STATUS_BIT["overflow"] | STATUS_BIT["underflow"])
    return rounded(output, np.where(np.isfinite(inexact), exact, inexact), kept, "nan", overflow)


def _accumulate(
    mode: Mode, table: ElementTable, a: Codes, b: Codes, scale_a: Codes, scale_b: Codes, overflow: Overflow
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.uint8]]:
    """The fp32 accumulator after the last block, and the overflows and underflows on the way."""
    block = mode.block
    assert block is not None
    n, block_count = scale_a.shape
    missing = block_count * block.block_length - a.shape[1]
    a_blocks, b_blocks = (  # code 0 is the number 0 in every mode
        np.pad(codes, ((0, 0), (0, missing))).reshape(n, block_count, block.block_length) for codes in (a, b)
    )
    sums = exact_sums(table, a_blocks, b_blocks)
    scales = decode(block.scale, scale_a) * decode(block.scale, scale_b)  # of two numbers of at most 4 bits: exact
    specials = np.where(np.isnan(scales), np.nan, sums.specials)  # a scale is NaN or finite, and no infinity meets a 0
    # In units of which the smallest sum of products and the smallest fp32 number are multiples, all are whole numbers.
    sum_exponent = 2 * table.lsb_exponent
    unit_exponent = min(_FP32_LSB_EXPONENT, sum_exponent + 2 * smallest_exponent(block.scale))
    factors = _whole(np.ldexp(scales, sum_exponent), unit_exponent)
    status = np.zeros(n, np.uint8)
    acc = np.zeros(n)
    for index in range(block_count):
        total = _whole(acc, unit_exponent) + sums.numerators[:, index] * factors[:, index]
        with np.errstate(invalid="ignore"):  # infinity - infinity is NaN
            special = acc + specials[:, index]
        value = np.where(np.isfinite(special), to_odd(total, unit_exponent), special)
        codes, over, under = encode_flags(_FP32, value, overflow)
        acc = decode(_FP32, codes)
        status |= _flags(overflow=over, underflow=under)
    return acc, status


def _whole(values: npt.NDArray[np.float64], exponent: int) -> npt.NDArray[Any]:
    """values / 2**exponent as Python integers, 0 for what is not finite. The quotients must be whole, in float64."""
    quotients = np.ldexp(np.where(np.isfinite(values), values, 0.0), -exponent)
    return np.asarray(_TO_INT(quotients), dtype=object)


def _flags(**flags: npt.NDArray[np.bool_]) -> npt.NDArray[np.uint8]:
    """Status bits out of flags by name."""
    bits: npt.NDArray[np.uint8] = np.bitwise_or.reduce(
        [flag * np.uint8(STATUS_BIT[name]) for name, flag in flags.items()]
    )
    return bits


def rounded(
    output: ElementFormat,
    values: npt.NDArray[np.float64],
    status: npt.NDArray[np.uint8],
    not_a_number: str,
    overflow: Overflow,
) -> MacResult:
    """The results, out of numbers rounded to odd at 53 bits or exact; `not_a_number` is what a NaN is called."""
    codes, over, under = encode_flags(output, values, overflow)
    flags = _flags(inf=np.isinf(values), overflow=over, underflow=under) | _flags(**{not_a_number: np.isnan(values)})
    return MacResult(codes.astype(np.uint32), status | flags)


def _check_operands(mode: Mode, a: Codes, b: Codes, scale_a: Codes | None, scale_b: Codes | None) -> None:
    check_codes("a", a, "(n, length)", mode.element)
    check_codes("b", b, "(n, length)", mode.element)
    if a.shape != b.shape:
        raise ValueError(f"b must have the shape of a, {a.shape}, not {b.shape}")
    for name, scales in (("scale_a", scale_a), ("scale_b", scale_b)):
        if mode.block is None:
            if scales is not None:
                raise ValueError(f"{name} must be None: {mode.name} has no blocks")
            continue
        shape = (len(a), -(-a.shape[1] // mode.block.block_length))
        if scales is None or scales.dtype != np.uint8 or scales.shape != shape:
            got = "None" if scales is None else f"{scales.dtype} {scales.shape}"
            raise ValueError(f"{name} must be uint8 {shape} for {mode.name}, not {got}")


def check_codes(name: str, codes: Codes, axes: str, element: ElementFormat) -> None:
    """ValueError unless `codes` are uint8 or uint16, have these two axes, and are codes of the format."""
    if codes.ndim != 2 or codes.dtype not in (np.uint8, np.uint16):
        raise ValueError(f"{name} must be uint8 or uint16 {axes}, not {codes.dtype} {codes.shape}")
    most = (1 << element.bits) - 1
    if codes.size and codes.max() > most:
        row, place = np.argwhere(codes > most)[0]
        raise ValueError(f"{name}[{row}, {place}] must be in 0..{most} for {element.name}, not {codes[row, place]}")
