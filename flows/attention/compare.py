"""`niello attention compare`: utilisation and traffic of the array beside FuseMax's model, on the same shapes."""

from __future__ import annotations

from math import log2
from pathlib import Path
from typing import Any

from flows.attention.run import design_of
from flows.curves_picture import Curve, Panel, curves_picture
from flows.errors import BadInput
from flows.output import check_output, write_output
from flows.store import disk_errors
from hdl.attention.config import ArrayConfig
from sim.attention import fusemax
from sim.attention.io_model import traffic_ratio
from sim.attention.masks import Mask
from sim.attention.problem import Problem
from sim.attention.quantise import LogitScale
from sim.attention.schedule import cost, span_cycles

LEAST_KEYS, MOST_KEYS = 1 << 10, 1 << 20


def compare(design: str, dim: int, heads: int, most_keys: int, plot: Path | None) -> dict[str, Any]:
    """For N = 1 K, 2 K … `most_keys`: both machines' useful utilisation, and words * M / (N^2 d^2) of each.

    Raises
    ------
    BadInput
        If an option is wrong.
    """
    config = design_of(design).config
    assert isinstance(config, ArrayConfig)
    if not LEAST_KEYS <= most_keys <= MOST_KEYS:
        raise BadInput(f"--most-keys must be in {LEAST_KEYS}..{MOST_KEYS}, not {most_keys}")
    if dim % config.lanes or not 2 * config.lanes <= dim <= config.dim:
        limits = f"a multiple of the array's {config.lanes} lanes in {2 * config.lanes}..{config.dim}"
        raise BadInput(f"--dim must be {limits}, not {dim}")
    if not 1 <= heads <= 1 << 16:
        raise BadInput(f"--heads must be in 1..65536, not {heads}")
    if plot:
        check_output(plot)
    sizes = [1 << power for power in range(10, 21) if 1 << power <= most_keys]
    rows = [_row(config, n, dim, heads) for n in sizes]
    if plot:
        with disk_errors(plot, hint="make room, or name another file"):
            write_output(plot, _picture(design, dim, rows).encode())
    return {"design": design, "dim": dim, "heads": heads, "rows": rows, "note": NOTE}


NOTE = (
    "ours_useful: useful MACs over array size times cycles from the first MAC to the last, heads back to back, memory "
    "fast enough, as the scheduler counts; fusemax_2d counts maxima and exponentials as useful, fusemax_useful does not"
)


def _row(config: ArrayConfig, n: int, dim: int, heads: int) -> dict[str, Any]:
    problem = Problem(1, 1, n, n, dim, Mask(), (LogitScale(1 << 15, 20),))
    head = cost(config, problem)
    cycles = span_cycles(config, problem, heads * head.mac_cycles)
    return {
        "n": n,
        "ours_useful": round(heads * problem.useful_macs / (config.rows * config.lanes * cycles), 9),
        "ours_passes_a_head": head.passes,
        "ours_words_ratio": round(traffic_ratio(config, problem), 4),
        "fusemax_2d": round(fusemax.utilisation(n, dim), 6),
        "fusemax_words_ratio": round(fusemax.words(n, dim) * fusemax.BUFFER_WORDS / (n * dim) ** 2, 4),
    } | {f"{name}_useful": round(fusemax.useful_utilisation(n, dim, name), 6) for name in fusemax.CYCLES}


def _picture(design: str, dim: int, rows: list[dict[str, Any]]) -> str:
    def curve(name: str, field: str) -> Curve:
        points = [(log2(row["n"]), row[field]) for row in rows]
        return Curve(name, points, points)

    powers = [log2(row["n"]) for row in rows]
    curves = [
        curve(design, "ours_useful"),
        curve("FuseMax, useful", "fusemax_useful"),
        curve("FuseMax, as it counts", "fusemax_2d"),
    ]
    title = f"Share of cycles in use, d = {dim}"
    marks = [0.8, 0.85, 0.9, 0.95, 1.0]
    panel = Panel(title, "log2 of the keys", "share", powers, marks, curves)
    what = (
        "Utilisation over the number of keys, of the array by its scheduler's count and of FuseMax by its own formula"
    )
    return curves_picture("attention_compare", title, what, [panel])
