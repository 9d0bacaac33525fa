"""Words that attention moves, against N^2 d^2 / M: what a buffer of M elements can do (arXiv 2402.07443).

That bound's order holds for M of at least d^2; below it is a matrix product's, N^2 d / sqrt(M). Elements are words.
"""

from __future__ import annotations

import math

from hdl.attention.config import ArrayConfig
from sim.attention.problem import Problem
from sim.attention.schedule import cost


def buffer_elements(config: ArrayConfig, dim: int) -> int:
    """M of the array's schedule: Q and O of T blocks of R rows, and two tiles of K and of V."""
    return 2 * config.rows * config.subtiles * dim + 4 * config.lanes * dim


def moved_elements(config: ArrayConfig, problem: Problem) -> int:
    """Elements of Q, K, V and O that a problem's list moves; descriptors are not among them."""
    found = cost(config, problem)
    outputs = problem.heads * problem.queries * problem.dim
    reads = found.words_read * config.bus_bytes - found.jobs * 64
    return reads + outputs


def traffic_ratio(config: ArrayConfig, problem: Problem) -> float:
    """ρ = words * M / (N_q N_k d^2) of a head; this schedule's limit is 4."""
    size = problem.heads * problem.queries * problem.keys * problem.dim**2
    return moved_elements(config, problem) * buffer_elements(config, problem.dim) / size


def row_words(n: int, d: int, buffer: int) -> int:
    """The array's schedule with as many rows as a buffer holds beside one row of K and of V; 0 where it holds none."""
    rows = (buffer - 2 * d) // (2 * d)
    return 2 * n * d + 2 * n * d * math.ceil(n / min(n, rows)) if rows > 0 else 0


def split_words(n: int, d: int, buffer: int) -> int:
    """A schedule for M below d^2 that splits d: a tile of b by b scores stays, columns of Q, K, V and O come and go.

    Of each tile: b * d elements of Q and of K; of V; and of O, which is read (but for a row's first tile) and written.
    b^2 + 4 b <= M: two columns, and the rows' m and l.
    """
    b = min(n, math.isqrt(buffer + 4) - 2)
    if b < 1:
        return 0
    tiles = math.ceil(n / b)
    return (3 * tiles + 2 * tiles - 1) * n * d


def better_schedule(n: int, d: int, buffer: int) -> tuple[str, int]:
    """Which of the two moves fewer words, and how many."""
    found = {"rows": row_words(n, d, buffer), "split": split_words(n, d, buffer)}
    possible = {name: words for name, words in found.items() if words}
    if not possible:
        raise ValueError(f"a buffer of {buffer} elements holds neither a row of d = {d} nor a score")
    name = min(possible, key=possible.__getitem__)
    return name, possible[name]
