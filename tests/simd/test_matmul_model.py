"""The golden model of simd.matmul against exact fractions, against numpy and ml_dtypes, and in cases worked out."""

from __future__ import annotations

import itertools
import re
from fractions import Fraction
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from sim.simd import exact
from sim.simd.mac_model import MacResult, dot
from sim.simd.matmul_model import matmul
from tests.simd.exact_oracle import (
    DEFAULTS,
    INF_BIT,
    NAN_BIT,
    NAR_BIT,
    OUTPUTS,
    OVER,
    SINGLES,
    UNDER,
    bits_of,
    draw,
    is_nan,
    negated,
    number,
    single_result,
    single_sum,
)

SEEDS = [1, *(pytest.param(seed, marks=pytest.mark.deep) for seed in range(2, 8))]


def sums_of(mode: str, a: np.ndarray, b: np.ndarray) -> list[list[Fraction | float]]:
    return [[single_sum(mode, row, column) for column in b.T.tolist()] for row in a.tolist()]


def expected(
    mode: str,
    sums: list[list[Fraction | float]],
    out: str,
    *,
    bias: np.ndarray | None = None,
    bias_exponent: int = 0,
    scale_exponent: int = 0,
    overflow: str = "saturate",
    relu: bool = False,
) -> list[list[tuple[int, int]]]:
    addends = [0] * len(sums[0]) if bias is None else bias.tolist()

    def one(x: Fraction | float, addend: int) -> tuple[int, int]:
        if isinstance(x, Fraction):
            x = (x + addend * Fraction(2) ** bias_exponent) * Fraction(2) ** scale_exponent
        code, status = single_result(mode, x, out, overflow == "inf")
        value = number(out, code)
        if relu and not is_nan(value) and (value < 0 or (value == 0 and code != 0)):
            return 0, status & (NAR_BIT | NAN_BIT)
        return code, status

    return [[one(x, addend) for x, addend in zip(row, addends, strict=True)] for row in sums]


def assert_equal(result: MacResult, wanted: list[list[tuple[int, int]]]) -> None:
    assert (result.codes.dtype, result.status.dtype) == (np.uint32, np.uint8)
    assert np.stack([result.codes, result.status], axis=-1).tolist() == [[list(pair) for pair in row] for row in wanted]


def largest(mode: str) -> int:
    return max((code for code in range(1 << bits_of(mode)) if is_number(mode, code)), key=lambda c: number(mode, c))


def smallest(mode: str) -> int:
    positive = (code for code in range(1 << bits_of(mode)) if is_number(mode, code) and number(mode, code) > 0)
    return min(positive, key=lambda code: number(mode, code))


def is_number(mode: str, code: int) -> bool:
    return isinstance(number(mode, code), Fraction)


@pytest.mark.parametrize("mode", [mode for mode in SINGLES if mode != "p16_1"])
def test_matmul_outer_product_of_all_codes(mode: str) -> None:
    codes = np.arange(1 << bits_of(mode), dtype=np.uint8)
    a, b = codes[:, None], codes[None]
    assert_equal(matmul(mode, a, b), expected(mode, sums_of(mode, a, b), DEFAULTS[mode]))


@pytest.mark.parametrize("mode", SINGLES)
@pytest.mark.parametrize("seed", SEEDS)
def test_matmul_in_every_output_with_bias_scale_and_relu(mode: str, seed: int) -> None:
    rng = np.random.default_rng([seed, 1])
    for length in [1, 2, 9, 60]:
        a, b = draw(rng, mode, (12, length)), draw(rng, mode, (8, length)).T
        if length == 60:  # all but the last products of these cancel, in another order
            order = rng.permutation(24)
            a[4:8, 24:48], b[24:48, 2:] = negated(mode, a[4:8, :24][:, order]), b[:24, 2:][order]
        sums = sums_of(mode, a, b)
        for out in OUTPUTS:
            bias = rng.choice([0, 1, -1, 2**31 - 1, -(2**31), 100, -77], 8) + rng.integers(0, 2, 8)
            options: dict[str, Any] = {
                "bias": np.clip(bias, -(2**31), 2**31 - 1).astype(np.int32) if rng.random() < 0.7 else None,
                "bias_exponent": int(rng.choice([0, -56, 32, -1, 1, rng.integers(-56, 33)])),
                "scale_exponent": int(rng.choice([0, 0, -64, 63, rng.integers(-8, 9), rng.integers(-64, 64)])),
                "overflow": str(rng.choice(["saturate", "inf"])),
                "relu": bool(rng.integers(2)),
            }
            assert_equal(matmul(mode, a, b, out_format=out, **options), expected(mode, sums, out, **options))


