"""Utilisation and words of the gateware, its outputs held to the golden model."""

from __future__ import annotations

from typing import Any

import numpy as np

from bench.common import say
from flows.attention.rtl import run_on, verilated
from flows.load import load_design
from hdl.attention.config import ArrayConfig
from sim.attention import array_vectors
from sim.attention.datasets import queries_keys_values
from sim.attention.masks import Mask
from sim.attention.schedule import cost
from sim.attention.tensors import quantise
from sim.common.harness import Harness

DESIGN = "attn_16x16_d64"
LATENCY_CYCLES = 64
BANDWIDTH = 1.1
"""Of what is needed: the words over the cycles in which the array multiplies."""

CASES = [
    ("dense, N = 64, 16 heads", "dense", 16, 16, 64, 64, BANDWIDTH, 0.98),
    ("dense, N = 512", "dense", 1, 1, 512, 512, BANDWIDTH, 0.999),
    ("causal, N = 1024", "causal", 1, 1, 1024, 1024, None, 0.99),
    ("Λ 4 + 1020, N = 2048", "lambda:4+1020", 1, 1, 2048, 2048, None, 0.99),
    ("causal, N = 1024, less bandwidth", "causal", 1, 1, 1024, 1024, BANDWIDTH, 0.99),
    ("Λ 4 + 1020, N = 2048, less bandwidth", "lambda:4+1020", 1, 1, 2048, 2048, BANDWIDTH, 0.99),
    ("decode, 8 heads on one of keys, N = 4096", "dense", 8, 1, 1, 4096, BANDWIDTH, None),
]
"""Name, mask, heads, heads of keys, queries, keys; bandwidth, of what is needed, None for a word a cycle of each
direction, the port's own; target."""


def rtl() -> dict[str, Any]:
    """Each case with a memory of 64 cycles of latency."""
    design = load_design(DESIGN)
    config = design.config
    assert isinstance(config, ArrayConfig)
    result = {}
    with verilated(design) as harness:
        for name, text, heads, kv_heads, queries, keys, bandwidth, target in CASES:
            found = result[name] = attend_on(config, harness, text, heads, kv_heads, queries, keys, bandwidth=bandwidth)
            say(
                f"{name}, of the tile limit",
                f"{found['of_tile_limit']:.5f}",
                "",
                f"at least {target}" if target else "",
            )
    return result


def attend_on(
    config: ArrayConfig,
    harness: Harness,
    mask: str,
    heads: int,
    kv_heads: int,
    queries: int,
    keys: int,
    *,
    bandwidth: float | None = None,
    kv: str = "int8",
) -> dict[str, Any]:
    """A case on the gateware: whether its outputs are the golden model's, and what its counters say."""
    q, k, v = queries_keys_values("gauss", heads * queries, kv_heads * keys, config.dim, seed=1)
    q, k, v = (x.reshape(n, -1, config.dim) for x, n in ((q, heads), (k, kv_heads), (v, kv_heads)))
    arrays = quantise(q, k, v, config.dim**-0.5, Mask.parse(mask), kv=kv, word_bytes=config.bus_bytes).arrays
    problem = array_vectors.problem_of(arrays)
    wanted, size = cost(config, problem), problem.tile_keys(config)
    needed = (wanted.words_read + wanted.words_written) / wanted.mac_cycles
    memory = {"latency_cycles": LATENCY_CYCLES, "bandwidth": min(2.0, bandwidth * needed) if bandwidth else 2.0}
    got, counted = run_on(config, harness, arrays, **memory)
    equal = all(np.array_equal(got[key], right) for key, right in array_vectors.model(config, arrays).items())
    return {
        "equal": equal,
        "of_tile_limit": round(2 * config.dim * wanted.needed / counted["span"], 6),
        "useful": round(problem.useful_macs / (config.rows * size * counted["span"]), 6),
        "words": counted["words"],
        "words_predicted": wanted.words_read + wanted.words_written,
        "bytes_a_cycle": round(counted["words_read"] * config.bus_bytes / counted["cycles"], 4),
    } | {key: counted[key] for key in ("cycles", "span", "macs", "stall_memory", "stall_softmax", "stall_output")}
