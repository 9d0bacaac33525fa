"""The golden model of simd.mac against exact fractions."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest

from sim.simd import exact, mac_model
from sim.simd.mac_model import apply_tensor_scales, dot
from tests.simd import exact_oracle
from tests.simd.exact_oracle import (
    INF_BIT,
    NAN,
    NAN_BIT,
    OUTPUTS,
    OVER,
    SINGLES,
    UNDER,
    bits_of,
    draw,
    is_nan,
    negated,
    number,
    rounded,
    single_result,
    single_sum,
    total,
)

BLOCKS = {  # element, elements of a block, scale
    "mxint8": ("mxint8 element", 32, "e8m0"),
    "mxfp8_e4m3": ("e4m3", 32, "e8m0"),
    "mxfp8_e5m2": ("e5m2", 32, "e8m0"),
    "mxfp6_e2m3": ("e2m3", 32, "e8m0"),
    "mxfp6_e3m2": ("e3m2", 32, "e8m0"),
    "mxfp4": ("fp4", 32, "e8m0"),
    "nvfp4": ("fp4", 16, "e4m3"),
}
DEFAULTS = exact_oracle.DEFAULTS | dict.fromkeys(BLOCKS, "fp32")
SEEDS = [1, *(pytest.param(seed, marks=pytest.mark.deep) for seed in range(2, 8))]


def accumulator(
    mode: str, a: list[int], b: list[int], scale_a: list[int], scale_b: list[int], infinite: bool
) -> tuple[int, int]:
    """Code and status of the fp32 accumulator after the last block."""
    element, length, scale = BLOCKS[mode]
    code, status = 0, 0
    for index, scales in enumerate(zip(scale_a, scale_b, strict=True)):
        place = slice(index * length, (index + 1) * length)
        products = [(number(element, i), number(element, j)) for i, j in zip(a[place], b[place], strict=True)]
        factor = number(scale, scales[0]) * number(scale, scales[1])
        term = total(products) * factor if isinstance(factor, Fraction) else NAN
        acc = number("fp32", code)
        finite = isinstance(acc, Fraction) and isinstance(term, Fraction)
        code, flags = rounded("fp32", acc + term if finite else float(acc) + float(term), infinite)
        status |= flags & (OVER | UNDER)
    return code, status


def block_result(acc_code: int, acc_status: int, out: str, infinite: bool) -> tuple[int, int]:
    acc = number("fp32", acc_code)
    if acc_code == 1 << 31:  # the fractions have no -0
        return 0 if out.startswith(("int", "p")) else 1 << (bits_of(out) - 1), acc_status
    code, status = rounded(out, acc, infinite)
    return code, acc_status | status | NAN_BIT * is_nan(acc)


def assert_equal(result: mac_model.MacResult, expected: list[tuple[int, int]]) -> None:
    assert (result.codes.dtype, result.status.dtype) == (np.uint32, np.uint8)
    assert list(zip(result.codes.tolist(), result.status.tolist(), strict=True)) == expected


@pytest.mark.parametrize("mode", [mode for mode in SINGLES if mode != "p16_1"])
def test_mac_product_of_every_pair_of_codes(mode: str) -> None:
    codes = np.arange(1 << bits_of(mode), dtype=np.uint8)
    a, b = (axis.reshape(-1, 1) for axis in np.meshgrid(codes, codes))
    products = [single_sum(mode, *rows) for rows in zip(a.tolist(), b.tolist(), strict=True)]
    assert_equal(dot(mode, a, b), [single_result(mode, x, DEFAULTS[mode], False) for x in products])


@pytest.mark.parametrize("mode", SINGLES)
@pytest.mark.parametrize("seed", SEEDS)
def test_mac_single_formats_in_every_output_format(mode: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    for length in [1, 2, 3, 8, 31, 100]:
        a, b = draw(rng, mode, (48, length)), draw(rng, mode, (48, length))
        a[2, :], b[2, :] = a[2, 0], b[2, 0]  # the same product again and again
        if length == 100:  # all but the last few products cancel, in another order
            order = rng.permutation(48)
            a[6::4, 48:96], b[6::4, 48:96] = negated(mode, a[6::4, :48][:, order]), b[6::4, :48][:, order]
        sums = [single_sum(mode, *rows) for rows in zip(a.tolist(), b.tolist(), strict=True)]
        for out in OUTPUTS:
            for overflow in ("saturate", "inf"):
                expected = [single_result(mode, x, out, overflow == "inf") for x in sums]
                assert_equal(dot(mode, a, b, out_format=out, overflow=overflow), expected)


@pytest.mark.parametrize("mode", BLOCKS)
@pytest.mark.parametrize("span", ["middling", "wide", "tiny", "huge"])
@pytest.mark.parametrize("seed", SEEDS)
def test_mac_block_formats_with_short_last_blocks(mode: str, span: str, seed: int) -> None:
    element, block_length, scale = BLOCKS[mode]
    rng = np.random.default_rng(seed)
    low, high = {"middling": (122, 133), "wide": (0, 256), "tiny": (0, 70), "huge": (180, 256)}[span]
    if scale == "e4m3":
        low, high = {"middling": (0x30, 0x40), "wide": (0, 256), "tiny": (0, 9), "huge": (0x70, 0x80)}[span]
    for length in [1, block_length - 1, block_length, block_length + 1, 100, 4 * block_length]:
        rows = 16
        a, b = draw(rng, element, (rows, length)), draw(rng, element, (rows, length))
        shape = (rows, -(-length // block_length))
        scales = {name: rng.integers(low, high, shape, np.uint8) for name in ("scale_a", "scale_b")}
        operands = list(zip(*(rows.tolist() for rows in (a, b, *scales.values())), strict=True))
        for overflow in ("saturate", "inf"):
            accumulators = [accumulator(mode, *rows, overflow == "inf") for rows in operands]
            for out in OUTPUTS if length == 100 else ["fp32"]:
                expected = [block_result(*acc, out, overflow == "inf") for acc in accumulators]
                assert_equal(dot(mode, a, b, **scales, out_format=out, overflow=overflow), expected)


@pytest.mark.parametrize("mode", SINGLES)
def test_mac_is_exact_at_the_greatest_length(mode: str) -> None:
    """Half a row of the largest products, minus the other half, plus the smallest: nothing gets lost on the way."""
    finite = [code for code in range(1 << bits_of(mode)) if isinstance(number(mode, code), Fraction)]
    large = max(finite, key=lambda code: number(mode, code))
    small = min((code for code in finite if number(mode, code) > 0), key=lambda code: number(mode, code))
    a = np.full((1, exact.MOST_LENGTH), large, np.uint16)
    b = a.copy()
    whole = dot(mode, a, b, out_format="fp32")
    assert float(number("fp32", int(whole.codes[0]))) == float(np.float32(float(number(mode, large) ** 2 * 2**20)))
    b[0, 1::2] = negated(mode, b[0, 1::2])
    a[0, -2:], b[0, -2:] = small, [small, 0]
    left = dot(mode, a, b, out_format="fp32")
    assert number("fp32", int(left.codes[0])) == number(mode, small) ** 2
    with pytest.raises(ValueError, match=r"^length must be at most 1048576, not 1048577$"):
        dot(mode, *np.zeros((2, 1, exact.MOST_LENGTH + 1), np.uint8))


@pytest.mark.parametrize("code", range(0x0FFF, 0x8000, 0x1000))
def test_mac_long_sums_of_full_significands_are_exact(code: int) -> None:
    rows = np.full((1, exact.MOST_LENGTH), code, np.uint16)
    y = dot("p16_1", rows, rows, out_format="fp32")
    assert float(number("fp32", int(y.codes[0]))) == float(np.float32(float(number("p16_1", code)) ** 2 * 2**20))


@pytest.mark.parametrize("mode", ["e5m2", "p16_1", "mxfp8_e5m2"])
def test_mac_does_not_depend_on_chunks_or_memory_layout(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(3)
    a, b = (draw(rng, BLOCKS.get(mode, (mode,))[0], (60, 70)) for _ in "ab")
    scales = rng.integers(120, 135, (2, 60, 3), np.uint8)
    named = dict(zip(("scale_a", "scale_b"), scales, strict=True)) if mode in BLOCKS else {}
    whole = dot(mode, a, b, **named)
    monkeypatch.setattr(exact, "_CHUNK", 7 * 96)
    again = dot(mode, np.asfortranarray(a), np.repeat(b, 2, axis=1)[:, ::2], **named)
    assert (again.codes.tolist(), again.status.tolist()) == (whole.codes.tolist(), whole.status.tolist())


def test_mac_tensor_scales_are_rounded_once() -> None:
    rng = np.random.default_rng(5)
    acc, scale_a, scale_b = rng.integers(0, 1 << 32, (3, 400), np.uint32)
    acc[::2] = acc[::2] & 0x807FFFFF | rng.integers(90, 160, 200, np.uint32) << 23
    for scale in (scale_a, scale_b):
        scale[::2] = scale[::2] & 0x807FFFFF | rng.integers(120, 134, 200, np.uint32) << 23
        scale[::16] = 0x7F800000
        scale[1::16] = 0
    status = rng.choice(np.array([0, OVER, UNDER, INF_BIT | OVER], np.uint8), 400)
    for out in OUTPUTS:
        for overflow in ("saturate", "inf"):
            expected = []
            for codes, before in zip(np.stack([acc, scale_a, scale_b], 1).tolist(), status.tolist(), strict=True):
                factors = [number("fp32", code) for code in codes]
                finite = all(isinstance(factor, Fraction) for factor in factors)
                y = math.prod(factors if finite else map(float, factors))
                code, flags = rounded(out, y, overflow == "inf")
                expected.append((code, flags | before & (OVER | UNDER) | NAN_BIT * is_nan(y)))
            assert_equal(apply_tensor_scales(acc, status, scale_a, scale_b, out, overflow), expected)


def test_mac_tensor_scales_of_one_change_nothing() -> None:
    rng = np.random.default_rng(6)
    a, b = (draw(rng, "fp4", (200, 40)) for _ in "ab")
    scales = dict(zip(("scale_a", "scale_b"), rng.integers(0, 256, (2, 200, 3), np.uint8), strict=True))
    ones = np.full(200, 0x3F800000, np.uint32)
    acc = dot("nvfp4", a, b, **scales)
    assert acc.status.any()
    for out in OUTPUTS:
        plain = dot("nvfp4", a, b, **scales, out_format=out)
        scaled = apply_tensor_scales(acc.codes, acc.status, ones, ones, out)
        assert_equal(scaled, list(zip(plain.codes.tolist(), plain.status.tolist(), strict=True)))
    minus_zero = apply_tensor_scales(np.array([1 << 31], np.uint32), np.zeros(1, np.uint8), ones[:1], ones[:1], "e5m2")
    assert_equal(minus_zero, [(0x80, 0)])
