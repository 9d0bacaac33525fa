"""Decoders and encoders, all of them side by side in one Verilated design, against the formats' definitions."""

from __future__ import annotations

import gc
import math
import re
import warnings
from functools import partial

import numpy as np
import pytest
from amaranth.hdl import UnusedElaboratable

from hdl.common.config import ConfigError
from hdl.common.encoders import Encoder, least_fraction_bits
from hdl.common.format_table import E8M0, ELEMENTS, FloatFormat, IntFormat, PositFormat, PowerFormat
from hdl.common.formats import DecodedShape, Decoder
from sim.common import formats as model

# Posits beside the table's: very short ones, whose exponents are cut off, and lengths around powers of two.
POSITS = [PositFormat(*sizes) for sizes in ((3, 0), (3, 3), (4, 2), (6, 3), (9, 1), (32, 2))]
FORMATS = {fmt.name: fmt for fmt in [*ELEMENTS.values(), *POSITS]}
DECODED = {**FORMATS, "e8m0": E8M0}
ENCODED = {name: fmt for name, fmt in FORMATS.items() if isinstance(fmt, IntFormat | FloatFormat | PositFormat)}

# Format, bits of the fraction beyond those needed, bits of the exponent.
ENCODERS = {name: (fmt, 0, 10) for name, fmt in ENCODED.items()}
ENCODERS |= {f"{name}_spare": (FORMATS[name], 5, 10) for name in ("int8", "fp4", "e4m3", "p6_3", "p8_0")}
ENCODERS |= {
    f"{name}_e{bits}": (FORMATS[name], 2, bits)
    for name, bits in (("fp4", 1), ("e4m3", 4), ("fp16", 3), ("int8", 3), ("p8_0", 2))
}


@pytest.fixture(scope="module")
def bench(combinational_bench):
    cores = {f"decode_{name}": Decoder(fmt) for name, fmt in DECODED.items()}
    for name, (fmt, spare, exponent_bits) in ENCODERS.items():
        fraction_bits = least_fraction_bits(fmt) + spare
        cores[f"encode_{name}"] = Encoder(fmt, fraction_bits=fraction_bits, exponent_bits=exponent_bits)
    return combinational_bench(cores)


# The definitions: values of codes, as float64, which holds each of them exactly.


def value_of(fmt, code):
    """The number that a code stands for; infinity; or NaN."""
    match fmt:
        case IntFormat(bits=bits, lsb_exponent=lsb_exponent):
            return math.ldexp(code - (code >> (bits - 1) << bits), lsb_exponent)
        case PowerFormat(bits=bits, bias=bias):
            return math.nan if code == (1 << bits) - 1 else math.ldexp(1, code - bias)
        case FloatFormat():
            return float_value(fmt, code)
        case PositFormat():
            return posit_value(fmt, code)
    return 2.0 * code - ((1 << fmt.bits) - 1)


def float_value(fmt, code):
    mantissa = code & ((1 << fmt.mantissa_bits) - 1)
    field = code >> fmt.mantissa_bits & ((1 << fmt.exponent_bits) - 1)
    sign = -1 if code >> (fmt.bits - 1) else 1
    top = field == (1 << fmt.exponent_bits) - 1
    if top and fmt.specials == "ieee":
        return math.nan if mantissa else sign * math.inf
    if top and fmt.specials == "nan" and mantissa == (1 << fmt.mantissa_bits) - 1:
        return math.nan
    hidden = (field > 0) << fmt.mantissa_bits
    return math.ldexp(sign * (hidden + mantissa), max(field, 1) - fmt.bias - fmt.mantissa_bits)


