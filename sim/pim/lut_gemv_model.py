"""Golden model of `pim.lut_gemv`: results, status and cycles of its jobs, without a clock.

Numerics: the sum of products is exact modulo 2^32; in float formats sum * scale is exact and rounded once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hdl.pim.lut_gemv_config import LutGemvConfig
from sim.common.formats import encode, to_odd

Ints = npt.NDArray[np.int64]
Codes = npt.NDArray[np.uint32]


@dataclass(frozen=True)
class LutJob:
    """One vector in tables against many that are looked up.

    Attributes
    ----------
    table : int8, (k,)
        Whose subset sums are tabled.
    index : int8, (n, k)
        What is taken plane by plane, n in 1..depth.
    index_bits : int
        Planes of `index`, 2..8; its values fit into them, two's complement.
    kind : str
        Of `RESULT_FORMATS`.
    scale : uint32, (n,)
        fp32 codes; of no meaning for int32.
    """

    table: npt.NDArray[np.int8]
    index: npt.NDArray[np.int8]
    index_bits: int
    kind: str
    scale: Codes


@dataclass(frozen=True)
class LutResult:
    """What a job gives.

    Attributes
    ----------
    y : uint32, (n,)
        Codes of the job's format; of int32 the two's complement.
    overflow : bool
        A running sum left int32 after some plane.
    nonfinite : bool
        A result is an infinity or NaN.
    """

    y: Codes
    overflow: bool
    nonfinite: bool


@dataclass(frozen=True)
class LutCost:
    """What a job, or several, take.

    Attributes
    ----------
    cycles : from the one that takes the header to the one of the last lookup, nothing stalling
    lookups : planes looked up, those left out that are all zeros
    waits : cycles in which sums are made while nothing can be looked up
    """

    cycles: int
    lookups: int
    waits: int

    def __add__(self, other: LutCost) -> LutCost:
        return LutCost(self.cycles + other.cycles, self.lookups + other.lookups, self.waits + other.waits)


def run(config: LutGemvConfig, job: LutJob) -> LutResult:
    """Results of a job: sum over k of table[k] * index[n, k], times scale[n]."""
    y: Ints = job.index.astype(np.int64) @ job.table.astype(np.int64)
    total = y.astype(np.uint32).view(np.int32)
    codes = total.view(np.uint32) if job.kind == "int32" else converted(job.kind, total, job.scale)
    exponents = {"int32": 0, "bf16": 0x7F80, "fp32": 0x7F80_0000}[job.kind]
    nonfinite = job.kind != "int32" and bool(((codes & exponents) == exponents).any())
    return LutResult(codes, overflows(config, job), nonfinite)


def converted(kind: str, total: npt.NDArray[np.int32], scale: Codes) -> Codes:
    """total * scale, exact, rounded once to the nearest number of `kind`, ties to even: uint32 of any shape.

    Beyond the largest number it is infinity; exactly zero is +0; an infinite scale times 0 is NaN.
    """
    field = (scale >> 23 & 0xFF).astype(np.int64)
    fraction = (scale & 0x7FFFFF).astype(np.int64)
    significand = np.where(field == 0, fraction, fraction | 1 << 23)
    signed = np.where(scale >> 31, -significand, significand)
    exact = to_odd(total.astype(np.int64) * signed, 0)  # at most 31 + 24 bits
    value = np.ldexp(exact, np.maximum(field, 1) - 150)
    infinite = (field == 255) & (fraction == 0)
    sign = np.where(scale >> 31, -1.0, 1.0) * np.sign(total)
    with np.errstate(invalid="ignore"):
        value = np.where(infinite, sign * np.inf, value)  # 0 * inf is NaN
    value = np.where((field == 255) & (fraction != 0), np.nan, value)
    return np.asarray(encode(kind, value, "inf")).astype(np.uint32)


def patterns(config: LutGemvConfig, job: LutJob) -> Ints:
    """What indexes the tables: int64, (groups, n, planes, tables), bit i of a pattern from the table's element i."""
    n, k = job.index.shape
    beats = -(-k // config.elements)
    filled = np.zeros((n, beats * config.elements), np.int64)
    filled[:, :k] = job.index
    planes = filled[..., None] >> np.arange(job.index_bits) & 1
    shaped = planes.reshape(n, beats, config.tables, config.group, job.index_bits)
    found: Ints = np.einsum("nbtgp,g->bnpt", shaped, 1 << np.arange(config.group))
    return found


def overflows(config: LutGemvConfig, job: LutJob) -> bool:
    """Whether a running sum leaves int32 after some plane; a group is added plane by plane, the sign's last."""
    k = len(job.table)
    beats = -(-k // config.elements)
    if beats * config.elements * 2**15 < 2**31:
        return False
    table = np.zeros(beats * config.elements, np.int64)
    index = np.zeros((len(job.index), len(table)), np.int64)
    table[:k], index[:, :k] = job.table, job.index
    weights = 1 << np.arange(job.index_bits, dtype=np.int64)
    weights[-1] *= -1
    planes = (index[..., None] >> np.arange(job.index_bits) & 1).reshape(len(index), beats, config.elements, -1)
    sums = np.einsum("nbep,be->nbp", planes, table.reshape(beats, config.elements)) * weights
    running = np.cumsum(sums.reshape(len(index), -1), axis=1)
    # Up to where it first leaves int32 the exact sum is what the accumulator holds.
    return bool((running != running.astype(np.uint32).view(np.int32)).any())


def cost(config: LutGemvConfig, job: LutJob) -> LutCost:
    """What a job takes: a cycle for the header, for each group one and its waits, and one for each vector's plane that
    is not all zeros, or for the vector if all are.

    Without a pattern cache a group waits `config.fill_cycles`. With it every table makes a sum in every cycle of the
    group, as long as one is missing: the first on the chain of patterns that lose their lowest bit, from the one looked
    up on, and if that is there, the lowest. A lookup waits until every table has its sum.
    """
    found = patterns(config, job)
    groups = len(found)
    looked_up: npt.NDArray[np.bool_] = np.any(found != 0, axis=3)
    taken = looked_up.copy()
    taken[..., 0] |= ~np.any(looked_up, axis=2)  # of a vector of zeros
    waits = groups * config.fill_cycles
    if config.pattern_cache:
        waits = sum(_waits(config, group[steps]) for group, steps in zip(found, taken, strict=True))
    return LutCost(1 + groups + waits + int(taken.sum()), int(looked_up.sum()), waits)


def total_cost(config: LutGemvConfig, jobs: Sequence[LutJob]) -> LutCost:
    """What jobs take one after the other."""
    return sum((cost(config, job) for job in jobs), LutCost(0, 0, 0))


def _waits(config: LutGemvConfig, steps: Ints) -> int:
    """Cycles of one group that look nothing up: patterns (steps, tables), in order."""
    several = [p for p in range(1 << config.group) if p & (p - 1)]
    missing = [set(several) for _ in range(config.tables)]
    waits = 0
    for step in steps.tolist():
        while any(missing):
            hit = True
            for pattern, absent in zip(step, missing, strict=True):
                if pattern in absent:
                    hit, first = False, pattern
                    while first & (first - 1) in absent:
                        first &= first - 1
                    absent.remove(first)
                elif absent:
                    absent.remove(min(absent))
            if hit:
                break
            waits += 1
        else:
            return waits
    return waits
