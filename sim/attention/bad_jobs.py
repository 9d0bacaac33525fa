"""Descriptors with one thing wrong, for `attention.array` to leave out."""

from __future__ import annotations

import numpy as np

from hdl.attention.config import ArrayConfig
from hdl.attention.formats import FORMATS
from hdl.attention.job_words import FIELDS, OUTPUT_BITS, WORD_BITS, pack_job, reserved_masks
from sim.attention.descriptors import ADDRESSES, ZERO_IN_LINEAR, fits_dual, parts, whole
from sim.attention.kv_formats import BY_CODE
from sim.attention.schedule import Job


def bad_descriptor(rng: np.random.Generator, config: ArrayConfig, job: Job) -> bytes:
    """A job with one thing wrong: a reserved bit, a field that cannot be, an address within a word."""
    job = whole(job)
    words = [int.from_bytes(pack_job(job)[4 * place : 4 * place + 4], "little") for place in range(16)]
    wrong = wrong_values(config, job)
    name = str(rng.choice(["reserved", *wrong]))
    if name == "reserved":
        bits = [
            (word, bit) for word, mask in enumerate(reserved_masks()) for bit in range(WORD_BITS) if mask >> bit & 1
        ]
        word, bit = bits[int(rng.integers(len(bits)))]
        words[word] |= 1 << bit
    else:
        field, value = FIELDS[name], int(rng.choice(wrong[name]))
        words[field.word] &= ~(((1 << field.bits) - 1) << field.low)
        words[field.word] |= (value & ((1 << field.bits) - 1)) << field.low
    return b"".join((word & 0xFFFFFFFF).to_bytes(4, "little") for word in words)


def wrong_values(config: ArrayConfig, job: Job) -> dict[str, list[int]]:
    """By field, values that make a bad job of a good one."""
    most_rows = config.rows * config.subtiles
    unbuilt = [each.code for name, each in FORMATS.items() if name not in config.built_formats]
    wrong = {"rows": [0, most_rows + 1], "chunks": [0, 1, config.most_chunks + 1], "tiles": [0], "h": [0]}
    wrong |= {name: [job[name] + offset for offset in (1, config.bus_bytes // 2)] for name in ADDRESSES}
    wrong |= {"k_format": [*unbuilt, 9, 15], "v_format": [*unbuilt, 9, 15], "o_format": [3]}
    wrong |= {f"{name}_exponent": [1, 255] for name in "kv" if not BY_CODE[job[f"{name}_format"]].block}
    if job["dual"] or job["sparse"]:
        wrong["chunks"] += [2, 3, job["chunks"] + 1]
    if job["dual"]:
        wrong["k_format"] += [FORMATS["int8"].code]
    if not job["linear"]:
        wrong["o_format"] += [2]
        wrong |= {"dual": [1]} if not fits_dual(config, job) else {}
        wrong["v_format"] += [FORMATS["int8"].code] if job["dual"] else []
        return wrong | {"fraction": [17, 31], "relu": [1], "linear": [1], "sparse": [1]}
    wrong |= {name: [1 - job[name]] for name in ("dual", "sparse")}  # with as many outputs as it has
    wrong["rows"] += [job["rows"] + most_rows]
    wrong["k_format"] += [each.code for each in FORMATS.values() if each.block]
    wrong["o_format"] += [code for code, bits in enumerate(OUTPUT_BITS) if config.lanes * bits % config.bus_bits]
    wrong |= {name: [1, FIELDS[name].range[-1]] for name in ZERO_IN_LINEAR if name not in wrong}
    wrong |= {name: [config.bus_bytes] for name in ("v_address", "v_stride")[: 1 if parts(config, job) > 1 else 2]}
    wrong["keys"] = [job["keys"] - 1, job["keys"] + 1, 2 * job["keys"], job["keys"] // 2]
    return wrong | {"first": [0], "last": [0]}
