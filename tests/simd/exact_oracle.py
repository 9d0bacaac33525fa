"""The oracle of the simd family's models: number formats written down anew, sums and roundings of exact fractions.

Formats: ("float", exponent bits, mantissa bits, specials), ("int", bits, scale), ("posit", bits, es).
"""

from __future__ import annotations

import bisect
import functools
import math
from fractions import Fraction
from typing import Any

import numpy as np

FORMATS: dict[str, tuple[Any, ...]] = {
    "fp4": ("float", 2, 1, "numbers"),
    "e2m3": ("float", 2, 3, "numbers"),
    "e3m2": ("float", 3, 2, "numbers"),
    "e4m3": ("float", 4, 3, "one nan"),
    "e5m2": ("float", 5, 2, "ieee"),
    "fp16": ("float", 5, 10, "ieee"),
    "bf16": ("float", 8, 7, "ieee"),
    "fp32": ("float", 8, 23, "ieee"),
    "int4": ("int", 4, Fraction(1)),
    "int8": ("int", 8, Fraction(1)),
    "int32": ("int", 32, Fraction(1)),
    "mxint8 element": ("int", 8, Fraction(1, 64)),
    "p4_1": ("posit", 4, 1),
    "p8_0": ("posit", 8, 0),
    "p16_1": ("posit", 16, 1),
}
NAN_CODES = {"e4m3": 0x7F, "e5m2": 0x7E, "fp16": 0x7E00, "bf16": 0x7FC0, "fp32": 0x7FC00000}
NAN_CODES |= {"p4_1": 0x8, "p8_0": 0x80, "p16_1": 0x8000}
SINGLES = ["fp4", "p4_1", "p8_0", "p16_1", "int4", "int8", "e4m3", "e5m2"]
DEFAULTS = {mode: "int32" if mode.startswith("int") else mode for mode in SINGLES}
OUTPUTS = [name for name in FORMATS if name != "mxint8 element"]
NAN, INFINITY = math.nan, math.inf
NAR_BIT, NAN_BIT, INF_BIT, OVER, UNDER = 1, 2, 4, 8, 16


def bits_of(name: str) -> int:
    kind, first, second, *_ = FORMATS[name]
    return 1 + first + second if kind == "float" else first


@functools.cache
def number(name: str, code: int) -> Fraction | float:
    """What a code means; NaN, NaR and infinities as floats."""
    if name == "e8m0":
        return NAN if code == 0xFF else Fraction(2) ** (code - 127)
    kind, first, second, *rest = FORMATS[name]
    if kind == "posit":
        return posit(first, second, code)
    if kind == "int":
        return (code - (1 << first if code >> (first - 1) else 0)) * second
    sign, field, mantissa = code >> (first + second), code >> second & (1 << first) - 1, code & (1 << second) - 1
    if rest == ["ieee"] and field == (1 << first) - 1:
        return NAN if mantissa else (-1) ** sign * INFINITY
    if rest == ["one nan"] and field == (1 << first) - 1 and mantissa == (1 << second) - 1:
        return NAN
    bias = 2 ** (first - 1) - 1
    significand = Fraction(mantissa, 1 << second) + (field > 0)
    return (-1) ** sign * significand * Fraction(2) ** (max(field, 1) - bias)


def posit(bits: int, es: int, code: int) -> Fraction | float:
    """The standard's definition, on the magnitude's string of bits."""
    if code == 0 or code == 1 << (bits - 1):
        return Fraction(0) if code == 0 else NAN
    negative = code >> (bits - 1)
    string = f"{(1 << bits) - code if negative else code:0{bits}b}"[1:]
    run = len(string) - len(string.lstrip(string[0]))
    exponent, fraction = string[run + 1 :][:es].ljust(es, "0"), string[run + 1 :][es:]
    regime = run - 1 if string[0] == "1" else -run
    significand = 1 + Fraction(int(fraction or "0", 2), 1 << len(fraction))
    return (-1) ** negative * significand * Fraction(2) ** (2**es * regime + int(exponent or "0", 2))


@functools.cache
def positives(bits: int, es: int) -> list[Fraction]:
    return [posit(bits, es, code) for code in range(1, 1 << (bits - 1))]


