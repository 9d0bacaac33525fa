import functools
import math
from fractions import Fraction

import gfloat
import gfloat.formats
import numpy as np
import pytest

from hdl.common.format_table import BLOCKS, IntFormat
from sim.common.block_formats import Blocks, bfp_dequantise, bfp_quantise, dequantise, quantise
from sim.common.formats import decode

MX = [name for name in BLOCKS if name != "nvfp4"]
GFLOATS = {
    "mxint8": gfloat.formats.format_info_mxint8,
    "mxfp8_e4m3": gfloat.formats.format_info_mxfp8_e4m3,
    "mxfp8_e5m2": gfloat.formats.format_info_mxfp8_e5m2,
    "mxfp6_e2m3": gfloat.formats.format_info_mxfp6_e2m3,
    "mxfp6_e3m2": gfloat.formats.format_info_mxfp6_e3m2,
    "mxfp4": gfloat.formats.format_info_mxfp4_e2m1,
}
PRECISION = {"mxint8": 7, "mxfp8_e4m3": 4, "mxfp8_e5m2": 3, "mxfp6_e2m3": 4, "mxfp6_e3m2": 3, "mxfp4": 2}
LARGEST = {
    "mxint8": Fraction(127, 64),
    "mxfp8_e4m3": Fraction(448),
    "mxfp8_e5m2": Fraction(57344),
    "mxfp6_e2m3": Fraction(15, 2),
    "mxfp6_e3m2": Fraction(28),
    "mxfp4": Fraction(6),
}


def two_to(exponent):
    return Fraction(2) ** exponent


def floor_log2(x):
    exponent = x.numerator.bit_length() - x.denominator.bit_length()
    return exponent if two_to(exponent) <= x else exponent - 1


@functools.cache
def magnitudes(fmt):
    codes = range(1 << fmt.bits) if isinstance(fmt, IntFormat) else range(fmt.max_code + 1)
    return [(code, Fraction(value)) for code, value in zip(codes, decode(fmt, list(codes)).tolist(), strict=True)]


def closest(fmt, x, negative):
    """The code nearest to a Fraction, the even one of two, by looking at all."""
    if isinstance(fmt, IntFormat):
        return min(magnitudes(fmt), key=lambda one: (abs(one[1] - x), one[0] & 1))[0]
    code = min(magnitudes(fmt), key=lambda one: (abs(one[1] - abs(x)), one[0] & 1))[0]
    return code | negative << fmt.bits - 1


def mx_exponent(name, amax, rounding):
    largest = LARGEST[name]
    if rounding == "ceil":
        exponent = floor_log2(amax / largest)
        return exponent if amax <= largest * two_to(exponent) else exponent + 1
    if rounding == "even":
        last = two_to(floor_log2(amax) - PRECISION[name] + 1)
        amax = round(amax / last) * last
    return floor_log2(amax) - floor_log2(largest)


def mx_block(name, values, rounding):
    """(codes, scale code) of one block of finite numbers."""
    exact = [Fraction(x) for x in values]
    amax = max(abs(x) for x in exact)
    exponent = -127 if amax == 0 else min(max(mx_exponent(name, amax, rounding), -127), 127)
    negative = [math.copysign(1, x) < 0 for x in values]
    element = BLOCKS[name].element
    codes = [closest(element, x / two_to(exponent), sign) for x, sign in zip(exact, negative, strict=True)]
    return codes, exponent + 127


