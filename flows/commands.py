"""What the verbs of the command line do; each returns the command's JSON."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

from rich.table import Table

from flows import engines, run
from flows.array_files import npz_bytes
from flows.errors import BadInput
from flows.load import NAME, load_design, named_designs
from flows.output import check_output, write_output
from flows.paths import build_root, shown
from flows.progress import console
from flows.results import bitstream_path, rtl_files
from flows.road import STAGES, Route, results_or_error, travel
from flows.schedule import Outcome
from flows.store import disk_errors
from hdl.common.config import did_you_mean, nearest

MOST_BAUD = 12_000_000
"""Beyond what any serial adapter does."""


def routes_of(designs: list[str], board: str | None = None) -> list[Route]:
    """The routes of the designs named, or of all named designs."""
    return [Route.of(load_design(name), board) for name in designs or named_designs()]


def rtl(designs: list[str], out: Path | None, plain: bool) -> dict[str, Any]:
    """Writes each design's files into `out`, or leaves them in the build folder."""
    routes = routes_of(designs)
    outcome = travel(routes, lambda route: [route.block("elaborate")], plain=plain)
    results = results_or_error(outcome)
    files: dict[str, list[str]] = {}
    for route in routes:
        name = route.design.name
        made = results[route.block("elaborate")]
        sources = [made[file] for file in rtl_files(made, name)]
        if out is None:
            files[name] = [str(build_root() / name / source.name) for source in sources]
            continue
        with disk_errors(out, hint="make room, or name another folder with -o"):
            try:
                out.mkdir(parents=True, exist_ok=True)
            except FileExistsError:
                raise BadInput(f"{out}: a file, not a folder") from None
            for source in sources:
                check_output(out / source.name)
                write_output(out / source.name, source.read_bytes())
            files[name] = [str(out / source.name) for source in sources]
    for name, written in files.items():
        print(f"{name}: {' '.join(shown(Path(path).absolute()) for path in written)}", file=sys.stderr)
    return {"designs": files}


def road(designs: list[str], board: str | None, first: str | None, last: str, plain: bool) -> dict[str, Any]:
    """Takes designs along the road up to a stage."""
    for option, stage in (("--from", first), ("--to", last)):
        if stage is not None and stage not in STAGES:
            raise BadInput(f'{option} must be one of {", ".join(STAGES)}, not "{stage}"{nearest(stage, list(STAGES))}')
    if first is not None and list(STAGES).index(first) > list(STAGES).index(last):
        raise BadInput(f"--from {first} lies after the last stage, {last}")
    routes = routes_of(designs, board)
    outcome = travel(routes, lambda route: route.upto(last), from_stage=first, plain=plain)
    summarise(outcome)
    results = results_or_error(outcome)
    return {
        "stage": last,
        "ran": sum(not result.cached for result in results.values()),
        "steps": len(results),
        "designs": {route.design.name: _figures(route, outcome) for route in routes},
    }


def formal(designs: list[str], depth: int, unbounded: bool, plain: bool) -> dict[str, Any]:
    """Proves what designs assert of themselves."""
    from flows import formal
    from flows.catalog import BLOCKS

    if not 1 <= depth <= 10_000:
        raise BadInput(f"--depth must be in 1..10000, not {depth}")
    able = sorted(block.name for block in BLOCKS.values() if block.proof)
    if designs:
        routes = routes_of(designs, None)
        for route in routes:
            if not route.design.block.proof:
                raise BadInput(f"{route.design.name}: {route.design.block.name} has no proof; known: {', '.join(able)}")
    else:
        routes = [route for route in routes_of([], None) if route.design.block.proof]
    tasks = {route.block("formal"): formal.task(route.design, depth, unbounded) for route in routes}
    outcome = travel(routes, lambda route: [route.block("formal")], more_tasks=tasks, plain=plain)
    results_or_error(outcome)
    cycles = None if unbounded else depth
    return {"holds": True, "cycles": cycles, "designs": [route.design.name for route in routes]}


def program(design: str, board: str | None, flash: bool, plain: bool) -> dict[str, Any]:
    """Loads a design's bitstream into a board, building it first where need be."""
    from flows.program import program as load

    route = Route.of(load_design(design), board)
    outcome = travel([route], lambda route: [route.on_board("pack")], plain=plain)
    results_or_error(outcome)
    bitstream = bitstream_path(route, outcome)
    load(route.board, bitstream, flash=flash, log=build_root() / route.design.name / "program.log")
    return {"design": design, "board": route.board.name, "bitstream": str(bitstream), "flash": flash}


