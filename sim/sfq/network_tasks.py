"""What networks of pulses are shown: rates of their input rails, and the classes that are right.

Every number comes on two rails, its own and its complement's, because synapses only excite: a network of them without
complements is monotone and cannot realise XOR.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sim.simd import datasets

DIGITS = (3, 5, 8)
"""Classes of the task `digits`: those that are most alike."""

FULL_SHARE = 0.5
"""A pixel is 1 from this share of a full one on."""


@dataclass(frozen=True)
class Examples:
    """Some inputs with their classes.

    Attributes
    ----------
    rates : float64, (examples, rails), 0..1
        Share of slots in which each input rail has a pulse.
    labels : int64, (examples,)
        Classes, from 0: the output neuron that is to fire most; of one output, whether it is to fire.
    """

    rates: NDArray[np.float64]
    labels: NDArray[np.int64]

    def pulses(self, slots: int, seed: int = 0) -> NDArray[np.uint8]:
        """A window for each: uint8 (examples, slots, rails); rates between 0 and 1 by chance."""
        chance = np.random.default_rng([11, seed]).random((len(self.rates), slots, self.rates.shape[1]))
        return (chance < self.rates[:, None]).astype(np.uint8)

    def first(self, examples: int) -> Examples:
        """So many of them."""
        return Examples(self.rates[:examples], self.labels[:examples])


@dataclass(frozen=True)
class Task:
    """Examples to train by, to choose by, and to report."""

    train: Examples
    validation: Examples
    test: Examples


def dual_rail(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Each value 0..1 and its complement beside it: (n, values) -> (n, 2 * values)."""
    return np.stack([values, 1 - values], axis=-1).reshape(len(values), -1)


@cache
def task(name: Literal["xor", "digits"]) -> Task:
    """The task of that name.

    `xor`: all four pairs of bits, in every part. `digits`: scikit-learn's handwritten digits of the classes `DIGITS`,
    8x8 pixels of one bit, split as in `sim.simd.datasets`.
    """
    if name == "xor":
        bits = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
        every = Examples(dual_rail(bits.astype(np.float64)), bits[:, 0] ^ bits[:, 1])
        return Task(every, every, every)
    data = datasets.load("digits")
    return Task(*(_digits(part) for part in (data.train, data.validation, data.test)))


def _digits(samples: datasets.Samples) -> Examples:
    wanted = np.isin(samples.labels, DIGITS)
    pixels = (samples.features[wanted] >= FULL_SHARE).astype(np.float64)
    return Examples(dual_rail(pixels), np.searchsorted(DIGITS, samples.labels[wanted]))