def posit_value(fmt, code):
    """By the bits of the magnitude, as a string; a negative posit is the two's complement of its magnitude."""
    if code in (0, 1 << (fmt.bits - 1)):
        return math.nan if code else 0.0
    if code >> (fmt.bits - 1):
        return -posit_value(fmt, (1 << fmt.bits) - code)
    body = f"{code:0{fmt.bits}b}"[1:]
    run = len(body) - len(body.lstrip(body[0]))
    k = run - 1 if body[0] == "1" else -run
    rest = body[run + 1 :].ljust(fmt.exponent_bits, "0")
    exponent, fraction = rest[: fmt.exponent_bits], rest[fmt.exponent_bits :]
    scale = (k << fmt.exponent_bits) + int(exponent or "0", 2)
    return math.ldexp(int("1" + fraction, 2), scale - len(fraction))


def rounding_table(fmt):
    """Codes and values in the values' order, and where the one rounds to the next.

    Floats and integers have a number more at each end, the next there were: to what rounds there, overflows.
    """
    numbers = {code: value_of(fmt, code) for code in range(1 << fmt.bits)}
    numbers = {code: value for code, value in numbers.items() if math.isfinite(value)}
    if isinstance(fmt, FloatFormat):
        del numbers[1 << (fmt.bits - 1)]  # -0
    if isinstance(fmt, PositFormat):
        del numbers[0]
    codes, values = (np.array(part) for part in zip(*sorted(numbers.items(), key=lambda one: one[1]), strict=True))
    if isinstance(fmt, PositFormat):
        longer = PositFormat(fmt.bits + 1, fmt.exponent_bits)
        limits = np.array([posit_value(longer, 2 * int(code) + 1) for code in codes[:-1]])
        limits[np.searchsorted(values, 0) - 1] = 0  # what is not zero keeps its sign
        return codes, values, limits
    codes = np.concatenate([[codes[0] ^ 1], codes, [codes[-1] ^ 1]])  # only the parity is used
    values = np.concatenate([[2 * values[0] - values[1]], values, [2 * values[-1] - values[-2]]])
    return codes, values, (values[1:] + values[:-1]) / 2


def end_code(fmt, negative):
    """The code of the largest finite number, or of the least."""
    top = 1 << (fmt.bits - 1)
    if isinstance(fmt, FloatFormat):
        return np.where(negative, fmt.max_code | top, fmt.max_code)
    return np.where(negative, top + isinstance(fmt, PositFormat), top - 1)


def rounded(fmt, x):
    """Codes, overflow and underflow of numbers that are not zero, saturating; each number's ties are exact."""
    negative = x < 0
    if fmt.bits == 32:
        return {IntFormat: rounded_int, FloatFormat: rounded_fp32, PositFormat: rounded_posit}[type(fmt)](fmt, x)
    codes, values, limits = rounding_table(fmt)
    lower = np.searchsorted(limits, x)
    at_limit = limits[np.minimum(lower, len(limits) - 1)] == x
    index = lower + (at_limit & (codes[lower] % 2 == 1))
    code = codes[index]
    if isinstance(fmt, PositFormat):
        ends = fmt.max_scale
        return code, np.abs(x) > 2.0**ends, np.abs(x) < 2.0**-ends
    over = (index == 0) | (index == len(codes) - 1)
    under = (values[index] == 0) & isinstance(fmt, FloatFormat)
    code = np.where(under & negative, 1 << (fmt.bits - 1), code)
    return np.where(over, end_code(fmt, negative), code), over, under


def rounded_int(fmt, x):
    nearest = np.rint(np.clip(np.ldexp(x, -fmt.lsb_exponent), -(2.0**40), 2.0**40)).astype(np.int64)
    over = (nearest < -(1 << (fmt.bits - 1))) | (nearest >= 1 << (fmt.bits - 1))
    code = np.where(over, end_code(fmt, x < 0), nearest & ((1 << fmt.bits) - 1))
    return code, over, np.zeros(len(x), bool)


def rounded_fp32(fmt, x):
    with np.errstate(over="ignore", under="ignore"):
        nearest = x.astype(np.float32)
    over = np.isinf(nearest)
    code = np.where(over, end_code(fmt, x < 0), nearest.view(np.uint32))
    return code, over, nearest == 0


