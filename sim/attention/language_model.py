"""A causal language model of characters whose products and attention are the array's, in integers.

What the array does is behind `Layers`. The rest is here, in float64: embedding, RMSNorm, the residual stream, and the
integers that the array takes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from sim.attention.language import CONTEXT, HEADS, LAYERS, MATRICES, WIDTH, weights_file
from sim.attention.quantise import LogitScale, fixed_point, logit_scale, symmetric
from sim.common.language import CHARACTERS, encoded

Int8s = npt.NDArray[np.int8]
Int16s = npt.NDArray[np.int16]
Floats = npt.NDArray[np.float64]

MIXES = ("int8", "w2a8kv4")


@dataclass(frozen=True)
class Matrix:
    """A linear layer in integers.

    Attributes
    ----------
    integers : int8 (outputs, inputs)
    bits : int
        That hold a weight: 8 or 2.
    scale : LogitScale
        From sums to outputs.
    output_bits : int
        16, 8 or 4.
    relu : bool
    """

    integers: Int8s
    bits: int
    scale: LogitScale
    output_bits: int
    relu: bool


@dataclass(frozen=True)
class Quantised:
    """The model of one mix of formats.

    Attributes
    ----------
    kv_bits : int
        Of keys and values in the cache, 8 or 4.
    fraction_bits : int
        Of attention's outputs, INT8.
    matrices : dict
        By `LAYER.NAME`, and `head`.
    logits : list of LogitScale
        From scores to logits, of each layer.
    units : dict
        What 1 of the integers means, by `LAYER.NAME.inputs` or `.outputs`.
    floats : dict
        `token`, `position` and gains.
    """

    kv_bits: int
    fraction_bits: int
    matrices: dict[str, Matrix]
    logits: list[LogitScale]
    units: dict[str, float]
    floats: dict[str, Floats]


class Layers(Protocol):
    """What the array does, with the keys and values that it has seen."""

    def attend(self, layer: int, x: Int8s, start: int) -> Int16s:
        """Projections, causal attention and its projection of rows (n, width), the first of which is token `start`."""

    def feed(self, layer: int, x: Int8s) -> Int16s:
        """The MLP of rows (n, width)."""

    def head(self, x: Int8s) -> Int16s:
        """Logits (n, characters) of rows (n, width)."""


def stored(mix: str) -> dict[str, npt.NDArray[Any]]:
    """What training left for a mix: weights and scales; with `int8` also `held_out` and its `bigram_perplexity`."""
    with np.load(weights_file(mix)) as found:
        return {name: found[name] for name in found.files}


def load(mix: str) -> Quantised:
    """The trained model of a mix of formats, one of `MIXES`."""
    return quantised(mix, stored(mix))


def quantised(mix: str, found: Mapping[str, npt.NDArray[Any]]) -> Quantised:
    """The model of a mix of formats, one of `MIXES`, of what `sim.attention.language_train` stores for it."""
    units = {name.removeprefix("scale."): float(value) for name, value in found.items() if name.startswith("scale.")}
    kv_bits, fraction_bits = (8, 0) if mix == "int8" else (4, 4)
    matrices, logits = {}, []

    def add(name: str, taken: float, given: float, output_bits: int, relu: bool = False) -> None:
        if f"{name}.scale" in found:
            integers, unit, bits = found[name], float(found[f"{name}.scale"]), 2
        else:
            (integers, unit), bits = symmetric(found[name]), 8
        matrices[name] = Matrix(integers, bits, fixed_point(taken * unit / given), output_bits, relu)

    for layer in range(LAYERS):
        for name, output_bits in (("q", 8), ("k", kv_bits), ("v", kv_bits)):
            add(f"{layer}.{name}", units[f"{layer}.q.inputs"], units[f"{layer}.{name}.outputs"], output_bits)
        logits.append(logit_scale(units[f"{layer}.q.outputs"] * units[f"{layer}.k.outputs"] / (WIDTH // HEADS) ** 0.5))
        add(f"{layer}.out", units[f"{layer}.v.outputs"] / 2**fraction_bits, units[f"{layer}.out.outputs"], 16)
        add(f"{layer}.up", units[f"{layer}.up.inputs"], units[f"{layer}.down.inputs"], 8, relu=True)
        add(f"{layer}.down", units[f"{layer}.down.inputs"], units[f"{layer}.down.outputs"], 16)
    add("head", units["head.inputs"], units["head.outputs"], 16)
    plain = {name for name in found if name.split(".")[-1] in ("token", "position", "gain", "gain_1", "gain_2")}
    floats = {name: found[name].astype(np.float64) for name in plain}
    return Quantised(kv_bits, fraction_bits, matrices, logits, units, floats)


class LanguageModel:
    """A text so far, and what comes next.

    Parameters
    ----------
    weights : Quantised
    layers : Layers
        Which does the array's part; its cache is written anew from token 0 on.
    """

    def __init__(self, weights: Quantised, layers: Layers):
        self._weights, self._layers, self._length = weights, layers, 0

    def forget(self) -> None:
        """Start a text."""
        self._length = 0

    def step(self, tokens: npt.NDArray[np.integer[Any]], told: int = 1) -> Floats:
        """Logits (told, characters) after each of the last `told` of further tokens, in natural units.

        Raises
        ------
        ValueError
            If there is no token, or the text gets longer than `CONTEXT`.
        """
        if not 1 <= len(tokens) <= CONTEXT - self._length:
            raise ValueError(f"tokens must be 1..{CONTEXT - self._length} after {self._length}, not {len(tokens)}")
        units, floats = self._weights.units, self._weights.floats
        start, self._length = self._length, self._length + len(tokens)
        stream = floats["token"][tokens] + floats["position"][start : self._length]
        for layer in range(LAYERS):
            x = self._normal(stream, f"{layer}.gain_1", f"{layer}.q.inputs")
            stream = stream + self._layers.attend(layer, x, start) * units[f"{layer}.out.outputs"]
            x = self._normal(stream, f"{layer}.gain_2", f"{layer}.up.inputs")
            stream = stream + self._layers.feed(layer, x) * units[f"{layer}.down.outputs"]
        integers = self._layers.head(self._normal(stream[-told:], "gain", "head.inputs"))
        return integers.astype(np.float64) * units["head.outputs"]

    def write(self, prompt: str, count: int) -> str:
        """The `count` characters after a prompt, the likeliest each time: the first of equal ones."""
        self.forget()
        tokens, made = encoded(prompt), ""
        for _ in range(count):
            likeliest = int(np.argmax(self.step(tokens)[0]))
            made += CHARACTERS[likeliest]
            tokens = np.array([likeliest])
        return made

    def perplexity(self, text: npt.NDArray[np.integer[Any]]) -> float:
        """Of numbers of characters, in stretches of a context, each after its first; what is over is left out."""
        losses = []
        for cut in stretches(text):
            self.forget()
            logits = self.step(cut[:-1], len(cut) - 1)
            top = logits.max(1)
            sums = np.log(np.exp(logits - top[:, None]).sum(1)) + top
            losses.append(sums - np.take_along_axis(logits, cut[1:, None], 1)[:, 0])
        return float(np.exp(np.mean(losses)))

    def _normal(self, stream: Floats, gain: str, place: str) -> Int8s:
        """RMSNorm, as integers in -127 .. 127 to the nearest, halves to even."""
        normal = stream / np.sqrt((stream**2).mean(1, keepdims=True) + 1e-5) * self._weights.floats[gain]
        made: Int8s = np.clip(np.rint(normal / self._weights.units[place]), -127, 127).astype(np.int8)
        return made


def stretches(text: npt.NDArray[np.integer[Any]]) -> npt.NDArray[np.int64]:
    """A text in rows of a context."""
    return text[: len(text) // CONTEXT * CONTEXT].reshape(-1, CONTEXT).astype(np.int64)


def matrix_names() -> list[str]:
    """All matrices, in the order in which they lie in memory."""
    return [f"{layer}.{name}" for layer in range(LAYERS) for name in MATRICES] + ["head"]


def float_perplexity(text: npt.NDArray[np.integer[Any]]) -> float:
    """Of the model in floats, as `LanguageModel.perplexity` takes it."""
    from sim.attention.language_train import Pass

    weights = {name: value.astype(np.float32) for name, value in stored("int8").items() if value.dtype == np.float16}
    cuts = stretches(text)
    return float(np.exp(Pass(weights, cuts[:, :-1], cuts[:, 1:]).loss))
