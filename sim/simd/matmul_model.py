"""Golden model of `simd.matmul`: what its results and their status bits must be, without a clock.

Numerics. y = (sum over k of a[m, k] * b[k, n] + bias[n] * 2**bias_exponent) * 2**scale_exponent, exact and rounded once
into the output format, as `simd.mac` rounds. NaR, NaN and infinities among the operands win over any bias. An exact
result of 0 is +0; -0 comes only of a negative number that underflows. ReLU comes after the rounding.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from hdl.common.config import nearest
from hdl.common.format_table import ElementFormat, PositFormat, element_format
from hdl.simd.modes import MODES, SINGLE_MODES, Mode, default_output
from sim.common.formats import Overflow, to_odd
from sim.simd.exact import element_table, exact_product
from sim.simd.mac_model import STATUS_BIT, Codes, MacResult, check_codes, rounded

BIAS_EXPONENTS = range(-56, 33)
SCALE_EXPONENTS = range(-64, 64)
MOST_DEPTH = (1 << 16) - 1
"""K that the block's register holds."""


def matmul(
    mode: str,
    a: Codes,
    b: Codes,
    *,
    bias: npt.NDArray[np.int32] | None = None,
    bias_exponent: int = 0,
    scale_exponent: int = 0,
    out_format: str | None = None,
    overflow: Overflow = "saturate",
    relu: bool = False,
) -> MacResult:
    """C = (A * B + bias * 2**bias_exponent) * 2**scale_exponent, by the numerics of this module.

    Parameters
    ----------
    mode : name in `SINGLE_MODES`
    a : uint8 or uint16, (M, K)
        Codes of the mode's elements; K in 1 .. `most_depth` of the mode.
    b : uint8 or uint16, (K, N)
    bias : int32, (N,), or None for zeros
    bias_exponent, scale_exponent : in `BIAS_EXPONENTS`, `SCALE_EXPONENTS`
    out_format : name of an element format
        `hdl.simd.modes.default_output` of the mode if None.
    overflow : `saturate`, or `inf` for infinity where the output has one
    relu : a result below zero, -infinity and -0 among them, becomes +0 and reports nothing; NaR and NaN stay

    Returns
    -------
    MacResult
        Codes and status, (M, N).

    Raises
    ------
    ValueError
        With one line that names the argument, what it must be and what it is.
    """
    if mode not in SINGLE_MODES:
        names = list(SINGLE_MODES)
        raise ValueError(f'mode must be one of {", ".join(names)}, not "{mode}"{nearest(mode, names)}')
    found = MODES[mode]
    output = element_format(out_format or default_output(found))
    _check_operands(found, a, b, bias)
    for name, exponent, valid in (
        ("bias_exponent", bias_exponent, BIAS_EXPONENTS),
        ("scale_exponent", scale_exponent, SCALE_EXPONENTS),
    ):
        if exponent not in valid:
            raise ValueError(f"{name} must be in {valid[0]}..{valid[-1]}, not {exponent}")
    table = element_table(found.element)
    sums = exact_product(table, a, b)
    numerators, exponent = sums.numerators, 2 * table.lsb_exponent
    if bias is not None:
        numerators, exponent = _sum(numerators, exponent, bias.astype(np.int64), bias_exponent)
    exact = to_odd(numerators, exponent + scale_exponent)
    # Where NaN or an infinity takes part the numerator means nothing; NaN == 0 is false, as it should be here.
    values = np.where(sums.specials == 0, exact, sums.specials)
    is_posit = isinstance(found.element, PositFormat)
    result = rounded(output, values, np.zeros(values.shape, np.uint8), "nar" if is_posit else "nan", overflow)
    return _relu(output, result) if relu else result


def most_depth(mode: Mode) -> int:
    """The largest K of a mode: what the accumulator holds whatever the products are, and the register."""
    return min(mode.most_products, MOST_DEPTH)


def _sum(x: npt.NDArray[Any], x_exponent: int, y: npt.NDArray[Any], y_exponent: int) -> tuple[npt.NDArray[Any], int]:
    """x * 2**x_exponent + y * 2**y_exponent as integers and an exponent; int64 where that holds them."""
    exponent = min(x_exponent, y_exponent)
    shifts = (x_exponent - exponent, y_exponent - exponent)
    bound = sum(max(1, abs(int(each.min())), int(each.max())) << by for each, by in zip((x, y), shifts, strict=True))
    kind = np.int64 if bound < 1 << 62 else object
    x_part, y_part = (each.astype(kind) * (1 << by) for each, by in zip((x, y), shifts, strict=True))
    return x_part + y_part, exponent


def _relu(output: ElementFormat, result: MacResult) -> MacResult:
    sign = np.uint32(1 << (output.bits - 1))
    below = result.codes & sign != 0  # of every format; the NaN that is encoded has none
    if isinstance(output, PositFormat):
        below &= result.codes != sign  # NaR
    kept = np.uint8(STATUS_BIT["nar"] | STATUS_BIT["nan"])
    return MacResult(np.where(below, np.uint32(0), result.codes), np.where(below, result.status & kept, result.status))


def _check_operands(mode: Mode, a: Codes, b: Codes, bias: npt.NDArray[np.int32] | None) -> None:
    check_codes("a", a, "(M, K)", mode.element)
    check_codes("b", b, "(K, N)", mode.element)
    if b.shape[0] != a.shape[1]:
        raise ValueError(f"b must have a row for each of the {a.shape[1]} columns of a, not {b.shape[0]}")
    for name, size in (("M", a.shape[0]), ("N", b.shape[1])):
        if size < 1:
            raise ValueError(f"{name} must be at least 1, not {size}")
    if not 1 <= a.shape[1] <= most_depth(mode):
        raise ValueError(f"K must be in 1..{most_depth(mode)} for {mode.name}, not {a.shape[1]}")
    if bias is not None and (bias.dtype != np.int32 or bias.shape != (b.shape[1],)):
        raise ValueError(f"bias must be int32 ({b.shape[1]},), not {bias.dtype} {bias.shape}")
