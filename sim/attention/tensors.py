"""Float queries, keys and values of several heads as what the array takes, and back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from sim.attention.array_vectors import options_array
from sim.attention.masks import Mask
from sim.attention.quantise import Floats, logit_scale, symmetric
from sim.attention.reference import attention_by_blocks
from sim.common.vectors import Arrays

KV_LARGEST = {"int8": 127, "int4": 7}
"""Largest magnitude of keys and values by format; the array multiplies them as INT8 numbers."""

SINK_BITS = 3.0
"""So much larger a base-2 logit of the mean query makes the first key a sink among the keys of its tile."""


@dataclass(frozen=True)
class Quantised:
    """What the array gets, and what its numbers mean.

    Attributes
    ----------
    arrays : dict
        As `sim.attention.array_vectors.INPUTS`.
    q_scales : float64 (heads,)
        Heads that share keys share a scale, so that their rows can share a job.
    k_scales, v_scales : float64 (kv_heads,)
    """

    arrays: Arrays
    q_scales: Floats
    k_scales: Floats
    v_scales: Floats

    def floats(self, name: str) -> Floats:
        """q, k or v as the array saw them."""
        scales = {"q": self.q_scales, "k": self.k_scales, "v": self.v_scales}[name]
        return np.asarray(self.arrays[name] * scales[:, None, None])

    def output(self, o: npt.NDArray[Any]) -> Floats:
        """The array's o (heads, queries, d) as numbers."""
        fraction_bits = int(self.arrays["options"][3])
        scales = np.repeat(self.v_scales, len(o) // len(self.v_scales))
        return np.asarray(o * 2.0**-fraction_bits * scales[:, None, None])


def quantise(
    q: npt.NDArray[Any],
    k: npt.NDArray[Any],
    v: npt.NDArray[Any],
    factor: float,
    mask: Mask,
    *,
    kv: str = "int8",
    fraction_bits: int = 8,
    first_tile: int | None = None,
    lanes: int = 16,
) -> Quantised:
    """Symmetric integers, a scale a head of keys, one of values, and one of the queries that see them.

    Parameters
    ----------
    q : float (heads, queries, d)
    k, v : float (kv_heads, keys, d)
    factor : float
        Of the scores.
    kv : name in `KV_LARGEST`
    first_tile : int or None
        Keys of a tile before all others; None: one where the first key is a sink, else none.
    lanes : int
        Keys of a tile.

    Raises
    ------
    ValueError
        If there are NaN or infinities, or the scale of the scores is beyond the array's.
    """
    group = len(q) // len(k)
    codes: dict[str, list[Any]] = {"q": [], "k": [], "v": []}
    scales: dict[str, list[float]] = {"q": [], "k": [], "v": []}
    for head in range(len(k)):
        parts = {"q": q[head * group : (head + 1) * group], "k": k[head], "v": v[head]}
        for name, part in parts.items():
            integers, scale = symmetric(part, 127 if name == "q" else KV_LARGEST[kv])
            codes[name] += list(integers) if name == "q" else [integers]
            scales[name] += [scale] * (group if name == "q" else 1)
    logits = [logit_scale(factor * scales["q"][head] * scales["k"][head // group]) for head in range(len(q))]
    if first_tile is None:
        first_tile = int(
            any(sink_stands_out(q[h * group : (h + 1) * group], k[h, :lanes], factor) for h in range(len(k)))
        )
    arrays = {name: np.stack(parts) for name, parts in codes.items()}
    arrays["scale"] = np.array([[each.multiplier, each.shift] for each in logits], np.int32)
    arrays["options"] = options_array(mask, fraction_bits=fraction_bits, first_tile=first_tile)
    return Quantised(arrays, *(np.array(scales[name]) for name in ("q", "k", "v")))


def sink_stands_out(q: npt.NDArray[Any], tile: npt.NDArray[Any], factor: float) -> bool:
    """Whether the first of a tile's keys draws the mean query so much that it would crush its neighbours' weights."""
    if len(tile) < 2:
        return False
    mean = q.reshape(-1, q.shape[-1]).astype(np.float64).mean(axis=0)
    logits = tile.astype(np.float64) @ mean * factor * np.log2(np.e)
    return bool(logits[0] - logits[1:].max() >= SINK_BITS)


def reference(q: npt.NDArray[Any], k: npt.NDArray[Any], v: npt.NDArray[Any], factor: float, mask: Mask) -> Floats:
    """Attention of all heads in float64."""
    group = len(q) // len(k)
    spans = mask.spans(q.shape[1], k.shape[1])
    wide = [each.astype(np.float64) for each in (q, k, v)]
    return np.stack(
        [
            attention_by_blocks(wide[0][head], wide[1][head // group], wide[2][head // group], factor, spans)
            for head in range(len(q))
        ]
    )
