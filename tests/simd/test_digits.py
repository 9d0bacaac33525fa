"""The digits classifier: a proper split, a trained optimum, and a quantisation that costs next to nothing."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from sim.simd import digits


def integer_scores(samples: int) -> np.ndarray:
    """The block's results by a plain integer matrix product, in the order of `arrays`."""
    loaded = digits.load()
    return (loaded.features[:samples].astype(np.int64) @ loaded.weights.astype(np.int64).T).reshape(-1).astype(np.int32)


def test_digits_split_is_disjoint_and_complete() -> None:
    loaded = digits.load()
    assert (len(loaded.train_rows), len(loaded.test_rows)) == (1437, 360)
    assert sorted([*loaded.train_rows, *loaded.test_rows]) == list(range(1797))


def test_digits_split_is_that_of_scikit_learn() -> None:
    images, classes = load_digits(return_X_y=True)
    _, test_images, _, test_classes = train_test_split(images, classes, test_size=360, random_state=0)
    np.testing.assert_array_equal(digits.load().features[:, :64], test_images)
    np.testing.assert_array_equal(digits.load().labels, test_classes)


def test_digits_features_are_pixels_and_the_bias_element() -> None:
    features = digits.load().features
    assert (features.dtype, features.shape) == (np.int8, (360, 65))
    assert (features.min(), features.max()) == (0, 16)
    assert set(features[:, 64].tolist()) == {16}


def test_digits_weights_are_the_optimum_of_the_penalised_likelihood() -> None:
    images, classes = load_digits(return_X_y=True)
    loaded = digits.load()
    x = np.column_stack([images, np.full(1797, 16.0)])[loaded.train_rows] / 16
    scores = np.exp(x @ loaded.float_weights.T)
    error = scores / scores.sum(axis=1, keepdims=True) - np.eye(10)[classes[loaded.train_rows]]
    assert np.abs(error.T @ x + loaded.float_weights).max() < 1e-9  # zero gradient of a strictly convex loss


def test_digits_weights_are_rounded_far_from_ties() -> None:
    """Else another machine's last bits could round a weight the other way."""
    loaded = digits.load()
    steps = loaded.float_weights / np.abs(loaded.float_weights).max() * 127
    np.testing.assert_array_less(np.abs(loaded.weights - steps), 0.5 - 1e-5)
    assert (loaded.weights.dtype, np.abs(loaded.weights.astype(int)).max()) == (np.int8, 127)


@pytest.mark.deep
def test_digits_weights_do_not_depend_on_threads() -> None:
    program = (
        "import hashlib; from sim.simd.digits import load; print(hashlib.sha256(load().weights.tobytes()).hexdigest())"
    )
    outputs = set()
    for threads in ("1", "2"):
        environment = os.environ | {"OPENBLAS_NUM_THREADS": threads, "OMP_NUM_THREADS": threads}
        command = [sys.executable, "-c", program]
        outputs.add(subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout)
    assert len(outputs) == 1
    assert re.fullmatch(r"[0-9a-f]{64}\n", outputs.pop())


def test_digits_module_imports_without_scikit_learn() -> None:
    program = "import sys, sim.simd.digits; print('sklearn' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_digits_arrays_pair_every_image_with_every_class() -> None:
    arrays, loaded = digits.arrays(3), digits.load()
    assert {name: (array.dtype, array.shape) for name, array in arrays.items()} == {
        "a": (np.int8, (30, 65)),
        "b": (np.int8, (30, 65)),
    }
    for image in range(3):
        for label in range(10):
            np.testing.assert_array_equal(arrays["a"][10 * image + label], loaded.features[image])
            np.testing.assert_array_equal(arrays["b"][10 * image + label], loaded.weights[label])
    assert digits.arrays()["a"].shape == (3600, 65)


def test_digits_predict_names_the_largest_score_and_the_lowest_class_of_equals() -> None:
    y = np.full((3, 10), -5, np.int32)
    y[0, 7] = 9
    y[1, [3, 8]] = 2
    assert digits.predict(y.reshape(-1)).tolist() == [7, 3, 0]


def test_digits_float_classifier_is_above_93_percent() -> None:
    assert digits.accuracy(digits.predict_float()) > 0.93


def test_digits_int8_is_within_one_point_of_float() -> None:
    int8 = digits.accuracy(digits.predict(integer_scores(360)))
    assert abs(int8 - digits.accuracy(digits.predict_float())) <= 0.01


def test_digits_accuracy_counts_right_predictions() -> None:
    labels = digits.load().labels
    predicted = labels[:8].copy()
    predicted[[1, 6]] = (predicted[[1, 6]] + 1) % 10
    assert digits.accuracy(predicted) == 0.75
    assert digits.accuracy(labels) == 1.0


@pytest.mark.parametrize("samples", [0, -1, 361])
@pytest.mark.parametrize("function", [digits.arrays, digits.predict_float])
def test_digits_refuse_samples_that_are_not_there(function: Any, samples: int) -> None:
    with pytest.raises(ValueError, match=rf"^samples must be in 1\.\.360, not {samples}$"):
        function(samples)


def test_digits_accuracy_refuses_no_predictions() -> None:
    with pytest.raises(ValueError, match=r"^samples must be in 1\.\.360, not 0$"):
        digits.accuracy(np.empty(0, np.int64))
