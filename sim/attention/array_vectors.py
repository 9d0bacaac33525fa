"""`attention.array` as arrays in and arrays out, for every engine: attention of some heads a set of arrays."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from hdl.attention.config import ArrayConfig
from hdl.attention.job_words import pack_job
from sim.attention.array_model import numerics
from sim.attention.attention_model import attend
from sim.attention.masks import Mask, key_tiles
from sim.attention.problem import Layout, Problem
from sim.attention.quantise import LogitScale
from sim.attention.schedule import jobs
from sim.common.errors import HarnessError
from sim.common.memory_job import JobResult, MemoryJob
from sim.common.vectors import Arrays, ArraySpec, check_arrays

INPUTS = {
    "q": ArraySpec("int8", "(heads, queries, dim)", "queries, -127 .. 127"),
    "k": ArraySpec("int8", "(kv_heads, keys, dim)", "keys, -127 .. 127"),
    "v": ArraySpec("int8", "(kv_heads, keys, dim)", "values, -127 .. 127"),
    "scale": ArraySpec("int32", "(heads, two)", "of the scores of each head: multiplier (16 bits), shift (1 .. 31)"),
    "options": ArraySpec(
        "int32",
        "(five,)",
        "causal (0, 1), window (0: all keys), sink, fraction bits of o (8 .. 16), keys of the first tile (0: any)",
    ),
}
OUTPUTS = {
    "o": ArraySpec("int16", "(heads, queries, dim)", "softmax(scale * q k) v, with the options' fraction bits"),
    "status": ArraySpec("uint8", "(one,)", "logit saturated (bit 0), scale is 0, row without a key, output saturated"),
}
STATUS = ("logit_saturated", "scale_underflow", "empty_row", "output_saturated")
"""Names of the status' bits, from bit 0 on."""

FAILURES = ("bus_error", "bad_job", "outside")
MOST_ITEMS = 64
MOST_JOBS = 0xFFFF


def options_array(mask: Mask, *, fraction_bits: int = 8, first_tile: int = 0) -> Any:
    """The array `options`."""
    return np.array([mask.causal, mask.window or 0, mask.sink, fraction_bits, first_tile], np.int32)


def problem_of(arrays: Mapping[str, Any]) -> Problem:
    """What the arrays ask."""
    (heads, queries, dim), (kv_heads, keys, _) = arrays["q"].shape, arrays["k"].shape
    causal, window, sink, fraction_bits, first_tile = (int(each) for each in arrays["options"])
    scales = tuple(LogitScale(int(multiplier), int(shift)) for multiplier, shift in arrays["scale"])
    mask = Mask(bool(causal), window or None, sink)
    return Problem(heads, kv_heads, queries, keys, dim, mask, scales, fraction_bits, first_tile)


def check(config: ArrayConfig, arrays: Mapping[str, Any]) -> None:
    """Refuse arrays that are not `INPUTS`, and what `config` cannot do.

    Raises
    ------
    ValueError
        With one line that names array, expected and received.
    """
    sizes = check_arrays(INPUTS, arrays)
    for name, axis, size in (("options", "five", 5), ("scale", "two", 2)):
        if sizes[axis] != size:
            raise ValueError(f"{name} must have {size} columns, not {sizes[axis]}")
    for place, low, high in ((0, 0, 1), (1, 0, 1 << 22), (2, 0, 1 << 22)):
        value = int(arrays["options"][place])
        if not low <= value <= high:
            raise ValueError(f"options[{place}] must be in {low}..{high}, not {value}")
    if not arrays["options"][0] and arrays["options"][1:3].any():
        raise ValueError("options: a window or a sink goes with a causal mask")
    for column, low, high in ((0, 0, 0xFFFF), (1, 1, 31)):
        wrong = [int(value) for value in arrays["scale"][:, column] if not low <= value <= high]
        if wrong:
            raise ValueError(f"scale[:, {column}] must be in {low}..{high}, not {wrong[0]}")
    for name in ("q", "k", "v"):
        if (arrays[name] == -128).any():
            raise ValueError(f"{name} must be in -127..127, not -128")
    problem = problem_of(arrays)
    problem.check(config)
    count = sum(1 for _ in jobs(config, problem, Layout(0, 0, 0, 0, 0, 0)))
    if count > MOST_JOBS:
        raise ValueError(f"a list has at most {MOST_JOBS} jobs, not {count}: give fewer heads or queries")