@pytest.mark.parametrize("mode", SINGLES)
def test_matmul_elements_are_dot_products(mode: str) -> None:
    """Without bias, scale and ReLU an element is what simd.mac makes of a row and a column."""
    rng = np.random.default_rng(3)
    a, b = draw(rng, mode, (24, 150)), draw(rng, mode, (20, 150)).T
    rows, columns = np.repeat(a, 20, axis=0), np.tile(b.T, (24, 1))
    for out, overflow in itertools.product(OUTPUTS, ("saturate", "inf")):
        product = matmul(mode, a, b, out_format=out, overflow=overflow)
        dots = dot(mode, rows, columns, out_format=out, overflow=overflow)
        assert (product.codes == dots.codes.reshape(24, 20)).all()
        assert (product.status == dots.status.reshape(24, 20)).all()


@pytest.mark.parametrize("bits", [4, 8])
def test_matmul_of_integers_is_that_of_numpy(bits: int) -> None:
    rng = np.random.default_rng(4)
    a, b = rng.integers(0, 1 << bits, (65, 300)), rng.integers(0, 1 << bits, (300, 70))
    bias = rng.integers(-(2**31), 2**31, 70)
    whole = (a - (a >> bits - 1 << bits)) @ (b - (b >> bits - 1 << bits)) + 8 * bias
    result = matmul(f"int{bits}", a.astype(np.uint8), b.astype(np.uint8), bias=bias.astype(np.int32), bias_exponent=3)
    kept = np.clip(whole, -(2**31), 2**31 - 1)
    assert (result.codes.view(np.int32) == kept).all()
    assert (result.status == OVER * (kept != whole)).all()
    assert (kept != whole).any() and (kept == whole).any()


@pytest.mark.parametrize(
    ("mode", "kind"),
    [("e4m3", ml_dtypes.float8_e4m3fn), ("e5m2", ml_dtypes.float8_e5m2), ("fp4", ml_dtypes.float4_e2m1fn)],
)
@pytest.mark.parametrize(("out", "out_kind"), [("fp32", np.float32), ("bf16", ml_dtypes.bfloat16)])
def test_matmul_of_floats_is_that_of_float64(mode: str, kind: Any, out: str, out_kind: Any) -> None:
    """Codes whose sums float64 holds, so that it rounds nothing but the result."""
    rng = np.random.default_rng(5)
    codes = np.arange(1 << bits_of(mode), dtype=np.uint8)
    values = codes.view(kind).astype(np.float64)
    usual = codes[(values == 0) | ((abs(values) >= 2.0**-8) & (abs(values) < 2.0**9))]
    a, b = rng.choice(usual, (80, 200)), rng.choice(usual, (200, 90))
    right = (values[a] @ values[b]).astype(out_kind)
    result = matmul(mode, a, b, out_format=out)
    stored = np.dtype(f"u{right.itemsize}")
    assert (result.codes.astype(stored) == right.view(stored)).all()
    assert not result.status.any()


@pytest.mark.parametrize("mode", SINGLES)
def test_matmul_is_exact_at_the_greatest_depth(mode: str) -> None:
    """The largest products in one column; in another, all of them cancel but for the smallest product."""
    depth = 32767 if mode == "p16_1" else 65535
    large, small = largest(mode), smallest(mode)
    a = np.full((1, depth), large, np.uint16)
    b = np.full((depth, 2), large, np.uint16)
    b[1::2, 1] = negated(mode, b[1::2, 1])
    a[0, -1] = b[-1, 1] = small
    b[-1, 0] = 0
    result = matmul(mode, a, b, out_format="fp32", scale_exponent=-3)
    whole = (depth - 1) * number(mode, large) ** 2
    wanted = expected(mode, [[whole, number(mode, small) ** 2]], "fp32", scale_exponent=-3)
    assert_equal(result, wanted)
    with pytest.raises(ValueError, match=f"^K must be in 1..{depth} for {mode}, not {depth + 1}$"):
        matmul(mode, *(np.zeros(shape, np.uint8) for shape in ((1, depth + 1), (depth + 1, 1))))


def test_matmul_full_significands_are_exact_over_many_steps() -> None:
    a = np.full((2, 65535), 0x7B, np.uint8)  # E5M2: 1.75 * 2**15
    a[1] = 0x01
    result = matmul("e5m2", a, a.T, out_format="fp32")
    values = [number("e5m2", 0x7B), number("e5m2", 0x01)]
    assert_equal(result, expected("e5m2", [[x * y * 65535 for y in values] for x in values], "fp32"))


