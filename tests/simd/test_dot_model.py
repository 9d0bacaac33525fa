"""The golden model of simd.dot against Python's integers and closed forms."""

from __future__ import annotations

import re
from itertools import zip_longest

import numpy as np
import pytest

from hdl.simd.config import DotConfig
from sim.simd.dot_model import DotResult, dot, dot_packets

CONFIG = DotConfig(lanes=4)
WIDE = DotConfig(lanes=64)
EXTREMES = [-128, -127, -1, 0, 1, 126, 127]


def as_int32(exact: int) -> int:
    return (exact + 2**31) % 2**32 - 2**31


def oracle(a: np.ndarray, b: np.ndarray) -> tuple[int, bool, bool]:
    """One vector beat by beat in Python's integers, as the specification words it."""
    zeros = [0] * a.shape[1]
    accumulator, overflow = 0, False
    for a_beat, b_beat in zip_longest(a.tolist(), b.tolist(), fillvalue=zeros):
        exact = accumulator + sum(x * y for x, y in zip(a_beat, b_beat, strict=True))
        overflow |= not -(2**31) <= exact < 2**31
        accumulator = as_int32(exact)
    return accumulator, overflow, len(a) != len(b)


def assert_matches_oracle(result: DotResult, a_packets: list[np.ndarray], b_packets: list[np.ndarray]) -> None:
    expected = [oracle(a, b) for a, b in zip(a_packets, b_packets, strict=True)]
    assert (
        list(zip(result.y.tolist(), result.overflow.tolist(), result.length_mismatch.tolist(), strict=True)) == expected
    )


def packet(*runs: tuple[int, int], lanes: int = 64) -> np.ndarray:
    """Beats of one constant each: (how many, value) after (how many, value)."""
    return np.concatenate([np.full((beats, lanes), value, np.int8) for beats, value in runs])


@pytest.mark.parametrize("length", [1, 2, 3, 15, 16, 65, 1000])
def test_dot_equals_integer_matmul_on_random_rows(length: int) -> None:
    rng = np.random.default_rng(length)
    a, b = rng.integers(-128, 128, (2, 2000, length), np.int8)
    y = dot(CONFIG, a, b)
    assert y.dtype == np.int32
    expected = a.astype(np.int64)[:, None, :] @ b.astype(np.int64)[:, :, None]
    np.testing.assert_array_equal(y, expected[:, 0, 0])


def test_dot_equals_python_integers_on_extreme_rows() -> None:
    rng = np.random.default_rng(1)
    a, b = rng.choice(np.array(EXTREMES, np.int8), (2, 500, 37))
    expected = [sum(x * y for x, y in zip(*rows, strict=True)) for rows in zip(a.tolist(), b.tolist(), strict=True)]
    assert dot(CONFIG, a, b).tolist() == expected


@pytest.mark.parametrize("length", [2**17 - 1, 2**17, 2**17 + 1, 2**18 - 1, 2**18, 2**18 + 5, 3 * 2**17])
def test_dot_wraps_modulo_two_to_the_32(length: int) -> None:
    rows = np.full((1, length), -128, np.int8)
    assert dot(CONFIG, rows, rows).tolist() == [as_int32(length * 128 * 128)]


def test_dot_wraps_below_int32() -> None:
    a, b = np.full((1, 140_000), -128, np.int8), np.full((1, 140_000), 127, np.int8)
    assert dot(CONFIG, a, b).tolist() == [140_000 * -128 * 127 + 2**32]


def test_dot_is_exact_on_long_rows_of_odd_products() -> None:
    """No float holds these sums in 24 bits, nor int32 all of them."""
    rng = np.random.default_rng(5)
    a, b = rng.choice(np.array([123, 125, 127], np.int8), (2, 3, 300_001))
    expected = [as_int32(int(total)) for total in (a.astype(np.int64) * b).sum(axis=1)]
    assert dot(CONFIG, a, b).tolist() == expected
    assert dot(CONFIG, a[:, :100_001], b[:, :100_001]).tolist() == [
        int(total) for total in (a[:, :100_001].astype(np.int64) * b[:, :100_001]).sum(axis=1)
    ]


def test_dot_takes_any_memory_layout() -> None:
    rng = np.random.default_rng(2)
    a, b = rng.integers(-128, 128, (2, 40, 60), np.int8)
    expected = dot(CONFIG, a[::2, ::3].copy(), b[::2, ::3].copy())
    np.testing.assert_array_equal(dot(CONFIG, a[::2, ::3], np.asfortranarray(b[::2, ::3])), expected)


