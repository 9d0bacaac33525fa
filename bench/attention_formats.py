"""Errors of attention with keys and values in every format, on the four shapes of data."""

from __future__ import annotations

from typing import Any

from bench.common import say
from hdl.attention.config import ArrayConfig
from sim.attention import array_vectors
from sim.attention.datasets import SHAPES, queries_keys_values
from sim.attention.masks import Mask
from sim.attention.reference import relative_error
from sim.attention.tensors import KV_FORMATS, quantise, reference

ROWS, KEYS, DIM, SEEDS = 256, 1024, 64, 3
TARGETS = {8: 1e-2, 9: 6e-3}
CASES = [(kv, False) for kv in KV_FORMATS] + [("int4", True)]
"""Format, and whether two keys are done at a time: then tiles have 32 keys, not 16."""


def formats() -> dict[str, Any]:
    """The worst relative L2 error over three seeds: on quantised inputs, on the originals, and with channels of K
    rearranged."""
    results = []
    for kv, dual in CASES:
        name = f"{kv}, two at a time" if dual else kv
        for shape in SHAPES:
            found: dict[str, Any] = {"format": name, "shape": shape}
            for p_bits in TARGETS:
                errors = [_errors(kv, dual, shape, p_bits, seed, rearrange=False) for seed in range(SEEDS)]
                found[f"quantised_{p_bits}"], found["float"] = (max(each) for each in zip(*errors, strict=True))
            found["rearranged"] = max(_errors(kv, dual, shape, 9, seed, rearrange=True)[1] for seed in range(SEEDS))
            results.append(found)
            for p_bits, target in TARGETS.items():
                what = f"{name}, {shape}, {p_bits} bits of p"
                say(what, f"{found[f'quantised_{p_bits}']:.1e}", "of L2", f"at most {target:g}")
            say(
                f"{name}, {shape}, on floats", f"{found['float']:.1e}", "of L2", f"{found['rearranged']:.1e} rearranged"
            )
    return {"rows": ROWS, "keys": KEYS, "dim": DIM, "seeds": SEEDS, "errors": results}


def _errors(kv: str, dual: bool, shape: str, p_bits: int, seed: int, *, rearrange: bool) -> tuple[float, float]:
    """Against float64 on the quantised inputs, and on the originals."""
    params = {"rows": 16, "lanes": 16, "dim": DIM, "p_bits": p_bits, "formats": [] if kv == "int8" else [kv]}
    config = ArrayConfig.parse(params | {"dual_issue": dual})
    q, k, v = (each[None] for each in queries_keys_values(shape, ROWS, KEYS, DIM, seed))
    widths = {"tile_keys": config.tile_keys, "word_bytes": config.bus_bytes}
    quantised = quantise(q, k, v, DIM**-0.5, Mask(), kv=kv, rearrange=rearrange, **widths)
    o = quantised.output(array_vectors.model(config, quantised.arrays)["o"])
    seen = [quantised.floats(name) for name in ("q", "k", "v")]
    wanted, original = (reference(*each, DIM**-0.5, Mask()) for each in (seen, (q, k, v)))
    return relative_error(o, wanted), relative_error(o, original)
