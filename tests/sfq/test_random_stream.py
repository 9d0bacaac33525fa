"""The counter-based generator: its words against published ones, its normal numbers against the distribution."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
import pytest

from sim.sfq.random_stream import NO_INSTANCE, instance_key, normal, normal_table, trial_key, word_of


def test_words_are_those_of_splitmix64():
    """The first words for seed 1234567, as Rosetta Code's page `Pseudo-random numbers/Splitmix64` lists them."""
    listed = [6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431, 16408922859458223821]
    assert [word_of(1234567, number) for number in range(5)] == listed


def test_keys_differ():
    keys = {instance_key(seed, trial, one) for seed in range(8) for trial in range(8) for one in (0, 1, 2, NO_INSTANCE)}
    keys |= {trial_key(seed, trial) for seed in range(8) for trial in range(8)}
    assert len(keys) == 8 * 8 * 5


def test_table_is_within_its_bound_of_the_distribution():
    """Halfway between points, where a straight line is furthest from the curve."""
    table = normal_table()
    octaves, parts = np.divmod(np.arange(len(table) - 1), 64)
    halfway = (1 + (parts + 0.5) / 64) * 2.0 ** (octaves - 64)
    right = [-NormalDist().inv_cdf(tail / 2) for tail in halfway.tolist()]
    assert np.max(np.abs((table[:-1] + table[1:]) / 2 - right)) < 1e-4
    assert table[-1] == 0 and 9 < table[0] < 9.2


def test_normal_numbers_are_normal():
    """Mean, deviation, and the largest distance between the distributions (Kolmogorov-Smirnov), at 4 sigma."""
    count = 40_000
    drawn = np.sort([normal(instance_key(3, trial, 5), number) for trial in range(200) for number in range(200)])
    assert abs(drawn.mean()) < 4 / math.sqrt(count)
    assert abs(drawn.std() - 1) < 4 / math.sqrt(2 * count)
    below = np.array([NormalDist().cdf(value) for value in drawn.tolist()])
    assert np.max(np.abs(below - (np.arange(count) + 0.5) / count)) < 2 / math.sqrt(count)


@pytest.mark.parametrize("number", [0, 1, 100])
def test_streams_of_neighbours_do_not_go_together(number):
    ours = np.array([normal(instance_key(1, trial, 0), number) for trial in range(4000)])
    for theirs in ([normal(instance_key(1, trial, 1), number) for trial in range(4000)], np.roll(ours, 1)):
        assert abs(np.corrcoef(ours, theirs)[0, 1]) < 4 / math.sqrt(4000)