def test_dot_does_not_depend_on_lanes() -> None:
    rng = np.random.default_rng(3)
    a, b = rng.integers(-128, 128, (2, 100, 33), np.int8)
    np.testing.assert_array_equal(dot(CONFIG, a, b), dot(WIDE, a, b))


def test_dot_of_no_rows_is_empty() -> None:
    assert dot(CONFIG, np.empty((0, 3), np.int8), np.empty((0, 3), np.int8)).shape == (0,)


@pytest.mark.parametrize(
    ("a", "b", "message"),
    [
        (np.ones((2, 0), np.int8), np.ones((2, 0), np.int8),
         "a must be int8 (n, length) with length at least 1, not int8 (2, 0)"),
        (np.ones(4, np.int8), np.ones(4, np.int8), "a must be int8 (n, length) with length at least 1, not int8 (4,)"),
        (np.ones((2, 3), np.int8), np.ones((2, 3), np.int16),
         "b must be int8 (n, length) with length at least 1, not int16 (2, 3)"),
        (np.ones((2, 3), np.int8), np.ones((2, 4), np.int8), "b must have the shape of a, (2, 3), not (2, 4)"),
    ],
)  # fmt: skip
def test_dot_refuses_other_arrays(a: np.ndarray, b: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        dot(CONFIG, a, b)


@pytest.mark.parametrize("lanes", [2, 3, 5, 16, 64])
def test_dot_packets_equal_python_integers_on_ragged_packets(lanes: int) -> None:
    rng = np.random.default_rng(lanes)
    a_packets, b_packets = [], []
    for index in range(600):
        beats = int(rng.integers(1, 9))
        b_beats = beats if index % 3 else int(rng.integers(1, 9))
        values = np.array(EXTREMES, np.int8) if index % 2 else np.arange(-128, 128).astype(np.int8)
        a_packets.append(rng.choice(values, (beats, lanes)))
        b_packets.append(rng.choice(values, (b_beats, lanes)))
    result = dot_packets(DotConfig(lanes=lanes), a_packets, b_packets)
    assert_matches_oracle(result, a_packets, b_packets)
    assert (result.y.dtype, result.overflow.dtype, result.length_mismatch.dtype) == (np.int32, np.bool_, np.bool_)
    assert 0 < result.length_mismatch.sum() < 200  # a third of them drew a length of its own, some the same one


def test_dot_packets_equal_python_integers_on_long_drifting_packets() -> None:
    rng = np.random.default_rng(4)
    a_packets, b_packets = [], []
    for index in range(8):  # signs held for long enough that sums drift out of int32, and some come back
        signs = np.repeat(rng.choice([-1, 1], 4), 1200)[:, None]
        a_packets.append((signs * rng.integers(100, 128, (4800, 64))).astype(np.int8))
        b_packets.append(rng.integers(100, 128, (4800 - 700 * (index % 3), 64), np.int8))
    result = dot_packets(WIDE, a_packets, b_packets)
    assert_matches_oracle(result, a_packets, b_packets)
    assert 0 < result.overflow.sum() < 8


BIG = 64 * 128 * 128  # sum of a beat of -128 * -128 on 64 lanes: 2^20


@pytest.mark.parametrize(
    ("a", "b", "y", "overflow"),
    [
        pytest.param(packet((2047, -128)), packet((2047, -128)), 2047 * BIG, False, id="largest-run-that-fits"),
        pytest.param(packet((2048, -128)), packet((2048, -128)), -(2**31), True, id="one-above-the-top"),
        pytest.param(packet((2048, -128), (1, -128)), packet((2048, -128), (1, 1)), 2**31 - 64 * 128, True,
                     id="leaves-and-returns"),
        pytest.param(packet((4096, -128)), packet((4096, -128)), 0, True, id="once-round"),
        pytest.param(packet((6144, -128)), packet((6144, -128)), -(2**31), True, id="once-and-a-half-round"),
        pytest.param(packet((2047, -128), (1, 127)), packet((2047, -128), (1, 127)), 2047 * BIG + 64 * 127 * 127, False,
                     id="near-the-top"),
        pytest.param(packet((2064, -128)), packet((2064, 127)), 2064 * 64 * -128 * 127, False, id="near-the-bottom"),
        pytest.param(packet((2065, -128)), packet((2065, 127)), 2065 * 64 * -128 * 127 + 2**32, True,
                     id="below-the-bottom"),
    ],
)  # fmt: skip
def test_dot_packets_flag_a_running_sum_that_leaves_int32(a: np.ndarray, b: np.ndarray, y: int, overflow: bool) -> None:
    result = dot_packets(WIDE, [a], [b])
    assert (result.y.tolist(), result.overflow.tolist()) == ([y], [overflow])


@pytest.mark.parametrize(("last_product", "y", "overflow"), [(-1, 2**31 - 1, False), (0, -(2**31), True)])
def test_dot_packets_flag_exactly_above_the_largest_int32(last_product: int, y: int, overflow: bool) -> None:
    a, b = packet((2047, -128), (1, 127), (1, 0)), packet((2047, -128), (1, 127), (1, 0))
    a[-1, :4], b[-1, :4] = (127, 127, 64, 1), (127, 1, 1, last_product)
    assert 2047 * BIG + 64 * 127 * 127 + 127 * 127 + 127 + 64 == 2**31
    result = dot_packets(WIDE, [a], [b])
    assert (result.y.tolist(), result.overflow.tolist()) == ([y], [overflow])


@pytest.mark.parametrize(("last_product", "y", "overflow"), [(0, -(2**31), False), (-1, 2**31 - 1, True)])
def test_dot_packets_flag_exactly_below_the_smallest_int32(last_product: int, y: int, overflow: bool) -> None:
    a, b = packet((2064, -128), (1, 0)), packet((2064, 127), (1, 0))
    a[-1, :8], b[-1, :8] = -128, 127
    a[-1, 8], b[-1, 8] = -128, 8
    a[-1, 9], b[-1, 9] = 1, last_product
    assert 2064 * 64 * -128 * 127 - 8 * 128 * 127 - 1024 == -(2**31)
    result = dot_packets(WIDE, [a], [b])
    assert (result.y.tolist(), result.overflow.tolist()) == ([y], [overflow])


def test_dot_packets_flag_overflow_at_beats_not_between_lanes() -> None:
    a, b = packet((2047, -128), (1, 127), (1, -128)), packet((2047, -128), (1, 127), (1, -128))
    b[-1, 32:] = 127  # the last beat's first half alone leads out of int32, the whole does not
    whole = dot_packets(WIDE, [a], [b])
    halves = dot_packets(DotConfig(lanes=32), [a.reshape(-1, 32)], [b.reshape(-1, 32)])
    y = 2047 * BIG + 64 * 127 * 127 + 32 * 128
    assert (whole.y.tolist(), whole.overflow.tolist()) == ([y], [False])
    assert (halves.y.tolist(), halves.overflow.tolist()) == ([y], [True])


def test_dot_packets_flag_one_vector_and_not_its_neighbours() -> None:
    long, short = packet((2048, -128)), packet((1, -128))
    result = dot_packets(WIDE, [short, long, short, short], [short, long, short, packet((2, -128))])
    assert result.y.tolist() == [BIG, -(2**31), BIG, BIG]
    assert result.overflow.tolist() == [False, True, False, False]
    assert result.length_mismatch.tolist() == [False, False, False, True]


@pytest.mark.parametrize(("a_beats", "b_beats"), [(1, 3), (3, 1), (2, 3)])
def test_dot_packets_continue_the_shorter_operand_with_zeros(a_beats: int, b_beats: int) -> None:
    result = dot_packets(CONFIG, [packet((a_beats, 5), lanes=4)], [packet((b_beats, -7), lanes=4)])
    assert result.y.tolist() == [min(a_beats, b_beats) * 4 * -35]
    assert (result.overflow.tolist(), result.length_mismatch.tolist()) == ([False], [True])


def test_dot_packets_of_nothing_are_nothing() -> None:
    result = dot_packets(CONFIG, [], [])
    assert (result.y.shape, result.overflow.shape, result.length_mismatch.shape) == ((0,), (0,), (0,))


@pytest.mark.parametrize(
    ("a_packets", "b_packets", "message"),
    [
        ([packet((1, 1), lanes=4)], [], "b must have as many packets as a, 1, not 0"),
        ([packet((1, 1), lanes=3)], [packet((1, 1), lanes=4)],
         "packet 0 of a must be int8 (beats, 4) with beats at least 1, not int8 (1, 3)"),
        ([packet((1, 1), lanes=4)] * 2, [packet((1, 1), lanes=4), packet((0, 1), lanes=4)],
         "packet 1 of b must be int8 (beats, 4) with beats at least 1, not int8 (0, 4)"),
        ([np.ones((1, 4))], [packet((1, 1), lanes=4)],
         "packet 0 of a must be int8 (beats, 4) with beats at least 1, not float64 (1, 4)"),
    ],
)  # fmt: skip
def test_dot_packets_refuse_other_packets(
    a_packets: list[np.ndarray], b_packets: list[np.ndarray], message: str
) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        dot_packets(CONFIG, a_packets, b_packets)
