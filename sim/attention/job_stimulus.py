"""Seeded jobs for `attention.array`, and places in memory for what they read and write.

Attention: jobs of the same rows in turn, each with its own range of keys and masks. Linear layers: any parts, formats
of weights and of outputs. Wide jobs come between others where they are built. Jobs may read what earlier ones wrote,
and then wait for it.
"""

from __future__ import annotations

import numpy as np

from hdl.attention.config import ArrayConfig
from hdl.attention.formats import KvFormat
from hdl.attention.job_words import FIELDS, OUTPUT_BITS
from sim.attention.descriptors import attention_tile_keys, keys_read, operand_bytes, possible, tile_keys, whole
from sim.attention.kv_formats import BY_CODE, row_bytes
from sim.attention.operand_stimulus import random_formats
from sim.attention.schedule import Job, output_bytes
from sim.common.areas import Area

MOST_TILES = 5
FAR = 1 << 22
"""Keys may begin there."""

DEVIATION = {
    **{"int8": 73.0, "int4": 4.6, "int2": 1.1, "mxint8": 73.0, "mxint4": 74.0, "bfp12": 74.0},
    **{"mxfp4": 47.0, "nvfp4": 60.0, "mxfp6": 50.0},
}
"""Of elements that are anything, with `key_shift` fraction bits."""


