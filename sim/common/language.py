"""What small language models of characters share: their text, its batches, Adam, and the bigram that they must beat.

The text is `pydoc_data.topics`, Python's reference manual, which every Python ships; its last tenth is kept out of
training.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Weights = dict[str, Array]

CHARACTERS = "\n" + "".join(map(chr, range(32, 127)))
BIGRAM_SMOOTHING = 0.05


def encoded(text: str) -> Array:
    """Characters as their numbers."""
    return np.array([CHARACTERS.index(one) for one in text], np.int64)


def manual() -> str:
    """Python's reference manual, in the characters that the models know."""
    from pydoc_data.topics import topics

    whole = "\n".join(topics[name] for name in sorted(topics))
    return "".join(one for one in whole if one in set(CHARACTERS))


def known_and_unknown() -> tuple[Array, Array]:
    """Numbers of the manual's characters: nine tenths to train on, and the rest."""
    data = encoded(manual())
    return data[: len(data) * 9 // 10], data[len(data) * 9 // 10 :]


def batches(data: Array, random: np.random.Generator, batch: int, context: int) -> Iterator[tuple[Array, Array]]:
    """Random stretches of the text, (batch, context) each, and their next characters."""
    while True:
        starts = random.integers(0, len(data) - context - 1, batch)
        cut = data[starts[:, None] + np.arange(context + 1)]
        yield cut[:, :-1], cut[:, 1:]


def fit(
    weights: Weights,
    slopes: Callable[[Weights, Array, Array], tuple[float, Weights]],
    stream: Iterator[tuple[Array, Array]],
    steps: int,
    rate: float,
) -> Weights:
    """Weights after Adam: a rate that rises for 100 steps and falls along a cosine, gradients of norm 1 at most.

    Parameters
    ----------
    weights
        To start from, float32.
    slopes
        Loss and gradients of weights on inputs and targets.
    stream
        Inputs and targets of each step.
    steps : int
    rate : float
        The largest one.
    """
    weights = dict(weights)
    first = {name: np.zeros_like(value) for name, value in weights.items()}
    second = {name: np.zeros_like(value) for name, value in weights.items()}
    for step in range(1, steps + 1):
        now = rate * min(1, step / 100) * (0.5 + 0.5 * np.cos(np.pi * step / steps)) + 1e-5
        loss, gradients = slopes(weights, *next(stream))
        total = np.sqrt(sum(float((value**2).sum()) for value in gradients.values()))
        for name, value in gradients.items():
            slope = value * min(1.0, 1 / total)
            first[name] += 0.1 * (slope - first[name])
            second[name] += 0.01 * (slope**2 - second[name])
            change = first[name] / (1 - 0.9**step) / (np.sqrt(second[name] / (1 - 0.99**step)) + 1e-8)
            weights[name] = (weights[name] - now * change).astype(np.float32)
        if step % 100 == 0:
            print(f"step {step}: loss {loss:.3f}", file=sys.stderr, flush=True)
    return weights


def bigram_perplexity(known: Array, unknown: Array) -> float:
    """Of the second text's characters but the first, by how often they follow one another in the first text."""
    counts = np.full((len(CHARACTERS), len(CHARACTERS)), BIGRAM_SMOOTHING)
    np.add.at(counts, (known[:-1], known[1:]), 1)
    chances = counts / counts.sum(1, keepdims=True)
    return float(np.exp(-np.log(chances[unknown[:-1], unknown[1:]]).mean()))


def cross_entropy(logits: Array, targets: Array) -> tuple[float, Array]:
    """The mean loss of logits (batch, length, characters) in natural units, and its slope along them."""
    chances = np.exp(logits - logits.max(-1, keepdims=True))
    chances /= chances.sum(-1, keepdims=True)
    picked = np.take_along_axis(chances, targets[..., None], -1)
    loss = float(-np.log(picked + 1e-30).mean())
    np.put_along_axis(chances, targets[..., None], picked - 1, -1)
    return loss, chances / targets.size


def back_to_start(
    stream: Array, undo: Iterable[Iterable[Callable[[Array], Array]]], gradients: Weights, inputs: Array
) -> None:
    """Walk the slope of a residual stream (batch, length, width) back, and add what token and position take of it.

    Parameters
    ----------
    undo : of each layer the steps of its branches, that of the layer's end first
    gradients : `token` and `position` are added to; the steps do it for others
    inputs : (batch, length)
    """
    for steps in undo:
        branch = stream
        for step in steps:
            branch = step(branch)
        stream = stream + branch
    known = np.zeros((inputs.size, len(CHARACTERS)), stream.dtype)
    known[np.arange(inputs.size), inputs.ravel()] = 1
    gradients["token"] += known.T @ stream.reshape(-1, stream.shape[-1])
    gradients["position"][: inputs.shape[1]] += stream.sum(0)
