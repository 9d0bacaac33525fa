import functools
import itertools
import math
from bisect import bisect_left
from fractions import Fraction

import numpy as np
import pytest

from hdl.common.format_table import E8M0, ELEMENTS, FloatFormat, PositFormat, element_format
from sim.common.formats import decode, encode, encode_flags, max_value, to_odd

SMALL_POSITS = ["p3_0", "p3_3", "p4_0", "p5_2", "p6_3", "p7_1", "p8_1", "p8_2", "p8_3"]
SMALL = [*(name for name, fmt in ELEMENTS.items() if fmt.bits <= 8), *SMALL_POSITS, "e8m0"]
MEDIUM = ["fp16", "bf16", "p16_1", "p9_3", "p12_2", "p16_0", "p16_2", "p16_3"]
WIDE = ["int32", "fp32", "p17_0", "p24_1", "p31_3", "p32_0", "p32_1", "p32_2", "p32_3"]
FLOATS = [name for name, fmt in ELEMENTS.items() if isinstance(fmt, FloatFormat)]
SCALE = 1 << 1200  # numbers times this are integers: they compare fast


def format_of(name):
    return E8M0 if name == "e8m0" else element_format(name)


def posit_value(bits, exponent_bits, code):
    """By the standard's definition: useed**k * 2**e * (1 + f) of the two's complement magnitude's bit string."""
    if code == 0:
        return Fraction(0)
    if code == 1 << (bits - 1):
        return math.nan
    negative = code >> (bits - 1)
    digits = format(2**bits - code if negative else code, f"0{bits}b")[1:]
    run = len(digits) - len(digits.lstrip(digits[0]))
    k = run - 1 if digits[0] == "1" else -run
    tail = digits[run + 1 :]
    e, f = tail[:exponent_bits].ljust(exponent_bits, "0"), tail[exponent_bits:]
    useed = Fraction(2 ** (2**exponent_bits))
    magnitude = useed**k * 2 ** int("0" + e, 2) * (1 + Fraction(int("0" + f, 2), 2 ** len(f)))
    return -magnitude if negative else magnitude


def float_value(exponent_bits, mantissa_bits, specials, code):
    digits = format(code, f"0{1 + exponent_bits + mantissa_bits}b")
    sign, exponent, mantissa = digits[0], digits[1 : 1 + exponent_bits], digits[1 + exponent_bits :]
    if specials == "ieee" and "0" not in exponent:
        return math.nan if "1" in mantissa else math.copysign(math.inf, -int(sign))
    if specials == "nan" and "0" not in exponent + mantissa:
        return math.nan
    bias = 2 ** (exponent_bits - 1) - 1
    fraction = Fraction(int(mantissa, 2), 2**mantissa_bits)
    if "1" in exponent:
        magnitude = (1 + fraction) * Fraction(2) ** (int(exponent, 2) - bias)
    else:
        magnitude = fraction * Fraction(2) ** (1 - bias)
    if magnitude == 0:
        return -0.0 if sign == "1" else Fraction(0)
    return -magnitude if sign == "1" else magnitude


def value(name, code):
    """A Fraction, or a float where the value is special: nan, inf, -inf, -0.0."""
    if name == "e8m0":
        return math.nan if code == 255 else Fraction(2) ** (code - 127)
    if name.startswith("bipolar"):
        return Fraction(sum(1 << i if code >> i & 1 else -1 << i for i in range(int(name[7:]))))
    if name.startswith("int"):
        bits, _, fraction_bits = name[3:].partition("_q")
        signed = int.from_bytes(code.to_bytes(4, "little"), "little", signed=True) if bits == "32" else code
        signed -= 1 << int(bits) if bits != "32" and code >> int(bits) - 1 else 0
        return Fraction(signed, 2 ** int(fraction_bits or 0))
    fmt = element_format(name)
    if isinstance(fmt, PositFormat):
        return posit_value(fmt.bits, fmt.exponent_bits, code)
    return float_value(fmt.exponent_bits, fmt.mantissa_bits, fmt.specials, code)


def assert_means(name, got, code):
    want = value(name, code)
    if isinstance(want, Fraction):
        assert math.isfinite(got) and Fraction(got) == want and (got != 0 or math.copysign(1, got) == 1), hex(code)
    else:
        assert math.isnan(got) if math.isnan(want) else (got, math.copysign(1, got)) == (want, math.copysign(1, want))


