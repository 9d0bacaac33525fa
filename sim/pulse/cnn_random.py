"""Random networks that fit a config of `pulse.cnn`: every kind of layer, fields of all sizes, extremes among them."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from hdl.pulse.cnn_config import CnnConfig
from hdl.pulse.cnn_words import Activation
from sim.common.stimulus import integers
from sim.pulse.cnn_compile import Bases, compile_network
from sim.pulse.cnn_network import (
    INPUT,
    Add,
    Concat,
    Conv,
    Dense,
    Input,
    Network,
    NetworkError,
    Node,
    Pool,
    Requantisation,
    Shape,
    TransposedConv,
)

TRIES = 200


def random_network(rng: np.random.Generator, config: CnnConfig, bases: Bases = Bases()) -> Network:  # noqa: B008 -- a tuple
    """A network that `compile_network` takes with these bases.

    Raises
    ------
    ValueError
        If none of many fits.
    """
    for attempt in range(TRIES):
        try:
            network = _Draft(rng, config, depth=1 + int(rng.integers(6)) * (TRIES - attempt) // TRIES).network()
            compile_network(network, config, bases)
        except NetworkError:
            continue
        return network
    raise ValueError(f"none of {TRIES} random networks fits {config}")


class _Draft:
    """A network that grows layer by layer. Tensors of one length and few channels, so that it stays quick."""

    def __init__(self, rng: np.random.Generator, config: CnnConfig, depth: int) -> None:
        self.rng, self.config, self.depth = rng, config, depth
        self.layers: list[Node] = []
        channels = int(rng.choice([one for one in (1, 1, 2, 4) if config.samples % one == 0]))
        self.shapes: dict[str, Shape] = {INPUT: (config.samples // channels, channels)}
        self.bits = {INPUT: config.activation_bits}
        self.head = INPUT

    def network(self) -> Network:
        """The whole, its outputs raw or requantised."""
        rng = self.rng
        makers = [self._conv, self._transposed, self._dense, self._pool, self._residual, self._concat]
        for _ in range(self.depth):
            makers[int(rng.choice(len(makers), p=[0.35, 0.1, 0.1, 0.15, 0.15, 0.15]))]()
        [self._dense, self._conv, self._pool][int(rng.choice(3, p=[0.6, 0.2, 0.2]))]()
        given = Input(
            *self.shapes[INPUT],
            normalise=bool(rng.integers(2)),
            gain=int(integers(rng, 16, 1)[0]) if rng.random() < 0.2 else int(rng.integers(1 << 13, 1 << 15)),
            gain_shift=int(rng.integers(32)) if rng.random() < 0.1 else 30 - self.bits[INPUT],
        )
        return Network(given, tuple(self.layers), bool(rng.integers(2)), self.config.activation_bits)

    def _grown(self, kind: type[Any], channels: int, terms: int, **fields: Any) -> str:
        """One more layer, which reads `source`, or what came last."""
        name = f"{kind.kind}{len(self.layers)}"
        source = fields.pop("source", self.head)
        most = self.config.activation_bits
        wide = most > 8 and bool(self.rng.integers(2))
        self.bits[name] = most if wide else 8
        output = self._output(channels, terms, wide, self.bits[source] - self.bits[name])
        layer = kind(name=name, source=source, output=output, **fields)
        self.layers.append(layer)
        self.shapes[name] = layer.shape(self.shapes[source], self.config.activation_bits)
        self.head = name
        return name

    def _output(self, channels: int, terms: int, wide: bool, narrower: int) -> Requantisation:
        """Mostly such that outputs are of the elements' size, by so many bits narrower than what they are made of."""
        rng, bits = self.rng, self.config.activation_bits if wide else 8
        zero = int(integers(rng, bits, 1)[0]) >> int(rng.integers(1, bits)) if rng.random() < 0.4 else 0
        activation = Activation(int(rng.choice(3, p=[0.4, 0.2, 0.4])))
        leak = int(rng.integers(16)) >> int(rng.integers(3))
        others: dict[str, Any] = {"zero": zero, "activation": activation, "leak": leak, "wide": wide}
        if rng.random() < 0.2 and terms > 1:
            of_weights = self.config.weight_bits - 8
            return Requantisation.power_of_two(
                channels, max(0, narrower) + int(rng.integers(4, 12)) + of_weights, **others
            )
        if rng.random() < 0.05:
            factor, shift = integers(rng, 16, channels), rng.integers(0, 48, channels)
        else:
            factor = rng.integers(1 << 13, 1 << 15, channels)
            shift = rng.integers(13, 17, channels) + narrower
            shift += terms.bit_length() // 2 + self.config.weight_bits - 2 if terms > 1 else 0
        return Requantisation(factor.astype(np.int32), shift.astype(np.int32), **others)

    def _weights(self, *shape: int) -> npt.NDArray[np.int8]:
        return integers(self.rng, self.config.weight_bits, shape).astype(np.int8)

    def _bias(self, channels: int) -> npt.NDArray[np.int32]:
        bits = 32 if self.rng.random() < 0.03 else self.bits[self.head] + 3
        return integers(self.rng, bits, channels).astype(np.int32)

    def _width(self) -> int:
        return int(self.rng.integers(1, 2 * self.config.elements + 2))

    def _pad(self) -> int:
        bits = self.config.activation_bits if self.rng.random() < 0.1 else 5
        return int(integers(self.rng, bits, 1)[0]) if self.rng.random() < 0.5 else 0

    def _sliding(self, most: int) -> dict[str, int]:
        rng, length = self.rng, self.shapes[self.head][0]
        before, after = (int(one) for one in rng.integers(0, 4, 2))
        dilation = int(rng.choice([1, 1, 2, 3]))
        taps = int(rng.integers(1, max(1, min(most, (length + before + after - 1) // dilation + 1)), endpoint=True))
        stride = int(rng.integers(1, 4))
        fields = {"stride": stride, "dilation": dilation, "before": before, "after": after, "pad": self._pad()}
        return fields | {"taps": taps}

    def _conv(self) -> None:
        outputs, channels = self._width(), self.shapes[self.head][1]
        fields = self._sliding(5)
        taps = fields.pop("taps")
        weights = self._weights(outputs, taps, channels)
        self._grown(Conv, outputs, taps * channels, weights=weights, bias=self._bias(outputs), **fields)

    def _transposed(self) -> None:
        outputs, (length, channels) = self._width(), self.shapes[self.head]
        taps, stride = (int(one) for one in self.rng.integers(1, 5, 2))
        cut = min(2, ((length - 1) * stride + taps - 1) // 2)
        before, after = (int(one) for one in self.rng.integers(0, cut, 2, endpoint=True))
        fields = {"stride": stride, "before": before, "after": after, "bias": self._bias(outputs)}
        self._grown(TransposedConv, outputs, channels, weights=self._weights(outputs, taps, channels), **fields)

    def _dense(self) -> None:
        outputs, terms = self._width(), int(np.prod(self.shapes[self.head]))
        self._grown(Dense, outputs, terms, weights=self._weights(outputs, terms), bias=self._bias(outputs))

    def _pool(self) -> None:
        fields: dict[str, Any] = self._sliding(4)
        fields |= {"operation": str(self.rng.choice(["max", "sum"])), "bias": int(self._bias(1)[0])}
        self._grown(Pool, self.shapes[self.head][1], 1, **fields)

    def _same(self, source: str) -> str:
        """A layer whose outputs are as many as its source's elements."""
        channels = self.shapes[source][1]
        fields = {"weights": self._weights(channels, 3, channels), "bias": self._bias(channels)}
        return self._grown(Conv, channels, 3 * channels, source=source, before=1, after=1, pad=self._pad(), **fields)

    def _residual(self) -> None:
        """A sum of two branches: a layer of its own, or with a convolution."""
        if self.head == INPUT:
            self._grown(Pool, self.shapes[INPUT][1], 1, operation="sum", taps=1)
        kept, channels = self.head, self.shapes[self.head][1]
        branch = self._same(kept)
        if self.rng.random() < 0.5:
            self._grown(Add, channels, 1, source=branch, add=kept)
            return
        fields = {"weights": self._weights(channels, 1, channels), "bias": self._bias(channels)}
        self._grown(Conv, channels, channels, source=branch, add=kept, **fields)

    def _concat(self) -> None:
        """Two or three branches' channels."""
        source = self.head
        parts = [self._same(source if self.rng.random() < 0.7 else self.head)]
        parts += [self._same(source if self.rng.random() < 0.7 else self.head)]
        name = f"concat{len(self.layers)}"
        self.layers.append(Concat(name=name, parts=tuple(parts)))
        self.shapes[name] = self.shapes[source][0], sum(self.shapes[part][1] for part in parts)
        self.bits[name] = max(self.bits[part] for part in parts)
        self.head = name
