"""Floats to rows of keys and values: against ml_dtypes, gfloat and exact decoding by the blocks of all families."""

import gfloat
import gfloat.formats
import ml_dtypes
import numpy as np
import pytest

from hdl.attention.formats import FORMATS
from sim.attention.kv_encode import SYMMETRIC, block_format, decode_rows, encode_rows, key_unit, value_unit
from sim.attention.kv_formats import read_rows, row_bytes
from sim.attention.kv_model import aligned_keys, aligned_values
from sim.common.block_formats import dequantise, quantise

BLOCKS = [name for name, fmt in FORMATS.items() if fmt.block]
GFLOATS = {
    "mxint8": gfloat.formats.format_info_mxint8,
    "mxfp6": gfloat.formats.format_info_mxfp6_e2m3,
    "mxfp4": gfloat.formats.format_info_mxfp4_e2m1,
}
WORD = 8


def numbers(seed, rows=30, dim=128):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((rows, dim)) * 2.0 ** rng.integers(-6, 7, (rows, dim // 16)).repeat(16, axis=1)
    x[rng.random((rows, dim // 64)).repeat(64, axis=1) < 0.1] = 0
    return x.astype(np.float32)


@pytest.mark.parametrize("name", BLOCKS)
def test_rows_mean_what_blocks_mean(name):
    fmt, x = FORMATS[name], numbers(1)
    found = encode_rows(fmt, x, WORD)
    assert found.rows.shape == (30, row_bytes(fmt, 128, WORD))
    wanted = dequantise(block_format(fmt), quantise(block_format(fmt), x))
    np.testing.assert_array_equal(decode_rows(fmt, found, 128, WORD), wanted)
    exponents = read_rows(fmt, found.rows, 128, WORD).exponents
    assert found.exponent == exponents.max()


@pytest.mark.parametrize("name", SYMMETRIC)
def test_symmetric_rows_mean_the_nearest_steps(name):
    x = numbers(2).astype(np.float64)
    found = encode_rows(FORMATS[name], x, WORD)
    step = float(np.abs(x).max()) / SYMMETRIC[name]
    np.testing.assert_allclose(decode_rows(FORMATS[name], found, 128, WORD), np.rint(x / step) * step, rtol=1e-12)
    assert found.exponent == 0


@pytest.mark.parametrize(
    ("name", "dtype", "largest"),
    [("mxfp4", ml_dtypes.float4_e2m1fn, 4), ("mxfp6", ml_dtypes.float6_e2m3fn, 4), ("mxint8", None, 1)],
)
def test_mx_rows_are_ocp_s(name, dtype, largest):
    """The scale is the power of two of the largest magnitude over the element's largest power; elements saturate."""
    fmt, x = FORMATS[name], numbers(3)
    blocks = x.reshape(30, 4, 32).astype(np.float64)
    amax = np.abs(blocks).max(axis=2, keepdims=True)
    scale = 2.0 ** (np.floor(np.log2(np.where(amax == 0, 2.0**-127 * largest, amax))) - np.log2(largest))
    if dtype is None:
        wanted = np.clip(np.rint(blocks / scale * 64), -128, 127) / 64 * scale
    else:
        limit = float(ml_dtypes.finfo(dtype).max)
        wanted = np.clip(blocks / scale, -limit, limit).astype(np.float32).astype(dtype).astype(np.float64) * scale
    np.testing.assert_array_equal(decode_rows(fmt, encode_rows(fmt, x, WORD), 128, WORD), wanted.reshape(x.shape))


@pytest.mark.parametrize("name", GFLOATS)
def test_mx_rows_are_gfloat_s(name):
    x = numbers(4)
    found = decode_rows(FORMATS[name], encode_rows(FORMATS[name], x, WORD), 128, WORD)
    for row, got in zip(x.reshape(-1, 32).astype(np.float64), found.reshape(-1, 32), strict=True):
        np.testing.assert_array_equal(got, gfloat.quantize_block(GFLOATS[name], row, gfloat.compute_scale_amax))


def test_nvfp4_rows_are_nvidia_s():
    """tensor scale = amax / (6 * 448) in float32, block scale = amax of the block / 6 / tensor scale in E4M3."""
    x = numbers(5)
    tensor = np.float64(np.float32(np.abs(x).max() / (6.0 * 448)))
    blocks = x.reshape(30, 8, 16).astype(np.float64)
    amax = np.abs(blocks).max(axis=2, keepdims=True)
    scale = (amax / (6 * tensor)).astype(np.float32).astype(ml_dtypes.float8_e4m3fn).astype(np.float64)
    units = np.clip(np.divide(blocks, scale * tensor, where=scale > 0, out=np.zeros_like(blocks)), -6, 6)
    wanted = units.astype(np.float32).astype(ml_dtypes.float4_e2m1fn).astype(np.float64) * scale * tensor
    found = decode_rows(FORMATS["nvfp4"], encode_rows(FORMATS["nvfp4"], x, WORD), 128, WORD)
    np.testing.assert_allclose(found, wanted.reshape(x.shape), rtol=1e-12)


@pytest.mark.parametrize("name", [*BLOCKS, *SYMMETRIC])
def test_units_turn_the_array_s_integers_back(name):
    """Scores are off by half a unit a chunk; values, by half a unit of theirs."""
    fmt, rng = FORMATS[name], np.random.default_rng(6)
    found = encode_rows(fmt, numbers(7), WORD)
    elements, exact = read_rows(fmt, found.rows, 128, WORD), decode_rows(fmt, found, 128, WORD)
    q = rng.integers(-127, 128, (5, 128))
    keys, above = aligned_keys(fmt, elements, found.exponent, 16)
    error = keys.scores(q) * key_unit(fmt, found) - q @ exact.T
    assert np.abs(error).max() <= (128 / 16 / 2 if fmt.block else 1e-6) * key_unit(fmt, found)
    values, above_too = aligned_values(fmt, elements, found.exponent)
    error = values * value_unit(fmt, found) - exact
    assert np.abs(error).max() <= (0.5 if fmt.block else 0) * value_unit(fmt, found)
    assert not above
    assert not above_too


@pytest.mark.parametrize("name", BLOCKS)
def test_nothing_but_zeros(name):
    found = encode_rows(FORMATS[name], np.zeros((3, 64)), WORD)
    assert not decode_rows(FORMATS[name], found, 64, WORD).any()
    assert found.unit == 1


@pytest.mark.parametrize("name", [*BLOCKS, *SYMMETRIC])
def test_what_cannot_be_quantised_is_told(name):
    for bad in (np.nan, np.inf):
        with pytest.raises(ValueError, match="^NaN or infinite numbers cannot be quantised$"):
            encode_rows(FORMATS[name], np.full((2, 64), bad), WORD)
    if FORMATS[name].block:
        with pytest.raises(
            ValueError, match=f"^d must be a multiple of {FORMATS[name].block}, a block of {name}, not 72"
        ):
            encode_rows(FORMATS[name], np.zeros((2, 72)), WORD)
