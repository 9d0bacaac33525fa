"""Perceptrons: gradients against finite differences, losses against scikit-learn's, training by what it reaches."""

import numpy as np
import pytest
import sklearn.metrics

from sim.simd import datasets, mlp
from sim.simd.datasets import Samples

STEP = 1e-6


def some_network(seed=0, sizes=(5, 7, 6, 3)):
    """Random, with a bias."""
    rng = np.random.default_rng(seed)
    return tuple(mlp.Layer(layer.weights, rng.normal(size=layer.bias.shape)) for layer in mlp.initial(sizes, seed))


def some_samples(seed=1, count=9, inputs=5, classes=3):
    rng = np.random.default_rng(seed)
    return Samples(rng.normal(size=(count, inputs)), rng.integers(0, classes, count))


def slopes(network, loss_of):
    """Central differences of `loss_of`, a function of a network, by every parameter."""

    def moved(index, name, place, by):
        layer = network[index]
        changed = getattr(layer, name).copy()
        changed[place] += by
        other = mlp.Layer(**{"weights": layer.weights, "bias": layer.bias, name: changed})
        return loss_of((*network[:index], other, *network[index + 1 :]))

    def slope(index, name):
        found = np.empty_like(getattr(network[index], name))
        for place in np.ndindex(found.shape):
            found[place] = (moved(index, name, place, STEP) - moved(index, name, place, -STEP)) / (2 * STEP)
        return found

    return [(slope(index, "weights"), slope(index, "bias")) for index in range(len(network))]


def plain_scores(network, x):
    for index, layer in enumerate(network):
        x = (x if index == 0 else np.where(x > 0, x, 0)) @ layer.weights + layer.bias
    return x


def plain_loss(class_scores, labels):
    shares = np.exp(class_scores) / np.exp(class_scores).sum(axis=1, keepdims=True)
    return -np.mean(np.log(shares[np.arange(len(labels)), labels]))


def saw(period, limit):
    """A rounder to multiples of `period` that saturates at `limit`."""

    def rounded(values):
        return np.clip(np.rint(values / period) * period, -limit, limit), np.abs(values) <= limit

    return rounded


def frozen_scores(start, network, x, roundings):
    """Scores near `start` with each rounding as what the straight-through estimator takes it for.

    Where it does not saturate, the identity plus the error that it makes at `start`; where it does, a constant.
    """
    start_x = x
    for index, (layer, now, rounding) in enumerate(zip(start, network, roundings, strict=True)):
        parts = []
        if index:
            start_x, x = np.maximum(start_x, 0), np.maximum(x, 0)
        for before, after, rounder in (
            (start_x, x, rounding.inputs),
            (layer.weights, now.weights, rounding.weights),
            (layer.bias, now.bias, rounding.bias),
        ):
            value, passes = rounder(before)
            parts.append((value, np.where(passes, after + (value - before), value)))
        (x0, x1), (w0, w1), (b0, b1) = parts
        start_x, x = x0 @ w0 + b0, x1 @ w1 + b1
    return x