class Space:
    """Places in memory, one behind the other with gaps between.

    Attributes
    ----------
    end : int
        Behind the last place, in bytes.
    written : list of Area
        Where INT8 outputs of earlier jobs lie.
    """

    def __init__(self, rng: np.random.Generator, word_bytes: int):
        self._rng, self._word = rng, word_bytes
        self.end = word_bytes * int(rng.integers(1, 40))
        self.written: list[Area] = []

    def rows(self, count: int, row_bytes: int) -> tuple[int, int]:
        """Address and stride, in bytes, of so many rows; half of the time without gaps."""
        gap = self._word * int(self._rng.choice([0, 0, 1, 3]))
        whole = -(-row_bytes // self._word) * self._word
        address, stride = self.end, whole + gap
        self.end += count * stride + self._word * int(self._rng.integers(0, 5))
        return address, stride

    def source(self, count: int, row_bytes: int) -> tuple[int, int, bool]:
        """Address and stride of rows that are read, and whether an earlier job writes them: often, where one can."""
        fitting = [area for area in self.written if area.rows >= count and area.row_bytes >= row_bytes]
        if fitting and self._rng.random() < 0.7:
            area = fitting[int(self._rng.integers(len(fitting)))]
            return area.address, area.stride_bytes, True
        return *self.rows(count, row_bytes), False

    def source_of(self, fmt: KvFormat, count: int, dim: int) -> tuple[int, int, bool]:
        """The same of rows of `dim` elements; jobs write none but INT8."""
        if fmt.name == "int8":
            return self.source(count, dim)
        return *self.rows(count, row_bytes(fmt, dim, self._word)), False


def attention_jobs(rng: np.random.Generator, config: ArrayConfig, space: Space) -> list[Job]:
    """One to three jobs of the same rows."""

    def pick(*values: int | np.int64) -> int:
        return int(values[int(rng.integers(len(values)))])

    rows = pick(rng.integers(1, config.rows * config.subtiles + 1), rng.integers(1, config.rows + 1))
    chunks = int(rng.integers(2, config.most_chunks + 1))
    if config.has_blocks and rng.random() < 0.5:  # room for blocks
        chunks = config.most_chunks
    dim = chunks * config.lanes
    k_format, v_format = random_formats(rng, config, dim)
    wide = attention_tile_keys(config, dim, k_format.code, v_format.code) > config.lanes
    wanted = 2.0 ** rng.uniform(-6, 9) * 1024 / (DEVIATION["int8"] * DEVIATION[k_format.name] * dim**0.5)
    multiplier, shift = scale_of(wanted) if rng.random() < 0.95 else (0, int(rng.integers(1, 32)))
    o_format = pick(0, 1) if config.linear else 0
    q_address, q_stride, q_written = space.source(rows, dim)
    o_address, o_stride = space.rows(rows, dim * OUTPUT_BITS[o_format] // 8)
    step, count, found = pick(0, 1, 1, 2, 7), pick(1, 1, 2, 3), []
    for place in range(count):
        tiles = int(rng.integers(1, MOST_TILES + 1))
        dual = int(wide and rng.random() < 0.7)
        span = tiles * config.lanes << dual
        key = pick(0, rng.integers(0, 50), FAR)
        keys = key + pick(span, span + 5, rng.integers(1, span + 1))
        count_read = min(keys - key, span)
        k_address, k_stride, k_written = space.source_of(k_format, count_read, dim)
        v_address, v_stride, v_written = space.source_of(v_format, count_read, dim)
        lo = pick(0, key, key + rng.integers(-20, span + 4), -(1 << 23))
        hi = pick(keys - 1, key + rng.integers(-20, span + 4), (1 << 23) - 1, -1)
        after = q_written or k_written or v_written or (config.linear and rng.random() < 0.1)
        found.append(
            {"rows": rows, "chunks": chunks, "first": int(place == 0), "last": int(place == count - 1)}
            | {"tiles": tiles, "a": multiplier, "h": shift, "fraction": int(rng.integers(0, 17)), "step": step}
            | {"q_address": q_address, "q_stride": q_stride, "k_address": k_address, "k_stride": k_stride}
            | {"v_address": v_address, "v_stride": v_stride, "o_address": o_address, "o_stride": o_stride}
            | {"key": key, "keys": keys, "sink": pick(0, key, key + rng.integers(0, 20)), "lo": lo, "hi": hi}
            | {"after": int(after), "o_format": o_format, "k_format": k_format.code, "v_format": v_format.code}
            | {"dual": dual, "k_exponent": _exponent(rng, k_format), "v_exponent": _exponent(rng, v_format)}
        )
        if o_format == 1 and rng.random() < 0.5:
            found[-1]["fraction"] = 0
    if o_format == 1:
        space.written.append(Area(o_address, o_stride, rows, dim))
    return [whole(job) for job in found]


def linear_job(rng: np.random.Generator, config: ArrayConfig, space: Space) -> Job:
    """A linear layer of any size and formats that are built; its outputs are small, or clipped."""
    while True:
        parts = 1 if rng.random() < 0.5 else int(rng.integers(1, config.subtiles + 1))
        chunks = int(rng.integers(2, config.most_chunks + 1)) if parts == 1 else parts * config.most_chunks
        formats = [each for each in config.built_formats.values() if not each.block]
        weights = formats[int(rng.integers(len(formats)))]
        rows = int(rng.integers(1, config.rows * (config.subtiles // parts) + 1))
        tiles, o_format = int(rng.integers(1, MOST_TILES + 1)), int(rng.choice([0, 1, 1, 2]))
        job = dict.fromkeys(FIELDS, 0) | {"linear": 1, "first": 1, "last": 1, "h": 1, "rows": rows, "chunks": chunks}
        job |= {"tiles": tiles, "k_format": weights.code, "o_format": o_format}
        if config.wide and rng.random() < 0.7:
            job[str(rng.choice(["dual"] * config.dual_issue + ["sparse"] * config.sparse))] = 1
        job["keys"] = tiles * tile_keys(config, job)
        if possible(config, job):
            break
    inputs, outputs = chunks * config.lanes, job["keys"]
    deviation = DEVIATION["int8"] * DEVIATION[weights.name] * inputs**0.5
    multiplier, shift = scale_of(2.0 ** rng.uniform(0, OUTPUT_BITS[o_format] + 1) / deviation)
    if rng.random() < 0.05:
        multiplier = 0
    q_address, q_stride, q_written = space.source(rows, inputs)
    k_written, size = False, operand_bytes(config, job, "k")
    if parts > 1 and rng.random() < 0.6:  # part by part, or the parts of a row with gaps between
        k_address, k_stride = space.rows(outputs * parts, size // parts)
        job["v_stride"] = k_stride * outputs
        if rng.random() < 0.3:
            job["v_stride"], k_stride = k_stride, k_stride * parts
    elif job["sparse"]:
        k_address, k_stride = space.rows(outputs, size)
    else:
        k_address, k_stride, k_written = space.source_of(weights, outputs, inputs)
    o_address, o_stride = space.rows(rows, output_bytes(job, outputs))
    if OUTPUT_BITS[o_format] == 8:
        space.written.append(Area(o_address, o_stride, rows, outputs))
    after = q_written or k_written or rng.random() < 0.1
    job |= {"a": multiplier, "h": shift, "relu": int(rng.integers(2)), "after": int(after)}
    job |= {"q_address": q_address, "q_stride": q_stride, "k_address": k_address, "k_stride": k_stride}
    return job | {"o_address": o_address, "o_stride": o_stride}


def scale_of(wanted: float) -> tuple[int, int]:
    """Multiplier and shift near to a factor."""
    shift = int(np.clip(np.floor(16 - np.log2(wanted)) - 1, 1, 31))
    return int(min(0xFFFF, round(wanted * 2.0**shift))), shift


def inputs_of(config: ArrayConfig, job: Job) -> dict[str, tuple[Area, KvFormat]]:
    """The rows that a job reads, and what they hold: queries, keys and values, or inputs and weights, by letter; of
    weights whose parts are apart by letter and part."""
    keys, queries = keys_read(config, job), Area(job["q_address"], job["q_stride"], job["rows"], _dim(config, job))
    found = {"q": (queries, BY_CODE[0])}
    for name in "k" if job["linear"] else "kv":
        area = Area(job[f"{name}_address"], job[f"{name}_stride"], keys, operand_bytes(config, job, name))
        found[name] = area, BY_CODE[job[f"{name}_format"]]
    if job["linear"] and job["v_stride"]:
        (area, fmt), count = found.pop("k"), _dim(config, job) // config.dim
        for part in range(count):
            start, size = area.address + part * job["v_stride"], area.row_bytes // count
            found[f"k{part}"] = Area(start, area.stride_bytes, keys, size), fmt
    return found


def _dim(config: ArrayConfig, job: Job) -> int:
    return job["chunks"] * config.lanes


def outputs_of(config: ArrayConfig, job: Job) -> Area:
    """The rows that a job writes, if it is the last of them."""
    outputs = job["keys"] if job["linear"] else job["chunks"] * config.lanes
    return Area(job["o_address"], job["o_stride"], job["rows"], output_bytes(job, outputs))


def _exponent(rng: np.random.Generator, fmt: KvFormat) -> int:
    """A job's exponent: anything that scales have."""
    if not fmt.block:
        return 0
    if fmt.scale == "e4m3":
        return int(rng.integers(1, 18))
    return int(rng.choice([0, 3, 127, 127, 200, 255]))