def model(config: ArrayConfig, arrays: Mapping[str, Any]) -> Arrays:
    """The golden model's results, head by head."""
    problem = problem_of(arrays)
    spans = problem.mask.spans(problem.queries, problem.keys)
    tiles = key_tiles(problem.keys, config.lanes, first=problem.first_tile)
    results = [
        attend(
            numerics(config),
            arrays["q"][head],
            arrays["k"][head // problem.group],
            arrays["v"][head // problem.group],
            scale.multiplier,
            scale.shift,
            spans,
            fraction_bits=problem.fraction_bits,
            tiles=tiles,
        )
        for head, scale in enumerate(problem.scales)
    ]
    status = np.bitwise_or.reduce(np.concatenate([result.status for result in results]))
    return {"o": np.stack([result.o for result in results]), "status": np.array([status], np.uint8)}


def job(config: ArrayConfig, arrays: Mapping[str, Any]) -> MemoryJob:
    """Arrays as what the memory and the registers hold."""
    problem = problem_of(arrays)
    count = sum(1 for _ in jobs(config, problem, Layout(0, 0, 0, 0, 0, 0)))
    layout = Layout.of(config, problem, count)
    image = np.zeros(layout.end, np.uint8)
    listed = b"".join(pack_job(each) for each in jobs(config, problem, layout))
    image[layout.list : layout.list + len(listed)] = np.frombuffer(listed, np.uint8)
    for name, address in (("q", layout.q), ("k", layout.k), ("v", layout.v)):
        packed = np.ascontiguousarray(arrays[name]).view(np.uint8).reshape(-1)
        image[address : address + len(packed)] = packed
    registers = {"list_address": layout.list, "list_length": count, "window": layout.end}
    return MemoryJob(image, registers, range(layout.o, layout.end))


def results(config: ArrayConfig, arrays: Mapping[str, Any], result: JobResult) -> Arrays:
    """What a list of jobs left, as arrays.

    Raises
    ------
    HarnessError
        If the block refused a job, or its memory failed.
    """
    registers = config.registers
    assert registers is not None
    status = registers["status"].decode(result.status)
    wrong = [name for name in FAILURES if status[name]]
    if wrong:
        raise HarnessError(f"the block says {wrong[0]} of a job that is right")
    o = np.ascontiguousarray(result.content).view("<i2").reshape(arrays["q"].shape).astype(np.int16)
    return {"o": o, "status": np.array([sum(status[name] << bit for bit, name in enumerate(STATUS))], np.uint8)}


def operations(config: ArrayConfig, arrays: Mapping[str, Any]) -> int:
    """Multiplications and additions of the keys that queries see: of the scores, and of the outputs."""
    return 2 * problem_of(arrays).useful_macs


def random_arrays(config: ArrayConfig, seed: int, items: int) -> Arrays:
    """Seeded attention of about `items` rows: any mask, any group, few keys or many, peaked and flat weights, extreme
    operands."""
    rng = np.random.default_rng(seed)
    kv_heads, group = int(rng.integers(1, 3)), int(rng.choice([1, 1, 2, 4]))
    heads = kv_heads * group if items > 1 else 1
    queries = max(1, int(rng.integers(1, 2 + 2 * items // heads)))
    # Of many keys with flat weights the sums outgrow their width, and bump.
    keys = int(rng.integers(1, 6 * config.lanes)) if rng.random() < 0.9 else 40 * config.lanes
    if items == 1:
        kv_heads, queries, keys = 1, 1, config.lanes
    dim = config.lanes * int(rng.integers(2, config.most_chunks + 1))
    shapes = {"q": (heads, queries, dim), "k": (kv_heads, keys, dim), "v": (kv_heads, keys, dim)}
    arrays = {name: rng.integers(-127, 128, shape).astype(np.int8) for name, shape in shapes.items()}
    if rng.random() < 0.3:
        arrays = {name: np.where(each > 0, 127, -127).astype(np.int8) for name, each in arrays.items()}
    # A score has a deviation of about 5400 * sqrt(dim): logits from flat ones to some beyond 20 bits.
    spread = rng.uniform(-6, 9, kv_heads).repeat(group)[:heads]
    if rng.random() < 0.3:
        spread = rng.uniform(-6, 9, heads)
    wanted = 2.0**spread * 1024 / (5400 * dim**0.5)
    shift = np.clip(np.floor(16 - np.log2(wanted)) - 1, 1, 31).astype(np.int32)
    multiplier = np.clip(np.rint(wanted * 2.0**shift), 0, 0xFFFF).astype(np.int32)
    multiplier[rng.random(heads) < 0.05] = 0
    causal = bool(rng.integers(2))
    window = int(rng.integers(1, keys + 2)) if causal and rng.random() < 0.5 else None
    mask = Mask(causal, window, int(rng.integers(0, 2 * config.lanes)) if window else 0)
    first_tile = int(rng.choice([0, 0, 0, 1, config.lanes]))
    options = options_array(mask, fraction_bits=int(rng.choice([8, 8, 10, 16])), first_tile=first_tile)
    return arrays | {"scale": np.stack([multiplier, shift], axis=1), "options": options}