def run_arrays(
    design_name: str,
    inputs: Path,
    engine: str,
    out: Path | None,
    board: str | None,
    port: str | None,
    baud: int | None,
    stalls: float,
    seed: int,
    plain: bool,
) -> dict[str, Any]:
    """Runs the arrays of a file through an engine and writes what comes out."""
    if engine not in engines.ENGINES:
        known = list(engines.ENGINES)
        raise BadInput(f'--engine must be one of {", ".join(known)}, not "{engine}"{nearest(engine, known)}')
    if not 0 <= stalls <= 0.95:
        raise BadInput(f"--stalls must be in 0..0.95, not {stalls}")
    if stalls and engine not in ("rtl", "netlist"):
        raise BadInput(f"--stalls works with --engine rtl or netlist, not {engine}")
    if not 0 <= seed < 1 << 64:
        raise BadInput(f"--seed must be in 0..{(1 << 64) - 1}, not {seed}")
    if baud is not None and not 1 <= baud <= MOST_BAUD:
        raise BadInput(f"--baud must be in 1..{MOST_BAUD}, not {baud}")
    if out is not None:
        check_output(out, inputs=(inputs,))
    route = Route.of(load_design(design_name), board)
    arrays = engines.load_arrays(route.design, inputs)
    needed = run.needs(route, engine)
    if engine == "board" and not port:
        raise BadInput("--engine board needs --port", hint=f"a {route.board.title} shows as a serial port in /dev")
    results = results_or_error(travel([route], lambda _: needed, plain=plain)) if needed else {}
    outputs, metrics = run.execute(route, engine, results, arrays, port=port or "", baud=baud, stalls=stalls, seed=seed)
    result = {"design": route.design.name, "engine": engine, "items": len(next(iter(outputs.values())))} | metrics
    if out is not None:
        with disk_errors(out.parent, hint="make room, or name another file with -o"):
            write_output(out, npz_bytes(**outputs))
        result["out"] = str(out)
    _say(result)
    return result


def clean(design: str | None) -> dict[str, Any]:
    """Removes results: a design's, or all."""
    root = build_root()
    folder = root
    if design is not None:
        name = Path(design).stem if design.endswith((".yml", ".yaml")) else design
        folders = sorted(root.iterdir()) if root.is_dir() else []
        built = [path.name for path in folders if path.is_dir() and NAME.fullmatch(path.name)]
        if name not in built:
            raise BadInput(f'nothing is built of "{design}"{did_you_mean(design, built) if built else ""}')
        folder = root / name
    elif root.is_dir() and not _is_ours(root):
        raise BadInput(f"{shown(root)}: holds more than results of ours; remove it by hand")
    with disk_errors(root):
        for path in sorted(folder.iterdir()) if folder.is_dir() else []:
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        if folder.is_dir() and not folder.is_symlink():
            folder.rmdir()
    return {"removed": str(folder)}


def _is_ours(root: Path) -> bool:
    """Whether a build folder holds nothing but folders of designs and our own hidden ones."""
    return all(
        path.name in (".ccache", ".locks") or (NAME.fullmatch(path.name) and path.is_dir()) for path in root.iterdir()
    )


def _say(result: dict[str, Any]) -> None:
    cycles = "" if result["cycles"] is None else f", {result['cycles']:,} cycles"
    rate = "" if result["operations_per_cycle"] is None else f", {result['operations_per_cycle']:g} operations a cycle"
    where = f" → {result['out']}" if "out" in result else "; not kept: -o names a file"
    print(f"{result['design']} on {result['engine']}: {result['items']:,} items{cycles}{rate}{where}", file=sys.stderr)


def summarise(outcome: Outcome) -> None:
    """What each step took, what failed and where its log lies."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("step", "", "seconds", "where"):
        table.add_column(column, justify="right" if column == "seconds" else "left", overflow="fold")
    for identity, result in outcome.results.items():
        state = "[dim]known[/]" if result.cached else "[green]done[/]"
        table.add_row(identity, state, f"{result.seconds:.1f}", f"[dim]{shown(result.path)}[/]")
    for identity, error in outcome.errors.items():
        table.add_row(identity, "[red]FAILED[/]", "", str(error))
    for identity in outcome.unreached:
        table.add_row(identity, "[yellow]not reached[/]", "", "")
    console().print(table)


def _figures(route: Route, outcome: Outcome) -> dict[str, Any]:
    folder = build_root() / route.design.name
    figures: dict[str, Any] = {"board": route.board.name}
    if route.on_board("pack") in outcome.results:
        figures["bitstream"] = str(bitstream_path(route, outcome))
    if route.on_board("report") in outcome.results:
        figures |= {"metrics": str(folder / "metrics.json"), "report": str(folder / "report.html")}
    kinds = ("lut", "ff", "dsp", "bram")
    if netlist := outcome.results.get(route.block(f"netlist-{route.board.family}")):
        figures["block"] = {name: netlist.metrics[name] for name in kinds}
    if routed := outcome.results.get(route.on_board("pnr")):
        figures["board_top"] = {name: routed.metrics.get(name) for name in (*kinds, "fmax_mhz", "clock_mhz")}
    return figures
