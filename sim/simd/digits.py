"""Handwritten digits through `simd.dot`: a linear classifier of 8x8 images, quantised to INT8.

The images are those of scikit-learn (`load_digits`, the test part of UCI's "Optical Recognition of Handwritten
Digits": 1797 of them, pixels 0..16); 360 are held out as the test set.

The classifier is multinomial logistic regression with a quadratic penalty (scikit-learn's own weight of it, C = 1, on
pixels scaled to 0..1). That problem is strictly convex, so it has one optimum, and Newton's method goes there to the
last bits of a float64: the arithmetic of a machine or the number of its threads moves a weight by less than 1e-9 of a
quantisation step, and the quantised weights are the same everywhere.

Quantisation: symmetric, one scale for all classes (per tensor), round to nearest even: `round(w * 127 / max|w|)`. One
scale for all, because the classes' scores are compared as they leave the block. Pixels are small integers already and
lose nothing. The bias is the weight of one more element, which is 16, a full pixel, in every image: an image is a
vector of 65 elements, and the largest of its ten dot products names its class.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

from sim.common.vectors import Arrays

CLASSES = 10
TEST_SAMPLES = 360
FULL_PIXEL = 16


@dataclass(frozen=True)
class Digits:
    """The test set and the trained classifier.

    Attributes
    ----------
    features : int8, (360, 65)
        Test images, 64 pixels in 0..16 and the constant 16 that carries the bias.
    labels : int64, (360,)
        Their classes, 0..9.
    float_weights : float64, (10, 65)
        As trained, for features divided by 16.
    weights : int8, (10, 65)
        Quantised, in -127..127.
    train_rows, test_rows : int64, (1437,) and (360,)
        Which of scikit-learn's images are in which part.
    """

    features: npt.NDArray[np.int8]
    labels: npt.NDArray[np.int64]
    float_weights: npt.NDArray[np.float64]
    weights: npt.NDArray[np.int8]
    train_rows: npt.NDArray[np.int64]
    test_rows: npt.NDArray[np.int64]


@cache
def load() -> Digits:
    """Split, train and quantise: the same result on every machine, kept for the life of the process."""
    # A second of imports, paid only by who classifies digits.
    from sklearn.datasets import load_digits
    from sklearn.linear_model import LogisticRegression

    images, classes = load_digits(return_X_y=True)
    features = np.column_stack([images, np.full(len(images), FULL_PIXEL)]).astype(np.int8)
    # The legacy generator, because numpy promises that its numbers never change (NEP 19).
    # The rows are those of scikit-learn's train_test_split(test_size=360, random_state=0).
    order = np.random.RandomState(0).permutation(len(images)).astype(np.int64)
    test, train = order[:TEST_SAMPLES], order[TEST_SAMPLES:]
    trained = LogisticRegression(C=1.0, fit_intercept=False, solver="newton-cholesky", tol=1e-10).fit(
        features[train] / FULL_PIXEL, classes[train]
    )
    float_weights = trained.coef_
    weights = np.rint(float_weights * (127 / np.abs(float_weights).max())).astype(np.int8)
    return Digits(features[test], classes[test].astype(np.int64), float_weights, weights, train, test)


def arrays(samples: int = TEST_SAMPLES) -> Arrays:
    """The first `samples` images of the test set as the arrays of `simd.dot`: `a`, `b` int8 (samples * 10, 65).

    Row 10 * i + c is image i against class c.

    Raises
    ------
    ValueError
        If `samples` is not in 1..360.
    """
    digits = load()
    images = digits.features[: _checked(samples)]
    return {"a": np.repeat(images, CLASSES, axis=0), "b": np.tile(digits.weights, (samples, 1))}


def predict(y: npt.NDArray[np.int32]) -> npt.NDArray[np.int64]:
    """The classes that dot products in the order of `arrays` name: int32 (samples * 10,) -> int64 (samples,).

    Of equal scores the lowest class wins.
    """
    classes: npt.NDArray[np.int64] = np.argmax(y.reshape(-1, CLASSES), axis=1)
    return classes


def predict_float(samples: int = TEST_SAMPLES) -> npt.NDArray[np.int64]:
    """The classes that the classifier names before quantisation, in float64: int64 (samples,).

    Raises
    ------
    ValueError
        If `samples` is not in 1..360.
    """
    digits = load()
    scores = digits.features[: _checked(samples)] / FULL_PIXEL @ digits.float_weights.T
    classes: npt.NDArray[np.int64] = np.argmax(scores, axis=1)
    return classes


def accuracy(predicted: npt.NDArray[np.int64]) -> float:
    """The share, 0..1, of right ones among predictions for the first images of the test set.

    Raises
    ------
    ValueError
        If there is not a prediction for each of 1..360 images.
    """
    return float((predicted == load().labels[: _checked(len(predicted))]).mean())


def _checked(samples: int) -> int:
    if not 1 <= samples <= TEST_SAMPLES:
        raise ValueError(f"samples must be in 1..{TEST_SAMPLES}, not {samples}")
    return samples
