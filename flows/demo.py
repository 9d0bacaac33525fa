"""The main job: handwritten digits through one block on every engine, with its bitstream and its report."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

from flows import engines, run
from flows.errors import BadInput, NielloError
from flows.load import load_design, named_designs
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
    if design.block.name != "simd.dot":
        raise BadInput(f"the digits go through a simd.dot design; {design.name} is {design.block.name}")
    route = Route.of(design, board)
    others = [Route.of(load_design(name)) for name in named_designs() if name != design.name]
    # The serial line of board-sim is the slowest engine: it starts first.
    tasks = {_identity(route, engine): _digits_task(route, engine) for engine in reversed(SAMPLES)}

    def wanted(one: Route) -> list[str]:
        return [*one.upto("report"), *tasks] if one is route else [one.block("elaborate")]

    outcome = travel([route, *others], wanted, more_tasks=tasks, plain=plain)
    results = results_or_error(outcome)
    rows = [results[_identity(route, engine)].metrics for engine in SAMPLES]
    identical = _identical(route, results)
    _show(route, rows, identical, bitstream_path(route, outcome), [one.design.name for one in [route, *others]])
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


def _digits_task(route: Route, engine: str) -> Task:
    needs = tuple(run.needs(route, engine))
    return Task(
        f"{route.board.name} digits-{engine}",
        route.design.name,
        "engine",
        needs,
        lambda results: _digits_step(route, engine, results),
    )


def _digits_step(route: Route, engine: str, results: dict[str, Result]) -> Step:
    def action(out: Path) -> dict[str, Any]:
        from sim.simd import digits

        outputs, metrics = run.execute(route, engine, results, digits.arrays(SAMPLES[engine]))
        np.savez(out / OUTPUTS, **outputs)  # type: ignore[arg-type]
        return {
            "engine": engine,
            "samples": SAMPLES[engine],
            "right": round(digits.accuracy(digits.predict(outputs["y"])) * SAMPLES[engine]),
            "accuracy": round(digits.accuracy(digits.predict(outputs["y"])), 4),
            "float_accuracy": round(digits.accuracy(digits.predict_float()), 4),
            "cycles": metrics["cycles"],
            "operations_per_cycle": metrics["operations_per_cycle"],
            "seconds": metrics["seconds"],
        }

    sources = route.design.block.simulation_sources()
    sources += [ROOT / "flows" / name for name in ("engines.py", "run.py", "demo.py")]
    sources += sorted((ROOT / "boards").glob("*.py"))
    inputs = {
        "needs": {identity: result.digest for identity, result in results.items()},
        "config": route.design.config_sha256,
        "sources": digest_files(sources, relative_to=ROOT),
        "samples": SAMPLES[engine],
        "line": [route.clock_hz(), route.board.baud],
        "versions": versions("numpy", "scikit-learn", "pyserial"),
    }
    return Step(f"digits-{engine}-{route.board.name}", route.design.name, inputs, action)


def _identical(route: Route, results: dict[str, Result]) -> bool:
    """Whether every engine gave, for the samples that it was given, the bits of the model."""
    outputs = [np.load(results[_identity(route, engine)][OUTPUTS])["y"] for engine in SAMPLES]
    return all(np.array_equal(y, outputs[0][: len(y)]) for y in outputs)


def _show(route: Route, rows: list[dict[str, Any]], identical: bool, bitstream: Path, designs: list[str]) -> None:
    out, folder = console(), build_root() / route.design.name
    table = Table(title="Handwritten digits, linear classifier in INT8", title_justify="left", box=None, pad_edge=False)
    for column in ("engine", "right", "cycles", "operations/cycle", "seconds", ""):
        table.add_column(column, justify="left" if column in ("engine", "") else "right")
    for row in rows:
        table.add_row(
            row["engine"],
            f"{row['right']} of {row['samples']}",
            "–" if row["cycles"] is None else f"{row['cycles']:,}",
            "–" if row["operations_per_cycle"] is None else f"{row['operations_per_cycle']:.3g}",
            f"{row['seconds']:.2f}",
            f"[dim]{engines.ENGINES[row['engine']]}[/]",
        )
    out.print(table)
    same = "the same bits on every engine" if identical else "[red]the engines DIFFER[/]"
    accuracy, float_accuracy = rows[0]["accuracy"], rows[0]["float_accuracy"]
    out.print(f"{same}; accuracy {accuracy:.2%}, of the classifier in float64 {float_accuracy:.2%}\n")
    where = Table(title="What lies where", title_justify="left", box=None, pad_edge=False, show_header=False)
    for name in designs:
        where.add_row(f"Verilog of {name}", shown(build_root() / name / f"{name}.v"))
    where.add_row(f"bitstream for {route.board.title}", shown(bitstream))
    where.add_row("report, opens offline", shown(folder / "report.html"))
    where.add_row("metrics", shown(folder / "metrics.json"))
    out.print(where)
