"""Lists of jobs: every pair of a query and a key once, the golden model's results, and their cost by counting."""

from dataclasses import replace

import numpy as np
import pytest

from hdl.attention.config import ArrayConfig
from hdl.attention.formats import FORMATS
from hdl.attention.job_words import OPTIONAL, pack_job
from sim.attention import array_vectors
from sim.attention.array_model import Array
from sim.attention.array_stimulus import random_case
from sim.attention.descriptors import possible, unpack_job
from sim.attention.masks import Mask
from sim.attention.problem import Layout, Problem
from sim.attention.quantise import LogitScale
from sim.attention.schedule import cost, job_cost, jobs, tiles_of_block

SMALL = ArrayConfig.parse({"rows": 4, "lanes": 4, "dim": 16, "subtiles": 4, "bus_bits": 32})
BLOCKS = ArrayConfig.parse(
    {"rows": 4, "lanes": 16, "dim": 64, "subtiles": 2, "bus_bits": 64}
    | {"formats": ["int4", "mxint8", "mxint4", "mxfp4", "nvfp4", "mxfp6", "bfp12"]}
)
DUAL = ArrayConfig.parse(
    {"rows": 4, "lanes": 4, "dim": 16, "subtiles": 4, "bus_bits": 32, "formats": ["int4"], "dual_issue": True}
)
LARGE = ArrayConfig.parse({"rows": 16, "lanes": 16, "dim": 64, "subtiles": 8, "bus_bits": 64})
NOWHERE = Layout(0, 0, 0, 0, 0, 0)


def random_problem(rng, config):
    kv_heads, group = int(rng.integers(1, 3)), int(rng.integers(1, 4))
    queries, keys = int(rng.choice([1, rng.integers(1, 60)])), int(rng.integers(1, 90))
    mask = Mask()
    if rng.random() < 0.7:
        window = int(rng.integers(1, 40)) if rng.random() < 0.6 else None
        mask = Mask(True, window, int(rng.integers(0, 12)) if window else 0)
    scale = LogitScale(1 << 15, 20)
    scales = (scale,) * (kv_heads * group)
    if rng.random() < 0.3:
        scales = (LogitScale(1 << 14, 31), *scales[1:])
    code = FORMATS["int4"].code if config.dual_issue else 0
    dim, first = config.tile_keys * 2, int(rng.choice([0, 0, 1, config.tile_keys]))
    heads = kv_heads * group
    return Problem(heads, kv_heads, queries, keys, dim, mask, scales, 8, first, k_format=code, v_format=code)


def keys_of_tile(config, job):
    return config.lanes * (2 if job["dual"] else 1)


def tiles_of(config, job):
    size = keys_of_tile(config, job)
    for tile in range(job["tiles"]):
        start = job["key"] + tile * size
        yield start, min(start + size, job["keys"])


def seen_by(job, rows):
    """bool (rows, keys below `keys`), from the descriptor, as the paper says it."""
    r, j = np.meshgrid(rows, np.arange(job["keys"]), indexing="ij")
    lo, hi = job["lo"] + job["step"] * r, job["hi"] + job["step"] * r
    return (j <= hi) & ((j < job["sink"]) | (j >= lo))


