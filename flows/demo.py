"""The main job: handwritten digits through one block on every engine, with its bitstream and its report."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

from flows import engines, run
from flows.catalog import BLOCKS
from flows.errors import NielloError
from flows.exhibits import Exhibit, exhibit_of
from flows.load import load_design
from flows.paths import ROOT, build_root, shown
from flows.progress import console
from flows.results import bitstream_path
from flows.road import Route, results_or_error, travel
from flows.schedule import Task
from flows.steps import versions
from flows.store import Result, Step, digest_files

SAMPLES = {"model": 360, "rtl": 360, "netlist": 36, "board-sim": 36}
OUTPUTS = "digits.npz"


def demo(design_name: str, board: str | None, plain: bool) -> dict[str, Any]:
    """Everything that `make` shows; what was done before is not done again."""
    start = time.monotonic()
    design = load_design(design_name)
    exhibit = exhibit_of(design)
    route = Route.of(design, board)
    families = {block.family: block for block in reversed(BLOCKS.values()) if block.family != design.block.family}
    others = [Route.of(load_design(block.default)) for block in reversed(families.values())]
    # The serial line of board-sim is the slowest engine: it starts first.
    tasks = {_identity(route, engine): _digits_task(route, exhibit, engine) for engine in reversed(SAMPLES)}

    def wanted(one: Route) -> list[str]:
        return [*one.upto("report"), *tasks] if one is route else [one.block("elaborate")]

    outcome = travel([route, *others], wanted, more_tasks=tasks, plain=plain)
    results = results_or_error(outcome)
    rows = [row for engine in SAMPLES for row in results[_identity(route, engine)].metrics["rows"]]
    identical = _identical(route, results)
    _show(
        route, exhibit, rows, identical, bitstream_path(route, outcome), [one.design.name for one in [route, *others]]
    )
    if not identical:
        raise NielloError(
            "the engines do not agree", hint=f"{OUTPUTS} of each lies in {shown(build_root() / design.name)}"
        )
    folder = build_root() / design.name
    return {
        "design": design.name,
        "board": route.board.name,
        "engines": rows,
        "identical": identical,
        "bitstream": str(bitstream_path(route, outcome)),
        "metrics": str(folder / "metrics.json"),
        "report": str(folder / "report.html"),
        "ran": sum(not result.cached for result in results.values()),
        "seconds": round(time.monotonic() - start, 2),
    }


def _identity(route: Route, engine: str) -> str:
    return route.on_board(f"digits-{engine}")


def _digits_task(route: Route, exhibit: Exhibit, engine: str) -> Task:
    needs = tuple(run.needs(route, engine))
    return Task(
        f"{route.board.name} digits-{engine}",
        route.design.name,
        "engine",
        needs,
        lambda results: _digits_step(route, exhibit, engine, results),
    )


def _digits_step(route: Route, exhibit: Exhibit, engine: str, results: dict[str, Result]) -> Step:
    def action(out: Path) -> dict[str, Any]:
        shown = exhibit.show(lambda arrays: run.execute(route, engine, results, arrays), SAMPLES[engine])
        np.savez(out / OUTPUTS, **shown.outputs)  # type: ignore[arg-type]
        return {"rows": [{"engine": engine} | row for row in shown.rows]}

    sources = route.design.block.simulation_sources()
    sources += [ROOT / "flows" / name for name in ("engines.py", "run.py", "demo.py", "exhibits.py")]
    sources += sorted((ROOT / "boards").glob("*.py"))
    inputs = {
        "needs": {identity: result.digest for identity, result in results.items()},
        "config": route.design.config_sha256,
        "sources": digest_files(sources, relative_to=ROOT),
        "exhibit": exhibit.identity,
        "samples": SAMPLES[engine],
        "line": [route.clock_hz(), route.board.baud],
        "versions": versions("numpy", "scikit-learn", "pyserial"),
    }
    return Step(f"digits-{engine}-{route.board.name}", route.design.name, inputs, action)


def _identical(route: Route, results: dict[str, Result]) -> bool:
    """Whether every engine gave, for the samples that it was given, the bits of the model."""
    every = [np.load(results[_identity(route, engine)][OUTPUTS]) for engine in SAMPLES]
    return all(np.array_equal(one[name], every[0][name][: len(one[name])]) for one in every for name in every[0].files)


def _show(
    route: Route, exhibit: Exhibit, rows: list[dict[str, Any]], identical: bool, bitstream: Path, designs: list[str]
) -> None:
    out, folder = console(), build_root() / route.design.name
    table = Table(title=exhibit.title, title_justify="left", box=None, pad_edge=False)
    for column in ("engine", "format", "right", "cycles", "operations/cycle", "seconds", ""):
        table.add_column(column, justify="left" if column in ("engine", "format", "") else "right")
    for row in rows:
        table.add_row(
            row["engine"],
            row["format"],
            f"{row['right']} of {row['samples']}",
            "–" if row["cycles"] is None else f"{row['cycles']:,}",
            "–" if row["operations_per_cycle"] is None else f"{row['operations_per_cycle']:.3g}",
            f"{row['seconds']:.2f}",
            f"[dim]{engines.ENGINES[row['engine']]}[/]",
        )
    out.print(table)
    same = "the same bits on every engine" if identical else "[red]the engines DIFFER[/]"
    accuracies = ", ".join(f"{row['accuracy']:.2%} in {row['format']}" for row in rows if row["engine"] == "model")
    out.print(f"{same}; accuracy {accuracies}, of the classifier in float64 {rows[0]['float_accuracy']:.2%}\n")
    where = Table(title="What lies where", title_justify="left", box=None, pad_edge=False, show_header=False)
    for name in designs:
        where.add_row(f"Verilog of {name}", shown(build_root() / name / f"{name}.v"))
    where.add_row(f"bitstream for {route.board.title}", shown(bitstream))
    where.add_row("report, opens offline", shown(folder / "report.html"))
    where.add_row("metrics", shown(folder / "metrics.json"))
    out.print(where)