def assert_near(got, want):
    for layer, (weights, bias) in zip(got, want, strict=True):
        np.testing.assert_allclose(layer.weights, weights, rtol=1e-5, atol=1e-8)
        np.testing.assert_allclose(layer.bias, bias, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("seed", range(3))
def test_mlp_gradients_are_the_slopes_of_the_loss(seed):
    network, samples = some_network(seed), some_samples(seed)
    want = slopes(network, lambda other: plain_loss(plain_scores(other, samples.features), samples.labels))
    assert_near(mlp.gradients(network, samples), want)


@pytest.mark.parametrize("seed", range(3))
def test_mlp_gradients_go_straight_through_rounding_and_stop_where_it_saturates(seed):
    network, samples = some_network(seed), some_samples(seed)
    roundings = [
        mlp.Rounding(saw(0.25, 1.0), saw(0.125, 0.75), saw(0.5, 1.0)),
        mlp.Rounding(weights=saw(0.25, 0.5)),
        mlp.Rounding(inputs=saw(0.5, 1.5)),
    ]
    for rounding, layer in zip(roundings[:2], network[:2], strict=True):
        assert not rounding.weights(layer.weights)[1].all()
    want = slopes(
        network,
        lambda other: plain_loss(frozen_scores(network, other, samples.features, roundings), samples.labels),
    )
    assert_near(mlp.gradients(network, samples, roundings), want)


def test_mlp_scores_and_layer_inputs_are_those_of_plain_products():
    network, x = some_network(), some_samples().features
    np.testing.assert_allclose(mlp.scores(network, x), plain_scores(network, x), rtol=1e-13)
    entering = mlp.layer_inputs(network, x)
    assert [one.shape for one in entering] == [(9, 5), (9, 7), (9, 6)]
    assert entering[0] is x
    for depth in (1, 2):
        want = np.maximum(plain_scores(network[:depth], x), 0)
        np.testing.assert_allclose(entering[depth], want, rtol=1e-13)


def test_mlp_loss_and_accuracy_are_those_of_scikit_learn():
    rng = np.random.default_rng(5)
    scores, labels = rng.normal(size=(200, 4)) * 5, rng.integers(0, 4, 200)
    shares = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    assert mlp.loss(scores, labels) == pytest.approx(sklearn.metrics.log_loss(labels, shares), rel=1e-12)
    assert mlp.accuracy(scores, labels) == sklearn.metrics.accuracy_score(labels, scores.argmax(axis=1))
    assert mlp.loss(scores + 1e4, labels) == pytest.approx(mlp.loss(scores, labels), rel=1e-6)


def test_mlp_divergence_is_the_expected_rise_of_the_loss():
    rng = np.random.default_rng(6)
    right, other = rng.normal(size=(2, 50, 4))
    shares = np.exp(right) / np.exp(right).sum(axis=1, keepdims=True)
    every_label = np.repeat(right, 4, axis=0), np.repeat(other, 4, axis=0), np.tile(np.arange(4), 50)
    rises = [
        sklearn.metrics.log_loss(every_label[2], np.exp(one), sample_weight=shares.reshape(-1), labels=range(4))
        for one in (each - np.log(np.exp(each).sum(axis=1, keepdims=True)) for each in every_label[:2])
    ]
    assert mlp.divergence(right, other) == pytest.approx(rises[1] - rises[0], rel=1e-9)
    assert mlp.divergence(right, right) == 0
    assert mlp.divergence(right, right + 3) == pytest.approx(0, abs=1e-12)


def test_mlp_initial_weights_have_the_variance_of_he():
    first, second = mlp.initial((2000, 300, 10), 4)
    assert (first.weights.shape, second.weights.shape) == ((2000, 300), (300, 10))
    assert first.weights.var() == pytest.approx(2 / 2000, rel=0.02)
    assert second.weights.var() == pytest.approx(2 / 300, rel=0.1)
    assert not first.bias.any()
    np.testing.assert_array_equal(mlp.initial((2000, 300, 10), 4)[0].weights, first.weights)
    assert (mlp.initial((2000, 300, 10), 5)[0].weights != first.weights).any()


@pytest.mark.parametrize(("name", "least"), [("digits", 0.94), ("breast_cancer", 0.92)])
def test_mlp_fit_learns(name, least):
    data = datasets.load(name)
    assert mlp.accuracy(mlp.scores(mlp.fit(data), data.test.features), data.test.labels) > least


def test_mlp_training_keeps_the_best_epoch_and_its_start():
    """With a rate this high every epoch is worse than the one before."""
    data = datasets.load("breast_cancer")
    start = mlp.fit(data)
    assert mlp.train(start, data.train, data.validation, epochs=2, rate=30.0) is start
    better = mlp.train(mlp.initial((30, 8, 2), 0), data.train, data.validation, epochs=3, rate=1e-2)
    losses = [
        mlp.loss(mlp.scores(each, data.validation.features), data.validation.labels)
        for each in (mlp.initial((30, 8, 2), 0), better)
    ]
    assert losses[1] < losses[0]


def test_mlp_adam_moves_each_parameter_by_the_rate_at_first():
    """Adam's first step is the rate times the gradient's sign (Kingma and Ba, section 2.1)."""
    start, samples = some_network(), some_samples()
    slope = mlp.gradients(start, samples)
    after = mlp.train(start, samples, samples, epochs=1, rate=1e-3, batch=100)
    for layer, before, gradient in zip(after, start, slope, strict=True):
        large = np.abs(gradient.weights) > 1e-4
        assert large.any()
        moved = (layer.weights - before.weights)[large]
        np.testing.assert_allclose(moved, -1e-3 * np.sign(gradient.weights[large]), rtol=1e-3)


def test_mlp_seed_fixes_the_training():
    data = datasets.load("breast_cancer")
    runs = [
        mlp.train(mlp.initial((30, 4, 2), 0), data.train, data.validation, epochs=2, rate=1e-2, seed=seed)
        for seed in (1, 1, 2)
    ]
    np.testing.assert_array_equal(runs[0][0].weights, runs[1][0].weights)
    assert (runs[0][0].weights != runs[2][0].weights).any()
