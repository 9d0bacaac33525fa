"""The array's part of the language model in plain numpy, all heads at once: what lists of jobs are held to.

No memory, no lists, no tiles but those of "Numbers" in hdl/attention/README.md.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from sim.attention.attention_model import Numerics, attend
from sim.attention.language import CONTEXT, HEADS, LAYERS, WIDTH
from sim.attention.language_model import Int8s, Int16s, Quantised
from sim.attention.masks import Mask

HEAD = WIDTH // HEADS


class PlainLayers:
    """`sim.attention.language_model.Layers` by matrix products.

    Parameters
    ----------
    weights : Quantised
    numerics : Numerics
        Of the array.
    """

    def __init__(self, weights: Quantised, numerics: Numerics):
        self._weights, self._numerics = weights, numerics
        self._keys, self._values = np.zeros((2, LAYERS, CONTEXT, WIDTH), np.int8)

    def attend(self, layer: int, x: Int8s, start: int) -> Int16s:
        """Keys and values into the cache, and every row over those up to its own."""
        end = start + len(x)
        q, k, v = (self._times(f"{layer}.{name}", x) for name in "qkv")
        self._keys[layer, start:end], self._values[layer, start:end] = k, v
        spans = Mask(causal=True).spans(len(x), end)
        scale, mixed = self._weights.logits[layer], np.zeros((len(x), WIDTH), np.int64)
        for head in range(HEADS):
            of_head = slice(head * HEAD, (head + 1) * HEAD)
            mixed[:, of_head] = attend(
                self._numerics,
                q[:, of_head].astype(np.int8),
                self._keys[layer, :end, of_head],
                self._values[layer, :end, of_head],
                scale.multiplier,
                scale.shift,
                spans,
                fraction_bits=self._weights.fraction_bits,
            ).o
        return self._times(f"{layer}.out", mixed.clip(-128, 127))

    def feed(self, layer: int, x: Int8s) -> Int16s:
        """Up, ReLU, down."""
        return self._times(f"{layer}.down", self._times(f"{layer}.up", x))

    def head(self, x: Int8s) -> Int16s:
        """Logits."""
        return self._times("head", x)

    def _times(self, name: str, x: npt.NDArray[np.integer[Any]]) -> Int16s:
        """Rounded by floor(y + 1/2) of the exact quotient, which int64 holds twice as large."""
        matrix = self._weights.matrices[name]
        scaled = x.astype(np.int64) @ matrix.integers.T.astype(np.int64) * matrix.scale.multiplier
        y = (2 * scaled + 2**matrix.scale.shift) // 2 ** (matrix.scale.shift + 1)
        most = 2 ** (matrix.output_bits - 1)
        made: Int16s = y.clip(0 if matrix.relu else -most, most - 1).astype(np.int16)
        return made
