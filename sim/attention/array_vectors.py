"""`attention.array` as arrays in and arrays out, for every engine: attention of some heads a set of arrays."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from hdl.attention.config import ArrayConfig
from hdl.attention.job_words import pack_job
from sim.attention.array_model import numerics
from sim.attention.attention_model import attend
from sim.attention.descriptors import attention_formats, attention_tile_keys, keys_read
from sim.attention.kv_formats import BY_CODE, read_rows
from sim.attention.kv_model import Keys, aligned_keys, aligned_values
from sim.attention.masks import Bools, Ints, Mask, key_tiles
from sim.attention.operand_stimulus import random_formats, random_rows
from sim.attention.problem import Layout, Problem
from sim.attention.quantise import LogitScale
from sim.attention.schedule import jobs
from sim.common.errors import HarnessError
from sim.common.memory_job import JobResult, MemoryJob
from sim.common.vectors import Arrays, ArraySpec, check_arrays

INPUTS = {
    "q": ArraySpec("int8", "(heads, queries, dim)", "queries, -127 .. 127"),
    "k": ArraySpec("int8", "(kv_heads, keys, k_bytes)", "keys, -127 .. 127; or bytes of rows of another format"),
    "v": ArraySpec("int8", "(kv_heads, keys, v_bytes)", "values, likewise"),
    "scale": ArraySpec("int32", "(heads, two)", "of the scores of each head: multiplier (16 bits), shift (1 .. 31)"),
    "options": ArraySpec(
        "int32",
        "(five,)",
        "causal (0, 1), window (0: all keys), sink, fraction bits of o (0 .. 16), keys of the first tile (0: any)",
    ),
    "formats": ArraySpec(
        "int32",
        "(kv_heads, four)",
        "of keys and of values: codes (0: int8), the same in all heads, then exponents (0 without blocks)",
    ),
}
OUTPUTS = {
    "o": ArraySpec("int16", "(heads, queries, dim)", "softmax(scale * q k) v, with the options' fraction bits"),
    "status": ArraySpec(
        "uint8", "(one,)", "logit saturated (bit 0), scale 0, row without a key, output saturated, exponent clipped"
    ),
}
STATUS = ("logit_saturated", "scale_underflow", "empty_row", "output_saturated", "exponent_clipped")
"""Names of the status' bits, from bit 0 on."""

FAILURES = ("bus_error", "bad_job", "outside")
MOST_ITEMS = 64
MOST_JOBS = 0xFFFF


def options_array(mask: Mask, *, fraction_bits: int = 8, first_tile: int = 0) -> Any:
    """The array `options`."""
    return np.array([mask.causal, mask.window or 0, mask.sink, fraction_bits, first_tile], np.int32)


def formats_array(
    kv_heads: int, k_format: int = 0, v_format: int = 0, exponents: npt.ArrayLike = (0, 0)
) -> npt.NDArray[np.int32]:
    """The array `formats`, of exponents (two,) or (kv_heads, two)."""
    found = np.zeros((kv_heads, 4), np.int32)
    found[:, 0], found[:, 1], found[:, 2:] = k_format, v_format, exponents
    return found


def problem_of(arrays: Mapping[str, Any]) -> Problem:
    """What the arrays ask."""
    (heads, queries, dim), (kv_heads, keys, _) = arrays["q"].shape, arrays["k"].shape
    formats = arrays["formats"].tolist()
    causal, window, sink, fraction_bits, first_tile = (int(each) for each in arrays["options"])
    scales = tuple(LogitScale(int(multiplier), int(shift)) for multiplier, shift in arrays["scale"])
    mask = Mask(bool(causal), window or None, sink)
    return Problem(
        *(heads, kv_heads, queries, keys, dim, mask, scales, fraction_bits, first_tile),
        k_format=formats[0][0],
        v_format=formats[0][1],
        exponents=tuple((k, v) for *_, k, v in formats),
    )


def check(config: ArrayConfig, arrays: Mapping[str, Any]) -> None:
    """Refuse arrays that are not `INPUTS`, and what `config` cannot do.

    Raises
    ------
    ValueError
        With one line that names array, expected and received.
    """
    sizes = check_arrays(INPUTS, arrays)
    for name, axis, size in (("options", "five", 5), ("scale", "two", 2), ("formats", "four", 4)):
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
    _check_formats(config, arrays["formats"])
    problem = problem_of(arrays)
    problem.check(config)
    plain = {"q": True, "k": problem.k_format == 0, "v": problem.v_format == 0}
    for name in (name for name, is_int8 in plain.items() if is_int8):
        if (arrays[name] == -128).any():
            raise ValueError(f"{name} must be in -127..127, not -128")
    for name, wanted in zip("kv", problem.row_bytes(config), strict=True):
        if arrays[name].shape[2] != wanted:
            raise ValueError(f"{name} must have rows of {wanted} bytes, not {arrays[name].shape[2]}")
    count = sum(1 for _ in jobs(config, problem, Layout(0, 0, 0, 0, 0, 0)))
    if count > MOST_JOBS:
        raise ValueError(f"a list has at most {MOST_JOBS} jobs, not {count}: give fewer heads or queries")


