"""The data sets: proper splits, the same everywhere, scaled by what may be known."""

import re
import subprocess
import sys

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_digits

from sim.simd import datasets, digits

SIZES = {"digits": (1077, 360, 360, 64, 10), "breast_cancer": (341, 114, 114, 30, 2)}


@pytest.mark.parametrize("name", datasets.NAMES)
def test_dataset_parts_have_their_shapes_and_types(name):
    data = datasets.load(name)
    *counts, inputs, classes = SIZES[name]
    assert data.classes == classes
    for part, count in zip((data.train, data.validation, data.test), counts, strict=True):
        assert (part.features.dtype, part.features.shape) == (np.float64, (count, inputs))
        assert (part.labels.dtype, part.labels.shape) == (np.int64, (count,))
        assert set(part.labels.tolist()) == set(range(classes))


@pytest.mark.parametrize(("name", "source"), [("digits", load_digits), ("breast_cancer", load_breast_cancer)])
def test_dataset_parts_are_all_samples_once(name, source):
    """Features are scaled and shifted column by column, which keeps the samples' order in each column."""
    features, labels = source(return_X_y=True)
    data = datasets.load(name)
    parts = (data.test, data.validation, data.train)
    got = np.concatenate([part.features for part in parts])
    order = np.random.RandomState(0).permutation(len(features))
    np.testing.assert_array_equal(np.concatenate([part.labels for part in parts]), labels[order])
    for column in range(features.shape[1]):
        if features[:, column].std() > 0:
            assert np.corrcoef(got[:, column], features[order, column])[0, 1] > 1 - 1e-9


def test_dataset_digits_tests_with_the_images_of_the_digits_classifier():
    data, loaded = datasets.load("digits"), digits.load()
    np.testing.assert_array_equal(data.test.features * 16, loaded.features[:, :64])
    np.testing.assert_array_equal(data.test.labels, loaded.labels)


def test_dataset_breast_cancer_is_standardised_by_the_training_samples_alone():
    data = datasets.load("breast_cancer")
    np.testing.assert_allclose(data.train.features.mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(data.train.features.std(axis=0), 1, atol=1e-12)
    assert np.abs(data.test.features.mean(axis=0)).max() > 0.01


def test_dataset_module_imports_without_scikit_learn():
    program = "import sys, sim.simd.quantise_mix; print('sklearn' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_dataset_that_is_not_there_is_named_with_those_that_are():
    message = 'data set must be one of digits, breast_cancer, not "digit"; did you mean "digits"?'
    with pytest.raises(ValueError, match=rf"^{re.escape(message)}$"):
        datasets.load("digit")
