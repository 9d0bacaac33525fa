"""What a job of `simd.matmul` asks of array and memory, by its order of work: row panels, in them column panels, in
these chunks of K. A chunk of an operand that is the one loaded last is not loaded again."""

from __future__ import annotations

from dataclasses import dataclass

from hdl.simd.config import MatmulConfig
from hdl.simd.modes import MODES, OPERAND_BITS
from sim.simd.matmul_memory import BIAS_BYTES, Job, output_slot_bits, row_bytes


@dataclass(frozen=True)
class Traffic:
    """Of one job.

    Attributes
    ----------
    beats : cycles in which the array takes operands, if it never waits
    operand_words : memory words of A and B that are read; a row's words begin with it
    bias_bytes : of the bias, once
    write_words : memory words that results are written to; each row of a tile is written by itself
    """

    beats: int
    operand_words: int
    bias_bytes: int
    write_words: int


def traffic(config: MatmulConfig, job: Job) -> Traffic:
    """What this job takes on a block of this config."""
    mode = MODES[job.mode]
    row_panels, column_panels = -(-job.m // config.rows), -(-job.n // config.columns)
    beats = -(-job.k // mode.elements_per_beat)
    words = -(-row_bytes(job.k, mode.slot_bits) // config.bus_bytes)
    one_chunk = row_bytes(job.k, mode.slot_bits) <= config.depth_beats * OPERAND_BITS // 8
    a_loads = 1 if one_chunk else column_panels
    b_loads = 1 if one_chunk and column_panels == 1 else row_panels
    slot_bits = output_slot_bits(job.output)
    tile_words = 0
    for first in range(0, job.n, config.columns):
        last = min(first + config.columns, job.n)
        start, end = first * slot_bits // 8, row_bytes(last, slot_bits)
        tile_words += -(-end // config.bus_bytes) - start // config.bus_bytes
    return Traffic(
        beats=row_panels * column_panels * beats,
        operand_words=(job.m * a_loads + job.n * b_loads) * words,
        bias_bytes=job.n * BIAS_BYTES if job.has_bias else 0,
        write_words=job.m * tile_words,
    )