def _check_formats(config: ArrayConfig, formats: npt.NDArray[Any]) -> None:
    if (formats[:, :2] != formats[0, :2]).any():
        raise ValueError("formats[:, 0:2] must be the same in all heads")
    usable = {each.code: each for each in attention_formats(config)}
    for column, code in enumerate(formats[0, :2].tolist()):
        if code not in usable:
            known = ", ".join(f"{each.code} ({each.name})" for each in usable.values())
            raise ValueError(f"formats[0, {column}] must be one of {known}, not {code}")
        most = 255 if usable[code].block else 0
        wrong = [each for each in formats[:, 2 + column].tolist() if not 0 <= each <= most]
        if wrong:
            raise ValueError(f"formats[:, {2 + column}] must be in 0..{most}, not {wrong[0]}")


def model(config: ArrayConfig, arrays: Mapping[str, Any]) -> Arrays:
    """The golden model's results, head by head."""
    problem = problem_of(arrays)
    spans = problem.mask.spans(problem.queries, problem.keys)
    tiles = key_tiles(problem.keys, problem.tile_keys(config), first=problem.first_tile)
    keys, values, clipped = zip(
        *(_operands(config, problem, arrays, head) for head in range(problem.kv_heads)), strict=True
    )
    is_clipped = (np.stack(clipped) & _keys_read(config, problem)).any()
    results = [
        attend(
            numerics(config),
            arrays["q"][head],
            keys[head // problem.group],
            values[head // problem.group],
            scale.multiplier,
            scale.shift,
            spans,
            fraction_bits=problem.fraction_bits,
            tiles=tiles,
        )
        for head, scale in enumerate(problem.scales)
    ]
    status = np.bitwise_or.reduce(np.concatenate([result.status for result in results]))
    status |= int(is_clipped) << STATUS.index("exponent_clipped")
    return {"o": np.stack([result.o for result in results]), "status": np.array([status], np.uint8)}


def _operands(config: ArrayConfig, problem: Problem, arrays: Mapping[str, Any], head: int) -> tuple[Keys, Ints, Bools]:
    """Keys and values of a head, and of which keys a scale is above the head's exponent."""
    formats, (k_exponent, v_exponent) = (BY_CODE[problem.k_format], BY_CODE[problem.v_format]), problem.exponents[head]
    k, v = (
        read_rows(fmt, np.ascontiguousarray(arrays[name][head]).view(np.uint8), problem.dim, config.bus_bytes)
        for name, fmt in zip("kv", formats, strict=True)
    )
    above = (k.exponents > k_exponent).any(axis=1) | (v.exponents > v_exponent).any(axis=1)
    keys, _ = aligned_keys(formats[0], k, k_exponent, config.lanes)
    values, _ = aligned_values(formats[1], v, v_exponent)
    return keys, values, np.asarray(above)


def _keys_read(config: ArrayConfig, problem: Problem) -> Bools:
    """bool (kv_heads, keys): the keys that a job reads."""
    found = np.zeros((problem.kv_heads * problem.keys,), np.bool_)
    k_bytes, _ = problem.row_bytes(config)
    for each in jobs(config, problem, Layout(0, 0, 0, 0, 0, 0)):
        first = each["k_address"] // k_bytes
        found[first : first + keys_read(config, each)] = True
    return found.reshape(problem.kv_heads, problem.keys)


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
    bits = sum(status[name] << bit for bit, name in enumerate(STATUS) if name in status)
    return {"o": o, "status": np.array([bits], np.uint8)}


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
    keys = int(rng.integers(1, 6 * config.tile_keys)) if rng.random() < 0.9 else 40 * config.tile_keys
    if items == 1:
        kv_heads, queries, keys = 1, 1, config.lanes
    dim = config.lanes * int(rng.integers(2, config.most_chunks + 1))
    shapes = {"q": (heads, queries, dim), "k": (kv_heads, keys, dim), "v": (kv_heads, keys, dim)}
    arrays: Arrays = {name: rng.integers(-127, 128, shape).astype(np.int8) for name, shape in shapes.items()}
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
    first_tile = int(rng.choice([0, 0, 0, 1, config.tile_keys]))
    fraction_bits = int(rng.choice([8, 8, 10, 16]))
    arrays |= {"scale": np.stack([multiplier, shift], axis=1), "formats": formats_array(kv_heads)}
    arrays |= _random_rows(config, rng, arrays) if config.formats else {}
    k_format, v_format = arrays["formats"][0, :2].tolist()
    first_tile = min(first_tile, attention_tile_keys(config, dim, k_format, v_format))
    return arrays | {"options": options_array(mask, fraction_bits=fraction_bits, first_tile=first_tile)}


def _random_rows(config: ArrayConfig, rng: np.random.Generator, arrays: Arrays) -> Arrays:
    """Keys and values in any format that is built and goes with their dimension."""
    kv_heads, keys, dim = arrays["k"].shape
    found: Arrays = {}
    formats = random_formats(rng, config, dim)
    exponents = [[int(rng.integers(1, 16)) if fmt.block else 0 for fmt in formats] for _ in range(kv_heads)]
    for place, (name, fmt) in enumerate(zip("kv", formats, strict=True)):
        rows = [
            random_rows(rng, fmt, keys, dim, config.bus_bytes, exponents[head][place], extreme=rng.random() < 0.2)
            for head in range(kv_heads)
        ]
        found[name] = np.stack(rows).view(np.int8)
    return found | {"formats": formats_array(kv_heads, formats[0].code, formats[1].code, exponents)}
