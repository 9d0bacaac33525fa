"""How well a stochastic network answers under which conditions: margins, accuracies, and the ranges in which they hold.

A seed stands for a chip: the spread of its synapses, and its noise. All seeds of a point run beside each other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hdl.sfq.network_config import StochasticConfig, load_currents
from sim.sfq.network_model import Program, run
from sim.sfq.network_program import Conditions, program
from sim.sfq.network_tasks import Examples

Counter = Callable[[Program, NDArray[np.uint8]], NDArray[np.int64]]
"""An engine: a program of some runs, and windows, (windows, slots, rails) -> counts (runs, windows, outputs)."""


@dataclass(frozen=True)
class Point:
    """Under what a network works: conditions, and slots of a window."""

    conditions: Conditions
    slots: int

    def at(self, axis: str, value: float) -> Point:
        """This point, but for one of `AXES`."""
        if axis == "slots":
            return replace(self, slots=round(value))
        return replace(self, conditions=replace(self.conditions, **{axis: value}))


@dataclass(frozen=True)
class Axis:
    """What is varied: values of the sweep, whether a logarithm spaces them, and where a range is looked for."""

    values: tuple[float, ...]
    unit: str
    logarithmic: bool
    highest: float


AXES: Mapping[str, Axis] = {
    "bias": Axis(tuple(np.linspace(0.6, 1.4, 33).round(3).tolist()), "of nominal", False, 2.0),
    "spread": Axis(tuple(np.linspace(0, 0.4, 21).round(3).tolist()), "of a synapse's current", False, 1.0),
    "temperature_k": Axis((0.5, 1, 2, 3, 4.2, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128), "K", True, 2048.0),
    "slots": Axis((2, 4, 8, 16, 32, 64, 128, 256, 512), "slots a window", True, 512.0),
}
"""By name. Temperatures are those of the noise alone: niobium is no superconductor above 9.2 K."""


@dataclass(frozen=True)
class Quality:
    """Of a point: margins of a single output, accuracies of several; the worst seed's, the mean and the best."""

    worst: float
    mean: float
    best: float


def model_counter(config: StochasticConfig) -> Counter:
    """The golden model as an engine."""
    return lambda loaded, pulses: run(config, loaded, pulses)[0]


def counts(
    config: StochasticConfig, examples: Examples, point: Point, seeds: NDArray[np.int64], counter: Counter
) -> NDArray[np.int64]:
    """Counts (seeds, examples, outputs): a window an example, one after the other, on each seed's chip."""
    loaded = program(config, load_currents(config), point.conditions, seeds)
    neurons = np.broadcast_to(loaded.neurons, (len(seeds), *loaded.neurons.shape))
    thresholds = np.broadcast_to(loaded.thresholds, loaded.states.shape)
    return counter(Program(thresholds, neurons, loaded.states), examples.pulses(point.slots))


def qualities(found: NDArray[np.int64], labels: NDArray[np.int64], slots: int) -> NDArray[np.float64]:
    """Of each seed, from counts (seeds, examples, outputs).

    Of one output the margin: the least rate of a true example less the highest of a false one, -1..1. Of several the
    accuracy: the share of examples whose class has the highest count; of equal counts the lowest class wins.
    """
    if found.shape[-1] == 1:
        rates = found[..., 0] / slots
        return np.asarray(rates[:, labels == 1].min(axis=1) - rates[:, labels == 0].max(axis=1))
    return np.asarray((found.argmax(axis=-1) == labels).mean(axis=1))


def quality(
    config: StochasticConfig, examples: Examples, point: Point, seeds: NDArray[np.int64], counter: Counter
) -> Quality:
    """Of a point, over its seeds."""
    found = qualities(counts(config, examples, point, seeds, counter), examples.labels, point.slots)
    return Quality(*(round(float(one), 4) for one in (found.min(), found.mean(), found.max())))


def edge(good: Callable[[float], bool], inside: float, outside: float, tolerance: float) -> float:
    """How far from `inside`, where it is good, towards `outside`, it stays so: by bisection, the last good value; or
    `outside` itself if that is good, `inside` if that is not."""
    if good(outside) or not good(inside):
        return outside if good(outside) else inside
    while abs(outside - inside) > tolerance:
        middle = (inside + outside) / 2
        inside, outside = (middle, outside) if good(middle) else (inside, middle)
    return inside


def ranges(
    config: StochasticConfig, examples: Examples, nominal: Point, seeds: NDArray[np.int64], counter: Counter
) -> dict[str, tuple[float, float]]:
    """Between which values the margin of every seed is positive, along each axis but slots, all else nominal.

    Bisection takes the range for one piece. A range's end that is the end of where it was looked for may lie beyond.
    """

    def good(axis: str, value: float) -> bool:
        return quality(config, examples, nominal.at(axis, value), seeds, counter).worst > 0

    found = {}
    for axis, middle, lowest, tolerance in (
        ("bias", nominal.conditions.bias, 0.0, 1e-3),
        ("spread", nominal.conditions.spread, 0.0, 1e-3),
        ("temperature_k", config.temperature_k, 0.01, 0.1),
    ):
        low = edge(lambda value, axis=axis: good(axis, value), middle, lowest, tolerance)  # type: ignore[misc]
        high = edge(lambda value, axis=axis: good(axis, value), middle, AXES[axis].highest, tolerance)  # type: ignore[misc]
        found[axis] = (round(low, 4), round(high, 4))
    return found
