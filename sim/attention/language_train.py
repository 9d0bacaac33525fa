"""Trains the array's language model, by hand-written gradients, once in floats and once for weights of 2 bits.

    python -m sim.attention.language_train [STEPS]       # writes language_*.npz beside this file

Of the second, weights of the layers are in every step those that 2 bits can hold, and keys and values those of 4 bits;
gradients pass straight through the rounding. It starts from the first's weights.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from sim.attention.language import CONTEXT, HEADS, LAYERS, MATRICES, WIDTH, weights_file
from sim.attention.language_scales import calibrated, int4_scale, two_bit
from sim.common.language import (
    CHARACTERS,
    Array,
    Weights,
    back_to_start,
    batches,
    bigram_perplexity,
    cross_entropy,
    fit,
    known_and_unknown,
)

BATCH = 16
RATE = 4e-3
HELD_OUT_CHARACTERS = 4096
CALIBRATION_CHARACTERS = 4096
Back = Callable[[Array], Array]


def initial(random: np.random.Generator) -> Weights:
    """Weights before training."""

    def normal(*shape: int, scale: float = 0.08) -> Array:
        return (random.normal(size=shape) * scale).astype(np.float32)

    vocabulary = len(CHARACTERS)
    made: Weights = {
        "token": normal(vocabulary, WIDTH),
        "position": normal(CONTEXT, WIDTH, scale=0.02),
        "head": normal(vocabulary, WIDTH, scale=0.04),
        "gain": np.ones(WIDTH, np.float32),
    }
    for layer in range(LAYERS):
        for name, (outputs, inputs) in MATRICES.items():
            made[f"{layer}.{name}"] = normal(outputs, inputs, scale=0.04 if name in ("out", "down") else 0.08)
        made |= {f"{layer}.gain_1": np.ones(WIDTH, np.float32), f"{layer}.gain_2": np.ones(WIDTH, np.float32)}
    return made


class Pass:
    """A pass through the model: the loss of a batch, its gradients by `backward`, and what the layers took and gave.

    Attributes
    ----------
    loss : float
    seen : dict
        By layer and name, inputs of linear layers and their outputs, (batch, length, width).
    """

    def __init__(self, weights: Weights, inputs: Array, targets: Array, *, low_bits: bool = False):
        """Inputs and targets: (batch, length) of characters' numbers. With `low_bits`, of W2A8/KV4."""
        self.weights, self.inputs, self.targets, self.low_bits = weights, inputs, targets, low_bits
        self.gradients: Weights = {name: np.zeros_like(value) for name, value in weights.items()}
        self.seen: dict[str, Array] = {}
        self.undo: list[tuple[Back, ...]] = []
        stream = weights["token"][inputs] + weights["position"][: inputs.shape[1]]
        for layer in range(LAYERS):
            normed, back_norm = self.norm(stream, f"{layer}.gain_1")
            mixed, back_attention = self.attention(normed, layer)
            stream = stream + mixed
            normed, back_norm_2 = self.norm(stream, f"{layer}.gain_2")
            hidden, back_up = self.linear(normed, f"{layer}.up")
            active = np.maximum(hidden, 0)
            out, back_down = self.linear(active, f"{layer}.down")
            stream = stream + out

            def back_relu(slope: Array, active: Array = active) -> Array:
                made: Array = slope * (active > 0)
                return made

            self.undo += [(back_attention, back_norm), (back_down, back_relu, back_up, back_norm_2)]
        normed, self.back_last = self.norm(stream, "gain")
        logits, self.back_head = self.linear(normed, "head")
        self.loss, self.slope = cross_entropy(logits, targets)

    def backward(self) -> Weights:
        """The gradients of the loss."""
        back_to_start(self.back_last(self.back_head(self.slope)), reversed(self.undo), self.gradients, self.inputs)
        return self.gradients

    def linear(self, x: Array, name: str) -> tuple[Array, Back]:
        """x Wᵀ."""
        weight = self.weights[name]
        if self.low_bits and name != "head":
            integers, scale = two_bit(weight)
            weight = (integers * scale).astype(weight.dtype)
        made = x @ weight.T
        self.seen |= {f"{name}.inputs": x, f"{name}.outputs": made}

        def back(slope: Array) -> Array:
            self.gradients[name] += slope.reshape(-1, slope.shape[-1]).T @ x.reshape(-1, x.shape[-1])
            back_through: Array = slope @ weight
            return back_through

        return made, back

    def norm(self, x: Array, name: str) -> tuple[Array, Back]:
        """RMSNorm."""
        gain = self.weights[name]
        scale = 1 / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-5)
        unit = x * scale

        def back(slope: Array) -> Array:
            self.gradients[name] += (slope * unit).sum((0, 1))
            inner = slope * gain
            made: Array = scale * (inner - unit * (inner * unit).mean(-1, keepdims=True))
            return made

        return unit * gain, back

    def four_bits(self, x: Array) -> tuple[Array, Back]:
        """What INT4 holds of keys or values, with one scale; where it clips there is no gradient."""
        if not self.low_bits:
            return x, lambda slope: slope
        scale = int4_scale(x)
        integers = np.rint(x / scale)
        inside = (integers >= -8) & (integers <= 7)
        return (np.clip(integers, -8, 7) * scale).astype(x.dtype), lambda slope: slope * inside

    def attention(self, x: Array, layer: int) -> tuple[Array, Back]:
        """Causal attention of all heads, with its projection."""
        batch, length, _ = x.shape

        def heads(rows: Array) -> Array:
            return rows.reshape(batch, length, HEADS, WIDTH // HEADS).swapaxes(1, 2)

        def rows(of_heads: Array) -> Array:
            return of_heads.swapaxes(1, 2).reshape(batch, length, WIDTH)

        query, back_q = self.linear(x, f"{layer}.q")
        key, back_k = self.linear(x, f"{layer}.k")
        value, back_v = self.linear(x, f"{layer}.v")
        (key, back_key), (value, back_value) = self.four_bits(key), self.four_bits(value)
        q, k, v = heads(query), heads(key), heads(value)
        scale = np.asarray((WIDTH // HEADS) ** -0.5, x.dtype)
        scores = np.where(np.tri(length, dtype=bool), q @ k.swapaxes(-1, -2) * scale, np.asarray(-1e9, x.dtype))
        chances = np.exp(scores - scores.max(-1, keepdims=True))
        chances /= chances.sum(-1, keepdims=True)
        out, back_out = self.linear(rows(chances @ v), f"{layer}.out")

        def back(slope: Array) -> Array:
            inner = heads(back_out(slope))
            on_chances = inner @ v.swapaxes(-1, -2)
            on_scores = chances * (on_chances - (on_chances * chances).sum(-1, keepdims=True)) * scale
            on_q, on_k = rows(on_scores @ k), rows(on_scores.swapaxes(-1, -2) @ q)
            on_v = rows(chances.swapaxes(-1, -2) @ inner)
            made: Array = back_q(on_q) + back_k(back_key(on_k)) + back_v(back_value(on_v))
            return made

        return out, back


def as_stored(weights: Weights, text: Array, *, low_bits: bool) -> Weights:
    """Weights as float16, or integers of 2 bits with `.scale`; scales of activations by a text (stretches, length)."""
    stored: Weights = {}
    for name, value in weights.items():
        if low_bits and name.split(".")[-1] in MATRICES:
            integers, scale = two_bit(value)
            stored |= {name: integers.astype(np.int8), f"{name}.scale": np.array(scale)}
        else:
            stored[name] = value.astype(np.float16)
    return stored | calibrated(Pass(weights, text, text, low_bits=low_bits).seen, kv_bits=4 if low_bits else 8)


def train(steps: int) -> dict[str, dict[str, Any]]:
    """Trains, and returns what is stored for each mix, held-out text and a bigram's perplexity on it with the first."""
    known, unknown = known_and_unknown()
    excerpt = unknown[:HELD_OUT_CHARACTERS]
    cut = known[: CALIBRATION_CHARACTERS // CONTEXT * CONTEXT].reshape(-1, CONTEXT)
    random = np.random.default_rng(1)
    weights, made = initial(random), {}
    stream = batches(known, random, BATCH, CONTEXT)
    for mix, low_bits in (("int8", False), ("w2a8kv4", True)):

        def slopes(now: Weights, inputs: Array, targets: Array, low_bits: bool = low_bits) -> tuple[float, Weights]:
            one = Pass(now, inputs, targets, low_bits=low_bits)
            return one.loss, one.backward()

        weights = fit(weights, slopes, stream, steps, RATE)
        made[mix] = as_stored(weights, cut, low_bits=low_bits)
    made["int8"] |= {
        "held_out": excerpt.astype(np.uint8),
        "bigram_perplexity": np.array(bigram_perplexity(known, excerpt)),
    }
    return made


if __name__ == "__main__":
    for mix, stored in train(int(sys.argv[1]) if len(sys.argv) > 1 else 1500).items():
        np.savez_compressed(weights_file(mix), **stored)
