"""From a problem to the array's list of jobs, and what the list costs: cycles of the array, words of memory.

A job is a run of rows, at most `rows * subtiles`, against a run of tiles of keys; its blocks of rows go through those
that they need. Heads that share keys become rows of one job where all see the same keys.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from hdl.attention.config import ArrayConfig
from hdl.attention.job_words import OUTPUT_BITS
from sim.attention.descriptors import keys_read, operand_bytes, parts, tile_keys, whole
from sim.attention.problem import DESCRIPTOR_BYTES, OUTPUT_BYTES, Layout, Problem

SOFTMAX_LATENCY_CYCLES = 64
"""Of a block beside a cycle a score, as the gateware of 16 by 16 shows it."""

Job = dict[str, int]
"""A descriptor's fields, as `hdl.attention.job_words.FIELDS` names them."""


@dataclass(frozen=True)
class Run:
    """Rows that lie one after the other in Q and O, and see the keys of one head.

    Attributes
    ----------
    first_row, rows : int
        Rows of Q as (heads * queries, dim).
    kv_head, head : int
        Whose keys they see, and whose scale they have.
    query : int
        Of the first row, within its head.
    step : int
        How far the mask moves from row to row.
    """

    first_row: int
    rows: int
    kv_head: int
    head: int
    query: int
    step: int


def jobs(config: ArrayConfig, problem: Problem, layout: Layout) -> Iterator[Job]:
    """The jobs of a problem, in the order in which they are done."""
    for run in runs(config, problem):
        ranges = list(tile_ranges(config, problem, run))
        for place, (key, tiles, keys) in enumerate(ranges):
            ends = {"first": int(place == 0), "last": int(place == len(ranges) - 1)}
            yield whole(_job(config, problem, layout, run, key, tiles, keys) | ends)


def runs(config: ArrayConfig, problem: Problem) -> Iterator[Run]:
    """Rows by jobs: of a head, or of all heads of a group where each of their rows sees the same keys."""
    for kv_head in range(problem.kv_heads):
        head = kv_head * problem.group
        alike = len(set(problem.scales[head : head + problem.group])) == 1
        stacked = alike and (not problem.mask.causal or problem.queries == 1)
        moves = problem.mask.causal and not stacked
        most = config.rows * config.subtiles
        for part in range(1 if stacked else problem.group):
            count = problem.queries * (problem.group if stacked else 1)
            # Of a causal head the longest first: the last tiles of a job have little work in them, and what comes after
            # loads the sooner the fewer tiles it has.
            starts = range(0, count, most)
            for query in reversed(starts) if moves else starts:
                rows = min(most, count - query)
                first = (head + part) * problem.queries + query
                at = 0 if stacked else query
                yield Run(first, rows, kv_head, head + part, at, int(moves))


