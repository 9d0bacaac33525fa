"""Float queries, keys and values of several heads as what the array takes, and back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hdl.attention.formats import FORMATS
from sim.attention.array_vectors import formats_array, options_array
from sim.attention.kv_encode import decode_rows, encode_rows, key_unit, value_unit
from sim.attention.masks import Ints, Mask
from sim.attention.quantise import Floats, logit_scale, symmetric
from sim.attention.reference import attention_by_blocks
from sim.common.vectors import Arrays

KV_FORMATS = tuple(name for name, each in FORMATS.items() if not each.keys_of_linear_layers_only)
"""What keys and values can be in."""

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
    v_units : float64 (kv_heads,)
        What 1 of an output without fraction bits means.
    k, v : float64 (kv_heads, keys, d)
        What keys and values are after quantisation.
    orders : int64 (kv_heads, d)
        Which channel of Q and K each channel of the array is.
    """

    arrays: Arrays
    q_scales: Floats
    v_units: Floats
    k: Floats
    v: Floats
    orders: Ints

    def floats(self, name: str) -> Floats:
        """q, k or v as the array saw them, their channels in the order in which they came."""
        if name == "q":
            scaled = self.arrays["q"] * self.q_scales[:, None, None]
            places = np.argsort(self.orders, axis=1).repeat(len(scaled) // len(self.orders), axis=0)
            return np.asarray(np.take_along_axis(scaled, places[:, None], axis=2))
        return {"k": self.k, "v": self.v}[name]

    def output(self, o: npt.NDArray[Any]) -> Floats:
        """The array's o (heads, queries, d) as numbers."""
        fraction_bits = int(self.arrays["options"][3])
        scales = np.repeat(self.v_units, len(o) // len(self.v_units))
        return np.asarray(o * 2.0**-fraction_bits * scales[:, None, None])


def quantise(
    q: npt.NDArray[Any],
    k: npt.NDArray[Any],
    v: npt.NDArray[Any],
    factor: float,
    mask: Mask,
    *,
    kv: str = "int8",
    rearrange: bool = False,
    fraction_bits: int | None = None,
    first_tile: int | None = None,
    tile_keys: int = 16,
    word_bytes: int = 8,
) -> Quantised:
    """Queries as symmetric INT8, a scale for those that see the same keys; keys and values in a format, head by head.

    Parameters
    ----------
    q : float (heads, queries, d)
    k, v : float (kv_heads, keys, d)
    factor : float
        Of the scores.
    kv : name in `KV_FORMATS`
    rearrange : bool
        Order the channels of Q and K by their size in K, so that those of like size share a block's scale.
    fraction_bits : int or None
        Of the outputs; None: as many as a value's bits leave of 16.
    first_tile : int or None
        Keys of a tile before all others; None: one where the first key is a sink, else none.
    tile_keys : int
    word_bytes : int
        Of a memory word.

    Raises
    ------
    ValueError
        If there are NaN or infinities, d is no multiple of a block, or the scale of the scores is beyond the array's.
    """
    group, fmt = len(q) // len(k), FORMATS[kv]
    orders = np.stack([channel_order(head) if rearrange else np.arange(k.shape[2]) for head in k])
    coded: list[npt.NDArray[Any]] = []
    scales: list[float] = []
    for head, order in enumerate(orders):
        integers, scale = symmetric(q[head * group : (head + 1) * group, :, order])
        coded += list(integers)
        scales += [scale] * group
    keys = [encode_rows(fmt, head[:, order], word_bytes) for head, order in zip(k, orders, strict=True)]
    values = [encode_rows(fmt, head, word_bytes) for head in v]
    logits = [logit_scale(factor * scales[head] * key_unit(fmt, keys[head // group])) for head in range(len(q))]
    if first_tile is None:
        first_tile = int(
            any(sink_stands_out(q[h * group : (h + 1) * group], k[h, :tile_keys], factor) for h in range(len(k)))
        )
    if fraction_bits is None:
        fraction_bits = 2 if fmt.block else {8: 8, 4: 12}[fmt.bits]
    exponents = [[a.exponent, b.exponent] for a, b in zip(keys, values, strict=True)]
    arrays = {
        "q": np.stack(coded),
        "k": np.stack([each.rows for each in keys]).view(np.int8),
        "v": np.stack([each.rows for each in values]).view(np.int8),
        "scale": np.array([[each.multiplier, each.shift] for each in logits], np.int32),
        "options": options_array(mask, fraction_bits=fraction_bits, first_tile=first_tile),
        "formats": formats_array(len(k), fmt.code, fmt.code, exponents),
    }
    seen_k, seen_v = (
        np.stack([decode_rows(fmt, each, k.shape[2], word_bytes) for each in encoded]) for encoded in (keys, values)
    )
    seen_k = np.take_along_axis(seen_k, np.argsort(orders, axis=1)[:, None], axis=2)
    units = np.array([value_unit(fmt, each) for each in values])
    return Quantised(arrays, np.array(scales), units, seen_k, seen_v, orders)


def channel_order(k: npt.NDArray[Any]) -> Ints:
    """Channels of keys (keys, d) from the smallest to the largest, by their sums of squares."""
    return np.argsort((k.astype(np.float64) ** 2).sum(axis=0), kind="stable")


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
