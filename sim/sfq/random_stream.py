"""Random numbers that depend on nothing but their place: a seed, a trial, an instance, a number.

So trials may be run in any order, on any number of threads, and by any engine. A word is SplitMix64's (Steele, Lea,
Flood: Fast splittable pseudorandom number generators, OOPSLA 2014); the key of a trial, or of an instance in it, is a
word of the stream around it.

A normal number is read off a table of the distribution, in arithmetic that every machine does alike. Of a word the top
bit is the sign; the others, as a fraction f of 1, say how far out the number lies: P(|z| > size) = f. Between powers of
two of f the table has 64 points, and is linear between them: off by less than 1e-4.
"""

from __future__ import annotations

from functools import cache
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

STEP = 0x9E3779B97F4A7C15
MASK = (1 << 64) - 1

NO_INSTANCE = 1 << 32
"""Stands for an instance where a number belongs to the trial as a whole."""

SEGMENT_BITS = 6
FRACTION_BITS = 52
OCTAVES = 64


def mix(word: int) -> int:
    """SplitMix64's function from 64 bits to 64 bits."""
    word = (word ^ word >> 30) * 0xBF58476D1CE4E5B9 & MASK
    word = (word ^ word >> 27) * 0x94D049BB133111EB & MASK
    return word ^ word >> 31


def word_of(key: int, number: int) -> int:
    """Word `number` of the stream of a key: 64 bits."""
    return mix(key + (number + 1) * STEP & MASK)


def trial_key(seed: int, trial: int) -> int:
    """The key of a trial."""
    return word_of(word_of(0, seed), trial)


def instance_key(seed: int, trial: int, instance: int) -> int:
    """The key of an instance in a trial; `instance` may be `NO_INSTANCE`."""
    return word_of(trial_key(seed, trial), instance)


def normal(key: int, number: int) -> float:
    """Normal number `number` of the stream of a key: mean 0, standard deviation 1."""
    word = word_of(key, number)
    tail = (word << 1 & MASK) | 1
    octave = tail.bit_length() - 1
    rest = (tail << OCTAVES - octave) & MASK  # without the leading one
    point = octave << SEGMENT_BITS | rest >> OCTAVES - SEGMENT_BITS
    fraction = (rest << SEGMENT_BITS & MASK) >> OCTAVES - FRACTION_BITS
    points = _points()
    size = points[point] + fraction / (1 << FRACTION_BITS) * (points[point + 1] - points[point])
    return -size if word >> 63 else size


@cache
def normal_table() -> npt.NDArray[np.float64]:
    """The sizes at which the distribution's two tails hold 2^(k-64)·(1 + s/64), at 64·k + s; the last is 0."""
    segments = 1 << SEGMENT_BITS
    tails = [(1 + part / segments) * 2.0 ** (octave - OCTAVES) for octave in range(OCTAVES) for part in range(segments)]
    quantile = NormalDist().inv_cdf
    return np.array([-quantile(tail / 2) for tail in tails] + [0.0])


@cache
def _points() -> list[float]:
    found: list[float] = normal_table().tolist()
    return found
