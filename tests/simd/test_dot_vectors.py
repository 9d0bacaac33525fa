"""simd.dot as arrays: what is refused and how, and packing against a plain slow loop."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from hdl.simd.config import DotConfig
from sim.common.beats import Beats
from sim.common.vectors import ArraySpec, check_arrays
from sim.simd import dot_vectors

CONFIG = DotConfig(lanes=4)
GOOD = np.ones((2, 3), np.int8)


def rows(n: int, length: int, seed: int = 0) -> dict[str, np.ndarray]:
    a, b = np.random.default_rng(seed).integers(-128, 128, (2, n, length), np.int8)
    return {"a": a, "b": b}


def slow_pack(row_list: list[list[int]], lanes: int) -> tuple[list[list[int]], list[bool]]:
    """Beats of bytes and TLAST, element by element."""
    data: list[list[int]] = []
    last: list[bool] = []
    for row in row_list:
        for start in range(0, len(row), lanes):
            beat = [value % 256 for value in row[start : start + lanes]]
            data.append(beat + [0] * (lanes - len(beat)))
            last.append(start + lanes >= len(row))
    return data, last


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"a": GOOD}, "b is missing; it must be int8 (n, length)"),
        ({}, "a is missing; it must be int8 (n, length)"),
        ({"a": GOOD, "b": GOOD, "weights": GOOD}, "weights is not an array of this block; known: a, b"),
        ({"a": GOOD, "b0": GOOD}, 'b0 is not an array of this block; did you mean "b"?'),
        ({"a": GOOD.astype(np.float32), "b": GOOD}, "a must be int8 (n, length), not float32 (2, 3)"),
        ({"a": GOOD, "b": GOOD.astype(np.int16)}, "b must be int8 (n, length), not int16 (2, 3)"),
        ({"a": GOOD.astype(np.uint8), "b": GOOD}, "a must be int8 (n, length), not uint8 (2, 3)"),
        ({"a": GOOD[0], "b": GOOD}, "a must be int8 (n, length), not int8 (3,)"),
        ({"a": GOOD, "b": GOOD[None]}, "b must be int8 (n, length), not int8 (1, 2, 3)"),
        ({"a": [[1, 2]], "b": GOOD}, "a must be int8 (n, length), not [[1, 2]] (a list)"),
        ({"a": GOOD, "b": GOOD[:1]}, "b must be int8 (n, length) with n = 2 as in a, not int8 (1, 3)"),
        ({"a": GOOD, "b": GOOD[:, :2]}, "b must be int8 (n, length) with length = 3 as in a, not int8 (2, 2)"),
        ({"a": GOOD[:0], "b": GOOD[:0]}, "a must be int8 (n, length) with n at least 1, not int8 (0, 3)"),
        ({"a": GOOD, "b": GOOD[:, :0]}, "b must be int8 (n, length) with length at least 1, not int8 (2, 0)"),
    ],
)
@pytest.mark.parametrize("function", [dot_vectors.check, dot_vectors.model, dot_vectors.pack])
def test_dot_vectors_refuse_other_arrays(function: Any, arrays: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        function(CONFIG, arrays)


def test_check_arrays_returns_the_size_of_each_axis() -> None:
    specs = {"x": ArraySpec("float32", "(heads, n, d)", "queries"), "g": ArraySpec("int16", "(n,)", "gains")}
    arrays = {"x": np.zeros((2, 5, 3), np.float32), "g": np.zeros(5, np.int16)}
    assert check_arrays(specs, arrays) == {"heads": 2, "n": 5, "d": 3}


@pytest.mark.parametrize("length", [1, 3, 4, 5, 8, 65])
def test_dot_vectors_model_equals_integer_products(length: int) -> None:
    arrays = rows(50, length, seed=length)
    y = dot_vectors.model(CONFIG, arrays)["y"]
    assert y.dtype == np.int32
    np.testing.assert_array_equal(y, (arrays["a"].astype(np.int64) * arrays["b"]).sum(axis=1))


@pytest.mark.parametrize("lanes", [2, 3, 4, 16, 64])
@pytest.mark.parametrize("length", [1, 4, 15, 16, 17, 65])
def test_dot_vectors_pack_equals_a_plain_loop(lanes: int, length: int) -> None:
    arrays = rows(7, length, seed=lanes)
    packed = dot_vectors.pack(DotConfig(lanes=lanes), arrays)
    assert list(packed) == ["a", "b"]
    for role, beats in packed.items():
        assert beats.last is not None
        assert (beats.data.tolist(), beats.last.tolist()) == slow_pack(arrays[role].tolist(), lanes)


def test_dot_vectors_pack_takes_any_memory_layout() -> None:
    arrays = rows(6, 10)
    views = {"a": np.asfortranarray(arrays["a"]), "b": np.repeat(arrays["b"], 2, axis=1)[:, ::2]}
    for role, beats in dot_vectors.pack(CONFIG, views).items():
        assert beats.data.tolist() == slow_pack(arrays[role].tolist(), 4)[0]


def test_dot_vectors_unpack_reads_little_endian_words() -> None:
    words = [0, 1, -1, 2**31 - 1, -(2**31), 0x01020304]
    data = np.array([list(word.to_bytes(4, "little", signed=True)) for word in words], np.uint8)
    for layout in (data, np.asfortranarray(data)):
        y = dot_vectors.unpack(CONFIG, rows(6, 3), {"y": Beats(layout)})["y"]
        assert (y.dtype, y.tolist()) == (np.int32, words)


@pytest.mark.parametrize(
    ("shape", "message"),
    [((5, 4), "y must be 6 beats of 4 bytes, not 5 of 4"), ((6, 8), "y must be 6 beats of 4 bytes, not 6 of 8")],
)
def test_dot_vectors_unpack_refuses_other_traffic(shape: tuple[int, int], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        dot_vectors.unpack(CONFIG, rows(6, 3), {"y": Beats(np.zeros(shape, np.uint8))})


def test_dot_vectors_go_through_a_beat_level_machine_unchanged() -> None:
    """pack, a plain accumulator that knows beats only, unpack: the same words as products of the rows."""
    arrays = rows(30, 11, seed=5)
    packed = dot_vectors.pack(CONFIG, arrays)
    results, accumulator = [], 0
    assert packed["a"].last is not None
    for a_beat, b_beat, last in zip(packed["a"].data, packed["b"].data, packed["a"].last, strict=True):
        signed_beats = ([value - 256 * (value > 127) for value in beat.tolist()] for beat in (a_beat, b_beat))
        accumulator += sum(x * y for x, y in zip(*signed_beats, strict=True))
        if last:
            results.append(list(accumulator.to_bytes(4, "little", signed=True)))
            accumulator = 0
    y = dot_vectors.unpack(CONFIG, arrays, {"y": Beats(np.array(results, np.uint8))})["y"]
    np.testing.assert_array_equal(y, np.diagonal(arrays["a"].astype(np.int64) @ arrays["b"].astype(np.int64).T))


def test_dot_vectors_expect_one_result_a_row() -> None:
    assert dot_vectors.expected_beats(CONFIG, rows(9, 40)) == {"y": 9}


def test_dot_vectors_count_no_padding_as_operations() -> None:
    assert dot_vectors.operations(CONFIG, rows(9, 5)) == 90


def test_dot_vectors_random_arrays_are_seeded_and_valid() -> None:
    first, again, other = (dot_vectors.random_arrays(CONFIG, seed, 40) for seed in (1, 1, 2))
    for role in ("a", "b"):
        assert (first[role].dtype, len(first[role])) == (np.int8, 40)
        assert first[role].tobytes() == again[role].tobytes()
        assert first[role].tobytes() != other[role].tobytes()
    for items in range(1, 9):
        dot_vectors.check(CONFIG, dot_vectors.random_arrays(CONFIG, items, items))


def test_dot_vectors_random_arrays_hold_every_corner_and_every_kind_of_length() -> None:
    arrays = dot_vectors.random_arrays(CONFIG, 3, 16)
    a, b = arrays["a"], arrays["b"]
    corners = {(int(x[0]), int(y[0])) for x, y in zip(a, b, strict=True) if len(set(x)) == 1 == len(set(y))}
    assert {(-128, -128), (-128, 127), (127, -128), (127, 127)} <= corners
    lengths = {dot_vectors.random_arrays(CONFIG, seed, 1)["a"].shape[1] for seed in range(200)}
    assert lengths == set(range(1, 17))


def test_dot_vectors_random_arrays_refuse_no_items() -> None:
    with pytest.raises(ValueError, match=r"^items must be at least 1, not 0$"):
        dot_vectors.random_arrays(CONFIG, 0, 0)
