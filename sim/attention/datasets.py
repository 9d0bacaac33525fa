"""Four shapes of queries, keys and values on which attention's errors are measured, seeded."""

from __future__ import annotations

import numpy as np

from sim.attention.quantise import Floats

SHAPES = ("gauss", "outliers", "sink", "peaky")


def queries_keys_values(shape: str, rows: int, keys: int, dim: int, seed: int) -> tuple[Floats, Floats, Floats]:
    """q (rows, dim), k and v (keys, dim), float64.

    gauss     standard normal
    outliers  and normal of deviation 10 on a random 0.1 % of the entries (FlashAttention-3, arXiv 2407.08608)
    sink      four channels of K shifted by ±6, Q * 1.5, a common direction u of queries (0.6 u) and of the first key
              (1.5 u), whose value is a tenth
    peaky     Q * 4
    """
    rng = np.random.default_rng([SHAPES.index(shape), seed])
    q, k, v = (rng.standard_normal((count, dim)) for count in (rows, keys, keys))
    if shape == "outliers":
        q, k, v = (x + (rng.random(x.shape) < 1e-3) * rng.normal(0, 10, x.shape) for x in (q, k, v))
    elif shape == "sink":
        k[:, rng.choice(dim, 4, replace=False)] += 6 * rng.choice([-1, 1], 4)
        u = rng.standard_normal(dim)
        q = q * 1.5 + 0.6 * u
        k[0] += 1.5 * u
        v[0] *= 0.1
    elif shape == "peaky":
        q = q * 4
    return q, k, v
