"""Real data that scikit-learn's wheel ships, split for training small networks and scaled for their inputs.

* `digits`: 1797 handwritten digits of 8x8 pixels, ten classes (the test part of UCI's "Optical Recognition of
  Handwritten Digits"). Features are pixels over 16, a full pixel: 0..1 in steps of 1/16.
* `breast_cancer`: 569 tumours with 30 measures each, two classes (UCI's "Breast Cancer Wisconsin (Diagnostic)").
  Features have mean 0 and standard deviation 1 over the training samples.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

from hdl.common.config import nearest

NAMES = ("digits", "breast_cancer")
HELD_OUT_SHARE = 5
"""One sample of so many is in the test set, and as many in the validation set, rounded up."""


@dataclass(frozen=True)
class Samples:
    """Some samples with their classes.

    Attributes
    ----------
    features : float64, (samples, inputs)
    labels : int64, (samples,)
        Classes, from 0.
    """

    features: npt.NDArray[np.float64]
    labels: npt.NDArray[np.int64]


@dataclass(frozen=True)
class Dataset:
    """A data set in three disjoint parts.

    Attributes
    ----------
    name : one of `NAMES`
    classes : number of classes
    train, validation, test : Samples
        To fit weights and scales by; to choose by, among networks, formats and epochs; to report, and for nothing else.
    """

    name: str
    classes: int
    train: Samples
    validation: Samples
    test: Samples


@cache
def load(name: str) -> Dataset:
    """The data set called `name`, the same on every machine; kept for the life of the process.

    The test set of the digits is that of `sim.simd.digits`.

    Raises
    ------
    ValueError
        If there is no such set: names those there are.
    """
    if name not in NAMES:
        raise ValueError(f'data set must be one of {", ".join(NAMES)}, not "{name}"{nearest(name, list(NAMES))}')
    # A second of imports, paid only by who trains.
    from sklearn.datasets import load_breast_cancer, load_digits

    features, labels = {"digits": load_digits, "breast_cancer": load_breast_cancer}[name](return_X_y=True)
    features, labels = np.asarray(features, np.float64), np.asarray(labels, np.int64)
    # The legacy generator, because numpy promises that its numbers never change (NEP 19).
    order = np.random.RandomState(0).permutation(len(features))
    held_out = -(-len(features) // HELD_OUT_SHARE)
    test, validation, train = np.split(order, [held_out, 2 * held_out])
    if name == "digits":
        features = features / 16
    else:
        features = (features - features[train].mean(axis=0)) / features[train].std(axis=0)
    parts = [Samples(features[rows], labels[rows]) for rows in (train, validation, test)]
    return Dataset(name, int(labels.max()) + 1, *parts)
