"""Trains the bias currents of stochastic pulse networks: gradient descent on a smooth surrogate of rates.

The surrogate. A synapse of current w passes the share p(w) of its pulses. Into a neuron come l = sum of r p pulses a
slot, of variance v = sum of r p (1 - r p), r the rates of its inputs, taken as independent. With decay d a slot, the
loop's current has, when it is decided whether to fire, the mean (l kick - f d drop) / (1 - d) where a share f of slots
fires, and the variance kick^2 v / (1 - d^2) + drop^2 / 12. The rate is the f that solves

    f = S(1.702 (mean(f) - threshold + bias) / deviation),    S the logistic function, near the normal distribution,

one f, because the right side falls with f. It covers both a loop that a firing empties, whose rate grows in proportion,
and one that it hardly changes, which is a noisy threshold. Gradients are exact, by the implicit function.

Far from its threshold a synapse has no gradient. So training starts hot, where gray zones are wide, and cools down to
the config's temperature over the first half of its steps.

In every step all bias currents are scaled by a random factor, and each synapse by another one, so that what is found
has margins. The loss is cross-entropy; the optimiser is Adam (Kingma and Ba, 2015), its rate falling linearly to zero.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from hdl.sfq.network_config import Currents, LayerCurrents, StochasticConfig
from hdl.sfq.neuromorphic import WEIGHT_BITS, neuron_fit, synapse_fit
from sim.sfq.network_program import gray_zone_ua, pass_probability
from sim.sfq.network_tasks import Examples, Task

Floats = NDArray[np.float64]

NORMAL_SLOPE = 1.702
"""A logistic function of so many times z is within 0.01 of the normal distribution of z."""

HALVINGS = 30
SCORE_SCALE = 10.0
"""From rates to the logits of several classes."""

PARTING_RATE = 0.3
"""Of a single output: above it the answer is yes."""

BIAS_UA = (0.0, 180.0)
"""Of a neuron: the range that its circuit was fitted in."""

BIAS_SPREAD, SYNAPSE_SPREAD = 0.08, 0.04
"""Half the range of the common factor, and the deviation of each synapse's, while training."""

HOT = 36.0
"""Temperature at the start, in temperatures of the config: gray zones are its square root wider."""

CURRENT_STEP_UA = synapse_fit().step_ua


@dataclass(frozen=True)
class Layer:
    """Currents, uA: `synapses` (neurons, inputs), `biases` (neurons,); or a loss's gradient by them."""

    synapses: Floats
    biases: Floats


@dataclass(frozen=True)
class Loop:
    """What the neurons of a layer are: decay a slot, and in uA kick, drop and threshold."""

    decay: float
    kick: float
    drop: float
    threshold: float


@dataclass(frozen=True)
class Recipe:
    """How a network is trained."""

    steps: int
    batch: int
    rate_ua: float
    starts: int


RECIPES = {"xor": Recipe(600, 16, 2.0, 8), "digits": Recipe(1500, 64, 2.0, 1)}
"""By task. `starts`: so many random networks are trained, the best by validation is taken."""


def loops(config: StochasticConfig) -> list[Loop]:
    """Of each layer of neurons."""
    fit = neuron_fit()
    return [
        Loop(float(np.exp(-config.slot_ps / tau)), kick, kick * fit.drop_ua / fit.kick_ua, fit.threshold_ua)
        for kick, tau in zip(config.kicks_ua, config.taus_ps, strict=True)
    ]


@dataclass(frozen=True)
class _Step:
    """What the backward pass needs of a layer's forward pass."""

    rates: Floats
    shares: Floats
    fires: Floats
    slope: Floats
    lean: Floats
    deviation: Floats


