"""Trains a small network for time and energy of pulses, quantised all the while: Adam on numpy, seeded.

Forward passes use the weights and activations that the integers will have, bit for bit; backward passes take rounding
for nothing (straight-through gradients). Scales are powers of two, so that requantisation is a shift.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from hdl.pulse.cnn_words import Activation
from sim.pulse.cnn_model import normalised, run
from sim.pulse.cnn_network import INPUT, Conv, Dense, Input, Network, Node, Requantisation
from sim.pulse.setup import Setup
from sim.pulse.signals import records

Floats = npt.NDArray[np.float64]

ACTIVATION_BITS = 16
INPUT_FRACTION, FRACTION = 15, 12
"""Fraction bits: of the window's elements, whose peak is 1, and of all activations."""

MOST = (2.0 ** (ACTIVATION_BITS - 1) - 1) / 2**FRACTION
"""The largest activation."""

ENERGY_UNIT = 1 / 16
"""What an output of 1 stands for: so large a share of the peak is between it and the amplitude."""


class Filters(NamedTuple):
    """A convolution to be trained."""

    outputs: int
    taps: int
    stride: int


FORMS: dict[str, tuple[Filters | int, ...]] = {
    "cnn": (Filters(8, 5, 2), Filters(8, 5, 2), 16),
    "mlp": (64, 32),
}
"""Layers before the last, which has two outputs: convolutions, and dense layers of so many outputs."""

RATE, DECAYS, EPSILON = 4e-3, (0.9, 0.999), 1e-8
"""Adam's; the rate falls linearly to 0."""

BATCH = 256


class Estimates(NamedTuple):
    """Of pulses: onset, in samples from the record's start; amplitude, in ADC counts."""

    onset: Floats
    amplitude: Floats


@dataclass
class Part:
    """A layer: weights (outputs, inputs), of a convolution (outputs, taps · channels), bias, and what it reads.

    Attributes
    ----------
    looks : which of the source's elements each position reads, (positions, inputs)
    filters : of a convolution
    """

    weights: Floats
    bias: Floats
    looks: npt.NDArray[np.intp]
    fraction: int
    last: bool = False
    filters: Filters | None = None

    @property
    def shift(self) -> int:
        """Fraction bits of the weights: as many as the largest leaves."""
        largest = max(float(np.abs(self.weights).max()), 2.0**-8)
        return int(np.clip(6 - np.floor(np.log2(largest)), 0, 14))

    @property
    def integers(self) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.int32]]:
        """Weights and bias as the gateware has them."""
        weights = np.clip(np.rint(np.ldexp(self.weights, self.shift)), -128, 127)
        return weights.astype(np.int8), np.rint(np.ldexp(self.bias, self.shift + self.fraction)).astype(np.int32)

    def forward(self, given: Floats) -> tuple[Floats, Floats]:
        """Outputs, (windows, positions · outputs), and where they change with the sums."""
        weights, bias = self.integers
        sums = np.ldexp(given[:, self.looks] @ weights.T, -self.shift) + np.ldexp(bias, -self.shift - self.fraction)
        least = -MOST if self.last else 0.0
        inside = (sums > least) & (sums < MOST)
        made = np.clip(np.ldexp(np.floor(np.ldexp(sums, FRACTION) + 0.5), -FRACTION), least, MOST)
        return made.reshape(len(given), -1), inside.astype(np.float64)

    def backward(self, given: Floats, slope: Floats, inside: Floats) -> tuple[Floats, Floats, Floats]:
        """Gradients by what it was given, its weights and its bias."""
        by_sums = slope.reshape(inside.shape) * inside
        by_weights = np.einsum("npo,npi->oi", by_sums, given[:, self.looks], optimize=True)
        by_looks = by_sums @ np.ldexp(self.integers[0].astype(np.float64), -self.shift)
        by_given = np.zeros_like(given)
        for position, look in enumerate(self.looks):
            by_given[:, look] += by_looks[:, position]
        return by_given, by_weights, by_sums.sum(axis=(0, 1))


def levels(setup: Setup, codes: npt.NDArray[np.int16]) -> npt.NDArray[np.int16]:
    """Codes above the baseline, pulses upwards: what the network takes."""
    baseline = round(setup.baseline / setup.lsb) - (1 << setup.adc_bits - 1)
    raised = setup.polarity * (codes.astype(np.int32) - baseline)
    return np.clip(raised, -(1 << 15), (1 << 15) - 1).astype(np.int16)


class Resolution(NamedTuple):
    """Rms errors: of the onset, and of the amplitude as a share of it."""

    time_ps: float
    amplitude: float