def tile_ranges(config: ArrayConfig, problem: Problem, run: Run) -> Iterator[tuple[int, int, int]]:
    """(first key, tiles, end of the keys) of the jobs of a run: tiles that none of its rows needs are left out.

    A run that sees nothing has one tile, as its outputs must be written.
    """
    lo, hi = bounds(problem, run)
    last = min(hi + run.step * (run.rows - 1), problem.keys - 1)
    start, size, found = problem.first_tile, problem.tile_keys(config), False
    if problem.first_tile:
        start = min(start, problem.keys)
        if last >= 0 and (problem.mask.sink > 0 or lo < start):
            yield 0, 1, start
            found = True
    end = -(-(last + 1 - start) // size)  # behind the last tile
    sink_end = min(end, -(-(problem.mask.sink - start) // size)) if problem.mask.sink > start else 0
    window = max(0, lo - start) // size
    parts = [(0, sink_end), (window, end)] if sink_end < window else [(0 if sink_end else window, end)]
    for first, behind in parts:
        if behind > first:
            yield start + first * size, behind - first, problem.keys
            found = True
    if not found:
        yield 0, 1, problem.keys


def bounds(problem: Problem, run: Run) -> tuple[int, int]:
    """The first and the last key that a run's first row sees; they may lie outside of the keys.

    Without a window the first is so low that the last row, whose bounds have moved on, sees key 0 too.
    """
    if not problem.mask.causal:
        return 0, problem.keys - 1
    at = run.query + problem.keys - problem.queries
    return run.step * (1 - run.rows) if problem.mask.window is None else at - problem.mask.window + 1, at


def _job(config: ArrayConfig, problem: Problem, layout: Layout, run: Run, key: int, tiles: int, keys: int) -> Job:
    lo, hi = bounds(problem, run)
    scale = problem.scales[run.head]
    query_bytes = problem.dim
    key_row = run.kv_head * problem.keys + key
    k_bytes, v_bytes = problem.row_bytes(config)
    k_exponent, v_exponent = problem.exponents[run.kv_head] if problem.exponents else (0, 0)
    return {
        "rows": run.rows,
        "chunks": problem.dim // config.lanes,
        "tiles": tiles,
        "a": scale.multiplier,
        "h": scale.shift,
        "fraction": problem.fraction_bits,
        "step": run.step,
        "q_address": layout.q + run.first_row * query_bytes,
        "q_stride": query_bytes,
        "k_address": layout.k + key_row * k_bytes,
        "k_stride": k_bytes,
        "k_format": problem.k_format,
        "k_exponent": k_exponent,
        "v_address": layout.v + key_row * v_bytes,
        "v_stride": v_bytes,
        "v_format": problem.v_format,
        "v_exponent": v_exponent,
        "dual": int(problem.tile_keys(config) > config.lanes),
        "o_address": layout.o + run.first_row * query_bytes * OUTPUT_BYTES,
        "o_stride": query_bytes * OUTPUT_BYTES,
        "key": key,
        "keys": keys,
        "sink": problem.mask.sink if problem.mask.causal else 0,
        "lo": lo,
        "hi": hi,
    }


@dataclass(frozen=True)
class Cost:
    """What a list of jobs takes.

    Attributes
    ----------
    jobs : int
    passes : int
        Pairs of a block of rows and a tile of keys that go through each other: a QK pass and a PV pass. Of a linear
        layer, a pair for each part of its inputs, which is a QK pass alone.
    needed : int
        Those of them in which a row of the block may see a key: the limit that tiles set.
    mac_cycles : int
        Cycles in which the array multiplies: 2 * dim a pair; all inputs for a pair of a linear layer.
    words_read, words_written : int
        Of the memory, descriptors included.
    """

    jobs: int = 0
    passes: int = 0
    needed: int = 0
    mac_cycles: int = 0
    words_read: int = 0
    words_written: int = 0

    def __add__(self, other: Cost) -> Cost:
        return Cost(*(getattr(self, name) + getattr(other, name) for name in self.__dataclass_fields__))


def cost(config: ArrayConfig, problem: Problem) -> Cost:
    """The whole list's cost, without making the list's descriptors."""
    layout = Layout(0, 0, 0, 0, 0, 0)
    return sum((job_cost(config, job) for job in jobs(config, problem, layout)), Cost())


def job_cost(config: ArrayConfig, job: Job) -> Cost:
    """A job's cost: Q, and the rows of K and V below `keys`, are read once; O is written by the last job of rows."""
    job = whole(job)
    if job["linear"]:
        return _linear_cost(config, job)
    dim = job["chunks"] * config.lanes
    keys, key_bytes = keys_read(config, job), sum(operand_bytes(config, job, name) for name in "kv")
    counts = [tiles_of_block(config, job, block) for block in range(-(-job["rows"] // config.rows))]
    passes = sum(taken for _, taken in counts)
    return Cost(
        jobs=1,
        passes=passes,
        needed=sum(needed for needed, _ in counts),
        mac_cycles=2 * dim * passes,
        words_read=(job["rows"] * dim + keys * key_bytes + DESCRIPTOR_BYTES) // config.bus_bytes,
        words_written=job["last"] * job["rows"] * output_bytes(job, dim) // config.bus_bytes,
    )


def _linear_cost(config: ArrayConfig, job: Job) -> Cost:
    """Inputs and weights are read once."""
    inputs, outputs = job["chunks"] * config.lanes, keys_read(config, job)
    weight_bytes = operand_bytes(config, job, "k")
    pairs = -(-job["rows"] // config.rows) * job["tiles"]
    return Cost(
        jobs=1,
        passes=pairs * parts(config, job),
        needed=pairs * parts(config, job),
        mac_cycles=inputs * pairs,
        words_read=(job["rows"] * inputs + outputs * weight_bytes + DESCRIPTOR_BYTES) // config.bus_bytes,
        words_written=job["rows"] * output_bytes(job, outputs) // config.bus_bytes,
    )


def output_bytes(job: Job, outputs: int) -> int:
    """Bytes of a row of so many outputs."""
    return outputs * OUTPUT_BITS[job["o_format"]] // 8


def tiles_of_block(config: ArrayConfig, job: Job, block: int) -> tuple[int, int]:
    """Tiles of a job in which a block of its rows may see a key, and those that it goes through.

    The last that its rows' ends and the keys reach is always one of these, or the first if they reach none.
    """
    first_row, last_row = block * config.rows, min((block + 1) * config.rows, job["rows"]) - 1
    lo, hi = job["lo"] + job["step"] * first_row, job["hi"] + job["step"] * last_row
    size = tile_keys(config, job)
    behind = (min(job["keys"] - 1, hi) - job["key"]) // size + 1
    behind = max(0, min(job["tiles"], behind))
    sink_end = max(0, -(-(job["sink"] - job["key"]) // size))
    window = max(0, (lo - job["key"]) // size)
    needed = behind - max(0, min(window, behind) - min(sink_end, behind))
    last_needed = behind > 0 and (behind <= sink_end or behind > window)
    return needed, needed if last_needed else needed + 1


def span_cycles(config: ArrayConfig, problem: Problem, mac_cycles: int) -> int:
    """Cycles from the first multiplication to the last of many blocks, where memory and normaliser are fast enough.

    Softmax units that only just keep up (the scores of rows and a tile's keys in 2 * dim cycles) leave the first QK
    pass, the latency of the last block's softmax and its PV pass uncovered; of faster ones the last block's softmax is,
    beside the PV passes that are left: less than a pass.
    """
    dim = problem.dim
    just = config.rows_per_unit * problem.tile_keys(config) >= 2 * dim
    return mac_cycles + (2 * dim + SOFTMAX_LATENCY_CYCLES if just else dim)


def total_cycles(config: ArrayConfig, problem: Problem) -> int:
    """Cycles from the first word of memory to the last, about, of a memory that moves a word a cycle at once.

    What is read before the first multiplication; the array's cycles, or those of the words where these are more; the
    divisions that are left. Waits for memory in between are not foreseen.
    """
    found = cost(config, problem)
    listed = list(jobs(config, problem, Layout(0, 0, 0, 0, 0, 0)))
    key_bytes, _ = problem.row_bytes(config)
    tile_bytes = min(problem.tile_keys(config), problem.keys) * key_bytes
    before = (DESCRIPTOR_BYTES + listed[0]["rows"] * problem.dim + tile_bytes) // config.bus_bytes
    after = _division_cycles(config, listed[-1], problem.dim) + problem.dim * OUTPUT_BYTES // config.bus_bytes
    return before + max(span_cycles(config, problem, found.mac_cycles), found.words_read - before) + after


def _division_cycles(config: ArrayConfig, job: Job, dim: int) -> int:
    """Cycles from the last multiplication to the last output: a job's blocks end one after the other.

    Where the mask moves, the blocks that are left share a tile more between any two ends.
    """
    blocks = -(-job["rows"] // config.rows)
    busy = ended = 0
    for block in range(blocks):
        rows = min(config.rows, job["rows"] - block * config.rows)
        busy = max(busy, ended) + -(-rows // config.dividers) * dim
        ended += 2 * dim * (blocks - 1 - block if job["step"] else 1)
    return busy - (ended if job["step"] else ended - 2 * dim)
