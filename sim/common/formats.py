"""Number formats in numpy: codes to the numbers they mean, and numbers to codes, correctly rounded.

What the formats are stands in `hdl.common.format_table`; this is their arithmetic, written without a look at the
gateware's. A code is an unsigned integer that holds the format's bits, two's complement for the integer formats.

Numerics, of every format: round to nearest, ties to the even code; for posits on the bit string (the midpoint of codes
c and c + 1 is the posit with one bit more that is c followed by a 1). The exact number x that is encoded is

* beyond the largest finite number after rounding: the largest finite number with x's sign, or infinity where
  `overflow="inf"` and the format has one. For posits: |x| > maxpos, always maxpos.
* an infinity: infinity if the format has one, NaR for posits, else the largest finite number with its sign.
* NaN: the format's canonical NaN (positive, quiet), NaR for posits, code 0 for formats without.
* rounded to zero: zero with x's sign in float formats (so -0.0 too). Posits never round to zero, but to minpos.
"""

from __future__ import annotations

import functools
import math
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from hdl.common.format_table import (
    BipolarFormat,
    FloatFormat,
    IntFormat,
    NumberFormat,
    PositFormat,
    PowerFormat,
    element_format,
)

Overflow = Literal["saturate", "inf"]
Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[Any]
"""uint8, uint16 or uint32: the smallest that holds the format's bits."""
Bools = npt.NDArray[np.bool_]
_Ints = npt.NDArray[np.int64]
_Encoded = tuple[_Ints, Bools, Bools]

_CHUNK = 1 << 14
"""Values encoded at a time: the int64 temporaries of a chunk stay in the cache."""
_TABLE_BITS = 16
_ALL_BUT_SIGN = np.int64((1 << 63) - 1)
_INFINITY = np.int64(0x7FF << 52)
"""float64's plus infinity as bits."""
_BIAS = 1023


def decode(fmt: NumberFormat | str, codes: npt.ArrayLike) -> Floats:
    """What codes mean: integers of any shape -> float64 of that shape, exactly.

    NaN and NaR give nan, infinities inf, a float's minus zero -0.0. `fmt` is a format or an element format's name.

    Raises
    ------
    ValueError
        If `codes` are not integers, or one is outside of the format's range: names the first, with its index.
    """
    fmt = _format(fmt)
    array = _integers(codes)
    if array is None:
        raise ValueError(f"codes must be integers, not {np.asarray(codes).dtype}")
    wrong = (array < 0) | (array >= 1 << fmt.bits)
    if wrong.any():
        index = np.unravel_index(int(np.argmax(wrong)), array.shape)
        place = f"[{', '.join(str(i) for i in index)}]" if index else ""
        raise ValueError(f"codes{place} must be in 0..{(1 << fmt.bits) - 1} for {fmt.name}, not {array[index]}")
    if fmt.bits <= _TABLE_BITS:
        return np.asarray(_values(fmt)[array.astype(np.intp)])
    return _decode(fmt, array.astype(np.int64).reshape(-1)).reshape(array.shape)


def encode(fmt: NumberFormat | str, values: npt.ArrayLike, overflow: Overflow = "saturate") -> Codes:
    """The codes of `values` of any shape, as `encode_flags` rounds them."""
    return encode_flags(fmt, values, overflow)[0]


def encode_flags(
    fmt: NumberFormat | str, values: npt.ArrayLike, overflow: Overflow = "saturate"
) -> tuple[Codes, Bools, Bools]:
    """Codes of numbers, correctly rounded, and what was out of range.

    Parameters
    ----------
    fmt : NumberFormat or str
        A format, or an element format's name.
    values : array-like of any shape
        Floats of at most 64 bits. Integers of any length are rounded from their exact values. For other exact numbers,
        see `to_odd`.
    overflow : "saturate" or "inf"
        What too large a finite number becomes in a format with infinities: see above.

    Returns
    -------
    codes : uint8, uint16 or uint32, shape of `values`
    overflow : bool, shape of `values`
        A finite value was beyond the largest finite number after rounding (posits: |x| > maxpos), or an infinity was
        not to be had. An infinity that becomes NaR sets no flag.
    underflow : bool, shape of `values`
        Floats: not zero, but the code is. Posits: 0 < |x| < minpos. e8m0: at most zero, or below 2**-127 after
        rounding. Never set by integer formats.

    Raises
    ------
    ValueError
        If `values` are not such numbers, or `overflow` is neither name.
    """
    fmt = _format(fmt)
    if overflow not in ("saturate", "inf"):
        raise ValueError(f'overflow must be "saturate" or "inf", not {overflow!r}')
    array = np.asarray(values)
    if array.dtype.kind != "f" or not isinstance(values, np.ndarray):
        integers = _integers(values)
        array = array if integers is None else to_odd(integers, 0)
    if array.dtype.kind != "f" or array.dtype.itemsize > 8:
        raise ValueError(f"values must be floats of at most 64 bits, or integers, not {array.dtype}")
    codes = np.empty(array.size, dtype=_code_dtype(fmt.bits))
    over = np.empty(array.size, dtype=np.bool_)
    under = np.empty(array.size, dtype=np.bool_)
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):  # a signalling NaN is no more than a NaN
        flat = np.ascontiguousarray(array, dtype=np.float64).reshape(-1)
        for start in range(0, flat.size, _CHUNK):
            part = slice(start, start + _CHUNK)
            codes[part], over[part], under[part] = _encode(fmt, flat[part], overflow == "inf")
    return codes.reshape(array.shape), over.reshape(array.shape), under.reshape(array.shape)


