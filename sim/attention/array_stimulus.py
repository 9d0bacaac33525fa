"""Seeded lists of jobs for `attention.array`, with their memory before and after: awkward ones on purpose."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hdl.attention.config import ArrayConfig
from hdl.attention.job_words import pack_job
from sim.attention.array_model import Array
from sim.attention.bad_jobs import bad_descriptor
from sim.attention.job_stimulus import Space, attention_jobs, inputs_of, linear_job, outputs_of
from sim.attention.kv_formats import Bytes
from sim.attention.operand_stimulus import random_rows, random_sparse_rows
from sim.attention.problem import DESCRIPTOR_BYTES
from sim.attention.schedule import Cost, Job, job_cost
from sim.common.areas import Area

LIST_BYTES = 32 * DESCRIPTOR_BYTES


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
    """A list of `chains` times one to three jobs of the same rows, or a linear layer where they are built.

    Parameters
    ----------
    bad : float
        Probability that a bad descriptor comes before a job.
    inside : float
        The window's share of the memory behind the list.
    """
    space = Space(rng, config.bus_bytes)
    address, _ = space.rows(1, LIST_BYTES)
    jobs: list[Job] = []
    for _ in range(chains or int(rng.integers(1, 4))):
        if config.linear and rng.random() < 0.5:
            jobs.append(linear_job(rng, config, space))
        else:
            jobs += attention_jobs(rng, config, space)
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
    reads = [Area(address, DESCRIPTOR_BYTES, len(descriptors), DESCRIPTOR_BYTES)]
    reads += [area for job in jobs for area, _ in inputs_of(config, job).values()]
    writes = [outputs_of(config, job) for job in jobs if job["last"]]
    skipped = Cost(words_read=(len(descriptors) - len(jobs)) * DESCRIPTOR_BYTES // config.bus_bytes)
    cost = sum((job_cost(config, job) for job in jobs), skipped)
    return Case(jobs, address, len(descriptors), window, before, after, status, reads, writes, cost)


def _fill(rng: np.random.Generator, config: ArrayConfig, memory: Bytes, job: Job) -> None:
    """Operands of a job, those of 8 bits in -127 .. 127; at times extreme, or all keys alike."""
    extreme, alike = rng.random() < 0.2, rng.random() < 0.2
    for name, (area, fmt) in inputs_of(config, job).items():
        dim = config.dim if name[1:] else job["chunks"] * config.lanes
        if name[0] == "k" and job["sparse"]:
            part = min(dim, config.dim)
            rows = random_sparse_rows(rng, fmt, area.rows, dim, part, config.bus_bytes, extreme=extreme)
        else:
            exponent = 0 if name == "q" else job[f"{name[0]}_exponent"]
            rows = random_rows(rng, fmt, area.rows, dim, config.bus_bytes, exponent, extreme=extreme)
        if alike and name[0] == "k":
            rows[:] = rows[:1]
        memory[area.places()] = rows