@pytest.mark.parametrize("config", [SMALL, DUAL], ids=["int8", "dual"])
@pytest.mark.parametrize("seed", range(40))
def test_every_visible_pair_is_done_once(seed, config):
    rng = np.random.default_rng(seed)
    problem = random_problem(rng, config)
    row_bytes, _ = problem.row_bytes(config)
    count = np.zeros((problem.heads * problem.queries, problem.kv_heads, problem.keys), int)
    finished = np.zeros(problem.heads * problem.queries, int)
    layout = Layout.of(config, problem, 0)
    for job in jobs(config, problem, layout):
        assert possible(config, job)
        assert job["dual"] == config.dual_issue
        row = (job["q_address"] - layout.q) // problem.dim
        kv_head, key = divmod((job["k_address"] - layout.k) // row_bytes, problem.keys)
        assert key == job["key"]
        assert job["v_address"] - layout.v == job["k_address"] - layout.k
        assert job["o_address"] - layout.o == 2 * row * problem.dim
        rows = np.arange(job["rows"])
        seen = seen_by(job, rows)
        for start, stop in tiles_of(config, job):
            count[row + rows, kv_head, start:stop] += seen[:, start:stop]
        finished[row + rows] += job["last"]
    assert (finished == 1).all()
    valid = problem.mask.spans(problem.queries, problem.keys).valid(0, problem.keys)
    wanted = np.zeros_like(count)
    for head in range(problem.heads):
        wanted[head * problem.queries : (head + 1) * problem.queries, head // problem.group] = valid
    assert (count == wanted).all()
    assert problem.visible_pairs == wanted.sum()


def counted_tiles(config, job, block):
    """Tiles of a job that a block of its rows may need, and those that it goes through, from the paper's words."""
    rows = np.arange(block, min(block + config.rows, job["rows"]))
    lo, hi = job["lo"] + job["step"] * rows[0], job["hi"] + job["step"] * rows[-1]
    size = keys_of_tile(config, job)
    starts = [job["key"] + tile * size for tile in range(job["tiles"])]
    reached = [start < job["keys"] and start <= hi for start in starts]
    seen = [start < job["sink"] or start + size - 1 >= lo for start in starts]
    needed = np.logical_and(reached, seen)
    for tile in np.flatnonzero(~needed):
        end = min(starts[tile] + size, job["keys"])
        r, j = np.meshgrid(rows, np.arange(starts[tile], end), indexing="ij")
        below = j < job["sink"]
        assert not ((j <= job["hi"] + job["step"] * r) & (below | (j >= job["lo"] + job["step"] * r))).any()
    return needed.sum(), len({*np.flatnonzero(needed), max(np.flatnonzero(reached), default=0)})


def check_cost(config, job):
    counts = [counted_tiles(config, job, block) for block in range(0, job["rows"], config.rows)]
    assert counts == [tiles_of_block(config, job, block) for block in range(len(counts))]
    needed, passes = np.sum(counts, axis=0)
    found, dim = job_cost(config, job), job["chunks"] * config.lanes
    assert (found.needed, found.passes, found.mac_cycles) == (needed, passes, 2 * dim * passes)
    keys = sum(max(0, stop - start) for start, stop in tiles_of(config, job))
    words = dim // config.bus_bytes
    key_words = sum({0: words, 1: -(-words // 2)}[job[f"{name}_format"]] for name in "kv")
    assert found.words_read == job["rows"] * words + keys * key_words + 64 // config.bus_bytes
    assert found.words_written == (job["rows"] * 2 * words if job["last"] else 0)
    return found


@pytest.mark.parametrize("config", [SMALL, DUAL], ids=["int8", "dual"])
@pytest.mark.parametrize("seed", range(40))
def test_cost_is_what_counting_says(seed, config):
    problem = random_problem(np.random.default_rng(seed), config)
    for job in jobs(config, problem, NOWHERE):
        found = check_cost(config, job)
        assert found.passes - found.needed <= -(-job["rows"] // config.rows)


@pytest.mark.parametrize("config", [SMALL, DUAL], ids=["int8", "dual"])
@pytest.mark.parametrize("seed", range(40))
def test_cost_of_any_job_is_what_counting_says(seed, config):
    """Whatever its masks: tiles between others, behind them, or blocks that need none."""
    for job in random_case(np.random.default_rng(seed), config).jobs:
        check_cost(config, job)


@pytest.mark.parametrize("config", [SMALL, BLOCKS, DUAL], ids=["int8", "formats", "dual"])
@pytest.mark.parametrize("seed", range(30))
def test_a_list_done_in_memory_is_the_golden_model(config, seed):
    arrays = array_vectors.random_arrays(config, seed, 40)
    array_vectors.check(config, arrays)
    job = array_vectors.job(config, arrays)
    memory = job.image.copy()
    status = Array(config, memory, job.registers["window"]).run(
        job.registers["list_address"], job.registers["list_length"]
    )
    wanted = array_vectors.model(config, arrays)
    got = memory[job.result.start : job.result.stop].view("<i2").reshape(arrays["q"].shape)
    np.testing.assert_array_equal(got, wanted["o"])
    assert "done" in status
    assert sum((name in status) << bit for bit, name in enumerate(array_vectors.STATUS)) == wanted["status"][0]
    np.testing.assert_array_equal(memory[: job.result.start], job.image[: job.result.start])


def test_random_arrays_are_two_at_a_time_too():
    problems = [array_vectors.problem_of(array_vectors.random_arrays(DUAL, seed, 40)) for seed in range(100)]
    found = {(problem.tile_keys(DUAL), problem.first_tile) for problem in problems}
    assert found >= {(4, 0), (4, 1), (4, 4), (8, 0), (8, 1), (8, 8)}


def test_random_arrays_reach_everything():
    seen, statuses = set(), 0
    for seed in range(60):
        arrays = array_vectors.random_arrays(SMALL, seed, 40)
        problem = array_vectors.problem_of(arrays)
        seen |= {("causal", problem.mask.causal), ("window", problem.mask.window is not None)}
        seen |= {("group", problem.group > 1), ("first", problem.first_tile), ("one query", problem.queries == 1)}
        statuses |= int(array_vectors.model(SMALL, arrays)["status"][0])
    assert seen >= {(name, flag) for name in ("causal", "window", "group", "one query") for flag in (False, True)}
    assert seen >= {("first", count) for count in (0, 1, 4)}
    assert statuses == 15


def test_arrays_in_wrong_formats_are_told():
    seeds = (array_vectors.random_arrays(BLOCKS, seed, 40) for seed in range(800))
    right = next(each for each in seeds if each["formats"][0, :2].tolist() == [3, 1] and len(each["k"]) == 2)
    array_vectors.check(BLOCKS, right)

    def wrong(row, column, value):
        formats = right["formats"].copy()
        formats[row, column] = value
        with pytest.raises(ValueError) as error:
            array_vectors.check(BLOCKS, right | {"formats": formats})
        return str(error.value)

    assert wrong(1, 0, 4) == "formats[:, 0:2] must be the same in all heads"
    known = "0 (int8), 1 (int4), 3 (mxint8), 4 (mxint4), 5 (mxfp4), 6 (nvfp4), 7 (mxfp6), 8 (bfp12)"
    assert wrong(slice(None), 1, 2) == f"formats[0, 1] must be one of {known}, not 2"
    assert wrong(1, 2, 256) == "formats[:, 2] must be in 0..255, not 256"
    assert wrong(1, 3, 1) == "formats[:, 3] must be in 0..0, not 1"
    size = right["k"].shape[2]
    with pytest.raises(ValueError, match=f"^k must have rows of {size} bytes, not {size - 1}$"):
        array_vectors.check(BLOCKS, right | {"k": right["k"][..., 1:]})


def test_the_first_tile_has_at_most_the_keys_of_a_tile():
    problem = Problem(1, 1, 3, 30, 16, Mask(), (LogitScale(1, 31),), first_tile=8, k_format=1, v_format=1)
    problem.check(DUAL)
    for code in (0, 1):  # of INT8 keys there are four in a tile
        with pytest.raises(ValueError, match=f"^the first tile must have 0..{4 << code} keys, not 9$"):
            replace(problem, first_tile=9, k_format=code).check(DUAL)


def dense(queries, keys, mask="dense", heads=1, config=LARGE):
    problem = Problem(heads, heads, queries, keys, 64, Mask.parse(mask), (LogitScale(1 << 15, 20),) * heads)
    return problem, cost(config, problem)


def test_costs_by_hand():
    _, found = dense(512, 512)
    assert found.mac_cycles == 2 * 512 * 512 * 64 // 256
    assert found.jobs == 4
    assert found.words_read == (512 * 64 + 4 * 2 * 512 * 64 + 4 * 64) // 8
    assert found.words_written == 512 * 64 * 2 // 8
    _, found = dense(1024, 1024, "causal")
    assert found.passes == found.needed == 64 * 65 // 2  # blocks and tiles of 16: block b needs b + 1 tiles
    assert found.jobs == 8
    problem, found = dense(4096, 4096, "lambda:4+1020")
    assert problem.visible_pairs == sum(min(i + 1, 1020) + min(4, max(0, i - 1019)) for i in range(4096))
    # Block b sees tiles from its first query's window on, to its last query's; and the sink's, tile 0.
    tiles = [b - max(0, (16 * b - 1019) // 16) + 1 + (16 * b - 1019 >= 16) for b in range(256)]
    assert found.passes == found.needed == sum(tiles)


@pytest.mark.parametrize(("subtiles", "most"), [(8, 5.0), (16, 4.6), (64, 4.2)])
def test_traffic_of_long_sequences_is_near_the_limit(subtiles, most):
    """words * M / (N^2 d^2), in elements of Q, K, V and O; M = 2 R T d + 4 C d elements of buffers."""
    config = ArrayConfig.parse({"rows": 16, "lanes": 16, "dim": 64, "subtiles": subtiles, "bus_bits": 64})
    n = 1 << 16
    _, found = dense(n, n, config=config)
    elements = found.words_read * 8 - found.jobs * 64 + found.words_written * 4
    assert elements == 2 * n * 64 + 2 * n * 64 * -(-n // (16 * subtiles))
    buffers = 2 * 16 * subtiles * 64 + 4 * 16 * 64
    assert 4 < elements * buffers / (n * n * 64 * 64) <= most + 0.05 * (subtiles == 8)


def test_descriptors_come_back():
    problem, _ = dense(100, 70, "lambda:3+20")
    for job in jobs(LARGE, problem, Layout.of(LARGE, problem, 9)):
        assert unpack_job(pack_job(job)) == dict.fromkeys(OPTIONAL, 0) | job
    assert unpack_job(b"\0" * 11 + b"\x80" + b"\0" * 52) is None


def test_impossible_problems_are_refused():
    mask, scale = Mask(), LogitScale(1, 31)
    right = {"heads": 2, "kv_heads": 1, "queries": 3, "keys": 3, "dim": 32, "mask": mask, "scales": (scale, scale)}
    Problem(**right).check(LARGE)
    for field, (value, said) in {
        "kv_heads": (3, "heads must be a multiple of kv_heads = 3, not 2"),
        "queries": (0, "queries must be in 1..4194304, not 0"),
        "keys": (0, "keys must be in 1..4194303, not 0"),
        "dim": (40, "d must be a multiple of 16 lanes in 32..64, not 40"),
        "first_tile": (17, "the first tile must have 0..16 keys, not 17"),
        "fraction_bits": (17, "fraction bits must be in 0..16, not 17"),
        "k_format": (FORMATS["bfp12"].code, "d must be a multiple of 64, a block of bfp12, not 32"),
        "mask": (Mask(True, 3, 1 << 22), "sink and window must be below 4194304, not 4194304 and 3"),
    }.items():
        with pytest.raises(ValueError) as error:
            Problem(**(right | {field: value})).check(LARGE)
        assert str(error.value) == said