def to_odd(numerators: npt.ArrayLike, exponent: int) -> Floats:
    """numerators * 2**exponent rounded to odd: integers of any length and shape -> float64 of that shape.

    Numbers of more than 53 bits are truncated to 53, and the last bit set if anything was lost. Rounding the result to
    a format of at most 51 significant bits (all formats here) gives what rounding the exact number gives.

    Raises
    ------
    ValueError
        If `numerators` are not integers, or a result is neither zero nor, in magnitude, in [2**-1022, 2**1024).
    """
    array = _integers(numerators)
    if array is None:
        raise ValueError(f"numerators must be integers, not {np.asarray(numerators).dtype}")
    if array.size == 0:
        return np.zeros(array.shape)
    if array.dtype.kind != "O" and -1022 <= exponent <= 970 and array.min() >= -(2**53) and array.max() <= 2**53:
        return np.asarray(np.ldexp(array.astype(np.float64), exponent))
    rounded = [_one_to_odd(int(one), exponent) for one in array.reshape(-1).tolist()]
    return np.array(rounded, dtype=np.float64).reshape(array.shape)


def max_value(fmt: NumberFormat) -> float:
    """The largest finite number of a format."""
    match fmt:
        case IntFormat():
            return math.ldexp((1 << (fmt.bits - 1)) - 1, fmt.lsb_exponent)
        case BipolarFormat():
            return float((1 << fmt.bits) - 1)
        case FloatFormat():
            return float(decode(fmt, fmt.max_code))
        case PositFormat():
            return math.ldexp(1.0, fmt.max_scale)
        case PowerFormat():
            return math.ldexp(1.0, (1 << fmt.bits) - 2 - fmt.bias)


def _format(fmt: NumberFormat | str) -> NumberFormat:
    return element_format(fmt) if isinstance(fmt, str) else fmt


def _code_dtype(bits: int) -> npt.DTypeLike:
    return np.uint8 if bits <= 8 else np.uint16 if bits <= 16 else np.uint32


def _integers(values: npt.ArrayLike) -> npt.NDArray[Any] | None:
    """`values` as an array of integers, of Python's where 64 bits may not hold them; None if they are not integers."""
    array = np.asarray(values)
    if array.size == 0:
        return np.zeros(array.shape, dtype=np.int64)
    if array.dtype.kind in "iu":
        return array
    if isinstance(values, np.ndarray) and array.dtype.kind != "O":
        return None
    objects = np.asarray(values, dtype=object)  # a list with 2**63 in it would be floats, rounded
    exact = all(isinstance(one, int | np.integer) and not isinstance(one, bool) for one in objects.reshape(-1))
    return objects if exact else None


def _one_to_odd(numerator: int, exponent: int) -> float:
    if numerator == 0:
        return 0.0
    magnitude = abs(numerator)
    length = magnitude.bit_length()
    if not -1022 <= length - 1 + exponent <= 1023:
        raise ValueError(
            f"numerators * 2**exponent must be 0 or in 2**-1022 .. 2**1024, not of magnitude 2**{length - 1 + exponent}"
        )
    lost = max(length - 53, 0)
    kept = magnitude >> lost
    if kept << lost != magnitude:
        kept |= 1
    return math.ldexp(kept if numerator > 0 else -kept, lost + exponent)


