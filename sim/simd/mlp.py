"""Small multilayer perceptrons in numpy: forward pass, gradients and training, with rounding inside if asked for.

All numbers are float64. Every layer is x @ weights + bias, and all but the last end in ReLU. The loss is the mean
cross-entropy of softmax.

Rounding and the straight-through estimator: a layer may round its inputs, weights and bias before it uses them. The
gradient of a rounding, which is zero almost everywhere, is replaced by that of the identity, and by zero where the
rounding saturates (Bengio, Leonard, Courville, "Estimating or Propagating Gradients Through Stochastic Neurons for
Conditional Computation", 2013; with saturation, Hubara et al., "Quantized Neural Networks", 2018). So one backward pass
serves plain and quantisation-aware training. The optimiser is Adam (Kingma and Ba, 2015) with a rate that falls
linearly to zero.

Seeds fix all random numbers, but a matrix product's last bits are the machine's: two machines train networks of like
accuracy, not of like bytes.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sim.simd.datasets import Dataset, Samples

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

Rounder = Callable[[Floats], tuple[Floats, Bools]]
"""Numbers of any shape -> what stands for them, and where the gradient passes: false where they saturate."""


@dataclass(frozen=True)
class Layer:
    """A layer's parameters, or a loss's gradient by them: `weights` (inputs, outputs), `bias` (outputs,), float64."""

    weights: Floats
    bias: Floats


Network = tuple[Layer, ...]


def exact(values: Floats) -> tuple[Floats, Bools]:
    """The rounder that rounds nothing."""
    return values, np.ones(values.shape, np.bool_)


@dataclass(frozen=True)
class Rounding:
    """How a layer rounds what it works on."""

    inputs: Rounder = exact
    weights: Rounder = exact
    bias: Rounder = exact


EXACT = Rounding()

HIDDEN = (32, 32)
"""Outputs of the hidden layers, where nothing else is asked for."""

EPOCHS, RATE = 60, 3e-3

_MOMENTUM, _SQUARE_MOMENTUM, _TINY = 0.9, 0.999, 1e-8  # Adam's usual beta 1, beta 2 and epsilon


@dataclass(frozen=True)
class _Step:
    """What the backward pass needs of a layer's forward pass."""

    inputs: Floats
    inputs_pass: Bools
    weights: Floats
    weights_pass: Bools
    bias_pass: Bools
    sums: Floats


def initial(sizes: Sequence[int], seed: int) -> Network:
    """An untrained network: normal weights of variance 2 / inputs (He et al., 2015), no bias.

    `sizes` are inputs, hidden layers, outputs: (64, 32, 10) makes two layers.
    """
    rng = np.random.RandomState(seed)
    return tuple(
        Layer(rng.standard_normal((inputs, outputs)) * np.sqrt(2 / inputs), np.zeros(outputs))
        for inputs, outputs in itertools.pairwise(sizes)
    )


def fit(data: Dataset, hidden: Sequence[int] = HIDDEN, seed: int = 1) -> Network:
    """A network trained on a data set, unquantised; it takes a second."""
    start = initial((data.train.features.shape[1], *hidden, data.classes), seed)
    return train(start, data.train, data.validation, epochs=EPOCHS, rate=RATE)


def layer_inputs(network: Network, x: Floats, roundings: Sequence[Rounding] | None = None) -> list[Floats]:
    """What enters each layer, before its own rounding: a list of (samples, inputs of the layer)."""
    return [x, *(np.maximum(step.sums, 0.0) for step in _forward(network, x, roundings)[:-1])]


def scores(network: Network, x: Floats, roundings: Sequence[Rounding] | None = None) -> Floats:
    """The last layer's sums: (samples, inputs) -> (samples, classes). The largest names the class."""
    return _forward(network, x, roundings)[-1].sums


def accuracy(class_scores: Floats, labels: npt.NDArray[np.int64]) -> float:
    """The share, 0..1, of samples whose largest score is their class's; of equal scores the lowest class wins."""
    return float((np.argmax(class_scores, axis=1) == labels).mean())


def loss(class_scores: Floats, labels: npt.NDArray[np.int64]) -> float:
    """Mean cross-entropy, in nats."""
    return float(-_log_softmax(class_scores)[np.arange(len(labels)), labels].mean())


