"""Attention in float64, and how far the array's arithmetic may be from it."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from sim.attention.attention_model import Numerics
from sim.attention.masks import Bools, Spans
from sim.attention.quantise import Floats

EXPONENTIAL_ERROR = (math.log(2) / 16) ** 2 / 8 + 2.0**-14
"""Relative, of 2**-x: a chord over a sixteenth, and two roundings of a half in numbers of at least 2**14."""


def softmax_attention(q: Floats, k: Floats, v: Floats, factor: float, valid: Bools) -> Floats:
    """softmax(q k^T * factor) v over the valid keys; a row without any is 0.

    Parameters
    ----------
    q : float64 (rows, d)
    k, v : float64 (keys, d)
    valid : bool (rows, keys)
    """
    logits = np.where(valid, (q @ k.T) * factor, -np.inf)
    largest = logits.max(axis=1, keepdims=True, initial=-np.inf)
    weights = np.exp(logits - np.where(np.isinf(largest), 0, largest))
    total = weights.sum(axis=1, keepdims=True)
    return np.asarray(weights @ v / np.where(total == 0, 1, total))


def attention_by_blocks(q: Floats, k: Floats, v: Floats, factor: float, spans: Spans, rows: int = 512) -> Floats:
    """`softmax_attention` of many rows, a few at a time so that the scores stay small."""
    parts = [slice(start, start + rows) for start in range(0, len(q), rows)]
    done = [softmax_attention(q[part], k, v, factor, spans.rows(part).valid(0, len(k))) for part in parts]
    return np.concatenate(done) if done else np.zeros(q.shape)


def error_bound(numerics: Numerics, most_logit: float, tiles: int, fraction_bits: int = 8) -> float:
    """How far o may be from float64 on the same integers, in units of v's, times the largest |v| of 1.

    The result is |o - exact| <= bound * max|v| + 2**-(fraction_bits + 1), for logits that do not saturate.
    Every weight is 2**t with t at most 2**-11 + |t| * 2**-16 off, an exponential that is `EXPONENTIAL_ERROR` off, and p
    rounded by half a unit, where a tile's largest p has 2**(p_bits - 1) units. Weights that are off by η of their sum
    move the mean by at most 2 η / (1 - η). Alignment adds less than two units a tile in l and O, whose l has
    2**(p_bits + guard_bits - 1) units at the least; the division adds the roundings of its 17 bits.

    Parameters
    ----------
    most_logit : float
        Largest magnitude of a logit in base 2.
    tiles : int
        That a row sees.
    """
    logit = 2.0 ** (2.0**-11 + most_logit * 2.0**-16) - 1
    weight = logit + (1 + logit) * (EXPONENTIAL_ERROR + numerics.lanes * 2.0**-numerics.p_bits)
    aligned = 4 * tiles * 2.0 ** -(numerics.guard_bits + numerics.p_bits - 1)
    divided = 4 * 2.0**-16
    return float(2 * weight / (1 - weight) + aligned + divided)


def relative_error(got: npt.ArrayLike, wanted: npt.ArrayLike) -> float:
    """‖got - wanted‖ / ‖wanted‖ in L2; where wanted is 0, 0 or infinity."""
    difference = float(np.linalg.norm(np.asarray(got, np.float64) - np.asarray(wanted, np.float64)))
    size = float(np.linalg.norm(np.asarray(wanted, np.float64)))
    return difference / size if size else math.inf if difference else 0.0
