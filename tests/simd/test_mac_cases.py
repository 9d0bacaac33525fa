"""The golden model of simd.mac in cases worked out by hand: the accumulator's roundings, specials, refusals."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from hdl.simd.modes import MODES
from sim.simd.mac_model import apply_tensor_scales, dot

NAR_BIT, NAN_BIT, INF_BIT, OVER, UNDER = 1, 2, 4, 8, 16


def mxint8(products: list[tuple[int, int]], out: str = "fp32", overflow: str = "saturate") -> tuple[int, int]:
    """One element of 1 or -1 a block, as (sign, exponent of its scale): the sum of +-2**exponent in order."""
    a = np.zeros((1, 32 * len(products)), np.uint8)
    b, one = a.copy(), 0x40
    a[0, ::32], b[0, ::32] = one, [one if sign > 0 else 256 - one for sign, _ in products]
    exponents = np.array([exponent for _, exponent in products])
    scale_a = np.clip(exponents, -127, 127)
    scales = {"scale_a": scale_a + 127, "scale_b": exponents - scale_a + 127}
    scales = {name: codes[None].astype(np.uint8) for name, codes in scales.items()}
    result = dot("mxint8", a, b, **scales, out_format=out, overflow=overflow)
    return int(result.codes[0]), int(result.status[0])


@pytest.mark.parametrize(
    ("products", "code", "status"),
    [
        pytest.param([(1, 24), (1, 0), (1, 0)], 0x4B800000, 0, id="ties-to-even-each-time"),
        pytest.param([(1, 0), (1, 0), (1, 24)], 0x4B800001, 0, id="in-order"),
        pytest.param([(1, 24), (1, 1), (1, 0)], 0x4B800002, 0, id="ties-up-to-even"),
        pytest.param([(1, -149)], 0x00000001, 0, id="smallest-subnormal"),
        pytest.param([(1, -126), (-1, -149)], 0x007FFFFF, 0, id="into-the-subnormals"),
        pytest.param([(1, -150)], 0x00000000, UNDER, id="half-of-the-smallest"),
        pytest.param([(-1, -150)], 0x80000000, UNDER, id="minus-zero"),
        pytest.param([(-1, -150), (1, 0), (-1, 0)], 0x00000000, UNDER, id="exact-zero-is-plus"),
        pytest.param([(1, -149), (1, -150)], 0x00000002, 0, id="one-and-a-half-subnormals"),
        pytest.param([(1, 127), (-1, 102)], 0x7F000000, 0, id="tie-up-to-a-power"),
        pytest.param([(1, 127), (-1, 103)], 0x7EFFFFFF, 0, id="below-a-power"),
        pytest.param([(1, 128), (-1, 127)], 0x7EFFFFFE, OVER, id="saturates-and-goes-on"),
        pytest.param([(-1, 254), (1, -254)], 0xFF7FFFFF, OVER, id="saturates-below"),
        pytest.param([(1, 127), (1, 126), (1, 102)], 0x7F400000, 0, id="tie-under-the-top"),
    ],
)
def test_mac_accumulator_rounds_once_a_block(products: list[tuple[int, int]], code: int, status: int) -> None:
    assert mxint8(products) == (code, status)


def test_mac_accumulator_overflows_to_infinity_if_asked() -> None:
    assert mxint8([(1, 128), (-1, 127)], overflow="inf") == (0x7F800000, INF_BIT | OVER)
    assert mxint8([(-1, 128)], overflow="inf") == (0xFF800000, INF_BIT | OVER)
    assert mxint8([(1, 128), (-1, 128)], overflow="inf") == (0x7F800000, INF_BIT | OVER)
    assert mxint8([(1, 128)], "e4m3", "inf") == (0x7E, INF_BIT | OVER)
    assert mxint8([(1, 128)], "p8_0", "inf") == (0x80, INF_BIT | OVER)
    assert mxint8([(1, 127)], "e5m2", "inf") == (0x7C, OVER)


def test_mac_flags_of_the_accumulator_stay() -> None:
    assert mxint8([(1, 128), (-1, 128), (1, 127)]) == (0x7EFFFFFE, OVER)
    assert mxint8([(1, -151), (1, 3)], "p8_0") == (0x78, UNDER)
    assert mxint8([(1, -140)], "p8_0") == (0x01, UNDER)
    assert mxint8([(-1, -140)], "bf16") == (0x8000, UNDER)


@pytest.mark.parametrize(
    ("a", "b", "out", "code", "status"),
    [
        ([0x7C, 0x3C], [0x3C, 0x3C], "e5m2", 0x7C, INF_BIT),
        ([0x7C, 0x3C], [0xBC, 0x3C], "fp16", 0xFC00, INF_BIT),
        ([0x7C, 0x3C], [0x00, 0x3C], "e5m2", 0x7E, NAN_BIT),
        ([0x7C, 0xFC], [0x3C, 0x3C], "bf16", 0x7FC0, NAN_BIT),
        ([0xFC, 0xFC], [0xFC, 0x7B], "e5m2", 0x7E, NAN_BIT),
        ([0xFD, 0x3C], [0x3C, 0x3C], "p16_1", 0x8000, NAN_BIT),
        ([0x7E, 0x7C], [0x00, 0x3C], "int32", 0, NAN_BIT),
        ([0x7C, 0x00], [0x3C, 0x3C], "int8", 0x7F, INF_BIT | OVER),
        ([0xFC, 0x00], [0x3C, 0x3C], "e4m3", 0xFE, INF_BIT | OVER),
        ([0x7C, 0x00], [0x3C, 0x3C], "p8_0", 0x80, INF_BIT),
        ([0x7B, 0x7B], [0x3C, 0x3C], "e5m2", 0x7B, OVER),
    ],
)
def test_mac_infinities_and_nans(a: list[int], b: list[int], out: str, code: int, status: int) -> None:
    result = dot("e5m2", np.array([a], np.uint8), np.array([b], np.uint8), out_format=out)
    assert (result.codes.tolist(), result.status.tolist()) == ([code], [status])


@pytest.mark.parametrize(("out", "code"), [("p8_0", 0x80), ("fp32", 0x7FC00000), ("fp4", 0), ("int32", 0)])
def test_mac_nar_hides_all_else(out: str, code: int) -> None:
    a, b = np.array([[0x80, 0x7F], [0x7F, 0x7F]], np.uint8), np.array([[0x00, 0x7F], [0x00, 0x40]], np.uint8)
    result = dot("p8_0", a, b, out_format=out)
    assert (int(result.codes[0]), int(result.status[0])) == (code, NAR_BIT)
    assert result.status[1] & NAR_BIT == 0


@pytest.mark.parametrize("scale", [0xFF, 0x7F])
def test_mac_nan_scale_makes_its_rows_nan(scale: int) -> None:
    a = np.full((2, 32), 0x38, np.uint8)
    scales = np.array([[0x38, 0x38], [0x38, scale]], np.uint8)
    ones = np.full((2, 2), 0x38, np.uint8)
    for names in (("scale_a", "scale_b"), ("scale_b", "scale_a")):
        result = dot("nvfp4", a & 0xF, a & 0xF, **dict(zip(names, (scales, ones), strict=True)))
        assert result.codes[1] == 0x7FC00000
        assert result.status.tolist() == [0, NAN_BIT]


def test_mac_nan_scale_counts_though_its_elements_are_zero() -> None:
    zeros, scale = np.zeros((1, 3), np.uint8), np.array([[0xFF]], np.uint8)
    result = dot("mxfp4", zeros, zeros, scale_a=scale, scale_b=np.array([[127]], np.uint8))
    assert (result.codes.tolist(), result.status.tolist()) == ([0x7FC00000], [NAN_BIT])


def test_mac_scales_of_nvfp4_have_a_sign() -> None:
    one = np.full((1, 1), 0x2, np.uint8)
    result = dot("nvfp4", one, one, scale_a=np.array([[0xB8]], np.uint8), scale_b=np.array([[0x40]], np.uint8))
    assert result.codes.tolist() == [0xC0000000]


def test_mac_infinities_of_two_blocks_are_nan() -> None:
    a, b = np.zeros((1, 64), np.uint8), np.zeros((1, 64), np.uint8)
    a[0, [0, 32]], b[0, [0, 32]] = [0x7C, 0xFC], 0x3C
    scales = {name: np.full((1, 2), 127, np.uint8) for name in ("scale_a", "scale_b")}
    assert dot("mxfp8_e5m2", a, b, **scales).status.tolist() == [NAN_BIT]
    a[0, 32] = 0x7C
    both = dot("mxfp8_e5m2", a, b, **scales)
    assert (both.codes.tolist(), both.status.tolist()) == ([0x7F800000], [INF_BIT])


@pytest.mark.parametrize("mode", MODES)
def test_mac_of_empty_rows_and_of_no_rows(mode: str) -> None:
    for n, length in [(3, 0), (0, 5)]:
        rows = np.zeros((n, length), np.uint8)
        block = MODES[mode].block
        scale = np.zeros((n, -(-length // block.block_length)), np.uint8) if block else None
        result = dot(mode, rows, rows, scale_a=scale, scale_b=scale)
        assert (result.codes.tolist(), result.status.tolist()) == ([0] * n, [0] * n)
        assert (result.codes.dtype, result.status.dtype) == (np.uint32, np.uint8)


def rows(*shape: int, code: int = 0, dtype: Any = np.uint8) -> np.ndarray:
    return np.full(shape, code, dtype)


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        (("int9", rows(1, 2), rows(1, 2)), {},
         f'mode must be one of {", ".join(MODES)}, not "int9"; did you mean "int8"?'),
        (("int8", rows(1, 2, dtype=np.int8), rows(1, 2)), {},
         "a must be uint8 or uint16 (n, length), not int8 (1, 2)"),
        (("int8", rows(1, 2), rows(2)), {}, "b must be uint8 or uint16 (n, length), not uint8 (2,)"),
        (("int8", rows(1, 2), rows(1, 3)), {}, "b must have the shape of a, (1, 2), not (1, 3)"),
        (("p4_1", rows(2, 3), rows(2, 3, code=16)), {}, "b[0, 0] must be in 0..15 for p4_1, not 16"),
        (("mxfp6_e2m3", rows(1, 2, code=64), rows(1, 2)), {}, "a[0, 0] must be in 0..63 for e2m3, not 64"),
        (("int8", rows(1, 2, code=256, dtype=np.uint16), rows(1, 2)), {},
         "a[0, 0] must be in 0..255 for int8, not 256"),
        (("int8", rows(1, 2), rows(1, 2)), {"scale_b": rows(1, 1)}, "scale_b must be None: int8 has no blocks"),
        (("mxfp4", rows(1, 33), rows(1, 33)), {"scale_a": rows(1, 2)},
         "scale_b must be uint8 (1, 2) for mxfp4, not None"),
        (("nvfp4", rows(1, 33), rows(1, 33)), {"scale_a": rows(1, 2), "scale_b": rows(1, 3)},
         "scale_a must be uint8 (1, 3) for nvfp4, not uint8 (1, 2)"),
        (("int8", rows(1, 2), rows(1, 2)), {"overflow": "wrap"},
         'overflow must be "saturate" or "inf", not \'wrap\''),
    ],
)  # fmt: skip
def test_mac_refuses_what_it_cannot_take(arguments: Any, options: Any, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        dot(*arguments, **options)


def test_mac_refuses_an_unknown_output_format() -> None:
    with pytest.raises(ValueError, match=r"^no number format 'fp33'; there are int4, .* and posits such as p32_2$"):
        dot("int8", rows(1, 2), rows(1, 2), out_format="fp33")
    with pytest.raises(ValueError, match=r"^no number format 'fp33'; there are int4, .* and posits such as p32_2$"):
        apply_tensor_scales(rows(1), rows(1), rows(1), rows(1), "fp33")
