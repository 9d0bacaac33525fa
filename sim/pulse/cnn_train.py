"""Trains a small network for time and energy of pulses, quantised all the while: Adam on numpy, seeded.

Forward passes use the weights and activations that the integers will have, bit for bit; backward passes take rounding
for nothing (straight-through gradients). With weights of 8 bits a layer's scale is a power of two, so that
requantisation is a shift; with fewer each output channel has a scale of its own, a factor and a shift.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from hdl.pulse.cnn_words import Activation
from sim.pulse.cnn_model import normalised, run
from sim.pulse.cnn_network import INPUT, Conv, Dense, Input, Network, Node, Requantisation
from sim.pulse.setup import Setup
from sim.pulse.signals import records

Floats = npt.NDArray[np.float64]
Words = npt.NDArray[np.int32]

FRACTION = 12
"""Fraction bits of outputs of 16 bits."""

CLIPPED_RMS = 2.0
"""A weight of 4 bits reaches to this many times the rms of its channel's, as few are beyond; others to the largest."""

ENERGY_UNIT = 1 / 16
"""What an output of 1 stands for: so large a share of the peak is between it and the amplitude."""


class Bits(NamedTuple):
    """Of a weight and of an activation, as a config of `pulse.cnn` has them."""

    weights: int = 8
    activations: int = 16

    @property
    def whole(self) -> bool:
        """16 bits suffice for outputs, and for hidden activations of both signs. With fewer the outputs are raw sums,
        and hidden activations, none of which is negative, have their 0 at the least element."""
        return self.activations == 16

    @property
    def input_fraction(self) -> int:
        """Fraction bits of the window's elements, whose peak is 1."""
        return self.activations - 1

    @property
    def fraction(self) -> int:
        """Fraction bits of hidden activations, which reach to 8; with 12 bits to 4, with fewer to 2."""
        return FRACTION if self.whole else min(self.activations - 1, 10)

    @property
    def zero(self) -> int:
        """The element that stands for a hidden activation of 0."""
        return 0 if self.whole else -(1 << self.activations - 1)

    @property
    def most(self) -> float:
        """The largest hidden activation."""
        return ((1 << self.activations - 1) - 1 - self.zero) / (1 << self.fraction)