def rounded_posit(fmt, x):
    """By the endless string of the magnitude's bits, cut and rounded as an integer is."""
    code = np.empty(len(x), np.int64)
    low, high = 2.0**-fmt.max_scale, 2.0**fmt.max_scale
    for index, number in enumerate(np.clip(np.abs(x), low, high).tolist()):
        mantissa, scale = math.frexp(number)
        k, exponent = divmod(scale - 1, 1 << fmt.exponent_bits)
        string = (((1 << (k + 1)) - 1) << 1, k + 2) if k >= 0 else (1, 1 - k)
        bits, length = string[0] << fmt.exponent_bits | exponent, string[1] + fmt.exponent_bits
        bits, length = bits << 52 | int((2 * mantissa - 1) * 2**52), length + 52
        spare = length - (fmt.bits - 1)
        half, rest = 1 << (spare - 1), bits & ((1 << spare) - 1)
        body = bits >> spare
        code[index] = body + (rest > half or (rest == half and body & 1))
    code = np.clip(code, 1, (1 << (fmt.bits - 1)) - 1)
    return np.where(x < 0, (1 << fmt.bits) - code, code), np.abs(x) > high, np.abs(x) < low


def sample(rng, bits, count):
    """All codes of so many bits, or `count` of them."""
    return np.arange(1 << bits) if bits <= 16 else rng.integers(0, 1 << bits, count)


def test_decoders_give_every_number_exactly(bench):
    rng = np.random.default_rng(1)
    inputs = {}
    for name, fmt in DECODED.items():
        codes = sample(rng, fmt.bits, 100_000)
        inputs[f"decode_{name}"] = bench.blank(f"decode_{name}", len(codes))
        inputs[f"decode_{name}"]["code"] = codes
    for (key, got), fmt in zip(bench.run(inputs).items(), DECODED.values(), strict=True):
        wanted = np.array([value_of(fmt, int(code)) for code in inputs[key]["code"]])
        np.testing.assert_array_equal(model.decode(fmt, inputs[key]["code"]), wanted, key)
        nan, infinite, zero = np.isnan(wanted), np.isinf(wanted), wanted == 0
        np.testing.assert_array_equal(got["nan"], nan, key)
        np.testing.assert_array_equal(got["infinite"], infinite, key)
        np.testing.assert_array_equal(got["zero"], zero, key)
        np.testing.assert_array_equal(got["significand"][nan | zero], 0, key)
        np.testing.assert_array_equal(got["significand"][infinite], np.sign(wanted[infinite]), key)
        finite = ~nan & ~infinite
        exponent, shape = got["exponent"].astype(int), DecodedShape(fmt)
        number = np.ldexp(got["significand"].astype(float), exponent)
        np.testing.assert_array_equal(number[finite], wanted[finite], key)
        np.testing.assert_array_equal(
            got["biased_exponent"].astype(int)[finite] - shape.exponent_bias, exponent[finite], key
        )
        numbers = finite & ~zero
        if isinstance(fmt, PositFormat):  # normalised
            leading = np.where(wanted < 0, ~got["significand"], got["significand"]) >> shape.fraction_bits
            np.testing.assert_array_equal(leading[numbers], 1, key)
        if fmt.bits <= 16:
            assert (exponent[numbers].min(), exponent[numbers].max()) == (shape.exponents[0], shape.exponents[-1]), key


def points(rng, fmt):
    """All numbers of the format and all limits between them, or some; none of them zero."""
    if fmt.bits <= 16:
        _, values, limits = rounding_table(fmt)
        found = np.concatenate([values, limits])
    else:
        codes = rng.integers(1, 1 << fmt.bits, 20_000)
        found = np.array([value_of(fmt, int(code)) for code in codes])
        if isinstance(fmt, PositFormat):
            longer = PositFormat(fmt.bits + 1, fmt.exponent_bits)
            found = np.append(found, [posit_value(longer, 2 * int(code) + 1) for code in codes])
        else:
            above = np.array([value_of(fmt, int(code) + 1 & (1 << fmt.bits) - 1) for code in codes])
            found = np.append(found, (found + above) / 2)
    return found[np.isfinite(found) & (found != 0)]


