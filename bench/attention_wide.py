"""Wide jobs on the gateware against ordinary ones: cycles from the first multiplication to the last, and the ratio."""

from __future__ import annotations

from typing import Any

from bench.attention_linear import layer_on
from bench.attention_rtl import attend_on
from bench.common import say
from flows.attention.rtl import verilated
from flows.load import load_design
from hdl.attention.config import ArrayConfig
from hdl.attention.job_words import OUTPUT_BITS

DESIGN = "attn_16x16_wide"
HEADS = 8
ATTENTION = [
    ("dense, 8 heads of N = 512", (HEADS, HEADS, 512, 512)),
    ("decode, 8 heads on one of keys, N = 4096", (HEADS, 1, 1, 4096)),
]
"""Name; heads, heads of keys, queries, keys."""

INPUTS, OUTPUTS, O_FORMAT = 128, 512, OUTPUT_BITS.index(8)
"""Of a layer, whose rows are as many as there is room for."""


def wide() -> dict[str, Any]:
    """Attention on INT8 and, two at a time, on INT4 keys and values; a layer of dense weights, and of two of four.

    A memory of 64 cycles of latency gives and takes a word a cycle.
    """
    design = load_design(DESIGN)
    config = design.config
    assert isinstance(config, ArrayConfig)
    result = {}
    with verilated(design) as harness:
        for name, sizes in ATTENTION:
            one, two = (attend_on(config, harness, "dense", *sizes, kv=kv) for kv in ("int8", "int4"))
            result[name] = _compared(name, {"int8": one, "int4": two})
        dense, sparse = (layer_on(config, harness, INPUTS, OUTPUTS, O_FORMAT, sparse=flag) for flag in (False, True))
        name = f"{OUTPUTS} outputs of {INPUTS} inputs, {dense['rows']} rows"
        result[name] = _compared(name, {"dense": dense, "sparse": sparse})
    return result


def _compared(name: str, found: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Both figures with their ratio; how it was reached is in the counters."""
    first, second = found.values()
    ratio = first["span"] / second["span"]
    spans = " and ".join(f"{each['span']} {what}" for what, each in found.items())
    say(f"{name}: {spans} cycles", ratio, "times", "at least 1.9")
    return found | {"ratio": round(ratio, 4), "equal": first["equal"] and second["equal"]}
