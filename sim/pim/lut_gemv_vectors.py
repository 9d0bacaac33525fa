"""`pim.lut_gemv` as arrays in and arrays out, for every engine: y = x wᵀ, scaled by output.

With tables of activations a job is a row of `x` against all outputs, with tables of weights a row of `w` against the
whole batch; more than `depth` index vectors are several jobs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from hdl.pim.lut_gemv_config import HEADER_COUNT, HEADER_FORMAT, INDEX_BITS, RESULT_FORMATS, LutGemvConfig
from sim.common.beats import Beats, data_of
from sim.common.stimulus import integers, last_flags
from sim.common.vectors import Arrays, ArraySpec, check_arrays
from sim.pim import lut_gemv_model
from sim.pim.lut_gemv_model import LutJob

LATENCY_BY_BENCH = True

INPUTS = {
    "job": ArraySpec(
        "uint8",
        "(jobs,)",
        "for each row that is tabled (of `x`, or `w`): bits of the other operand (3:0), format (5:4)",
    ),
    "x": ArraySpec("int8", "(batch, k)", "activations"),
    "w": ArraySpec("int8", "(outputs, k)", "weights"),
    "scale": ArraySpec("uint32", "(outputs,)", "fp32 codes; not used for int32 results"),
}
OUTPUTS = {"y": ArraySpec("uint32", "(batch, outputs)", "codes of the job's format: int32 (0), bf16 (1), fp32 (2)")}

_PLANES = 8


def inputs_of(config: LutGemvConfig) -> dict[str, ArraySpec]:
    """`INPUTS` of a design, which has a job for each row of its tabled operand."""
    axis = "batch" if config.side == "activation" else "outputs"
    return INPUTS | {"job": ArraySpec("uint8", f"({axis},)", INPUTS["job"].meaning)}


def check(config: LutGemvConfig, arrays: Mapping[str, Any]) -> None:
    """Refuse arrays that are not `inputs_of` the config, jobs of no known kind, and values that do not fit their bits.

    Raises
    ------
    ValueError
        With one line that names array, row, expected and received.
    """
    check_arrays(inputs_of(config), arrays)
    name = "w" if config.side == "activation" else "x"
    low, high = int(arrays[name].min()), int(arrays[name].max())
    for row, word in enumerate(arrays["job"].tolist()):
        bits, kind = word & 15, word >> 4
        if bits not in INDEX_BITS:
            raise ValueError(f"job[{row}] must have bits in {INDEX_BITS[0]}..{INDEX_BITS[-1]}, not {bits}")
        if kind >= len(RESULT_FORMATS):
            known = ", ".join(f"{code} ({format})" for code, format in enumerate(RESULT_FORMATS))
            raise ValueError(f"job[{row}] must have one of the formats {known}, not {kind}")
        least = -(1 << (bits - 1))
        if low < least or high >= -least:
            wrong = low if low < least else high
            raise ValueError(f"{name} must be in {least}..{-least - 1} for the {bits} bits of job[{row}], not {wrong}")


def jobs(config: LutGemvConfig, arrays: Mapping[str, Any]) -> Iterator[tuple[LutJob, tuple[Any, Any]]]:
    """The jobs of arrays that passed `check`, in order, each with where in `y` its results belong."""
    x, w, scale = arrays["x"], arrays["w"], arrays["scale"]
    tabled, indexed = (x, w) if config.side == "activation" else (w, x)
    for row, word in enumerate(arrays["job"].tolist()):
        for start in range(0, len(indexed), config.depth):
            part = slice(start, min(start + config.depth, len(indexed)))
            scales = scale[part] if config.side == "activation" else np.repeat(scale[row], part.stop - part.start)
            where = (row, part) if config.side == "activation" else (part, row)
            yield LutJob(tabled[row], indexed[part], word & 15, RESULT_FORMATS[word >> 4], scales), where


def model(config: LutGemvConfig, arrays: Mapping[str, Any]) -> Arrays:
    """`OUTPUTS` by the golden model. Raises as `check`."""
    check(config, arrays)
    y = np.zeros((len(arrays["x"]), len(arrays["w"])), np.uint32)
    for job, where in jobs(config, arrays):
        y[where] = lut_gemv_model.run(config, job).y
    return {"y": y}


def pack(config: LutGemvConfig, arrays: Mapping[str, Any]) -> dict[str, Beats]:
    """Traffic of the streams `table`, `index` and `scale`. Raises as `check`."""
    check(config, arrays)
    return packed(config, [job for job, _ in jobs(config, arrays)])


def packed(config: LutGemvConfig, found: list[LutJob]) -> dict[str, Beats]:
    """Traffic of jobs."""
    tables, lasts, indices = [], [], []
    scales = [np.zeros(0, np.uint32)]
    for job in found:
        beats = table_beats(config, job)
        tables.append(beats)
        lasts.append(len(beats))
        indices.append(index_beats(config, job))
        if job.kind != "int32":
            scales.append(job.scale)
    scale = np.ascontiguousarray(np.concatenate(scales).astype("<u4")).view(np.uint8).reshape(-1, 4)
    return {
        "table": Beats(np.concatenate(tables), last_flags(lasts)),
        "index": Beats(np.concatenate(indices)),
        "scale": Beats(scale),
    }


def table_beats(config: LutGemvConfig, job: LutJob) -> npt.NDArray[np.uint8]:
    """Header and elements: uint8, (1 + groups, bytes of a beat)."""
    header = (
        job.index_bits | RESULT_FORMATS.index(job.kind) << HEADER_FORMAT.start | len(job.index) << HEADER_COUNT.start
    )
    groups = -(-len(job.table) // config.elements)
    beats = np.zeros((1 + groups, config.elements), np.uint8)
    beats[0, :4] = list(header.to_bytes(4, "little"))
    beats[1:].reshape(-1)[: len(job.table)] = job.table.view(np.uint8)
    return beats


def index_beats(config: LutGemvConfig, job: LutJob) -> npt.NDArray[np.uint8]:
    """Planes of the index vectors, group by group, as many in a beat as fit: uint8, (beats, bytes of a beat)."""
    n, k = job.index.shape
    groups, bits, width = -(-k // config.elements), job.index_bits, config.elements
    in_beat = _PLANES // bits
    beats = -(-n // in_beat)
    filled = np.zeros((beats * in_beat, groups * width), np.uint8)
    filled[:n, :k] = job.index.view(np.uint8)
    vectors = filled.reshape(beats, in_beat, groups, width).transpose(2, 0, 1, 3)  # (groups, beats, in_beat, width)
    planes = vectors[:, :, :, None, :] >> np.arange(bits, dtype=np.uint8)[:, None] & 1
    whole = np.zeros((groups * beats, _PLANES * width), np.uint8)
    whole[:, : in_beat * bits * width] = planes.reshape(groups * beats, -1)
    return np.packbits(whole, axis=1, bitorder="little")


def expected_beats(config: LutGemvConfig, arrays: Mapping[str, Any]) -> dict[str, int]:
    """Beats the stream `y` gives: one a result."""
    return {"y": len(arrays["x"]) * len(arrays["w"])}


def unpack(config: LutGemvConfig, arrays: Mapping[str, Any], outputs: Mapping[str, Beats]) -> Arrays:
    """`OUTPUTS` out of the traffic of the stream `y`. Raises as `data_of`."""
    shape = (len(arrays["x"]), len(arrays["w"]))
    words = np.ascontiguousarray(data_of(outputs, "y", shape[0] * shape[1], 4)).view("<u4")[:, 0]
    y, start = np.zeros(shape, np.uint32), 0
    for job, where in jobs(config, arrays):
        y[where] = words[start : start + len(job.index)]
        start += len(job.index)
    return {"y": y}


def operations(config: LutGemvConfig, arrays: Mapping[str, Any]) -> int:
    """Useful operations: a multiplication and an addition for each weight and row of `x`."""
    return 2 * len(arrays["x"]) * int(arrays["w"].size)


def random_arrays(config: LutGemvConfig, seed: int, items: int) -> Arrays:
    """`inputs_of` the config for the seed, with a batch of `items`, extreme values and all bits and formats among them.

    Raises
    ------
    ValueError
        If `items` is below 1.
    """
    if items < 1:
        raise ValueError(f"items must be at least 1, not {items}")
    rng = np.random.default_rng(seed)
    k, outputs = int(rng.integers(1, 4 * config.elements + 1)), int(rng.integers(1, 24))
    bits = int(rng.choice(np.array(INDEX_BITS)))
    x, w = integers(rng, 8, (items, k)).astype(np.int8), integers(rng, 8, (outputs, k)).astype(np.int8)
    indexed = w if config.side == "activation" else x
    indexed >>= 8 - bits
    rows = items if config.side == "activation" else outputs
    job = rng.integers(bits, 9, rows) | rng.integers(0, 3, rows) << 4
    return {"job": job.astype(np.uint8), "x": x, "w": w, "scale": random_scales(rng, outputs)}


def random_scales(rng: np.random.Generator, count: int) -> npt.NDArray[np.uint32]:
    """fp32 codes: most of usual size, some of any bits at all, some at the ends of the format."""
    usual = rng.lognormal(-4, 3, count).astype(np.float32) * rng.choice(np.array([-1, 1], np.float32), count)
    ends = rng.choice(np.array([0, 1, 0x7FFFFF, 0x800000, 0x7F7FFFFF, 0x7F800000, 0x7FC00000], np.uint32), count)
    ends |= rng.integers(0, 2, count, np.uint32) << 31
    anything = rng.integers(0, 1 << 32, count, np.uint32)
    kind = rng.random(count)
    return np.where(kind < 0.7, usual.view(np.uint32), np.where(kind < 0.9, anything, ends)).astype(np.uint32)