def numbers_to_round(rng, fmt, fraction_bits, exponent_bits, all_neighbours):
    """Points and their neighbours, random numbers near the format's own, and of all exponents there are."""
    at = points(rng, fmt)
    unit = np.ldexp(1.0, np.frexp(at)[1] - 1 - fraction_bits)
    if all_neighbours or fmt.bits <= 8:
        near = [at + step * unit for step in (-1, -0.25, 0, 0.25, 1)]
    else:
        near = [at + rng.choice([-1, -0.25, 0.25, 1], len(at)) * unit, at]
    count = 4_000 if fmt.bits <= 8 else 50_000
    scale = np.exp2(rng.integers(0, fraction_bits + 4, 2 * count))  # fractions of all lengths
    mantissa = (1 + np.floor(rng.random(2 * count) * scale) / scale) * rng.choice([-1, 1], 2 * count)
    low, high = np.frexp(np.abs(at))[1][[np.abs(at).argmin(), np.abs(at).argmax()]]
    reach = 1 << (exponent_bits - 1)
    exponents = [rng.integers(low - 4, high + 4, count), rng.integers(-reach, reach, count)]
    x = np.concatenate([*near, np.ldexp(mantissa, np.concatenate(exponents))])
    edges = np.ldexp([[1.0], [-1.0], [1.5], [2 - 2.0**-45], [-1 - 2.0**-45], [-1.5]], np.arange(-reach, reach)).ravel()
    x = np.concatenate([x, edges])
    return x[x != 0]


def encoder_inputs(rng, blank, x, fraction_bits, exponent_bits):
    """The numbers as the encoder takes them, truncated, and left out where the exponent does not fit; and flags."""
    mantissa, scale = np.frexp(x)
    least = mantissa == -0.5  # -2 times a power of two, not -1
    scaled = np.ldexp(mantissa, fraction_bits + 1 + least)
    exponent = scale - 1 - least
    fits = (exponent >= -(1 << (exponent_bits - 1))) & (exponent < 1 << (exponent_bits - 1))
    x, scaled, exponent = x[fits], scaled[fits], exponent[fits]
    given = blank(len(x))
    given["significand"] = np.floor(scaled)
    given["sticky"] = np.floor(scaled) != scaled
    given["exponent"] = exponent
    given["sign"] = rng.integers(0, 2, len(x))
    given["overflow_to_infinity"] = rng.integers(0, 2, len(x))
    special = rng.integers(0, len(x), 1000)
    for flag in ("zero", "nan", "infinite"):
        given[flag][special] = rng.integers(0, 2, len(special))
    return given, x


def expected_codes(fmt, given, x):
    code, over, under = rounded(fmt, x)
    is_float = isinstance(fmt, FloatFormat)
    has_infinity = is_float and fmt.specials == "ieee"
    nan, infinite, zero = (given[flag] == 1 for flag in ("nan", "infinite", "zero"))
    if has_infinity:
        to_infinity = (over & (given["overflow_to_infinity"] == 1)) | infinite
        negative = np.where(infinite, given["sign"] == 1, x < 0)
        code = np.where(to_infinity, fmt.infinity_code + (negative << (fmt.bits - 1)), code)
    else:
        code = np.where(infinite, end_code(fmt, given["sign"] == 1), code)
    no_number, zero = nan, zero & ~infinite
    if isinstance(fmt, PositFormat):
        no_number, nan_code = nan | infinite, 1 << (fmt.bits - 1)
        infinite = no_number
    else:
        nan_code = (fmt.nan_code if is_float else None) or 0
    code = np.where(no_number, nan_code, np.where(zero, 0, code))
    finite = ~nan & ~zero & ~infinite
    over_infinite = infinite & ~nan & ~isinstance(fmt, PositFormat) & (not has_infinity)
    return code, (over & finite) | over_infinite, under & finite