USUAL = Bits()


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
    fraction : bits of what it reads
    filters : of a convolution
    """

    weights: Floats
    bias: Floats
    looks: npt.NDArray[np.intp]
    fraction: int
    last: bool = False
    filters: Filters | None = None
    bits: Bits = USUAL

    @property
    def raw(self) -> bool:
        """The outputs are sums."""
        return self.last and not self.bits.whole

    @property
    def scales(self) -> tuple[Words, Words]:
        """A weight of 1 is factor · 2**-shift of each output: int32 (outputs,) both. Weights use all bits."""
        largest, most = np.abs(self.weights).max(axis=1), (1 << self.bits.weights - 1) - 1
        if self.bits.weights == 8:
            shift = np.clip(6 - np.floor(np.log2(max(float(largest.max()), 2.0**-8))), 0, 14)
            return np.ones(len(largest), np.int32), np.full(len(largest), shift, np.int32)
        if self.bits.weights == 4:
            largest = np.minimum(largest, CLIPPED_RMS * np.sqrt((self.weights**2).mean(axis=1)))
        part, exponent = np.frexp(np.maximum(largest, 2.0**-8) / most)  # a part in 1/2 to 1
        return np.rint(np.ldexp(part, 14)).astype(np.int32), (14 - exponent).astype(np.int32)

    @property
    def units(self) -> Floats:
        """What a weight of 1 is."""
        factor, shift = self.scales
        return np.ldexp(factor.astype(np.float64), -shift)

    @property
    def integers(self) -> tuple[npt.NDArray[np.int8], Words]:
        """Weights and bias as the gateware has them, but for what an element of 0 stands for."""
        units, half = self.units, 1 << self.bits.weights - 1
        weights = np.clip(np.rint(self.weights / units[:, None]), -half, half - 1)
        return weights.astype(np.int8), np.rint(np.ldexp(self.bias / units, self.fraction)).astype(np.int32)

    def forward(self, given: Floats) -> tuple[Floats, Floats]:
        """Outputs, (windows, positions · outputs), and where they change with the sums."""
        weights, bias = self.integers
        sums = (given[:, self.looks] @ weights.T + np.ldexp(bias, -self.fraction)) * self.units
        if self.raw:
            return sums.reshape(len(given), -1), np.ones_like(sums)
        most, fraction = self.bits.most, self.bits.fraction
        least = -most if self.last else 0.0
        inside = (sums > least) & (sums < most)
        made = np.clip(np.ldexp(np.floor(np.ldexp(sums, fraction) + 0.5), -fraction), least, most)
        return made.reshape(len(given), -1), inside.astype(np.float64)

    def backward(self, given: Floats, slope: Floats, inside: Floats) -> tuple[Floats, Floats, Floats]:
        """Gradients by what it was given, its weights and its bias."""
        by_sums = slope.reshape(inside.shape) * inside
        by_weights = np.einsum("npo,npi->oi", by_sums, given[:, self.looks], optimize=True)
        by_looks = by_sums @ (self.integers[0] * self.units[:, None])
        if len(self.looks) == 1:  # at all of it, in its order
            return by_looks[:, 0], by_weights, by_sums.sum(axis=(0, 1))
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
    bits: Bits = USUAL,
) -> Network:
    """A network of two outputs: the onset after the mean one, in samples, and the energy, in `ENERGY_UNIT`.

    Its layers are those of `FORMS`, its weights and activations of `bits`. Learns from `count` records, `BATCH` of them
    a step; `tell` is given each step's number when it is done.
    """
    rng = np.random.default_rng(seed)
    found = records(setup, count, seed)
    windows = levels(setup, found.codes)
    peak, elements = normalised(Input(setup.samples, normalise=True), bits.activations, windows)
    given = np.ldexp(elements.astype(np.float64), -bits.input_fraction)
    wanted = np.stack([found.first.onset - setup.pre_samples, (found.first.amplitude / peak - 1) / ENERGY_UNIT], axis=1)
    parts = _parts(rng, setup.samples, FORMS[form], bits)
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
    late, more = (outputs.values[:, 0] * _output_units(network)).T
    return Estimates(setup.pre_samples + late, outputs.reference * (1 + ENERGY_UNIT * more))


def resolution(setup: Setup, network: Network, count: int, seed: int) -> Resolution:
    """Of the golden model, on records of the seed."""
    found = records(setup, count, seed)
    got = estimate(setup, network, found.codes)
    late = (got.onset - found.first.onset) * setup.sample_ns * 1e3
    high = got.amplitude / found.first.amplitude - 1
    return Resolution(float(np.sqrt(np.mean(late**2))), float(np.sqrt(np.mean(high**2))))


def _output_units(network: Network) -> Floats:
    """What an output of 1 is, (outputs,). Factor and shift of a raw layer do nothing to its sums; here they say it."""
    last = network.last
    assert isinstance(last, Dense)
    if network.raw:
        return np.ldexp(last.output.factor.astype(np.float64), -last.output.shift)
    return np.full(len(last.bias), 2.0**-FRACTION)


def _parts(
    rng: np.random.Generator,
    samples: int,
    form: tuple[Filters | int, ...],
    bits: Bits = USUAL,
) -> list[Part]:
    """Layers with random weights, of variance 2 over the inputs (He et al.)."""
    parts, length, channels, fraction = [], samples, 1, bits.input_fraction
    for layer in form:
        if isinstance(layer, Filters):
            positions = (length - layer.taps) // layer.stride + 1
            looks = layer.stride * channels * np.arange(positions)[:, None] + np.arange(layer.taps * channels)
            weights = _random(rng, layer.outputs, layer.taps * channels)
            parts.append(Part(weights, np.zeros(layer.outputs), looks, fraction, filters=layer, bits=bits))
            length, channels = positions, layer.outputs
        else:
            parts.append(_dense(rng, layer, length * channels, fraction, bits))
            length, channels = 1, layer
        fraction = bits.fraction
    return [*parts, _dense(rng, 2, length * channels, fraction, bits, last=True)]


def _dense(
    rng: np.random.Generator, outputs: int, inputs: int, fraction: int, bits: Bits, *, last: bool = False
) -> Part:
    weights, looks = _random(rng, outputs, inputs), np.arange(inputs)[None, :]
    return Part(weights, np.zeros(outputs), looks, fraction, last, bits=bits)


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
    source, bits = INPUT, parts[0].bits
    for number, part in enumerate(parts):
        (weights, bias), (factor, shift) = part.integers, part.scales
        if number:
            bias = bias - bits.zero * weights.sum(axis=1, dtype=np.int32)
        how: dict[str, Any] = {"activation": Activation.NONE} if part.last else {"activation": Activation.RELU}
        how |= {"zero": 0 if part.last else bits.zero, "wide": bits.activations > 8}
        output = Requantisation(factor, shift + part.fraction - (0 if part.raw else bits.fraction), **how)
        name = f"layer{number}"
        if given := part.filters:
            taps = weights.reshape(given.outputs, given.taps, -1)
            layers.append(Conv(name=name, source=source, weights=taps, bias=bias, stride=given.stride, output=output))
        else:
            layers.append(Dense(name=name, source=source, weights=weights, bias=bias, output=output))
        source = name
    return Network(Input(samples, normalise=True), tuple(layers), parts[-1].raw, bits.activations)
