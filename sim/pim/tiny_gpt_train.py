"""Trains the tiny GPT on Python's own reference manual, by hand-written gradients and Adam, and stores its weights.

    python -m sim.pim.tiny_gpt_train [STEPS]       # writes tiny_gpt.npz beside this file

An excerpt of the text that is kept out is stored with the weights, rounded to bf16, for the perplexity that the tests
ask for.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

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
from sim.pim import arithmetic
from sim.pim.tiny_gpt import CONTEXT, HEADS, LAYERS, WEIGHTS_FILE, WIDTH

BATCH = 16
RATE = 3e-3
HELD_OUT_CHARACTERS = 2048


def initial(random: np.random.Generator) -> Weights:
    """Weights before training."""
    vocabulary = len(CHARACTERS)

    def normal(*shape: int, scale: float = 0.08) -> Array:
        return (random.normal(size=shape) * scale).astype(np.float32)

    made: Weights = {"token": normal(vocabulary, WIDTH), "position": normal(CONTEXT, WIDTH, scale=0.02)}
    for layer in range(LAYERS):
        made |= {
            f"{layer}.qkv": normal(3 * WIDTH, WIDTH),
            f"{layer}.projection": normal(WIDTH, WIDTH, scale=0.04),
            f"{layer}.feed_1": normal(4 * WIDTH, WIDTH),
            f"{layer}.feed_2": normal(WIDTH, 4 * WIDTH, scale=0.04),
            f"{layer}.qkv_bias": np.zeros(3 * WIDTH, np.float32),
            f"{layer}.projection_bias": np.zeros(WIDTH, np.float32),
            f"{layer}.feed_1_bias": np.zeros(4 * WIDTH, np.float32),
            f"{layer}.feed_2_bias": np.zeros(WIDTH, np.float32),
        }
        for norm in ("norm_1", "norm_2"):
            made |= {
                f"{layer}.{norm}_gain": np.ones(WIDTH, np.float32),
                f"{layer}.{norm}_bias": np.zeros(WIDTH, np.float32),
            }
    return made | {"norm_gain": np.ones(WIDTH, np.float32), "norm_bias": np.zeros(WIDTH, np.float32)}


class Pass:
    """A pass through the model: the loss of a batch, and its gradients by `backward`."""

    def __init__(self, weights: Weights, inputs: Array, targets: Array):
        """Inputs and targets: (batch, length) of characters' numbers."""
        self.weights, self.inputs, self.targets = weights, inputs, targets
        self.gradients: Weights = {name: np.zeros_like(value) for name, value in weights.items()}
        self.undo: list[Any] = []
        stream = weights["token"][inputs] + weights["position"][: inputs.shape[1]]
        for layer in range(LAYERS):
            normed, back_norm = self.norm(stream, f"{layer}.norm_1")
            mixed, back_attention = self.attention(normed, layer)
            stream = stream + mixed
            normed, back_norm_2 = self.norm(stream, f"{layer}.norm_2")
            hidden, back_1 = self.linear(normed, f"{layer}.feed_1")
            active, back_gelu = self.gelu(hidden)
            out, back_2 = self.linear(active, f"{layer}.feed_2")
            stream = stream + out
            self.undo += [(back_attention, back_norm), (back_2, back_gelu, back_1, back_norm_2)]
        normed, self.back_last = self.norm(stream, "norm")
        self.last = normed
        logits = normed @ weights["token"].T
        self.loss, self.slope = cross_entropy(logits, targets)

    def backward(self) -> Weights:
        """The gradients of the loss."""
        gradients = self.gradients
        gradients["token"] += np.einsum("btv,btw->vw", self.slope, self.last, optimize=True)
        stream = self.back_last(self.slope @ self.weights["token"])
        back_to_start(stream, reversed(self.undo), gradients, self.inputs)
        return gradients

    def linear(self, x: Array, name: str) -> tuple[Array, Any]:
        """x Wᵀ + b."""
        weight, bias = self.weights[name], self.weights[f"{name}_bias"]

        def back(slope: Array) -> Array:
            flat = slope.reshape(-1, slope.shape[-1])
            self.gradients[name] += flat.T @ x.reshape(-1, x.shape[-1])
            self.gradients[f"{name}_bias"] += flat.sum(0)
            made: Array = slope @ weight
            return made

        return x @ weight.T + bias, back

    def norm(self, x: Array, name: str) -> tuple[Array, Any]:
        """LayerNorm."""
        gain = self.weights[f"{name}_gain"]
        centred = x - x.mean(-1, keepdims=True)
        scale = 1 / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-5)
        unit = centred * scale

        def back(slope: Array) -> Array:
            self.gradients[f"{name}_gain"] += (slope * unit).sum((0, 1))
            self.gradients[f"{name}_bias"] += slope.sum((0, 1))
            inner = slope * gain
            along = (inner * unit).mean(-1, keepdims=True)
            made: Array = scale * (inner - inner.mean(-1, keepdims=True) - unit * along)
            return made

        return unit * gain + self.weights[f"{name}_bias"], back

    def gelu(self, x: Array) -> tuple[Array, Any]:
        """GELU by tanh, as GPT-2 has it."""
        inner = np.float32(0.7978845608) * (x + np.float32(0.044715) * x * x * x)
        bent = np.tanh(inner)

        def back(slope: Array) -> Array:
            steep = np.float32(0.7978845608) * (1 + np.float32(3 * 0.044715) * x * x)
            made: Array = slope * np.float32(0.5) * (1 + bent + x * (1 - bent**2) * steep)
            return made

        return np.float32(0.5) * x * (1 + bent), back

    def attention(self, x: Array, layer: int) -> tuple[Array, Any]:
        """Causal attention of all heads, with its projection."""
        batch, length, _ = x.shape
        head = WIDTH // HEADS
        made, back_qkv = self.linear(x, f"{layer}.qkv")
        query, key, value = made.reshape(batch, length, 3, HEADS, head).transpose(2, 0, 3, 1, 4)
        scale = np.float32(head**-0.5)
        scores = query @ key.swapaxes(-1, -2) * scale
        scores = np.where(np.tri(length, dtype=bool), scores, np.float32(-1e9))
        scores -= scores.max(-1, keepdims=True)
        weights = np.exp(scores)
        weights /= weights.sum(-1, keepdims=True)
        mixed = (weights @ value).swapaxes(1, 2).reshape(batch, length, WIDTH)
        out, back_out = self.linear(mixed, f"{layer}.projection")

        def back(slope: Array) -> Array:
            inner = back_out(slope).reshape(batch, length, HEADS, head).swapaxes(1, 2)
            on_weights = inner @ value.swapaxes(-1, -2)
            on_scores = weights * (on_weights - (on_weights * weights).sum(-1, keepdims=True)) * scale
            slopes = np.stack([on_scores @ key, on_scores.swapaxes(-1, -2) @ query, weights.swapaxes(-1, -2) @ inner])
            made: Array = back_qkv(slopes.transpose(1, 3, 0, 2, 4).reshape(batch, length, 3 * WIDTH))
            return made

        return out, back


def train(steps: int) -> Weights:
    """Trains, and returns what is stored: weights as bf16 codes, an excerpt of the held-out text, and a bigram's
    perplexity on it."""
    known, unknown = known_and_unknown()
    random = np.random.default_rng(1)
    weights = initial(random)

    def slopes(now: Weights, inputs: Array, targets: Array) -> tuple[float, Weights]:
        one = Pass(now, inputs, targets)
        return one.loss, one.backward()

    weights = fit(weights, slopes, batches(known, random, BATCH, CONTEXT), steps, RATE)
    excerpt = unknown[:HELD_OUT_CHARACTERS]
    stored = {name: arithmetic.rounded(value) for name, value in weights.items()}
    return stored | {
        "held_out": excerpt.astype(np.uint8),
        "bigram_perplexity": np.array(bigram_perplexity(known, excerpt)),
    }


if __name__ == "__main__":
    np.savez_compressed(WEIGHTS_FILE, **train(int(sys.argv[1]) if len(sys.argv) > 1 else 1500))  # type: ignore[arg-type]
