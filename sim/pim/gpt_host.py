"""What the host of the channels computes between products: softmax, LayerNorm, GELU, in float32.

One interface, so that the golden model of a vector unit can take the place of numpy.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

EPSILON = np.float32(1e-5)


class Host(Protocol):
    """Functions of vectors, (n,) float32 to (n,) float32."""

    def softmax(self, scores: Floats) -> Floats:
        """Exponentials that sum to 1."""

    def layer_norm(self, values: Floats, gain: Floats, bias: Floats) -> Floats:
        """Less the mean, over the deviation, times gain, plus bias."""

    def gelu(self, values: Floats) -> Floats:
        """x · Φ(x), by tanh as in GPT-2."""


class NumpyHost:
    """The functions in numpy's float32."""

    def softmax(self, scores: Floats) -> Floats:
        """Exponentials that sum to 1."""
        powers = np.exp(scores - scores.max())
        made: Floats = powers / powers.sum(dtype=np.float32)
        return made

    def layer_norm(self, values: Floats, gain: Floats, bias: Floats) -> Floats:
        """Less the mean, over the deviation, times gain, plus bias."""
        centred = values - values.mean(dtype=np.float32)
        deviation: Any = np.sqrt((centred * centred).mean(dtype=np.float32) + EPSILON)
        made: Floats = centred / deviation * gain + bias
        return made

    def gelu(self, values: Floats) -> Floats:
        """x · Φ(x), by tanh as in GPT-2."""
        bent: Floats = np.tanh(np.float32(0.7978845608) * (values + np.float32(0.044715) * values * values * values))
        return (np.float32(0.5) * values * (np.float32(1) + bent)).astype(np.float32)