def divergence(class_scores: Floats, others: Floats) -> float:
    """How far the classes' probabilities by `others` are from those by `class_scores`: mean Kullback-Leibler, in nats.

    It is the loss of `others`, less that of `class_scores`, on labels drawn by the probabilities of `class_scores`. So
    it is never negative.
    """
    right, other = _log_softmax(class_scores), _log_softmax(others)
    return float((np.exp(right) * (right - other)).sum(axis=1).mean())


def gradients(network: Network, samples: Samples, roundings: Sequence[Rounding] | None = None) -> Network:
    """The loss's gradient by all parameters, straight through the roundings."""
    steps = _forward(network, samples.features, roundings)
    error = np.exp(_log_softmax(steps[-1].sums))
    error[np.arange(len(error)), samples.labels] -= 1.0
    error /= len(error)
    found = []
    for index in range(len(steps) - 1, -1, -1):
        step = steps[index]
        found.append(Layer(step.inputs.T @ error * step.weights_pass, error.sum(axis=0) * step.bias_pass))
        if index:
            error = error @ step.weights.T * (step.inputs_pass & (steps[index - 1].sums > 0))
    return tuple(reversed(found))


def train(
    start: Network,
    samples: Samples,
    validation: Samples,
    *,
    epochs: int,
    rate: float,
    batch: int = 32,
    seed: int = 0,
    roundings: Sequence[Rounding] | None = None,
) -> Network:
    """The network trained on from `start`, as it was after the epoch of the lowest loss on `validation`.

    `start` itself counts as an epoch, so the result's validation loss is never above it. `rate` is Adam's step at the
    start; with `roundings` the training is quantisation-aware, and so are the losses compared.
    """
    rng = np.random.RandomState(seed)
    # One vector holds all parameters: Adam has no need to know of layers.
    vector = _flat(start)
    mean, square = np.zeros_like(vector), np.zeros_like(vector)
    batches = -(-len(samples.labels) // batch)
    best, lowest = start, loss(scores(start, validation.features, roundings), validation.labels)
    for epoch in range(epochs):
        for place, rows in enumerate(np.array_split(rng.permutation(len(samples.labels)), batches)):
            part = Samples(samples.features[rows], samples.labels[rows])
            slope = _flat(gradients(_shaped(vector, start), part, roundings))
            done = epoch * batches + place
            mean = _MOMENTUM * mean + (1 - _MOMENTUM) * slope
            square = _SQUARE_MOMENTUM * square + (1 - _SQUARE_MOMENTUM) * slope**2
            unbiased = mean / (1 - _MOMENTUM ** (done + 1))
            spread = np.sqrt(square / (1 - _SQUARE_MOMENTUM ** (done + 1))) + _TINY
            vector = vector - rate * (1 - done / (epochs * batches)) * unbiased / spread
        now = _shaped(vector, start)
        reached = loss(scores(now, validation.features, roundings), validation.labels)
        if reached < lowest:
            best, lowest = now, reached
    return best


def _forward(network: Network, x: Floats, roundings: Sequence[Rounding] | None) -> list[_Step]:
    steps: list[_Step] = []
    for layer, rounding in zip(network, roundings or [EXACT] * len(network), strict=True):
        inputs, inputs_pass = rounding.inputs(np.maximum(steps[-1].sums, 0.0) if steps else x)
        weights, weights_pass = rounding.weights(layer.weights)
        bias, bias_pass = rounding.bias(layer.bias)
        steps.append(_Step(inputs, inputs_pass, weights, weights_pass, bias_pass, inputs @ weights + bias))
    return steps


def _log_softmax(class_scores: Floats) -> Floats:
    shifted = class_scores - class_scores.max(axis=1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True)))


def _flat(network: Network) -> Floats:
    return np.concatenate([part.reshape(-1) for layer in network for part in (layer.weights, layer.bias)])


def _shaped(vector: Floats, like: Network) -> Network:
    shapes = [part.shape for layer in like for part in (layer.weights, layer.bias)]
    ends = np.cumsum([int(np.prod(shape)) for shape in shapes])[:-1]
    parts = [part.reshape(shape) for part, shape in zip(np.split(vector, ends), shapes, strict=True)]
    return tuple(Layer(weights, bias) for weights, bias in zip(parts[::2], parts[1::2], strict=True))
