"""Lists of jobs in memory: the model of the block against the paper in Python's integers, and what it refuses."""

import numpy as np
import pytest

from hdl.attention.config import ArrayConfig
from sim.attention.array_model import Array
from sim.attention.array_stimulus import random_case
from sim.attention.bad_jobs import bad_descriptor
from sim.attention.descriptors import possible, unpack_job
from tests.attention.paper_oracle import attend_row

CONFIG = ArrayConfig.parse({"rows": 2, "lanes": 4, "dim": 16, "subtiles": 2, "bus_bits": 32})


def rows_of(memory, job, name, count, dim):
    address, stride = job[f"{name}_address"], job[f"{name}_stride"]
    return [memory[address + row * stride :][:dim].view(np.int8) for row in range(count)]


@pytest.mark.parametrize("seed", range(10))
def test_a_chain_of_jobs_is_the_paper(seed):
    """Keys of all its jobs one after the other, tile by tile, each seen as its own job says."""
    case = random_case(np.random.default_rng(seed), CONFIG, chains=1)
    jobs, memory = case.jobs, case.before
    dim = jobs[0]["chunks"] * 4
    q = rows_of(memory, jobs[0], "q", jobs[0]["rows"], dim)
    statuses = {"done"}
    for row in range(jobs[0]["rows"]):
        k, v, seen = [], [], []
        for job in jobs:
            count = min(job["keys"] - job["key"], job["tiles"] * 4)
            k += rows_of(memory, job, "k", count, dim)
            v += rows_of(memory, job, "v", count, dim)
            lo, hi = job["lo"] + job["step"] * row, job["hi"] + job["step"] * row
            keys = range(job["key"], job["key"] + count)
            seen += [j <= hi and (j < job["sink"] or j >= lo) for j in keys]
            short = -count % 4  # tiles of a job do not join with the next one's
            k, v, seen = (
                k + [np.zeros(dim, np.int8)] * short,
                v + [np.zeros(dim, np.int8)] * short,
                seen + [False] * short,
            )
        last = jobs[-1]
        o, status = attend_row(q[row], k, v, last["a"], last["h"], seen, lanes=4, fraction_bits=last["fraction"])
        start = last["o_address"] + row * last["o_stride"]
        assert case.after[start : start + 2 * dim].view("<i2").tolist() == o
        statuses |= status
    assert case.status == statuses


def test_only_outputs_change():
    for seed in range(20):
        case = random_case(np.random.default_rng(seed), CONFIG)
        outputs = np.concatenate([area.places().reshape(-1) for area in case.writes])
        changed = np.flatnonzero(case.before != case.after)
        assert np.isin(changed, outputs).all()
        assert len(set(outputs.tolist())) == len(outputs)


def test_bad_jobs_are_left_out():
    rng = np.random.default_rng(3)
    for seed in range(20):
        plain = random_case(np.random.default_rng(seed), CONFIG, chains=1)
        for job in plain.jobs:
            found = unpack_job(bad_descriptor(rng, CONFIG, job))
            assert found is None or not possible(CONFIG, found)
        case = random_case(np.random.default_rng(seed), CONFIG, chains=2, bad=0.6)
        assert ("bad_job" in case.status) == (case.length > len(case.jobs))
        clean = case.before.copy()
        listed = b"".join(
            clean[case.list_address + 64 * place :][:64].tobytes()
            for place in range(case.length)
            if (job := unpack_job(clean[case.list_address + 64 * place :][:64].tobytes())) and possible(CONFIG, job)
        )
        clean[case.list_address : case.list_address + len(listed)] = np.frombuffer(listed, np.uint8)
        status = Array(CONFIG, clean).run(case.list_address, len(case.jobs))
        assert status | {"bad_job"} == case.status | {"bad_job"}
        for area in case.writes:
            np.testing.assert_array_equal(clean[area.places()], case.after[area.places()])


def test_a_window_cuts_reads_and_writes():
    seen = 0
    for seed in range(30):
        case = random_case(np.random.default_rng(seed), CONFIG, chains=1, inside=0.6)
        assert (case.before[case.window :] == case.after[case.window :]).all()
        whole = case.before.copy()
        whole[case.window :] = 0  # what reads beyond it give
        status = Array(CONFIG, whole).run(case.list_address, case.length)
        np.testing.assert_array_equal(whole[: case.window], case.after[: case.window])
        assert case.status - status <= {"outside"}
        seen += "outside" in case.status
    assert seen > 10
