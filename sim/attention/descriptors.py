"""Descriptors in memory as fields, and which of them are jobs that the array does.

"The block", "More fields", "Linear layers" and "Wide jobs" in hdl/attention/README.md.
"""

from __future__ import annotations

from collections.abc import Mapping

from hdl.attention.config import ArrayConfig
from hdl.attention.formats import KvFormat
from hdl.attention.job_words import FIELDS, OPTIONAL, OUTPUT_BITS, reserved_masks
from sim.attention.kv_formats import BY_CODE, row_bytes
from sim.attention.sparse_weights import sparse_row_bytes

ADDRESSES = ("q_address", "q_stride", "k_address", "k_stride", "v_address", "v_stride", "o_address", "o_stride")

ZERO_IN_LINEAR = ("v_address", "v_format", "step", "sink", "lo", "hi", "fraction", "key")
"""Fields that a linear layer does not have, beside the exponents."""

DUAL_FORMATS = {"attention": ("int4",), "linear": ("int4", "int2")}
"""Of keys or weights, two of which a lane can multiply at once."""


def unpack_job(descriptor: bytes) -> dict[str, int] | None:
    """The fields of a descriptor's 64 bytes; None if a reserved bit is set."""
    words = [int.from_bytes(descriptor[4 * place : 4 * place + 4], "little") for place in range(len(descriptor) // 4)]
    if any(word & mask for word, mask in zip(words, reserved_masks(), strict=True)):
        return None
    found = {}
    for name, field in FIELDS.items():
        value = words[field.word] >> field.low & ((1 << field.bits) - 1)
        found[name] = value - (1 << field.bits) if field.signed and value >> (field.bits - 1) else value
    return found


def whole(job: Mapping[str, int]) -> dict[str, int]:
    """A job with all its fields: `OPTIONAL` ones that it does not name are 0."""
    return dict.fromkeys(OPTIONAL, 0) | dict(job)


def possible(config: ArrayConfig, job: Mapping[str, int]) -> bool:
    """Whether a job is one that the block does; all else is a `bad_job`."""
    job = whole(job)
    if not all(job[name] in field.range for name, field in FIELDS.items()):
        return False
    codes = {each.code for each in config.built_formats.values()}
    if job["k_format"] not in codes or job["v_format"] not in codes:
        return False
    if any(job[name] % config.bus_bytes for name in ADDRESSES):
        return False
    for name in ("k", "v"):
        if job[f"{name}_exponent"] and not BY_CODE[job[f"{name}_format"]].block:
            return False
    if (job["dual"] or job["sparse"]) and not _possible_wide(config, job):
        return False
    return _possible_linear(config, job) if job["linear"] else _possible_attention(config, job)


def _possible_wide(config: ArrayConfig, job: Mapping[str, int]) -> bool:
    if job["dual"] and job["sparse"]:
        return False
    return fits_dual(config, job) if job["dual"] else config.sparse and bool(job["linear"]) and _two_chunks_wide(job)


def fits_dual(config: ArrayConfig, job: Mapping[str, int]) -> bool:
    """Whether the array can do a job two keys at a time, by its `linear`, `chunks` and formats."""
    names = DUAL_FORMATS["linear" if job["linear"] else "attention"]
    return (
        config.dual_issue
        and _two_chunks_wide(job)
        and BY_CODE[job["k_format"]].name in names
        and (bool(job["linear"]) or BY_CODE[job["v_format"]].name in names)
    )


def _two_chunks_wide(job: Mapping[str, int]) -> bool:
    """Whether the inputs are chunks of twice as many, two or more. Parts are, as `dim` is."""
    return job["chunks"] % 2 == 0 and job["chunks"] >= 4


def attention_formats(config: ArrayConfig, dim: int | None = None) -> list[KvFormat]:
    """Formats that keys and values of attention can have: all that are built, or those whose blocks divide `dim`."""
    built = [each for each in config.built_formats.values() if not each.keys_of_linear_layers_only]
    return [each for each in built if not (dim and each.block and dim % each.block)]


def _possible_attention(config: ArrayConfig, job: Mapping[str, int]) -> bool:
    dim = job["chunks"] * config.lanes
    usable = {each.code for each in attention_formats(config, dim)}
    return (
        job["rows"] <= config.rows * config.subtiles
        and dim <= config.dim
        and {job["k_format"], job["v_format"]} <= usable
        and OUTPUT_BITS[job["o_format"]] >= 8
        and not job["relu"]
    )


def _possible_linear(config: ArrayConfig, job: Mapping[str, int]) -> bool:
    inputs, weights = job["chunks"] * config.lanes, BY_CODE[job["k_format"]]
    count = parts(config, job)
    return (
        config.linear
        and (inputs <= config.dim or inputs % config.dim == 0)
        and job["rows"] <= config.rows * (config.subtiles // count)
        and not weights.block
        and (count == 1 or bool(job["sparse"]) or config.dim * weights.bits % config.bus_bits == 0)
        and config.lanes * OUTPUT_BITS[job["o_format"]] % config.bus_bits == 0
        and job["first"] == job["last"] == 1
        and job["keys"] == tile_keys(config, job) * job["tiles"]
        and not any(job[name] for name in ZERO_IN_LINEAR)
        and not (count == 1 and job["v_stride"])
    )


def parts(config: ArrayConfig, job: Mapping[str, int]) -> int:
    """Parts of `dim` inputs that a linear layer's are done in."""
    return max(1, job["chunks"] * config.lanes // config.dim)


def tile_keys(config: ArrayConfig, job: Mapping[str, int]) -> int:
    """Keys of a job's tile, or a linear layer's outputs: twice as many of wide jobs."""
    return config.lanes << (job["dual"] | job["sparse"])


def attention_tile_keys(config: ArrayConfig, dim: int, k_format: int, v_format: int) -> int:
    """Keys of a tile of attention on keys and values of such formats: it is done two at a time wherever it can be."""
    job = {"linear": 0, "chunks": dim // config.lanes, "k_format": k_format, "v_format": v_format}
    return config.lanes << fits_dual(config, job)


def keys_read(config: ArrayConfig, job: Mapping[str, int]) -> int:
    """Rows of keys, and of values, or of weights: those of the job's tiles that are below `keys`."""
    return max(0, min(job["keys"] - job["key"], job["tiles"] * tile_keys(config, job)))


def operand_bytes(config: ArrayConfig, job: Mapping[str, int], name: str) -> int:
    """Bytes of a row of a job's keys or weights (`k`), or values (`v`)."""
    dim, fmt = job["chunks"] * config.lanes, BY_CODE[job[f"{name}_format"]]
    if job["sparse"]:
        return sparse_row_bytes(fmt, dim, min(dim, config.dim), config.bus_bytes)
    return row_bytes(fmt, dim, config.bus_bytes)
