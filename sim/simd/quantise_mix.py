"""Which format each layer of a network should have, under a budget of bits for its weights.

The cost of a quantised network is the divergence of its classes' probabilities from those of the network as trained,
on held-out samples. It is the loss that rounding adds if the network as trained is right in what it says, and it needs
no labels. Against the labels themselves a loss is too noisy for some hundred samples: coarse rounding then often seems
to help. The cost of a mix, that is of a format for each layer, is foretold from what each layer costs alone, its
sensitivity. Divergence as sensitivity, and mixes by its sum over the layers, are those of Cai et al., "ZeroQ", 2020.
The mixes within the budget that should cost least are then measured as a whole, and the best of those is taken.

Bits are those of the weights alone, each layer's weighted by how many it has. Biases are int32 whatever the mix.
"""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

from hdl.simd.modes import MODES
from sim.simd.datasets import Dataset, load
from sim.simd.mlp import HIDDEN, Floats, Network, accuracy, divergence, fit, scores, train
from sim.simd.quantise import Calibration, Scheme, calibrate, pick, roundings

Mix = tuple[str, ...]
Sensitivities = tuple[dict[str, float], ...]
"""What each layer costs alone in each format, in nats."""

MOST_MIXES = 1 << 20
SHORTLIST = 8
"""Mixes that are measured, not just foretold."""

TUNING_EPOCHS = 40
TUNING_RATE = 1e-3


CALIBRATION_SAMPLES = 256
"""Training samples that the scales are chosen by."""


@dataclass(frozen=True)
class Study:
    """A trained network, and what rounding does to each of its layers alone.

    Attributes
    ----------
    data : Dataset
    network : as trained, unquantised
    calibration : its scales, by the first `CALIBRATION_SAMPLES` training samples
    costs : its sensitivities, on the validation samples
    """

    data: Dataset
    network: Network
    calibration: Calibration
    costs: Sensitivities


@dataclass(frozen=True)
class Row:
    """A mix, measured.

    Attributes
    ----------
    mix : a format for each layer
    bits_per_weight : float
    float_accuracy, post_training_accuracy, aware_accuracy : float
        Shares of the test set, 0..1: of the network as trained, after rounding it, and after quantisation-aware
        training from there.
    """

    mix: Mix
    bits_per_weight: float
    float_accuracy: float
    post_training_accuracy: float
    aware_accuracy: float


@cache
def study(name: str, hidden: tuple[int, ...] = HIDDEN, seed: int = 1) -> Study:
    """A network for a data set of `sim.simd.datasets`, trained and measured; kept for the life of the process.

    Raises
    ------
    ValueError
        If there is no such data set.
    """
    data = load(name)
    network = fit(data, hidden, seed)
    calibration = calibrate(network, data.train.features[:CALIBRATION_SAMPLES])
    return Study(data, network, calibration, sensitivities(network, calibration, data.validation.features))


def cost(network: Network, schemes: Sequence[Scheme | None], x: Floats) -> float:
    """What quantising costs on the samples `x`, in nats; a layer whose scheme is None stays as it is."""
    return divergence(scores(network, x), scores(network, x, roundings(schemes)))


def sensitivities(network: Network, calibration: Calibration, x: Floats) -> Sensitivities:
    """What each layer costs alone in each format of `calibration`, on the samples `x`, (n, inputs)."""

    def alone(layer: int, scheme: Scheme) -> float:
        return cost(network, [scheme if index == layer else None for index in range(len(network))], x)

    return tuple(
        {mode: alone(layer, scheme) for mode, scheme in schemes.items()} for layer, schemes in enumerate(calibration)
    )


def bits_per_weight(network: Network, mix: Sequence[str]) -> float:
    """The average number of bits of a weight in memory."""
    return _bits(network, mix) / sum(layer.weights.size for layer in network)


def foretold(costs: Sensitivities, mix: Sequence[str]) -> float:
    """The cost of a mix, if in it every layer costs what it costs alone."""
    return math.fsum(layer[mode] for layer, mode in zip(costs, mix, strict=True))


def cheapest(network: Network, costs: Sensitivities, budget: float, count: int = 1) -> list[Mix]:
    """The `count` mixes of the lowest foretold cost with at most `budget` bits per weight, best first, by trying all.

    Of equals, those of fewer bits come first. There may be fewer than `count`.

    Raises
    ------
    ValueError
        If no mix is within the budget, or there are more than `MOST_MIXES` to try.
    """
    total = math.prod(len(layer) for layer in costs)
    if total > MOST_MIXES:
        raise ValueError(
            f"there must be at most {MOST_MIXES} mixes of formats to try, not {total}: offer fewer formats"
        )
    weights = sum(layer.weights.size for layer in network)

    def affordable() -> Iterator[Mix]:
        return (mix for mix in itertools.product(*costs) if _bits(network, mix) <= budget * weights)

    found = heapq.nsmallest(count, affordable(), key=lambda mix: (foretold(costs, mix), _bits(network, mix)))
    if not found:
        least = min(bits_per_weight(network, mix) for mix in itertools.product(*costs))
        raise ValueError(f"budget must be at least {least:g} bits per weight, not {budget:g}")
    return found


def choose(of: Study, budget: float) -> Mix:
    """The mix that costs least on the validation samples, among the `SHORTLIST` that should within the budget.

    Raises
    ------
    ValueError
        As `cheapest`.
    """
    shortlist = cheapest(of.network, of.costs, budget, SHORTLIST)
    x = of.data.validation.features
    return min(shortlist, key=lambda mix: cost(of.network, pick(of.calibration, mix), x))


def tune(of: Study, mix: Sequence[str]) -> Network:
    """The network after quantisation-aware training: float weights, to be rounded by the mix's schemes."""
    return train(
        of.network,
        of.data.train,
        of.data.validation,
        epochs=TUNING_EPOCHS,
        rate=TUNING_RATE,
        roundings=roundings(pick(of.calibration, mix)),
    )


def measure(of: Study, mix: Mix) -> Row:
    """The mix's row of the table."""
    rounding = roundings(pick(of.calibration, mix))
    x, labels = of.data.test.features, of.data.test.labels
    return Row(
        mix,
        bits_per_weight(of.network, mix),
        accuracy(scores(of.network, x), labels),
        accuracy(scores(of.network, x, rounding), labels),
        accuracy(scores(tune(of, mix), x, rounding), labels),
    )


def _bits(network: Network, mix: Sequence[str]) -> int:
    return sum(layer.weights.size * MODES[mode].slot_bits for layer, mode in zip(network, mix, strict=True))
