"""Formats against other people's libraries, and what needs no arithmetic: special values, shapes, errors."""

import gfloat
import gfloat.formats
import ml_dtypes
import numpy as np
import pytest

from hdl.common.format_table import E8M0, ELEMENTS, element_format
from sim.common.formats import decode, encode, encode_flags, max_value, to_odd

NAMES = [*ELEMENTS, "e8m0"]
ML_DTYPES = {
    "fp4": ml_dtypes.float4_e2m1fn,
    "e2m3": ml_dtypes.float6_e2m3fn,
    "e3m2": ml_dtypes.float6_e3m2fn,
    "e4m3": ml_dtypes.float8_e4m3fn,
    "e5m2": ml_dtypes.float8_e5m2,
    "bf16": ml_dtypes.bfloat16,
    "fp16": np.float16,
    "fp32": np.float32,
    "e8m0": ml_dtypes.float8_e8m0fnu,
}
GFLOATS = {
    "fp4": gfloat.formats.format_info_ocp_e2m1,
    "e2m3": gfloat.formats.format_info_ocp_e2m3,
    "e3m2": gfloat.formats.format_info_ocp_e3m2,
    "e4m3": gfloat.formats.format_info_ocp_e4m3,
    "e5m2": gfloat.formats.format_info_ocp_e5m2,
    "fp16": gfloat.formats.format_info_binary16,
    "bf16": gfloat.formats.format_info_bfloat16,
}


def format_of(name):
    return E8M0 if name == "e8m0" else element_format(name)


def log_uniform(rng, name, size):
    """Numbers of all magnitudes of a format, and some beyond both ends."""
    top = np.frexp(max_value(format_of(name)))[1]
    return np.ldexp(rng.uniform(1, 2, size) * rng.choice([-1, 1], size), rng.integers(-top - 14, top + 2, size))


@pytest.mark.parametrize("name", ML_DTYPES)
def test_decode_agrees_with_ml_dtypes(name):
    bits = format_of(name).bits
    codes = np.arange(1 << bits) if bits <= 16 else np.random.default_rng(2).integers(0, 1 << bits, 100_000)
    codes = codes.astype({8: np.uint8, 16: np.uint16, 32: np.uint32}[max(bits, 8)])
    got = decode(format_of(name), codes)
    with np.errstate(invalid="ignore"):
        want = codes.view(ML_DTYPES[name]).astype(np.float64)
    np.testing.assert_array_equal(got, want)
    numbers = ~np.isnan(want)
    np.testing.assert_array_equal(np.signbit(got)[numbers], np.signbit(want)[numbers])


@pytest.mark.parametrize("name", GFLOATS)
def test_decode_agrees_with_gfloat(name):
    codes = np.arange(1 << element_format(name).bits)
    np.testing.assert_array_equal(decode(name, codes), gfloat.decode_ndarray(GFLOATS[name], codes))


@pytest.mark.parametrize("name", [name for name in ML_DTYPES if name != "e8m0"])
def test_encode_agrees_with_clamped_casts_of_ml_dtypes(name):
    limit = max_value(element_format(name))
    # Through float32, as ml_dtypes itself takes some of its casts: from float64 it would round twice.
    xs = np.clip(log_uniform(np.random.default_rng(8), name, 50_000), -limit, limit).astype(np.float32)
    want = xs.astype(ML_DTYPES[name])
    np.testing.assert_array_equal(encode(name, xs), want.view(f"u{want.itemsize}"))


def test_encode_agrees_with_ml_dtypes_on_scales():
    # From 2**-126 on: all between 2**-127 and 2**-126 it rounds up.
    xs = np.clip(np.abs(log_uniform(np.random.default_rng(9), "e8m0", 50_000)), 2.0**-126, 2.0**127).astype(np.float32)
    np.testing.assert_array_equal(encode(E8M0, xs), xs.astype(ml_dtypes.float8_e8m0fnu).view(np.uint8))


@pytest.mark.parametrize("name", GFLOATS)
def test_encode_agrees_with_gfloat(name):
    xs = log_uniform(np.random.default_rng(10), name, 30_000)
    rounded = gfloat.round_ndarray(GFLOATS[name], xs, gfloat.RoundMode.TiesToEven, True)
    np.testing.assert_array_equal(encode(name, xs), gfloat.encode_ndarray(GFLOATS[name], rounded))


@pytest.mark.parametrize("overflow", ["saturate", "inf"])
@pytest.mark.parametrize(
    ("name", "nan", "infinity", "minus_infinity", "flagged"),
    [
        ("fp4", 0, 0x7, 0xF, True),
        ("e2m3", 0, 0x1F, 0x3F, True),
        ("e3m2", 0, 0x1F, 0x3F, True),
        ("e4m3", 0x7F, 0x7E, 0xFE, True),
        ("e5m2", 0x7E, 0x7C, 0xFC, False),
        ("fp16", 0x7E00, 0x7C00, 0xFC00, False),
        ("bf16", 0x7FC0, 0x7F80, 0xFF80, False),
        ("fp32", 0x7FC00000, 0x7F800000, 0xFF800000, False),
        ("int4", 0, 7, 8, True),
        ("int8_q6", 0, 0x7F, 0x80, True),
        ("int32", 0, 0x7FFFFFFF, 0x80000000, True),
        ("bipolar2", 0, 3, 0, True),
        ("p8_0", 0x80, 0x80, 0x80, False),
        ("p32_2", 0x80000000, 0x80000000, 0x80000000, False),
    ],
)
def test_encode_of_nan_and_infinities(name, nan, infinity, minus_infinity, flagged, overflow):
    signalling = np.array([0x7FF0000000000001, 0xFFF0000000000001], dtype=np.uint64).view(np.float64)
    codes, over, under = encode_flags(name, [np.nan, -np.nan, *signalling, np.inf, -np.inf], overflow)
    assert codes.tolist() == [nan] * 4 + [infinity, minus_infinity]
    assert over.tolist() == [False] * 4 + [flagged] * 2
    assert not under.any()


