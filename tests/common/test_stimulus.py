from __future__ import annotations

import numpy as np
import pytest

from sim.common.stimulus import extremes, integers, last_flags, packet_lengths


@pytest.mark.parametrize(
    ("bits", "signed", "expected"),
    [
        (8, True, [-128, -127, -86, -1, 0, 1, 85, 126, 127]),
        (8, False, [0, 1, 85, 170, 254, 255]),
        (2, True, [-2, -1, 0, 1]),
        (1, False, [0, 1]),
        (1, True, [-1, 0]),
        (63, False, [0, 1, 0x2AAAAAAAAAAAAAAA, 0x5555555555555555, 2**63 - 2, 2**63 - 1]),
    ],
)
def test_extremes_are_the_ends_zero_and_the_patterns(bits: int, signed: bool, expected: list[int]) -> None:
    assert extremes(bits, signed=signed).tolist() == expected


def test_extremes_refuse_a_width_that_int64_does_not_hold() -> None:
    with pytest.raises(ValueError, match=r"^bits must be in 1\.\.63, not 64$"):
        extremes(64, signed=False)


def test_integers_stay_in_range_and_hold_extremes_and_constants() -> None:
    values = integers(np.random.default_rng(1), 8, (400, 16))
    assert values.shape == (400, 16)
    assert values.min() == -128
    assert values.max() == 127
    constant = (values == values[:, :1]).all(axis=1)
    assert 0.15 < constant.mean() < 0.35
    assert len(np.unique(values)) == 256
    corner = np.isin(values, [-128, -127, -86, -1, 0, 1, 85, 126, 127]).mean()
    assert 0.5 < corner < 0.8


def test_integers_repeat_by_their_seed() -> None:
    first, again, other = (integers(np.random.default_rng(seed), 12, 50, signed=False) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_packet_lengths_hold_shortest_and_longest() -> None:
    lengths = packet_lengths(np.random.default_rng(3), 300, 9)
    assert (min(lengths), max(lengths)) == (1, 9)
    assert lengths.count(1) > 80
    assert lengths.count(9) > 30


def test_last_flags_end_each_packet() -> None:
    assert last_flags([1, 3, 2]).tolist() == [True, False, False, True, False, True]
