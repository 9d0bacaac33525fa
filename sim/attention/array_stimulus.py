"""Seeded lists of jobs for `attention.array`, with their memory before and after: awkward ones on purpose.

Rows of several jobs in turn, each with its own range of keys and masks; gaps between rows; keys far from 0; bad jobs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hdl.attention.config import ArrayConfig
from hdl.attention.job_words import FIELDS, WORD_BITS, pack_job, reserved_masks
from sim.attention.array_model import ADDRESSES, DESCRIPTOR_BYTES, Array
from sim.attention.problem import OUTPUT_BYTES
from sim.attention.schedule import Cost, Job, job_cost
from sim.common.areas import Area

Bytes = npt.NDArray[np.uint8]

MOST_TILES = 5
LIST_BYTES = 32 * DESCRIPTOR_BYTES
FAR = 1 << 22
"""Keys may begin there."""


@dataclass(frozen=True)
class Case:
    """A list of jobs with its memory, which begins at address 0.

    Attributes
    ----------
    jobs : list
        Those that can be done.
    list_address, length : int
        Of the list; descriptors of bad jobs are among its `length`.
    window : int
        Bytes that jobs may reach.
    before, after : uint8 (bytes,)
        Noise, but for the list and, in `after`, the outputs.
    status : set of names
        Of the bits that the list sets.
    reads, writes : list of Area
        What may be read and written.
    cost : Cost
    """

    jobs: list[Job]
    list_address: int
    length: int
    window: int
    before: Bytes
    after: Bytes
    status: set[str]
    reads: list[Area]
    writes: list[Area]
    cost: Cost


def random_case(
    rng: np.random.Generator, config: ArrayConfig, *, chains: int | None = None, bad: float = 0.0, inside: float = 1.0
) -> Case:
    """A list of `chains` times one to three jobs of the same rows.

    Parameters
    ----------
    bad : float
        Probability that a bad descriptor comes before a job.
    inside : float
        The window's share of the memory behind the list.
    """
    space = _Space(rng, config.bus_bytes)
    address, _ = space.rows(1, LIST_BYTES)
    jobs: list[Job] = []
    for _ in range(chains or int(rng.integers(1, 4))):
        jobs += _chain(rng, config, space)
    descriptors: list[bytes] = []
    for job in jobs:
        while rng.random() < bad and len(descriptors) < LIST_BYTES // DESCRIPTOR_BYTES - len(jobs):
            descriptors.append(bad_descriptor(rng, config, job))
        descriptors.append(pack_job(job))
    listed = b"".join(descriptors)
    before = rng.integers(0, 256, space.end).astype(np.uint8)
    for job in jobs:
        _fill(rng, config, before, job)
    before[address : address + len(listed)] = np.frombuffer(listed, np.uint8)
    after = before.copy()
    first = address + len(listed)
    window = (first + int((space.end - first) * inside)) // config.bus_bytes * config.bus_bytes
    status = Array(config, after, window).run(address, len(descriptors))
    dims = [job["chunks"] * config.lanes for job in jobs]
    reads = [Area(address, DESCRIPTOR_BYTES, len(descriptors), DESCRIPTOR_BYTES)]
    writes = []
    for job, dim in zip(jobs, dims, strict=True):
        keys = max(0, min(job["keys"] - job["key"], job["tiles"] * config.lanes))
        for name, count in (("q", job["rows"]), ("k", keys), ("v", keys)):
            reads.append(Area(job[f"{name}_address"], job[f"{name}_stride"], count, dim))
        if job["last"]:
            writes.append(Area(job["o_address"], job["o_stride"], job["rows"], dim * OUTPUT_BYTES))
    skipped = Cost(words_read=(len(descriptors) - len(jobs)) * DESCRIPTOR_BYTES // config.bus_bytes)
    cost = sum((job_cost(config, job) for job in jobs), skipped)
    return Case(jobs, address, len(descriptors), window, before, after, status, reads, writes, cost)


class _Space:
    """Places in memory, one behind the other with gaps between."""

    def __init__(self, rng: np.random.Generator, word_bytes: int):
        self._rng, self._word = rng, word_bytes
        self.end = word_bytes * int(rng.integers(1, 40))

    def rows(self, count: int, row_bytes: int) -> tuple[int, int]:
        """Address and stride, in bytes, of so many rows; half of the time without gaps."""
        gap = self._word * int(self._rng.choice([0, 0, 1, 3]))
        whole = -(-row_bytes // self._word) * self._word
        address, stride = self.end, whole + gap
        self.end += count * stride + self._word * int(self._rng.integers(0, 5))
        return address, stride


def _chain(rng: np.random.Generator, config: ArrayConfig, space: _Space) -> list[Job]:
    def pick(*values: int | np.int64) -> int:
        return int(values[int(rng.integers(len(values)))])

    rows = pick(rng.integers(1, config.rows * config.subtiles + 1), rng.integers(1, config.rows + 1))
    chunks = int(rng.integers(2, config.most_chunks + 1))
    dim = chunks * config.lanes
    wanted = 2.0 ** rng.uniform(-6, 9) * 1024 / (5400 * dim**0.5)
    shift = int(np.clip(np.floor(16 - np.log2(wanted)) - 1, 1, 31))
    multiplier = int(min(0xFFFF, round(wanted * 2.0**shift))) if rng.random() < 0.95 else 0
    q_address, q_stride = space.rows(rows, dim)
    o_address, o_stride = space.rows(rows, dim * OUTPUT_BYTES)
    step, count, found = pick(0, 1, 1, 2, 7), pick(1, 1, 2, 3), []
    for place in range(count):
        tiles = int(rng.integers(1, MOST_TILES + 1))
        span = tiles * config.lanes
        key = pick(0, rng.integers(0, 50), FAR)
        keys = key + pick(span, span + 5, rng.integers(1, span + 1))
        k_address, k_stride = space.rows(min(keys - key, span), dim)
        v_address, v_stride = space.rows(min(keys - key, span), dim)
        lo = pick(0, key, key + rng.integers(-20, span + 4), -(1 << 23))
        hi = pick(keys - 1, key + rng.integers(-20, span + 4), (1 << 23) - 1, -1)
        found.append(
            {"rows": rows, "chunks": chunks, "first": int(place == 0), "last": int(place == count - 1)}
            | {"tiles": tiles, "a": multiplier, "h": shift, "fraction": int(rng.integers(8, 17)), "step": step}
            | {"q_address": q_address, "q_stride": q_stride, "k_address": k_address, "k_stride": k_stride}
            | {"v_address": v_address, "v_stride": v_stride, "o_address": o_address, "o_stride": o_stride}
            | {"key": key, "keys": keys, "sink": pick(0, key, key + rng.integers(0, 20)), "lo": lo, "hi": hi}
        )
    return found


def _fill(rng: np.random.Generator, config: ArrayConfig, memory: Bytes, job: Job) -> None:
    """Operands of a job in -127 .. 127; at times extreme, or all keys alike."""
    dim = job["chunks"] * config.lanes
    keys = max(0, min(job["keys"] - job["key"], job["tiles"] * config.lanes))
    extreme, alike = rng.random() < 0.2, rng.random() < 0.2
    for name, count in (("q", job["rows"]), ("k", keys), ("v", keys)):
        values = rng.integers(-127, 128, (count, dim))
        if extreme:
            values = np.where(values > 0, 127, -127)
        if alike and name == "k":
            values[:] = values[:1]
        places = Area(job[f"{name}_address"], job[f"{name}_stride"], count, dim).places()
        memory[places] = values.astype(np.int8).view(np.uint8)


def bad_descriptor(rng: np.random.Generator, config: ArrayConfig, job: Job) -> bytes:
    """A job with one thing wrong: a reserved bit, a field out of its range, an address within a word."""
    words = [int.from_bytes(pack_job(job)[4 * place : 4 * place + 4], "little") for place in range(16)]
    wrong = {"rows": [0, config.rows * config.subtiles + 1], "chunks": [0, 1, config.most_chunks + 1]}
    wrong |= {"tiles": [0], "h": [0], "fraction": [7, 17, 31]}
    wrong |= {name: [job[name] + offset for offset in (1, config.bus_bytes // 2)] for name in ADDRESSES}
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