@functools.lru_cache(200_000)
def rounded(name: str, x: Fraction | float, infinite: bool) -> tuple[int, int]:
    """Code and status bits of an exact number in an output format."""
    kind, first, second, *rest = FORMATS[name]
    largest_body = (1 << (bits_of(name) - 1)) - 1
    if is_nan(x) or (isinstance(x, float) and kind == "posit"):
        return NAN_CODES.get(name, 0), 0 if is_nan(x) else INF_BIT
    status = INF_BIT if isinstance(x, float) else 0
    if kind == "int":
        body = round(x) if not status else int(math.copysign(1 << 40, x))
        kept = max(-largest_body - 1, min(largest_body, body))
        return kept & (2 * largest_body + 1), status | OVER * (kept != body)
    sign = (x < 0) << (bits_of(name) - 1)
    if kind == "posit":
        return rounded_posit(first, second, x)
    largest = largest_body - (1 << second if rest == ["ieee"] else rest == ["one nan"])
    if status:
        return (sign | largest + 1, status) if rest == ["ieee"] else (sign | largest, status | OVER)
    quantum = max(floor_log2(x), 2 - 2 ** (first - 1)) - second
    body = round(abs(x) / Fraction(2) ** quantum)
    field = quantum + second + 2 ** (first - 1) - 2  # a body that reaches 2 << second steps the field by itself
    code = body + (field << second)
    if code > largest:
        return sign | (largest + 1 if infinite and rest == ["ieee"] else largest), OVER
    return sign | code, UNDER * (code == 0 and x != 0)


def rounded_posit(bits: int, es: int, x: Fraction) -> tuple[int, int]:
    if x == 0:
        return 0, 0
    table = positives(bits, es)
    code = min(max(bisect.bisect_right(table, abs(x)), 1), len(table))
    if code < len(table):
        midpoint = posit(bits + 1, es, 2 * code + 1)
        code += abs(x) > midpoint or (abs(x) == midpoint and code % 2 == 1)
    status = OVER * (abs(x) > table[-1]) | UNDER * (abs(x) < table[0])
    return (1 << bits) - code if x < 0 else code, status


def is_nan(x: Fraction | float) -> bool:
    return isinstance(x, float) and math.isnan(x)


def floor_log2(x: Fraction) -> int:
    guess = abs(x.numerator).bit_length() - x.denominator.bit_length() if x else -10_000
    return guess - (abs(x) < Fraction(2) ** guess)


def total(products: list[tuple[Fraction | float, Fraction | float]]) -> Fraction | float:
    """Exact sum of products; IEEE 754's rules for what is not finite."""
    if all(isinstance(x, Fraction) and isinstance(y, Fraction) for x, y in products):
        return sum((x * y for x, y in products), Fraction(0))
    found = {float(x) * float(y) for x, y in products}
    return NAN if {INFINITY, -INFINITY} <= found else sum(found)


def single_sum(mode: str, a: list[int], b: list[int]) -> Fraction | float:
    return total([(number(mode, i), number(mode, j)) for i, j in zip(a, b, strict=True)])


def single_result(mode: str, x: Fraction | float, out: str, infinite: bool) -> tuple[int, int]:
    code, status = rounded(out, x, infinite)
    return code, status | (NAR_BIT if mode.startswith("p") else NAN_BIT) * is_nan(x)


def draw(rng: np.random.Generator, name: str, shape: tuple[int, int]) -> np.ndarray:
    """Codes: a quarter of the rows uniform, specials and all; a quarter extreme numbers; the rest no large ones."""
    bits = bits_of(name)
    codes = rng.integers(0, 1 << bits, shape)
    finite = [code for code in range(1 << bits) if isinstance(number(name, code), Fraction)]
    by_size = sorted(finite, key=lambda code: abs(number(name, code)))
    codes[1::4] = rng.choice([*by_size[:5], *by_size[-4:]], codes[1::4].shape)
    for start in (2, 3):
        codes[start::4] = rng.choice(by_size[: len(by_size) // start], codes[start::4].shape)
    return codes.astype(np.uint8 if bits <= 8 else np.uint16)


def negated(name: str, codes: np.ndarray) -> np.ndarray:
    bits = bits_of(name)
    return codes ^ (1 << (bits - 1)) if FORMATS[name][0] == "float" else -codes & ((1 << bits) - 1)
