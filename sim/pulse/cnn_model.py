"""Golden model of `pulse.cnn`, bit for bit, from a network's layers: "The network on paper" in hdl/pulse/README.md."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from hdl.pulse.cnn_words import Activation
from sim.pulse.cnn_network import INPUT, Add, Concat, Conv, Dense, Input, Layer, Network, Pool, Sliding, TransposedConv
from sim.pulse.filter_model import rs, saturated

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

BATCH = 512
"""Windows at once: what a layer looks at stays within a few MB."""


class Outputs(NamedTuple):
    """Of windows.

    Attributes
    ----------
    reference : int32 (windows,)
        The peak over which a window was normalised; 1 without.
    values : int32 (windows, length, channels)
        Of the last layer.
    """

    reference: npt.NDArray[np.int32]
    values: npt.NDArray[np.int32]


def run(network: Network, windows: npt.NDArray[np.int16]) -> Outputs:
    """A network's outputs for windows of its input's length times channels."""
    shape = network.shapes[network.layers[-1].name]
    references = np.empty(len(windows), np.int32)
    values = np.empty((len(windows), *shape), np.int32)
    for start in range(0, len(windows), BATCH):
        part = slice(start, start + BATCH)
        references[part], elements = normalised(network.input, network.activation_bits, windows[part])
        values[part] = _layers(network, elements)
    return Outputs(references, values)


def normalised(given: Input, activation_bits: int, windows: npt.NDArray[np.int16]) -> tuple[Ints, Ints]:
    """References, (windows,), and elements, (windows, samples), of codes."""
    codes = windows.astype(np.int64)
    if not given.normalise:
        return np.ones(len(codes), np.int64), saturated(rs(codes * given.gain, given.gain_shift), activation_bits)
    peak = np.maximum(1, codes.max(axis=1))
    exponent = 15 - np.frexp(peak.astype(np.float64))[1].astype(np.int64)
    reciprocal = (1 << 30) // (peak << exponent)
    scaled = (codes << exponent[:, None]) * reciprocal[:, None]
    return peak, saturated(rs(scaled, 30 - (activation_bits - 1)), activation_bits)


def _layers(network: Network, elements: Ints) -> Ints:
    """The last layer's outputs."""
    known: dict[str, Ints] = {INPUT: elements.reshape(len(elements), *network.shapes[INPUT])}
    for layer in network.layers:
        if isinstance(layer, Concat):
            known[layer.name] = np.concatenate([known[name] for name in layer.parts], axis=2)
            continue
        sums = wrapped(_sums(layer, known[layer.source]))
        if network.raw and layer is network.layers[-1]:
            return sums
        added = known[layer.add] if layer.add else None
        known[layer.name] = requantised(layer, sums, added, network.activation_bits)
    return known[network.layers[-1].name]


def wrapped(sums: Ints) -> Ints:
    """The lower 32 bits, two's complement."""
    return sums.astype(np.int32).astype(np.int64)


def requantised(layer: Layer, sums: Ints, added: Ints | None = None, activation_bits: int = 16) -> Ints:
    """Elements of sums, (windows, length, channels); `activation_bits` is how many a wide one has."""
    how = layer.output
    factor, shift = how.factor.astype(np.int64), how.shift.astype(np.int64)
    half = np.where(shift > 0, np.int64(1) << np.maximum(shift - 1, 0), 0)
    found = (sums * factor + half) >> shift
    if added is not None:
        found = found + (added - how.zero)
    if how.activation == Activation.RELU:
        found = np.maximum(found, 0)
    elif how.activation == Activation.LEAKY:
        found = np.where(found < 0, found >> how.leak, found)
    return saturated(found + how.zero, activation_bits if how.wide else 8)


def _sums(layer: Layer, given: Ints) -> Ints:
    """What a layer adds up, or the largest; not yet wrapped."""
    if isinstance(layer, Conv):
        seen = _windows(layer, given)
        rows = _product(seen.reshape(*seen.shape[:2], -1), layer.weights.reshape(len(layer.weights), -1))
        return rows + layer.bias
    if isinstance(layer, Dense):
        return _product(given.reshape(len(given), 1, -1), layer.weights) + layer.bias
    if isinstance(layer, TransposedConv):
        return _spread(layer, given)
    if isinstance(layer, Pool):
        seen = _windows(layer, given)
        return np.asarray(seen.max(axis=2) if layer.operation == "max" else seen.sum(axis=2) + layer.bias)
    assert isinstance(layer, Add)
    return given


def _product(seen: Ints, weights: npt.NDArray[np.int8]) -> Ints:
    """seen · weights transposed. In doubles, which hold such sums exactly: 2^23 · terms is far below 2^53."""
    found: Floats = seen.astype(np.float64) @ weights.T.astype(np.float64)
    return found.astype(np.int64)


def _windows(layer: Sliding, given: Ints) -> Ints:
    """What each position looks at: (windows, positions, taps, channels)."""
    around = ((0, 0), (layer.before, layer.after), (0, 0))
    padded = np.pad(given, around, constant_values=layer.pad)
    positions = (padded.shape[1] - layer.dilation * (layer.reach - 1) - 1) // layer.stride + 1
    looked = layer.stride * np.arange(positions)[:, None] + layer.dilation * np.arange(layer.reach)
    return np.asarray(padded[:, looked])


def _spread(layer: TransposedConv, given: Ints) -> Ints:
    """Each tap's products, added where they go."""
    count, length, _ = given.shape
    outputs, taps, _ = layer.weights.shape
    whole = np.zeros((count, (length - 1) * layer.stride + taps, outputs), np.int64)
    for tap in range(taps):
        whole[:, tap : tap + (length - 1) * layer.stride + 1 : layer.stride] += _product(given, layer.weights[:, tap])
    return np.asarray(whole[:, layer.before : whole.shape[1] - layer.after] + layer.bias)