def _forward(layer: Layer, loop: Loop, rates: Floats, temperature_k: float) -> _Step:
    shares = pass_probability(layer.synapses, temperature_k)
    mean = rates @ shares.T * (loop.kick / (1 - loop.decay)) - loop.threshold + layer.biases
    variance = rates @ shares.T - rates**2 @ (shares**2).T
    deviation = np.sqrt(loop.kick**2 / (1 - loop.decay**2) * variance + loop.drop**2 / 12)
    relief = loop.drop * loop.decay / (1 - loop.decay)
    low, high = np.zeros_like(mean), np.ones_like(mean)
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        above = _logistic(NORMAL_SLOPE * (mean - relief * middle) / deviation) > middle
        low, high = np.where(above, middle, low), np.where(above, high, middle)
    fires = (low + high) / 2
    slope = fires * (1 - fires) * NORMAL_SLOPE / deviation
    slope = slope / (1 + slope * relief)
    return _Step(rates, shares, fires, slope, (mean - relief * fires) / deviation, deviation)


def forward(config: StochasticConfig, layers: list[Layer], rates: Floats) -> Floats:
    """Rates of the output neurons by the surrogate: (examples, rails) -> (examples, outputs)."""
    for layer, loop in zip(layers, loops(config), strict=True):
        rates = _forward(layer, loop, rates, config.temperature_k).fires
    return rates


def loss_and_gradient(
    config: StochasticConfig, layers: list[Layer], examples: Examples, temperature_k: float | None = None
) -> tuple[float, list[Layer]]:
    """Mean cross-entropy in nats, and its gradient by all currents, at the config's temperature if none is given."""
    temperature_k = temperature_k or config.temperature_k
    steps: list[_Step] = []
    rates = examples.rates
    for layer, loop in zip(layers, loops(config), strict=True):
        steps.append(_forward(layer, loop, rates, temperature_k))
        rates = steps[-1].fires
    loss, error = _loss(rates, examples.labels)
    found: list[Layer] = []
    for layer, loop, step in zip(layers[::-1], loops(config)[::-1], steps[::-1], strict=True):
        by_mean = error * step.slope
        by_variance = -by_mean * step.lean * loop.kick**2 / (1 - loop.decay**2) / (2 * step.deviation)
        by_sum = by_mean * loop.kick / (1 - loop.decay) + by_variance
        by_share = by_sum.T @ step.rates - 2 * step.shares * (by_variance.T @ step.rates**2)
        found.insert(0, Layer(by_share * _share_slope(layer.synapses, temperature_k), by_mean.sum(axis=0)))
        error = by_sum @ step.shares - 2 * step.rates * (by_variance @ step.shares**2)
    return loss, found


def train(config: StochasticConfig, task: Task, seed: int, recipe: Recipe | None = None) -> list[Layer]:
    """Currents in whole steps of a weight, deterministic from the seed on one machine."""
    recipe = recipe or RECIPES[config.task]
    found = [_train(config, task, np.random.default_rng([seed, start]), recipe) for start in range(recipe.starts)]
    losses = [_validation(config, layers, task) for layers in found]
    return found[int(np.argmin(losses))]


def _train(config: StochasticConfig, task: Task, rng: np.random.Generator, recipe: Recipe) -> list[Layer]:
    fit = synapse_fit()
    vector = _flat([_first(rng, *shape) for shape in config.shapes])
    mean, square = np.zeros_like(vector), np.zeros_like(vector)
    lowest, highest = (
        _flat([Layer(np.full(shape, w), np.full(shape[0], b)) for shape in config.shapes])
        for w, b in ((fit.first_ua, BIAS_UA[0]), (fit.current_ua((1 << WEIGHT_BITS) - 1), BIAS_UA[1]))
    )
    labels = task.train.labels
    for step in range(recipe.steps):
        rows = rng.integers(len(labels), size=recipe.batch)
        factor = np.full_like(vector, 1 + BIAS_SPREAD * rng.uniform(-1, 1))
        factor *= 1 + SYNAPSE_SPREAD * _flat(_noise(rng, config))
        part = Examples(task.train.rates[rows], labels[rows])
        heat = HOT ** max(0.0, 1 - 2 * step / recipe.steps)
        layers = _shaped(vector * factor, config)
        _, gradient = loss_and_gradient(config, layers, part, heat * config.temperature_k)
        slope = _flat(gradient) * factor
        mean, square = 0.9 * mean + 0.1 * slope, 0.999 * square + 0.001 * slope**2
        unbiased = mean / (1 - 0.9 ** (step + 1)) / (np.sqrt(square / (1 - 0.999 ** (step + 1))) + 1e-8)
        vector = np.clip(vector - recipe.rate_ua * (1 - step / recipe.steps) * unbiased, lowest, highest)
    return _shaped(np.rint(vector / CURRENT_STEP_UA) * CURRENT_STEP_UA, config)