@functools.cache
def boundaries(name):
    """Item i: between the magnitude's codes i and i + 1; for e8m0 between codes i - 1 and i. Times SCALE."""
    if name == "e8m0":
        points = [Fraction(2) ** (i - 128) * Fraction(3, 2) for i in range(256)]
    elif name.startswith("p"):
        fmt = element_format(name)
        points = [
            0,
            *(posit_value(fmt.bits + 1, fmt.exponent_bits, 2 * i + 1) for i in range(1, 2 ** (fmt.bits - 1) - 1)),
        ]
    else:
        top = element_format(name).max_code
        values = [value(name, code) for code in range(top + 1)]
        values.append(2 * values[top] - values[top - 1])  # the next, were exponents unbounded
        points = [(low + high) / 2 for low, high in itertools.pairwise(values)]
    return [int(point * SCALE) for point in points]


def nearest(name, x, infinite=False):
    """(code, overflow, underflow) of a finite number, a float or a Fraction, by search."""
    numerator, denominator = x.as_integer_ratio()
    if name.startswith(("int", "bipolar")):
        fmt = element_format(name)
        if name.startswith("int"):
            code, low = round(Fraction(x) / Fraction(2) ** fmt.lsb_exponent), -(1 << fmt.bits - 1)
        else:
            code, low = round((Fraction(x) + 2**fmt.bits - 1) / 2), 0
        clamped = min(max(code, low), low + 2**fmt.bits - 1)
        return clamped % 2**fmt.bits, clamped != code, False
    if name == "e8m0" and numerator <= 0:
        return 0, False, True
    points = boundaries(name)
    assert SCALE % denominator == 0
    at = abs(numerator) * (SCALE // denominator)
    code = bisect_left(points, at) - (name == "e8m0")
    if name == "e8m0":
        code += code + 1 < 256 and points[code + 1] == at and code & 1
        return min(max(code, 0), 254), code > 254, code < 0
    code += code < len(points) and points[code] == at and code & 1
    fmt = element_format(name)
    if name.startswith("p"):
        over, under = at > SCALE << fmt.max_scale, 0 < at < SCALE >> fmt.max_scale
        return (-code if numerator < 0 else code) % 2**fmt.bits, over, under
    over = code > fmt.max_code
    if over:
        code = fmt.max_code + 1 if infinite and fmt.specials == "ieee" else fmt.max_code
    negative = numerator < 0 or (isinstance(x, float) and math.copysign(1, x) < 0)
    return code | negative << fmt.bits - 1, over, code == 0 and numerator != 0


def assert_rounds(name, xs, overflow="saturate"):
    xs = np.asarray(xs, dtype=np.float64)
    got = encode_flags(format_of(name), xs, overflow)
    want = [nearest(name, x, overflow == "inf") for x in xs.tolist()]
    for one, column, what in zip(got, zip(*want, strict=True), ("code", "overflow", "underflow"), strict=True):
        wrong = np.flatnonzero(one != np.asarray(column))
        assert not wrong.size, (name, what, xs[wrong[0]], one[wrong[0]], column[wrong[0]])


def near(points):
    """The points, their neighbours in float64, both signs."""
    points = np.asarray(points, dtype=np.float64)
    around = np.concatenate([points, np.nextafter(points, np.inf), np.nextafter(points, -np.inf)])
    return np.concatenate([around, -around])


def log_uniform(rng, name, size):
    """Numbers of all magnitudes of a format, and some beyond both ends; float64 has bits to spare below them."""
    fmt = format_of(name)
    if isinstance(fmt, PositFormat):
        low, high = -fmt.max_scale - 2, fmt.max_scale + 2
    elif isinstance(fmt, FloatFormat):
        low, high = -fmt.bias - fmt.mantissa_bits - 2, fmt.bias + 3
    else:
        low, high = (-130, 130) if name == "e8m0" else (-8, fmt.bits + 1)
    significands = rng.uniform(1, 2, size) * rng.choice([-1, 1], size)
    return np.ldexp(significands, rng.integers(low, high, size))


@pytest.mark.parametrize("name", [*SMALL, *MEDIUM])
def test_decode_gives_the_exact_value_of_every_code(name):
    values = decode(format_of(name), np.arange(1 << format_of(name).bits))
    assert values.dtype == np.float64
    for code, got in enumerate(values.tolist()):
        assert_means(name, got, code)


@pytest.mark.parametrize("name", WIDE)
def test_decode_of_wide_formats_is_exact(name):
    bits = element_format(name).bits
    ends = [base + step for base in (0, 1 << bits - 2, 1 << bits - 1, 3 << bits - 2) for step in range(4)]
    ends += [(1 << bits) - 1, *(1 << i for i in range(bits)), 0x7F800000 >> 32 - bits, 0xFF800000 >> 32 - bits]
    codes = np.array([*ends, *np.random.default_rng(1).integers(0, 1 << bits, 5000)])
    for code, got in zip(codes.tolist(), decode(name, codes).tolist(), strict=True):
        assert_means(name, got, code)


@pytest.mark.parametrize("name", SMALL)
def test_encode_is_right_at_and_next_to_every_value_and_midpoint(name):
    fmt = format_of(name)
    values = decode(fmt, np.arange(1 << fmt.bits))
    points = [0.0, 5e-324, 1e-310, 1e-300, 1e9, 1e300, 1.7e308, *values[np.isfinite(values)]]
    if isinstance(fmt, FloatFormat | PositFormat) or name == "e8m0":
        points += [float(Fraction(point, SCALE)) for point in boundaries(name)]
    else:
        points += list(np.arange(-(1 << fmt.bits) - 6, (1 << fmt.bits) + 6) / 4)
        points += list(np.arange(-(1 << fmt.bits) - 6, (1 << fmt.bits) + 6) / 128)
        points += list(range(-(1 << fmt.bits) - 4, (1 << fmt.bits) + 4))
    assert_rounds(name, near(points))


@pytest.mark.parametrize("name", MEDIUM)
def test_encode_of_16_bits_rounds_random_numbers_exactly(name):
    rng = np.random.default_rng(3)
    size = 100_000 if name in ELEMENTS else 20_000
    points = rng.choice(np.array(boundaries(name), dtype=object), size // 20)
    ties = [float(Fraction(point, SCALE)) for point in points.tolist()]
    assert_rounds(name, np.concatenate([log_uniform(rng, name, size), near(ties), [0.0, -0.0]]))


@pytest.mark.deep
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", [*MEDIUM, *(f"p{bits}_{es}" for bits in (10, 11, 13, 14, 15) for es in range(4))])
def test_encode_of_16_bits_rounds_at_every_midpoint(name, seed):
    rng = np.random.default_rng([seed, 4])
    ties = [float(Fraction(point, SCALE)) for point in boundaries(name)]
    assert_rounds(name, np.concatenate([log_uniform(rng, name, 300_000), near(ties)]))


@pytest.mark.parametrize("name", [name for name in WIDE if name.startswith("p")])
def test_encode_of_wide_posits_is_between_the_midpoints(name):
    fmt = element_format(name)
    rng = np.random.default_rng(5)
    codes = rng.integers(1, (1 << fmt.bits - 1) - 1, 1500)
    ties = decode(PositFormat(fmt.bits + 1, fmt.exponent_bits), 2 * codes + 1) if fmt.bits < 32 else [1.0]
    xs = np.concatenate([log_uniform(rng, name, 8000), near(ties), near(decode(name, codes))])
    got, over, under = encode_flags(name, xs)
    limit = 2.0**fmt.max_scale
    np.testing.assert_array_equal(over, np.abs(xs) > limit)
    np.testing.assert_array_equal(under, np.abs(xs) < 1 / limit)
    for x, code in zip(xs.tolist(), got.tolist(), strict=True):
        c = code if x > 0 else (1 << fmt.bits) - code
        at = Fraction(abs(x))
        assert 1 <= c < 1 << fmt.bits - 1
        low = 0 if c == 1 else posit_value(fmt.bits + 1, fmt.exponent_bits, 2 * c - 1)
        high = at + 1 if c == (1 << fmt.bits - 1) - 1 else posit_value(fmt.bits + 1, fmt.exponent_bits, 2 * c + 1)
        assert low <= at <= high and (c % 2 == 0 or low < at < high), (x, hex(code))


def test_encode_of_fp32_is_the_processors_conversion():
    rng = np.random.default_rng(6)
    halves = rng.integers(0, 0x7F7FFFFF, 20_000).astype(np.uint32).view(np.float32).astype(np.float64)
    ties = (halves + np.nextafter(halves.astype(np.float32), np.float32(np.inf))) / 2
    xs = np.concatenate([log_uniform(rng, "fp32", 100_000), near(ties)])
    with np.errstate(over="ignore"):
        np.testing.assert_array_equal(encode("fp32", xs, "inf"), xs.astype(np.float32).view(np.uint32))


def test_encode_of_int32_rounds_exactly():
    rng = np.random.default_rng(7)
    points = np.concatenate([log_uniform(rng, "int32", 5000), rng.integers(-(2**32), 2**32, 5000) / 2])
    assert_rounds("int32", near([*points, 2.0**31, 2.0**31 - 0.5, 2.0**31 - 1, 2.0**31 + 0.5, 1e300]))


@pytest.mark.parametrize("name", [*SMALL, *MEDIUM])
def test_encode_gives_back_every_code(name):
    codes = np.arange(1 << format_of(name).bits)
    values = decode(format_of(name), codes)
    numbers = ~np.isnan(values)
    got, over, under = encode_flags(format_of(name), values)
    np.testing.assert_array_equal(got[numbers], codes[numbers])
    assert not over.any() and not under.any()


@pytest.mark.parametrize("name", [*FLOATS, "p8_0", "int8"])
def test_encode_overflows_to_infinity_where_there_is_one(name):
    top = max_value(element_format(name))
    xs = near([top, 2 * top, 1.001 * top, 1.9 * top, *np.linspace(1, 1.2, 25) * top])
    if name == "fp32":  # no table of its codes is searched: the processor's own conversion
        with np.errstate(over="ignore"):
            np.testing.assert_array_equal(encode(name, xs, "inf"), xs.astype(np.float32).view(np.uint32))
    else:
        assert_rounds(name, xs, "inf")


@pytest.mark.parametrize("name", ["e4m3", "fp16", "bf16", "p8_0", "p16_1", "p16_3"])
def test_exact_numbers_are_rounded_once_through_to_odd(name):
    """Numbers that float64 cannot tell from a midpoint, and some of any length."""
    rng = np.random.default_rng(13)
    points = rng.choice(np.array(boundaries(name), dtype=object), 300).tolist()
    numerators = [point + step for point in points if point for step in (-1, 0, 1)]
    numerators += [int.from_bytes(rng.bytes(160), "little") >> int(rng.integers(1, 1000)) for _ in range(300)]
    numerators += [-one for one in numerators]
    want = [nearest(name, Fraction(one, SCALE))[0] for one in numerators]
    assert encode(name, to_odd(numerators, 1 - SCALE.bit_length())).tolist() == want


def test_to_odd_keeps_53_bits_and_marks_what_it_lost():
    rng = np.random.default_rng(14)
    numerators = [int.from_bytes(rng.bytes(40), "little") >> int(rng.integers(0, 319)) for _ in range(2000)]
    numerators += [0, 1, 2**53 - 1, 2**53, 2**53 + 1, 2**54 + 2, 2**54 + 4, 3 << 200, (3 << 200) + 1]
    numerators += [-one for one in numerators]
    for exponent in (-700, -3, 0, 5, 600):
        for exact, got in zip(numerators, to_odd(numerators, exponent).tolist(), strict=True):
            difference = Fraction(got) - exact * Fraction(2) ** exponent
            last = Fraction(math.ulp(got))
            odd = (Fraction(got) / last) % 2 == 1
            assert difference == 0 if exact.bit_length() <= 53 else abs(difference) < last
            assert difference == 0 or odd


def test_to_odd_of_arrays_is_that_of_their_integers():
    words = np.random.default_rng(15).integers(-(2**62), 2**62, (5, 7))
    np.testing.assert_array_equal(to_odd(words, -9), to_odd(words.astype(object), -9))
    np.testing.assert_array_equal(to_odd(words >> 12, 970), to_odd((words >> 12).astype(object), 970))
    np.testing.assert_array_equal(to_odd(words.astype(np.uint64), 0), to_odd(words.astype(np.uint64).astype(object), 0))
    assert to_odd([], 3).shape == (0,)
    assert to_odd(np.array([2**54 + 1]), 0) == -to_odd(np.array([-(2**54) - 1]), 0) == 2.0**54 + 4
    assert to_odd(7, -1).shape == ()
    assert to_odd([2**63, -1], 0).tolist() == [2.0**63, -1.0]
    assert to_odd([1, 1 << 2045, 0], -1022).tolist() == [2.0**-1022, 2.0**1023, 0.0]
