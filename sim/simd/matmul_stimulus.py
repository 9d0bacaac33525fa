"""Seeded jobs of `simd.matmul` with their memory: any shape, formats, exponents and layout, awkward ones on purpose."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from hdl.simd.config import MatmulConfig
from hdl.simd.modes import MODES, OPERAND_BITS
from sim.common.stimulus import integers, packet_lengths
from sim.simd.mac_stimulus import operands
from sim.simd.matmul_memory import BIAS_BYTES, Bytes, Job, output_slot_bits, row_bytes, write_operands, write_results
from sim.simd.matmul_model import BIAS_EXPONENTS, SCALE_EXPONENTS, matmul

BASES = (0, 1 << 31, 1 << 32)
"""Memories begin at the first two and end at the last."""

MOST_PANELS = 3
MOST_CHUNKS = 3
PAGE_BYTES = 4096


@dataclass
class Case:
    """A job, its memory before and after, and the status bits that it sets.

    Attributes
    ----------
    job : Job
    base : address of the memory's first byte
    before, after : uint8, (bytes,)
        Noise, but for the operands, and in `after` the results.
    status : the results' bits, in the order of `hdl.simd.modes.STATUS`
    """

    job: Job
    base: int
    before: Bytes
    after: Bytes
    status: int


def fill(rng: np.random.Generator, job: Job, base: int, size: int) -> Case:
    """A job on random operands, in a memory of `size` bytes from `base` on that holds noise elsewhere."""
    count = max(job.m, job.n)  # row i of A and column i of B may cancel
    a, b = operands(rng, MODES[job.mode].element, (count, job.k))
    a, b = a[: job.m], b[: job.n].T
    bias = integers(rng, 32, (1, job.n))[0].astype(np.int32)
    result = matmul(
        job.mode,
        a,
        b,
        bias=bias if job.has_bias else None,
        bias_exponent=job.bias_exponent,
        scale_exponent=job.scale_exponent,
        out_format=job.output,
        overflow="inf" if job.infinity else "saturate",
        relu=job.relu,
    )
    before = rng.integers(0, 256, size).astype(np.uint8)
    write_operands(before, base, job, a, b, bias)
    after = before.copy()
    write_results(after, base, job, result.codes)
    return Case(job, base, before, after, int(np.bitwise_or.reduce(result.status, axis=None)))


def random_case(
    rng: np.random.Generator,
    config: MatmulConfig,
    *,
    mode: str | None = None,
    output: str | None = None,
    shape: tuple[int, int, int] | None = None,
    **fixed: Any,
) -> Case:
    """A job with whatever is left open drawn: formats, (M, N, K), and by their names the fields of `Job`."""
    mode = mode or str(rng.choice(config.modes))
    output = output or str(rng.choice(config.outputs))
    m, n, k = shape or random_shape(rng, config, mode)
    options = {
        "bias_exponent": _exponent(rng, BIAS_EXPONENTS),
        "scale_exponent": _exponent(rng, SCALE_EXPONENTS),
        **{name: bool(rng.integers(2)) for name in ("has_bias", "infinity", "relu")},
    }
    places, base, size = random_layout(rng, config, mode, output, (m, n, k))
    return fill(rng, Job(mode, output, m, n, k, **(places | options | fixed)), base, size)


def random_shape(rng: np.random.Generator, config: MatmulConfig, mode: str) -> tuple[int, int, int]:
    """M and N up to three panels, often not whole ones; K from 1 to three chunks."""
    m, n = (packet_lengths(rng, 1, MOST_PANELS * size + 1)[0] for size in (config.rows, config.columns))
    chunk = chunk_elements(config, mode)
    few = 2 * MODES[mode].elements_per_beat
    around = int(rng.integers(1, MOST_CHUNKS)) * chunk + int(rng.integers(-1, 2))
    choices = [1, around, *(int(rng.integers(most)) + 1 for most in (few, chunk, MOST_CHUNKS * chunk))]
    return m, n, choices[rng.integers(len(choices))]


def chunk_elements(config: MatmulConfig, mode: str) -> int:
    """Elements of a row that one half of its buffer holds."""
    return config.depth_beats * OPERAND_BITS // MODES[mode].slot_bits


def random_layout(
    rng: np.random.Generator, config: MatmulConfig, mode: str, output: str, shape: tuple[int, int, int]
) -> tuple[dict[str, int], int, int]:
    """Places of A, B, C and the bias, in any order, with gaps between them and between rows.

    Returns
    -------
    places : addresses and strides, by their names in `Job`
    base, size : of the memory, bytes
    """
    m, n, k = shape
    word = config.bus_bytes
    operand = row_bytes(k, MODES[mode].slot_bits)
    rows = {"a": (m, operand), "b": (n, operand), "c": (m, row_bytes(n, output_slot_bits(output)))}
    rows["bias"] = (1, n * BIAS_BYTES)
    places: dict[str, int] = {}
    end = int(rng.integers(PAGE_BYTES // word)) * word
    for name in rng.permutation(list(rows)):
        count, size = rows[name]
        stride = (-(-size // word) + int(rng.choice([0, 0, 1, 3]))) * word
        places[f"{name}_address"] = end
        if name != "bias":
            places[f"{name}_stride"] = stride
        end += count * stride + int(rng.integers(0, 3)) * word
    size = end + word
    start = int(rng.choice(BASES))
    base = start if start < BASES[-1] else start - size
    return {name: value + base * name.endswith("address") for name, value in places.items()}, base, size


def _exponent(rng: np.random.Generator, valid: range) -> int:
    """Of either end, 0, near 0, or any."""
    return int(rng.choice([valid[0], valid[-1], 0, 0, rng.integers(-6, 7), rng.choice(np.array(valid))]))