def as_currents(layers: list[Layer], source: str) -> Currents:
    """Trained currents as the data that a design reads."""
    return Currents(
        source=source,
        layers=tuple(
            LayerCurrents(
                synapses_ua=tuple(map(tuple, layer.synapses.tolist())), neurons_ua=tuple(layer.biases.tolist())
            )
            for layer in layers
        ),
    )


def as_layers(currents: Currents) -> list[Layer]:
    """The data as arrays."""
    return [Layer(np.array(layer.synapses_ua, float), np.array(layer.neurons_ua, float)) for layer in currents.layers]


def _validation(config: StochasticConfig, layers: list[Layer], task: Task) -> float:
    """The mean loss at the ends and in the middle of the range of bias that it is trained in."""
    scaled = (
        [Layer(f * one.synapses, f * one.biases) for one in layers] for f in (1 - BIAS_SPREAD, 1, 1 + BIAS_SPREAD)
    )
    return float(np.mean([loss_and_gradient(config, one, task.validation)[0] for one in scaled]))


def _loss(rates: Floats, labels: NDArray[np.int64]) -> tuple[float, Floats]:
    """Cross-entropy of the rates and its gradient by them: softmax."""
    count = len(labels)
    if rates.shape[1] == 1:  # against a class that fires at the rate that parts them
        loss, error = _loss(np.concatenate([np.full_like(rates, PARTING_RATE), rates], axis=1), labels)
        return loss, error[:, 1:]
    shifted = SCORE_SCALE * (rates - rates.max(axis=1, keepdims=True))
    logs = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    error = np.exp(logs)
    error[np.arange(count), labels] -= 1
    return float(-logs[np.arange(count), labels].mean()), SCORE_SCALE * error / count


def _share_slope(currents: Floats, temperature_k: float) -> Floats:
    zone = gray_zone_ua(temperature_k)
    return np.exp(-np.pi * ((currents - synapse_fit().threshold_ua) / zone) ** 2) / zone


def _first(rng: np.random.Generator, neurons: int, inputs: int) -> Layer:
    """Synapses about their threshold, neurons about the middle of their range."""
    spread = synapse_fit().gray_zone_ua
    synapses = synapse_fit().threshold_ua + spread * rng.uniform(-1, 1, (neurons, inputs))
    return Layer(synapses, np.mean(BIAS_UA) * rng.uniform(0.5, 1.5, neurons))


def _noise(rng: np.random.Generator, config: StochasticConfig) -> list[Layer]:
    return [Layer(rng.standard_normal(shape), np.zeros(shape[0])) for shape in config.shapes]


def _logistic(z: Floats) -> Floats:
    return np.asarray((1 + np.tanh(z / 2)) / 2)


def _flat(layers: list[Layer]) -> Floats:
    return np.concatenate([part.ravel() for layer in layers for part in (layer.synapses, layer.biases)])


def _shaped(vector: Floats, config: StochasticConfig) -> list[Layer]:
    ends = np.cumsum([0, *(neurons * (inputs + 1) for neurons, inputs in config.shapes)])
    parts = [vector[start:end] for start, end in pairwise(ends)]
    return [
        Layer(part[:-neurons].reshape(neurons, inputs), part[-neurons:])
        for part, (neurons, inputs) in zip(parts, config.shapes, strict=True)
    ]
