"""Errors of attention's arithmetic on the four shapes of data."""

from __future__ import annotations

from typing import Any

import numpy as np

from bench.common import say
from sim.attention.array_vectors import problem_of
from sim.attention.attention_model import Numerics, attend
from sim.attention.datasets import SHAPES, queries_keys_values
from sim.attention.masks import Mask, key_tiles
from sim.attention.reference import relative_error
from sim.attention.tensors import quantise, reference

ROWS, DIM, SEEDS = 256, 64, 3
TARGETS = {8: 1e-2, 9: 6e-3}


def numerics() -> dict[str, Any]:
    """The worst relative L2 error over three seeds, of 256 queries; as run by default, and with no tile of one key."""
    results = []
    for keys in (1024, 4096):
        for shape in SHAPES:
            for p_bits, target in TARGETS.items():
                errors = np.array([_errors(shape, keys, p_bits, seed) for seed in range(SEEDS)]).max(axis=0)
                found = dict(zip(("quantised", "uniform_tiles", "float"), map(float, errors), strict=True))
                results.append({"shape": shape, "keys": keys, "p_bits": p_bits} | found)
                what = f"{shape}, {keys} keys, {p_bits} bits of p"
                say(what, f"{found['quantised']:.2e}", "of L2", f"at most {target:g}")
    return {"rows": ROWS, "dim": DIM, "seeds": SEEDS, "errors": results}


def _errors(shape: str, keys: int, p_bits: int, seed: int) -> tuple[float, float, float]:
    """Against float64 on the quantised inputs, the same with tiles of 16 keys throughout, and on the originals."""
    q, k, v = (each[None] for each in queries_keys_values(shape, ROWS, keys, DIM, seed))
    quantised = quantise(q, k, v, DIM**-0.5, Mask())
    arrays, (scale,) = quantised.arrays, problem_of(quantised.arrays).scales
    seen = [quantised.floats(name) for name in ("q", "k", "v")]
    wanted, original = (reference(*each, DIM**-0.5, Mask()) for each in (seen, (q, k, v)))

    def output(first: int) -> Any:
        result = attend(
            Numerics(p_bits=p_bits),
            *(arrays[name][0] for name in ("q", "k", "v")),
            *(scale.multiplier, scale.shift, Mask().spans(ROWS, keys)),
            tiles=key_tiles(keys, 16, first=first),
        )
        return quantised.output(result.o[None])

    chosen = output(int(arrays["options"][4]))
    return relative_error(chosen, wanted), relative_error(output(0), wanted), relative_error(chosen, original)