@functools.lru_cache(maxsize=64)
def _values(fmt: NumberFormat) -> Floats:
    """The values of all codes of a format of at most 16 bits, in order."""
    table = _decode(fmt, np.arange(1 << fmt.bits, dtype=np.int64))
    table.setflags(write=False)
    return table


def _decode(fmt: NumberFormat, codes: _Ints) -> Floats:
    match fmt:
        case IntFormat():
            signed = codes - (codes >> (fmt.bits - 1) << fmt.bits)
            return np.asarray(np.ldexp(signed.astype(np.float64), fmt.lsb_exponent))
        case BipolarFormat():
            return (2 * codes - ((1 << fmt.bits) - 1)).astype(np.float64)
        case FloatFormat():
            return _decode_float(fmt, codes)
        case PositFormat():
            return _decode_posit(fmt, codes)
        case PowerFormat():
            powers: Floats = np.ldexp(1.0, codes - fmt.bias)
            powers[codes == (1 << fmt.bits) - 1] = np.nan
            return powers


def _decode_float(fmt: FloatFormat, codes: _Ints) -> Floats:
    body = codes & ((1 << (fmt.bits - 1)) - 1)
    field, fraction = body >> fmt.mantissa_bits, body & ((1 << fmt.mantissa_bits) - 1)
    significand = fraction + (np.minimum(field, 1) << fmt.mantissa_bits)
    values = np.ldexp(significand.astype(np.float64), np.maximum(field, 1) - fmt.bias - fmt.mantissa_bits)
    values[body > fmt.max_code] = np.nan
    if fmt.specials == "ieee":
        values[body == fmt.infinity_code] = np.inf
    return np.asarray(np.copysign(values, 0.5 - (codes >> (fmt.bits - 1))))


def _decode_posit(fmt: PositFormat, codes: _Ints) -> Floats:
    body_bits, exponent_bits = fmt.bits - 1, fmt.exponent_bits
    negative = codes >> body_bits != 0
    body = np.where(negative, (1 << fmt.bits) - codes, codes)
    ones = body >> (body_bits - 1)  # the regime's first bit; a run of ones turned into one of zeros is as long
    rest = np.where(ones != 0, ~body, body) & ((1 << body_bits) - 1)
    run = body_bits - np.frexp(rest.astype(np.float64))[1].astype(np.int64)
    regime = np.where(ones != 0, run - 1, -run)
    # What follows the regime's end bit, moved up to the top of the body, with zeros for exponent bits that are cut off.
    tail_bits = body_bits + exponent_bits
    tail = (body.astype(np.uint64) << (run + 1 + exponent_bits).astype(np.uint64)).astype(np.int64)
    tail &= (1 << tail_bits) - 1
    scale = (regime << exponent_bits) + (tail >> body_bits)
    significand = (1 << body_bits) + (tail & ((1 << body_bits) - 1))
    values: Floats = np.ldexp(significand.astype(np.float64), scale - body_bits)
    values[codes == 0] = 0.0
    values[codes == 1 << body_bits] = np.nan
    return np.where(negative, -values, values)


def _encode(fmt: NumberFormat, x: Floats, infinite: bool) -> _Encoded:
    """Codes and flags, as `encode_flags` says, of contiguous float64 (n,); `infinite`: overflow gives infinity."""
    match fmt:
        case IntFormat():
            return _encode_int(fmt, x)
        case BipolarFormat():
            return _encode_bipolar(fmt, x)
        case FloatFormat():
            return _encode_float(fmt, x, infinite)
        case PositFormat():
            return _encode_posit(fmt, x)
        case PowerFormat():
            return _encode_power(fmt, x)


def _encode_int(fmt: IntFormat, x: Floats) -> _Encoded:
    rounded = np.rint(x * 2.0**-fmt.lsb_exponent)
    half = 1 << (fmt.bits - 1)
    over = (rounded < -half) | (rounded > half - 1)
    integers = np.nan_to_num(np.clip(rounded, -half, half - 1), nan=0.0).astype(np.int64)
    return integers & ((1 << fmt.bits) - 1), over, np.zeros_like(over)


def _encode_bipolar(fmt: BipolarFormat, x: Floats) -> _Encoded:
    codes_half = 1 << (fmt.bits - 1)
    floor = np.floor(np.clip(x, -4.0 * codes_half, 4.0 * codes_half))
    even = x == floor
    nan = np.isnan(x)
    floor = np.where(nan, 0.0, floor).astype(np.int64)
    # x is in [2 j, 2 j + 2), so nearest to 2 j + 1, whose code is j + 2**(bits - 1); x = 2 j is as near to 2 j - 1.
    codes = (floor >> 1) + codes_half
    codes -= even & (floor & 1 == 0) & (codes & 1 == 1)
    over = ((codes < 0) | (codes > 2 * codes_half - 1)) & ~nan
    codes = np.clip(codes, 0, 2 * codes_half - 1)
    codes[nan] = 0
    return codes, over, np.zeros_like(over)


