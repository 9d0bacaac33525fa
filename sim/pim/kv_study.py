"""How good two-step attention out of flash is, and what it reads: `pim.kv`'s model on made-up heads.

Judged by attention in float64 over all tokens.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hdl.pim.kv_config import OUTPUT_BITS, SCALE_BITS, KvConfig, KvOp
from sim.pim.kv_model import KvCache, KvCommand, largest

Floats = npt.NDArray[np.float64]
Int8s = npt.NDArray[np.int8]


@dataclass(frozen=True)
class Sample:
    """A query, keys and values of one head, quantised to int8, and the scale that attends them."""

    q: Int8s
    keys: Int8s
    values: Int8s
    scale: int

    def exact(self) -> tuple[Floats, Floats]:
        """Weights of all tokens, which add up to 1, and the output, in float64."""
        exponents = (self.keys.astype(np.float64) @ self.q.astype(np.float64)) * self.scale / 2**SCALE_BITS
        weights = np.exp2(exponents - exponents.max())
        weights /= weights.sum()
        return weights, weights @ self.values.astype(np.float64)


@dataclass(frozen=True)
class Study:
    """What two-step attention comes to.

    Attributes
    ----------
    recall : share of the exact attention's weights that lie on the chosen tokens, 0..1
    hits : share of the k tokens with the largest exact scores that are among them, 0..1
    error : root of the mean squared error of the output, over that of the exact output
    pages, dense_pages : read, and read by attention over all tokens
    moved, dense_moved : the same in bytes that travel from flash
    """

    recall: float
    hits: float
    error: float
    pages: int
    dense_pages: int
    moved: int
    dense_moved: int


def sample(seed: int, tokens: int, dim: int) -> Sample:
    """A head as language models have them, made up and seeded: a few channels far larger than the others, and keys in
    clusters, one of which the query is near to. Scores of a few units, as after division by sqrt(dim)."""
    rng = np.random.default_rng(seed)
    size = rng.lognormal(0, 0.8, dim)
    centres = rng.normal(size=(32, dim))
    keys = (centres[rng.integers(32, size=tokens)] + 0.6 * rng.normal(size=(tokens, dim))) * size
    q = (centres[0] + 0.6 * rng.normal(size=dim)) * size
    q *= 12 / np.linalg.norm(q)
    values = rng.normal(size=(tokens, dim))
    q_step, key_step, value_step = (float(np.abs(one).max()) / 127 for one in (q, keys, values))
    q_int, keys_int, values_int = (
        np.round(one / step).astype(np.int8) for one, step in ((q, q_step), (keys, key_step), (values, value_step))
    )
    scale = round(2**SCALE_BITS * math.log2(math.e) * q_step * key_step / math.sqrt(dim))
    return Sample(q_int, keys_int, values_int, scale)


def study(config: KvConfig, head: Sample, r: int, k: int) -> Study:
    """Attention of the sample's query, once its tokens are in the cache."""
    cache = KvCache(config)
    for key, value in zip(head.keys, head.values, strict=True):
        cache.do(KvCommand(KvOp.APPEND), np.concatenate([key, value]))
    cache.do(KvCommand(KvOp.QUERY, 0, r, k, head.scale), head.q)
    assert all(cache.result.done)
    (found,), (reading,) = cache.result.attentions, cache.result.readings
    weights, output = head.exact()
    best = largest(head.keys.astype(np.int64) @ head.q.astype(np.int64), k)
    wrong = found.output / 2**OUTPUT_BITS - output
    full = len(head.keys) // config.group_tokens * config.group_tokens
    dense_pages = 2 * (full // config.page_tokens)
    return Study(
        recall=float(weights[found.tokens].sum()),
        hits=len(np.intersect1d(found.tokens, best)) / k,
        error=float(np.sqrt((wrong**2).mean() / (output**2).mean())),
        pages=sum(reading.pages),
        dense_pages=dense_pages,
        moved=sum(reading.bytes),
        dense_moved=dense_pages * config.page_bytes,
    )