@pytest.mark.parametrize("mode", ["e5m2", "p16_1", "int8"])
def test_matmul_does_not_depend_on_steps_or_memory_layout(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(6)
    a, b = draw(rng, mode, (30, 71)), draw(rng, mode, (20, 71)).T
    whole = matmul(mode, a, b)
    monkeypatch.setattr(exact, "_MATRIX_LENGTH", 7)
    again = matmul(mode, np.asfortranarray(a), np.repeat(b, 2, axis=1)[:, ::2])
    assert (again.codes == whole.codes).all() and (again.status == whole.status).all()


# Mode, a, b, options, code, status.
CASES: list[tuple[str, list[int], list[int], dict[str, Any], int, int]] = [
    # the bias completes the sum before anything is rounded
    ("int8", [1], [1], {"bias": -1, "out_format": "fp32"}, 0, 0),
    ("int8", [0x80], [0x80], {"bias": -(2**31)}, 2**31 + 2**14, 0),
    ("int8", [1], [3], {"bias": -1, "bias_exponent": 1, "scale_exponent": -1}, 0, 0),  # 1/2 to even
    ("int8", [1], [1], {"bias": 1, "bias_exponent": 1, "scale_exponent": -1}, 2, 0),  # 3/2 to even
    ("int8", [1], [1], {"bias": 1, "bias_exponent": -56, "scale_exponent": -1}, 1, 0),  # above 1/2 by 2**-57
    ("int8", [1], [1], {"bias": -1, "bias_exponent": -56, "scale_exponent": -1}, 0, 0),
    ("e4m3", [0x38, 0x18], [0x38, 0x38], {"bias": 1, "bias_exponent": -56}, 0x39, 0),  # 1 + 1/16 and a little
    ("e4m3", [0x38, 0x18], [0x38, 0x38], {}, 0x38, 0),
    ("p16_1", [0x0001], [0x0001], {"bias": -1, "bias_exponent": -56}, 0, 0),
    ("p16_1", [0x0001], [0x0001], {"bias": 1, "bias_exponent": 32, "scale_exponent": -32}, 0x4000, 0),
    ("p16_1", [0x0001], [0x0001], {"scale_exponent": 56}, 0x4000, 0),
    ("p8_0", [0x7F], [0x7F], {"scale_exponent": -12}, 0x40, 0),
    # far ends
    ("int8", [0], [0], {"bias": 2**31 - 1, "bias_exponent": 32, "scale_exponent": 63, "out_format": "bf16"}, 0x7E80, 0),
    ("int8", [0], [0], {"bias": 1, "bias_exponent": -56, "scale_exponent": -64, "out_format": "fp32"}, 0x03800000, 0),
    ("p16_1", [0x7FFF], [0x7FFF], {"scale_exponent": 63, "out_format": "fp32"}, 0x7B000000, 0),
    ("p16_1", [1], [0xFFFF], {"scale_exponent": -64, "out_format": "bf16"}, 0x8380, 0),
    ("p16_1", [1], [0xFFFF], {"scale_exponent": -64, "out_format": "fp16"}, 0x8000, UNDER),
    ("p16_1", [1], [0xFFFF], {"scale_exponent": -64, "out_format": "fp16", "relu": True}, 0, 0),
    ("int4", [7], [7], {"scale_exponent": -7, "out_format": "int4"}, 0, 0),
    ("int4", [7], [7], {"scale_exponent": 63}, 2**31 - 1, OVER),
    ("int4", [7], [9], {"scale_exponent": 63}, 2**31, OVER),
    ("int4", [7], [9], {"scale_exponent": 63, "relu": True}, 0, 0),
    ("fp4", [7], [15], {"scale_exponent": 63, "out_format": "fp16", "overflow": "inf"}, 0xFC00, OVER),
    ("fp4", [7], [15], {"scale_exponent": 63, "out_format": "fp16", "overflow": "inf", "relu": True}, 0, 0),
    ("fp4", [7], [7], {"scale_exponent": 63, "out_format": "fp16", "overflow": "inf", "relu": True}, 0x7C00, OVER),
    # what is no number wins over any bias, and stays through ReLU; an infinity below zero does not
    ("p8_0", [0x80], [0], {"bias": 5, "relu": True}, 0x80, NAR_BIT),
    ("p8_0", [0x80], [0], {"bias": 5, "relu": True, "out_format": "int8"}, 0, NAR_BIT),
    ("p8_0", [0xC0], [0x40], {"relu": True}, 0, 0),
    ("e4m3", [0xFF], [0], {"bias": -5, "relu": True}, 0x7F, NAN_BIT),
    ("e5m2", [0x7C], [0x3C], {"bias": -(2**31), "bias_exponent": 32, "relu": True}, 0x7C, INF_BIT),
    ("e5m2", [0x7C, 0x7C], [0x3C, 0xBC], {"relu": True}, 0x7E, NAN_BIT),
    ("e5m2", [0x7C], [0x80], {"bias": 3}, 0x7E, NAN_BIT),
    ("e5m2", [0xFC], [0x3C], {"bias": 3, "scale_exponent": -64}, 0xFC, INF_BIT),
    ("e5m2", [0xFC], [0x3C], {"relu": True}, 0, 0),
    ("e5m2", [0xFC], [0x3C], {"relu": True, "out_format": "e4m3"}, 0, 0),
    ("e5m2", [0xFC], [0x3C], {"relu": True, "out_format": "int8"}, 0, 0),
    ("e5m2", [0xFC], [0x3C], {"relu": True, "out_format": "p8_0"}, 0x80, INF_BIT),  # NaR is not below zero
    # zeros
    ("e5m2", [0x80], [0x3C], {}, 0, 0),
    ("e5m2", [0x81], [0x01], {}, 0x80, UNDER),
    ("e5m2", [0x81], [0x01], {"relu": True}, 0, 0),
    ("e5m2", [0x01], [0x01], {"relu": True}, 0, UNDER),
    ("fp4", [0x9], [0x1], {"bias": 1, "bias_exponent": -2}, 0, 0),
]  # fmt: skip


@pytest.mark.parametrize(("mode", "a", "b", "options", "code", "status"), CASES)
def test_matmul_worked_out(
    mode: str, a: list[int], b: list[int], options: dict[str, Any], code: int, status: int
) -> None:
    if "bias" in options:
        options = options | {"bias": np.array([options["bias"]], np.int32)}
    result = matmul(mode, np.array([a], np.uint16), np.array([b], np.uint16).T, **options)
    assert_equal(result, [[(code, status)]])


GOOD: dict[str, Any] = {"mode": "int8", "a": np.zeros((2, 3), np.uint8), "b": np.zeros((3, 4), np.uint8)}
REFUSALS = [
    (
        {"mode": "e4m4"},
        'mode must be one of fp4, p4_1, p8_0, p16_1, int4, int8, e4m3, e5m2, not "e4m4"; did you mean "e4m3"?',
    ),
    ({"mode": "mxfp4"}, "mode must be one of fp4, p4_1, p8_0, p16_1, int4, int8, e4m3, e5m2, not"),
    ({"a": np.zeros((2, 3))}, "a must be uint8 or uint16 (M, K), not float64 (2, 3)"),
    ({"b": np.zeros(3, np.uint8)}, "b must be uint8 or uint16 (K, N), not uint8 (3,)"),
    ({"a": np.full((2, 3), 256, np.uint16)}, "a[0, 0] must be in 0..255 for int8, not 256"),
    ({"b": np.zeros((2, 4), np.uint8)}, "b must have a row for each of the 3 columns of a, not 2"),
    ({"a": np.zeros((0, 3), np.uint8)}, "M must be at least 1, not 0"),
    ({"b": np.zeros((3, 0), np.uint8)}, "N must be at least 1, not 0"),
    ({name: np.zeros(shape, np.uint8) for name, shape in (("a", (2, 0)), ("b", (0, 4)))}, "K must be in 1..65535 for"),
    ({"bias": np.zeros(4, np.int64)}, "bias must be int32 (4,), not int64 (4,)"),
    ({"bias": np.zeros(2, np.int32)}, "bias must be int32 (4,), not int32 (2,)"),
    ({"bias_exponent": -57}, "bias_exponent must be in -56..32, not -57"),
    ({"bias_exponent": 33}, "bias_exponent must be in -56..32, not 33"),
    ({"scale_exponent": -65}, "scale_exponent must be in -64..63, not -65"),
    ({"scale_exponent": 64}, "scale_exponent must be in -64..63, not 64"),
    ({"out_format": "fp33"}, "no number format 'fp33'"),
    ({"overflow": "wrap"}, 'overflow must be "saturate" or "inf", not \'wrap\''),
]


@pytest.mark.parametrize(("wrong", "message"), REFUSALS)
def test_matmul_refuses_what_it_cannot_do(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}"):
        matmul(**(GOOD | wrong))