def _encode_float(fmt: FloatFormat, x: Floats, infinite: bool) -> _Encoded:
    bits = x.view(np.int64)
    magnitude = bits & _ALL_BUT_SIGN
    mantissa_bits, lowest = fmt.mantissa_bits, 1 - fmt.bias
    beyond = (fmt.max_code >> mantissa_bits) - fmt.bias + 2
    bounded = np.minimum(magnitude, (beyond + _BIAS) << 52)  # a float's bits order as its magnitude does
    # float64's adder rounds: the last bit of 2**(exponent - mantissa_bits + 52) is worth 2**(exponent - mantissa_bits),
    # which is the format's last bit for a value of that exponent.
    exponent = np.maximum((bounded >> 52) - _BIAS, lowest)
    rounder = (exponent + (52 - mantissa_bits + _BIAS)) << 52
    significand = (bounded.view(np.float64) + rounder.view(np.float64)).view(np.int64) - rounder
    # With its leading one the significand steps the exponent field from 0 to 1, or on where it was rounded up to two.
    codes = significand + ((exponent - lowest) << mantissa_bits)
    over = codes > fmt.max_code
    under = (codes == 0) & (magnitude != 0)
    nan = magnitude > _INFINITY
    over &= ~nan
    np.minimum(codes, fmt.max_code, out=codes)
    if fmt.specials == "ieee":
        is_infinity = magnitude == _INFINITY
        over &= ~is_infinity
        codes[over | is_infinity if infinite else is_infinity] = fmt.infinity_code
    codes |= (bits < 0).astype(np.int64) << (fmt.bits - 1)
    codes[nan] = fmt.nan_code or 0
    return codes, over, under


def _encode_posit(fmt: PositFormat, x: Floats) -> _Encoded:
    body_bits, exponent_bits = fmt.bits - 1, fmt.exponent_bits
    bits = x.view(np.int64)
    magnitude = bits & _ALL_BUT_SIGN
    smallest, largest = (_BIAS - fmt.max_scale) << 52, (_BIAS + fmt.max_scale) << 52
    bounded = np.clip(magnitude, smallest, largest)
    # Exponent and fraction, of which no more is kept than a body and a bit to round by can hold, the last one sticky.
    fraction_bits = max(body_bits - exponent_bits, 1)
    dropped = 52 - fraction_bits
    payload_bits = exponent_bits + fraction_bits
    payload = ((bounded - (_BIAS << 52)) >> dropped) & ((1 << payload_bits) - 1)
    payload |= bounded & ((1 << dropped) - 1) != 0
    regime = ((bounded >> 52) - _BIAS) >> exponent_bits
    # The regime: regime + 1 ones and a zero, or -regime zeros and a one.
    head = (2 << (np.maximum(regime, -1) + 1)) - 2 + (regime < 0)
    head_bits = (regime ^ (regime >> 63)) + 2
    string = head << payload_bits | payload
    shift = head_bits + (payload_bits - body_bits)  # at least 2
    codes = (string + (1 << (shift - 1)) - 1 + ((string >> shift) & 1)) >> shift
    finite = magnitude < _INFINITY
    over = (magnitude > largest) & finite
    under = (magnitude < smallest) & (magnitude != 0)
    codes = np.where(bits < 0, (1 << fmt.bits) - codes, codes)
    codes[magnitude == 0] = 0
    codes[~finite] = 1 << body_bits
    return codes, over, under


def _encode_power(fmt: PowerFormat, x: Floats) -> _Encoded:
    significand, exponent = np.frexp(x)  # in [0.5, 1)
    up = (significand > 0.75) | ((significand == 0.75) & (exponent.astype(np.int64) - 1 + fmt.bias & 1 == 1))
    codes = exponent.astype(np.int64) - 1 + fmt.bias + up
    top = (1 << fmt.bits) - 2
    nan = np.isnan(x)
    over = ((codes > top) & (x > 0)) | (x == np.inf)
    under = ~nan & ((x <= 0) | ((codes < 0) & ~over))
    codes = np.clip(codes, 0, top)
    codes[over] = top
    codes[under] = 0
    codes[nan] = top + 1
    return codes, over, under