def samples(rng, rows, length, spread=130):
    """Rows of numbers whose blocks differ in magnitude, some of few bits so that there are ties and powers of two."""
    x = rng.standard_normal((rows, length)) * np.exp2(rng.integers(-12, 3, (rows, length)))
    x[::3] = rng.integers(-64, 64, x[::3].shape) / 16.0
    return x * np.exp2(np.repeat(rng.integers(-spread, spread, (rows, -(-length // 16))), 16, axis=1)[:, :length])


@pytest.mark.parametrize("rounding", ["floor", "ceil", "even"])
@pytest.mark.parametrize("name", MX)
def test_mx_scales_and_elements_are_right(name, rounding):
    x = samples(np.random.default_rng(1), 24, 45)
    x[:, 32] = 0.0
    x[3, :32] = -0.0
    # The largest number's own magnitude, where each rounding of scales turns over, and both ends of e8m0.
    largest = float(LARGEST[name])
    carry = 2 - 2.0 ** -PRECISION[name]
    turns = [
        largest,
        np.nextafter(largest, np.inf),
        2 * largest,
        carry,
        np.nextafter(carry, 0),
        1.0,
        np.nextafter(1, 0),
    ]
    x[12:19, :32] /= np.abs(x[12:19, :32]).max(axis=1, keepdims=True) + 1e-30
    x[12:19, 5] = turns
    x[12:19, :32] = np.clip(x[12:19, :32], -x[12:19, 5:6], x[12:19, 5:6])
    x[19, :32] *= 2.0**300
    x[20, :32] *= 2.0**-300
    blocks = quantise(name, x, scale_rounding=rounding)
    assert (blocks.codes.dtype, blocks.scales.dtype, blocks.tensor_scale) == (np.uint8, np.uint8, 1.0)
    assert (blocks.codes.shape, blocks.scales.shape) == ((24, 45), (24, 2))
    for row in range(24):
        for block, part in enumerate((slice(0, 32), slice(32, 45))):
            codes, scale = mx_block(name, x[row, part].tolist(), rounding)
            assert blocks.scales[row, block] == scale, (row, block)
            assert blocks.codes[row, part].tolist() == codes, (row, block)


@pytest.mark.parametrize("name", MX)
def test_mx_agrees_with_gfloat(name):
    x = samples(np.random.default_rng(2), 40, 32, spread=100).astype(np.float32).astype(np.float64)
    x[7] = 0.0
    got = dequantise(name, quantise(name, x))
    for row in range(40):
        want = gfloat.quantize_block(GFLOATS[name], x[row], gfloat.compute_scale_amax)
        np.testing.assert_array_equal(got[row], want)


@pytest.mark.parametrize("name", MX)
def test_mx_scales_of_ceil_let_nothing_saturate(name):
    x = samples(np.random.default_rng(3), 50, 32, spread=60)
    blocks = quantise(name, x, scale_rounding="ceil")
    scales = decode(BLOCKS[name].scale, blocks.scales)[:, 0]
    amax = np.abs(x).max(axis=1)
    assert (amax <= float(LARGEST[name]) * scales).all()
    assert (amax > float(LARGEST[name]) * scales / 2)[amax > 0].all()


def nvfp4(x):
    """(codes, scales, tensor scale) of float32 numbers (n,), from exact quotients."""
    fp4, e4m3 = BLOCKS["nvfp4"].element, BLOCKS["nvfp4"].scale
    exact = [Fraction(one) for one in x.tolist()]
    amax = max(abs(one) for one in exact)
    tensor_scale = np.float32(amax.numerator / amax.denominator / 2688) if amax else np.float32(1)
    codes, scales = [], []
    for start in range(0, len(exact), 16):
        block = exact[start : start + 16]
        scales.append(closest(e4m3, max(abs(one) for one in block) / 6 / Fraction(float(tensor_scale)), False))
        factor = magnitudes(e4m3)[scales[-1]][1] * Fraction(float(tensor_scale))
        for one, given in zip(block, x[start : start + 16].tolist(), strict=True):
            codes.append(closest(fp4, one / factor if factor else Fraction(0), math.copysign(1, given) < 0))
    return codes, scales, tensor_scale


@pytest.mark.parametrize("seed", range(8))
def test_nvfp4_scales_and_elements_are_right(seed):
    rng = np.random.default_rng([4, seed])
    x = samples(rng, 1, 200, spread=9)[0].astype(np.float32) * np.float32(2.0 ** rng.integers(-80, 80))
    x[16:32] = 0.0
    x[33] = -0.0
    blocks = quantise("nvfp4", x)
    codes, scales, tensor_scale = nvfp4(x)
    assert (blocks.scales.shape, blocks.tensor_scale.dtype) == ((13,), np.float32)
    assert blocks.tensor_scale == tensor_scale
    assert blocks.scales.tolist() == scales
    assert blocks.codes.tolist() == codes


def test_nvfp4_has_one_tensor_scale_for_all_rows():
    x = samples(np.random.default_rng(5), 3, 32, spread=3).astype(np.float32)
    rows, flat = quantise("nvfp4", x), quantise("nvfp4", x.reshape(-1))
    assert rows.tensor_scale == flat.tensor_scale == np.float32(np.abs(x).max() / 2688.0)
    np.testing.assert_array_equal(rows.codes.reshape(-1), flat.codes)
    np.testing.assert_array_equal(rows.scales.reshape(-1), flat.scales)


def test_nvfp4_of_blocks_far_below_the_tensor_is_zero_with_signs():
    x = np.array([1.0] * 16 + [1e-9, -1e-9] * 8)
    blocks = quantise("nvfp4", x)
    assert blocks.scales.tolist() == [0x7E, 0]
    assert blocks.codes.tolist() == [7] * 16 + [0, 8] * 8


def test_nvfp4_of_extreme_tensors():
    zero, tiny, huge = (quantise("nvfp4", np.full(16, x)) for x in (0.0, 1e-300, 1e300))
    assert (zero.tensor_scale, tiny.tensor_scale, huge.tensor_scale) == (1.0, 2.0**-126, np.finfo(np.float32).max)
    assert (zero.scales[0], tiny.scales[0], huge.scales[0]) == (0, 0, 0x7E)
    assert (zero.codes[0], tiny.codes[0], huge.codes[0]) == (0, 0, 7)


@pytest.mark.parametrize("name", BLOCKS)
def test_nan_makes_its_block_nan_and_no_other(name):
    x = np.ones((2, 80))
    x[1, 40] = np.nan
    length = BLOCKS[name].block_length
    clean, blocks = quantise(name, np.ones((2, 80))), quantise(name, x)
    hit = 40 // length
    assert blocks.scales[1, hit] == (0x7F if name == "nvfp4" else 0xFF)
    inside = np.zeros((2, 80), dtype=bool)
    inside[1, hit * length : (hit + 1) * length] = True
    np.testing.assert_array_equal(np.isnan(dequantise(name, blocks)), inside)
    assert not blocks.codes[inside].any()
    np.testing.assert_array_equal(blocks.codes[~inside], clean.codes[~inside])
    np.testing.assert_array_equal(np.delete(blocks.scales.ravel(), clean.scales.shape[1] + hit), clean.scales[0, 0])
    assert np.isnan(dequantise(name, quantise(name, [np.nan]))).all()


@pytest.mark.parametrize(
    ("name", "codes", "scale"),
    [
        ("mxint8", [0x7F, 0x80, 0], 254),
        ("mxfp8_e4m3", [0x7E, 0xFE, 0], 254),
        ("mxfp8_e5m2", [0x7C, 0xFC, 0], 254),
        ("mxfp4", [7, 15, 0], 254),
        ("nvfp4", [7, 15, 7], 0x7E),  # the largest finite value has the largest scale
    ],
)
def test_infinities_take_the_largest_scale(name, codes, scale):
    blocks = quantise(name, [np.inf, -np.inf, 2.0**-80])
    assert blocks.codes.tolist() == codes
    assert blocks.scales.tolist() == [scale]


def test_elements_overflow_to_infinity_where_asked():
    x = [2.0**16 * 0.99, -(2.0**16) * 0.99, 1.0]
    assert quantise("mxfp8_e5m2", x).codes.tolist() == [0x7B, 0xFB, 0x3C]
    assert quantise("mxfp8_e5m2", x, overflow="inf").codes.tolist() == [0x7C, 0xFC, 0x3C]
    assert quantise("mxfp8_e4m3", [511.0], overflow="inf").codes.tolist() == [0x7E]


@pytest.mark.parametrize("name", BLOCKS)
def test_dequantise_multiplies_exactly(name):
    fmt = BLOCKS[name]
    rng = np.random.default_rng(6)
    codes = rng.integers(0, 1 << fmt.element.bits, (40, 70))
    scales = rng.integers(0, 256, (40, -(-70 // fmt.block_length)))
    tensor_scale = np.float32(rng.standard_normal())
    got = dequantise(name, Blocks(codes, scales, tensor_scale))
    for row in range(40):
        for column in range(70):
            element = decode(fmt.element, codes[row, column])
            scale = decode(fmt.scale, scales[row, column // fmt.block_length])
            if np.isfinite(element) and np.isfinite(scale):
                factor = Fraction(float(tensor_scale)) if name == "nvfp4" else 1
                assert Fraction(got[row, column]) == Fraction(float(element)) * Fraction(float(scale)) * factor
            else:
                assert np.isnan(got[row, column]) == (np.isnan(scale) or np.isnan(element))


@pytest.mark.parametrize("name", BLOCKS)
@pytest.mark.parametrize("shape", [(0,), (1,), (2, 0), (0, 5), (2, 1, 33)])
def test_shapes(name, shape):
    x = np.full(shape, 2688.0 if name == "nvfp4" else 1.0)  # 2688: a tensor scale of 1
    blocks = quantise(name, x)
    assert blocks.codes.shape == shape
    assert blocks.scales.shape == (*shape[:-1], -(-shape[-1] // BLOCKS[name].block_length))
    np.testing.assert_array_equal(dequantise(BLOCKS[name], blocks), x)


@pytest.mark.parametrize(
    ("bits", "length", "exponent_bits"), [(8, 16, 8), (4, 5, 8), (2, 3, 4), (12, 32, 3), (24, 8, 10)]
)
def test_bfp_exponents_and_mantissas_are_right(bits, length, exponent_bits):
    x = samples(np.random.default_rng(7), 20, 37, spread=2 if exponent_bits < 8 else 150)
    x[2, :length] = 0.0
    x[4:6, 0] = [1.9999999, -1.9999999]
    x[4:6, 1:length] = 0.5
    blocks = bfp_quantise(x, bits, length, exponent_bits)
    half = 1 << bits - 1
    assert blocks.mantissas.dtype == (np.int8 if bits <= 8 else np.int16 if bits <= 16 else np.int32)
    assert blocks.exponents.shape == (20, -(-37 // length))
    low = -(1 << exponent_bits - 1)
    for row in range(20):
        for block in range(-(-37 // length)):
            part = slice(block * length, (block + 1) * length)
            exact = [Fraction(one) for one in x[row, part].tolist()]
            amax = max(abs(one) for one in exact)
            exponent = low if amax == 0 else min(max(floor_log2(amax) - (bits - 2), low), -low - 1)
            assert blocks.exponents[row, block] == exponent
            want = [min(max(round(one / two_to(exponent)), -half), half - 1) for one in exact]
            assert blocks.mantissas[row, part].tolist() == want
            assert bfp_dequantise(blocks)[row, part].tolist() == [float(one * two_to(exponent)) for one in want]


def test_bfp_rounding_up_saturates_to_the_ends_of_twos_complement():
    assert bfp_quantise([1.999, 1.0], 8, 2).mantissas.tolist() == [127, 64]
    assert bfp_quantise([-1.999, 1.0], 8, 2).mantissas.tolist() == [-128, 64]


def test_bfp_of_nan_and_infinities():
    blocks = bfp_quantise([np.nan, 3.0, np.inf, -np.inf], 8, 2)
    assert blocks.mantissas.tolist() == [0, 96, 127, -128]
    assert blocks.exponents.tolist() == [-5, 127]


SHORT = Blocks(np.zeros((2, 33), np.uint8), np.zeros((2, 1), np.uint8))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: quantise("mxfp5", [1.0]), "no block format 'mxfp5'; there are " + ", ".join(BLOCKS)),
        (
            lambda: quantise("mxfp4", [1.0], scale_rounding="up"),
            'scale_rounding must be "floor", "ceil" or "even", not \'up\'',
        ),
        (lambda: quantise("mxfp4", [1.0], overflow="wrap"), 'overflow must be "saturate" or "inf", not \'wrap\''),
        (lambda: quantise("mxfp4", 1.0), r"values must be real numbers \(\.\.\., n\), not float64 \(\)"),
        (lambda: quantise("mxfp4", [1j]), r"values must be real numbers \(\.\.\., n\), not complex128 \(1,\)"),
        (lambda: dequantise("mxfp4", SHORT), r"scales must have shape \(2, 2\) for elements \(2, 33\), not \(2, 1\)"),
        (lambda: dequantise("mxfp4", Blocks([16], [0])), r"codes\[0\] must be in 0\.\.15 for fp4, not 16"),
        (lambda: bfp_quantise([1.0], 1, 4), r"mantissa_bits must be in 2\.\.32, not 1"),
        (lambda: bfp_quantise([1.0], 8, 4, 11), r"exponent_bits must be in 2\.\.10, not 11"),
        (lambda: bfp_quantise([1.0], 8, 0), "block_length must be at least 1, not 0"),
    ],
)
def test_errors_say_what_must_be_and_what_came(call, message):
    with pytest.raises(ValueError, match=f"^{message}$"):
        call()