def model_codes(fmt, given, x):
    """What the golden model says of the same."""
    nan, infinite, zero = (given[flag] == 1 for flag in ("nan", "infinite", "zero"))
    x = np.where(infinite, np.where(given["sign"] == 1, -np.inf, np.inf), np.where(zero, 0, x))
    x[nan] = np.nan
    either = zip(*(model.encode_flags(fmt, x, overflow) for overflow in ("inf", "saturate")), strict=True)
    return [np.where(given["overflow_to_infinity"] == 1, *both) for both in either]


def check_encoders(bench, names, seed, *, all_neighbours):
    rng = np.random.default_rng(seed)
    inputs, exact = {}, {}
    for name in names:
        fmt, spare, exponent_bits = ENCODERS[name]
        fraction_bits = least_fraction_bits(fmt) + spare
        x = numbers_to_round(rng, fmt, fraction_bits, exponent_bits, all_neighbours)
        inputs[f"encode_{name}"], exact[name] = encoder_inputs(
            rng, partial(bench.blank, f"encode_{name}"), x, fraction_bits, exponent_bits
        )
    outputs = bench.run(inputs)
    for name in names:
        key = f"encode_{name}"
        wanted = [*expected_codes(ENCODERS[name][0], inputs[key], exact[name])]
        wanted += model_codes(ENCODERS[name][0], inputs[key], exact[name])
        for member, values in zip(("code", "overflow", "underflow") * 2, wanted, strict=True):
            wrong = np.flatnonzero(outputs[key][member] != values)
            assert not len(wrong), (
                f"{name}: {member} of {exact[name][wrong[0]].hex()}, given as {inputs[key][wrong[0]]}, "
                f"is {outputs[key][wrong[0]]}, not {int(values[wrong[0]]):#x}; {len(wrong)} of {len(values)} are wrong"
            )


def test_encoders_round_to_nearest_even(bench):
    check_encoders(bench, ENCODERS, 2, all_neighbours=False)


@pytest.mark.deep
@pytest.mark.parametrize("seed", range(4))
def test_encoders_round_every_neighbourhood(bench, seed):
    check_encoders(bench, ENCODERS, [3, seed], all_neighbours=True)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (
            lambda: Encoder(ELEMENTS["e4m3"], fraction_bits=3, exponent_bits=8),
            "fraction_bits must be at least 4 to round to e4m3, not 3",
        ),
        (
            lambda: Encoder(ELEMENTS["p16_1"], fraction_bits=12, exponent_bits=8),
            "fraction_bits must be at least 13 to round to p16_1, not 12",
        ),
        (
            lambda: Encoder(ELEMENTS["int8"], fraction_bits=7, exponent_bits=8),
            "fraction_bits must be at least 8 to round to int8, not 7",
        ),
        (
            lambda: Encoder(ELEMENTS["fp4"], fraction_bits=8, exponent_bits=0),
            "exponent_bits must be at least 1, not 0",
        ),
        (
            lambda: Encoder(E8M0, fraction_bits=8, exponent_bits=8),
            "e8m0 has no encoder in gateware; integers, floats and posits have",
        ),
        (
            lambda: Encoder(ELEMENTS["bipolar4"], fraction_bits=8, exponent_bits=8),
            "bipolar4 has no encoder in gateware; integers, floats and posits have",
        ),
    ],
)
def test_encoder_refuses_impossible_sizes(build, message):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UnusedElaboratable)  # Amaranth says so of the refused object, too
        with pytest.raises(ConfigError, match=f"^{re.escape(message)}$"):
            build()
        gc.collect()