def test_encode_of_scales_that_are_none():
    codes, over, under = encode_flags(E8M0, [np.nan, np.inf, -np.inf, 0.0, -1.0, 2.0**-127, 2.0**-129, 1e300])
    assert codes.tolist() == [255, 254, 0, 0, 0, 0, 0, 254]
    assert over.tolist() == [False, True, False, False, False, False, False, True]
    assert under.tolist() == [False, False, True, True, True, False, True, False]


MAXIMA = {
    "fp4": 6,
    "e4m3": 448,
    "e5m2": 57344,
    "fp16": 65504,
    "bf16": 2.0**128 - 2.0**120,
    "fp32": 2.0**128 - 2.0**104,
    "int8_q6": 127 / 64,
    "int32": 2.0**31 - 1,
    "bipolar4": 15,
    "p4_1": 16,
    "p16_1": 2.0**28,
    "p32_2": 2.0**120,
    "e8m0": 2.0**127,
}


@pytest.mark.parametrize("name", MAXIMA)
def test_max_value_is_the_largest_finite_number(name):
    assert max_value(format_of(name)) == MAXIMA[name]


@pytest.mark.parametrize("name", [*NAMES, "p32_2"])
@pytest.mark.parametrize("shape", [(), (0,), (3, 0), (7,), (2, 3, 5)])
def test_shapes_and_dtypes(name, shape):
    fmt = format_of(name)
    values = np.ones(shape) if fmt.bits > 1 else np.zeros(shape)
    codes, over, under = encode_flags(fmt, values)
    assert codes.dtype == {1: np.uint8, 2: np.uint16, 4: np.uint32}[-(-fmt.bits // 8)]
    assert over.dtype == under.dtype == np.bool_
    assert codes.shape == over.shape == under.shape == shape
    back = decode(fmt, codes)
    assert isinstance(back, np.ndarray) and back.dtype == np.float64
    np.testing.assert_array_equal(back, values)


def test_strided_and_narrow_inputs_and_more_than_one_chunk():
    values = np.random.default_rng(12).standard_normal((300, 401)) * 8
    codes = encode("e4m3", values)
    np.testing.assert_array_equal(encode("e4m3", values[::-2, ::3]), codes[::-2, ::3])
    np.testing.assert_array_equal(encode("e4m3", values.T), codes.T)
    np.testing.assert_array_equal(encode("e4m3", values[5, 7]), codes[5, 7])
    np.testing.assert_array_equal(decode("e4m3", codes[::2].astype(np.int64)), decode("e4m3", codes)[::2])
    half = values.astype(np.float16)
    np.testing.assert_array_equal(encode("e4m3", half), encode("e4m3", half.astype(np.float64)))


def test_integers_are_encoded_from_their_exact_values():
    midpoint = 3 << 70  # of two powers, and even is below; float64 does not tell it from the next integer
    assert encode(E8M0, [midpoint, midpoint + 1]).tolist() == [71 + 127, 72 + 127]
    assert encode("p8_0", [1, -3, 0, 64]).tolist() == encode("p8_0", [1.0, -3.0, 0.0, 64.0]).tolist()
    assert encode("fp32", np.array([2**63 - 1, 2**54 + 2**30 + 1])).tolist() == [0x5F000000, 0x5A800001]
    assert encode("fp16", [2**63, -1]).tolist() == [0x7BFF, 0xBC00]


RANGE = r"numerators \* 2\*\*exponent must be 0 or in 2\*\*-1022 \.\. 2\*\*1024, not of magnitude "


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: decode("fp4", [3, 15, 16, 99]), r"codes\[2\] must be in 0\.\.15 for fp4, not 16"),
        (lambda: decode("p8_0", [[1, 2], [3, -1]]), r"codes\[1, 1\] must be in 0\.\.255 for p8_0, not -1"),
        (lambda: decode("p8_0", 256), r"codes must be in 0\.\.255 for p8_0, not 256"),
        (
            lambda: decode("fp32", [0, 2**80]),
            r"codes\[1\] must be in 0\.\.4294967295 for fp32, not 1208925819614629174706176",
        ),
        (
            lambda: decode("fp32", [0, 2**63]),
            r"codes\[1\] must be in 0\.\.4294967295 for fp32, not 9223372036854775808",
        ),
        (lambda: decode("fp4", [0.5]), "codes must be integers, not float64"),
        (lambda: decode("fp4", np.array([0.0])), "codes must be integers, not float64"),
        (lambda: decode("fp4", [True]), "codes must be integers, not bool"),
        (lambda: decode("p2_0", [0]), r"posit p2_0 must have 3\.\.32 bits and 0\.\.3 exponent bits"),
        (lambda: encode("fp4", ["1"]), "values must be floats of at most 64 bits, or integers, not <U1"),
        (lambda: encode("fp4", [1j]), "values must be floats of at most 64 bits, or integers, not complex128"),
        (lambda: encode("fp4", [1.0], "wrap"), 'overflow must be "saturate" or "inf", not \'wrap\''),
        (lambda: to_odd([1.5], 0), "numerators must be integers, not float64"),
        (lambda: to_odd([0, 1], -1023), RANGE + r"2\*\*-1023"),
        (lambda: to_odd([1 << 1024], 0), RANGE + r"2\*\*1024"),
    ],
)
def test_errors_say_what_must_be_and_what_came(call, message):
    with pytest.raises(ValueError, match=f"^{message}$"):
        call()