def train(
    setup: Setup,
    steps: int = 2000,
    count: int = 20_000,
    seed: int = 1,
    form: str = "cnn",
    tell: Callable[[int], None] = lambda step: None,
) -> Network:
    """A network of two outputs: the onset after the mean one, in samples, and the energy, in `ENERGY_UNIT`.

    Its layers are those of `FORMS`. Learns from `count` records, `BATCH` of them a step; `tell` is given each step's
    number when it is done.
    """
    rng = np.random.default_rng(seed)
    found = records(setup, count, seed)
    windows = levels(setup, found.codes)
    peak, elements = normalised(Input(setup.samples, normalise=True), ACTIVATION_BITS, windows)
    given = np.ldexp(elements.astype(np.float64), -INPUT_FRACTION)
    wanted = np.stack([found.first.onset - setup.pre_samples, (found.first.amplitude / peak - 1) / ENERGY_UNIT], axis=1)
    parts = _parts(rng, setup.samples, FORMS[form])
    values = [value for part in parts for value in (part.weights, part.bias)]
    first, second = ([np.zeros_like(value) for value in values] for _ in range(2))
    for step in range(steps):
        chosen = rng.integers(count, size=BATCH)
        for number, slope in enumerate(_slopes(parts, given[chosen], wanted[chosen])):
            first[number] += (1 - DECAYS[0]) * (slope - first[number])
            second[number] += (1 - DECAYS[1]) * (slope**2 - second[number])
            mean, power = (one[number] / (1 - d ** (step + 1)) for one, d in zip((first, second), DECAYS, strict=True))
            values[number] -= RATE * (1 - step / steps) * mean / (np.sqrt(power) + EPSILON)
        tell(step)
    return _network(parts, setup.samples)


def estimate(setup: Setup, network: Network, codes: npt.NDArray[np.int16]) -> Estimates:
    """What the golden model says of records."""
    outputs = run(network, levels(setup, codes))
    late, more = np.ldexp(outputs.values[:, 0].astype(np.float64), -FRACTION).T
    return Estimates(setup.pre_samples + late, outputs.reference * (1 + ENERGY_UNIT * more))


def resolution(setup: Setup, network: Network, count: int, seed: int) -> Resolution:
    """Of the golden model, on records of the seed."""
    found = records(setup, count, seed)
    got = estimate(setup, network, found.codes)
    late = (got.onset - found.first.onset) * setup.sample_ns * 1e3
    high = got.amplitude / found.first.amplitude - 1
    return Resolution(float(np.sqrt(np.mean(late**2))), float(np.sqrt(np.mean(high**2))))


def _parts(rng: np.random.Generator, samples: int, form: tuple[Filters | int, ...]) -> list[Part]:
    """Layers with random weights, of variance 2 over the inputs (He et al.)."""
    parts, length, channels, fraction = [], samples, 1, INPUT_FRACTION
    for layer in form:
        if isinstance(layer, Filters):
            positions = (length - layer.taps) // layer.stride + 1
            looks = layer.stride * channels * np.arange(positions)[:, None] + np.arange(layer.taps * channels)
            weights = _random(rng, layer.outputs, layer.taps * channels)
            parts.append(Part(weights, np.zeros(layer.outputs), looks, fraction, filters=layer))
            length, channels = positions, layer.outputs
        else:
            parts.append(_dense(rng, layer, length * channels, fraction))
            length, channels = 1, layer
        fraction = FRACTION
    return [*parts, _dense(rng, 2, length * channels, fraction, last=True)]


def _dense(rng: np.random.Generator, outputs: int, inputs: int, fraction: int, *, last: bool = False) -> Part:
    return Part(_random(rng, outputs, inputs), np.zeros(outputs), np.arange(inputs)[None, :], fraction, last)


def _random(rng: np.random.Generator, outputs: int, inputs: int) -> Floats:
    return rng.normal(0, np.sqrt(2 / inputs), (outputs, inputs))


def _slopes(parts: list[Part], given: Floats, wanted: Floats) -> list[Floats]:
    """Gradients of the mean squared error by weights and bias of each layer."""
    seen, passed = [given], []
    for part in parts:
        made, inside = part.forward(seen[-1])
        seen.append(made)
        passed.append(inside)
    slope = 2 * (seen[-1] - wanted) / len(given)
    slopes: list[Floats] = []
    for part, before, inside in zip(parts[::-1], seen[-2::-1], passed[::-1], strict=True):
        slope, by_weights, by_bias = part.backward(before, slope, inside)
        slopes = [by_weights, by_bias, *slopes]
    return slopes


def _network(parts: list[Part], samples: int) -> Network:
    """The layers as integers."""
    layers: list[Node] = []
    source = INPUT
    for number, part in enumerate(parts):
        weights, bias = part.integers
        activation = Activation.NONE if part.last else Activation.RELU
        shift = part.shift + part.fraction - FRACTION
        output = Requantisation.power_of_two(len(bias), shift, activation=activation, wide=True)
        name = f"layer{number}"
        if given := part.filters:
            taps = weights.reshape(given.outputs, given.taps, -1)
            layers.append(Conv(name=name, source=source, weights=taps, bias=bias, stride=given.stride, output=output))
        else:
            layers.append(Dense(name=name, source=source, weights=weights, bias=bias, output=output))
        source = name
    return Network(Input(samples, normalise=True), tuple(layers), activation_bits=ACTIVATION_BITS)
