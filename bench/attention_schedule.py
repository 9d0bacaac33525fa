"""What the scheduler counts: passes, words, and both beside published models."""

from __future__ import annotations

import math
from typing import Any

from bench.common import ROOT, say
from flows.attention.compare import compare
from hdl.attention.config import ArrayConfig
from sim.attention.io_model import better_schedule, row_words, split_words, traffic_ratio
from sim.attention.masks import Mask
from sim.attention.problem import Problem
from sim.attention.quantise import LogitScale
from sim.attention.schedule import cost, span_cycles

DIM = 64
PICTURE = ROOT / "docs" / "attention_compare.svg"


def _config(subtiles: int) -> ArrayConfig:
    return ArrayConfig.parse({"rows": 16, "lanes": 16, "dim": DIM, "subtiles": subtiles})


def _problem(n: int, mask: str = "dense", heads: int = 1) -> Problem:
    return Problem(heads, heads, n, n, DIM, Mask.parse(mask), (LogitScale(1 << 15, 20),) * heads)


def schedule() -> dict[str, Any]:
    """Dense utilisation, masks against the tile limit, traffic: 16 by 16, d = 64."""
    result: dict[str, Any] = {"dense": {}, "masks": {}, "ratio": {}}
    config = _config(8)
    for n, heads in ((64, 16), (512, 1), (4096, 1)):
        problem = _problem(n, heads=heads)
        macs = cost(config, problem).mac_cycles
        share = problem.useful_macs / (256 * span_cycles(config, problem, macs))
        result["dense"][n] = round(share, 6)
        say(f"dense, N = {n}, {heads} heads, useful share", f"{share:.5f}", "", "at least .98 at 64, .999 from 512 on")
    for mask in ("causal", "lambda:4+1020"):
        for n in (1024, 4096):
            problem = _problem(n, mask)
            found = cost(config, problem)
            limit = _tile_limit(problem)
            result["masks"][f"{mask} {n}"] = {
                "useful": round(problem.useful_macs / (256 * found.mac_cycles), 5),
                "of_tile_limit": round(limit / found.passes, 6),
            }
            say(f"{mask}, N = {n}, share of the tile limit", limit / found.passes, "", "at least .99")
    for subtiles, target in ((8, "5.0 in the limit"), (16, "at most 4.6"), (64, "at most 4.2")):
        for n in (1 << 16, 1 << 20):
            ratio = traffic_ratio(_config(subtiles), _problem(n))
            result["ratio"][f"T={subtiles} N={n}"] = round(ratio, 4)
            say(f"words * M / (N^2 d^2), T = {subtiles}, N = {n}", f"{ratio:.4f}", "", target)
    return result


def _tile_limit(problem: Problem) -> int:
    """Pairs of 16 queries and a tile of 16 keys in which a query sees a key, counted one by one."""
    spans = problem.mask.spans(problem.queries, problem.keys)
    valid = (spans.rows(slice(row, row + 16)).valid(0, problem.keys) for row in range(0, problem.queries, 16))
    return sum(int(block.reshape(len(block), -1, 16).any(axis=(0, 2)).sum()) for block in valid)


def compared() -> dict[str, Any]:
    """`niello attention compare`, and its picture into docs."""
    found = compare("attn_16x16_d64", DIM, 16, 1 << 20, PICTURE)
    for row in found["rows"]:
        what = f"N = {row['n']}, useful share, FuseMax {row['fusemax_useful']:.3f}"
        say(what, f"{row['ours_useful']:.5f}", "", "above FuseMax's")
    return found


def small() -> dict[str, Any]:
    """Words of both schedules for N = 4096, d = 128, in units of N^2 d / sqrt(M)."""
    n, d, result = 4096, 128, {}
    for part in (64, 16, 4, 1):
        buffer = d * d // part
        name, words = better_schedule(n, d, buffer)
        unit = n * n * d / math.sqrt(buffer)
        rows, split = row_words(n, d, buffer), split_words(n, d, buffer)
        result[f"M=d^2/{part}"] = {"better": name, "rows": round(rows / unit, 3), "split": round(split / unit, 3)}
        say(f"M = d^2 / {part}: {name}, words", words / unit, "N^2 d/sqrt(M)", "a constant for all M")
    return result
