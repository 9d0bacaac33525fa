"""The last stage of the road: `metrics.json`, and `report.html`, one file that opens offline."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from boards.board import Board
from flows.load import Design
from flows.metrics import SCHEMA, collect, stage_of
from flows.paths import ROOT
from flows.steps import versions
from flows.store import Result, Step, digest_files

TEMPLATES = Path(__file__).resolve().parent / "templates"

SOURCES = ("report", "metrics", "svg", "drawing", "critical_path")

REGISTER_WIDTHS = (720.0, 340.0)
"""Of a register's picture: on a desk, on a phone."""

RESOURCE_TITLES = {
    "lut": "Look-up tables",
    "ff": "Flip-flops",
    "bram": "Block memories",
    "dsp": "Multipliers",
    "io": "Pins",
}


def step(design: Design, board: Board, results: Mapping[str, Result]) -> Step:
    """Gathers what the other stages measured.

    Parameters
    ----------
    results : of every task up to and with `pack`, by id
    """

    def action(out: Path) -> dict[str, Any]:
        metrics = collect(design, board, results)
        (out / "metrics.json").write_text(json.dumps(metrics, indent=1) + "\n")
        (out / "report.html").write_text(render(design, board, results, metrics))
        return {"schema": SCHEMA, "gops": metrics["metrics"]["derived__gops"]}

    inputs = {
        "design": design.name,
        "config": design.config_sha256,
        "board": [board.name, board.title, board.device],
        "results": {identity: [result.key, result.digest] for identity, result in results.items()},
        "sources": digest_files(
            [*(ROOT / "flows" / f"{name}.py" for name in SOURCES), *sorted(TEMPLATES.iterdir())], relative_to=ROOT
        ),
        "versions": versions("jinja2", "pydantic"),
    }
    return Step(f"report-{board.name}", design.name, inputs, action)


def render(design: Design, board: Board, results: Mapping[str, Result], metrics: Mapping[str, Any]) -> str:
    """The page. Everything in it that came from a file or a tool is escaped."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    from flows import critical_path, svg

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["prose"] = _prose
    vectors = design.block.vectors_module()
    ports = json.loads(results[f"{design.name}/elaborate"][f"{design.name}.ports.json"].read_text())["ports"]
    routed = results[f"{design.name}/{board.name}/pnr"]
    stages = _stages(results, metrics["run"])
    registers = design.config.registers
    return environment.get_template("report.html.j2").render(
        design=design,
        board=board,
        metrics=metrics,
        figures=metrics["metrics"],
        cards=_cards(metrics["metrics"], metrics["clock_hz"]),
        road_wide=_markup(svg.stages_picture("road-wide", stages, columns=len(stages))),
        road_tall=_markup(svg.stages_picture("road-tall", stages, columns=1)),
        block_picture=_markup(svg.block_picture(design.top, design.block.name, ports)),
        resources=_resources(metrics["metrics"]),
        timing=_timing(metrics["metrics"]),
        path=critical_path.read(routed["report.json"]) if "report.json" in routed.outputs else None,
        ports=ports,
        arrays=[("in", design.block.inputs(design.config)), ("out", vectors.OUTPUTS)],
        parameters=_parameters(design),
        registers=[
            (register, *(_markup(svg.register_picture(register, width)) for width in REGISTER_WIDTHS))
            for register in (registers.registers if registers else ())
        ],
        steps=_steps(results),
    )


def _markup(picture: str) -> Any:
    """A drawing of ours, put into the page as it is: `flows.drawing` escapes every text in it."""
    from markupsafe import Markup

    return Markup(picture)


def _prose(text: str) -> Any:
    """Text of a description, escaped, with what stands between backquotes as code."""
    from markupsafe import Markup, escape

    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))


def _cards(figures: Mapping[str, Any], clock_hz: int) -> list[dict[str, str]]:
    """The figures that a user looks for first: label, value, unit, and a line that says what it stands on."""
    latency = figures["simulate__latency_cycles"]
    operations, fmax = figures["simulate__operations_per_cycle"], figures["pnr__fmax_mhz"]
    per_dsp, bench_cycles = figures["derived__gops_per_dsp"], figures["simulate__bench_cycles"]
    rows: list[tuple[str, str, str, str]] = [
        ("Throughput", _short(figures["derived__gops"]), "GOPS", f"{operations:.2f} operations/cycle × {fmax:.1f} MHz"),
        (
            "Routed clock",
            f"{fmax:.1f}",
            "MHz",
            f"{figures['derived__clock_margin_percent']:+.0f} % on the {figures['pnr__clock_mhz']:g} MHz asked for",
        ),
        ("Latency", f"{latency}", "cycles", f"{latency * 1e9 / clock_hz:,.0f} ns at {clock_hz / 1e6:g} MHz"),
        ("Operations", f"{operations:.2f}", "a cycle", "multiply and add count one each"),
        ("LUT", f"{figures['synth__block_lut']:,}", "", f"{figures['synth__block_carry']:,} carry cells"),
        ("FF", f"{figures['synth__block_ff']:,}", "", "the block alone"),
        ("BRAM", f"{figures['synth__block_bram']:,}", "", "the block alone"),
        (
            "DSP",
            f"{figures['synth__block_dsp']:,}",
            "",
            "the block alone" if per_dsp is None else f"{_short(per_dsp)} GOPS each",
        ),
        (
            "Tests passed",
            f"{figures['simulate__bench_tests']:,}",
            "",
            f"{bench_cycles:,} cycles in cocotb",
        ),
        ("Vectors checked", f"{figures['simulate__vectors']:,}", "", "equal to the golden model, bit for bit"),
    ]
    return [dict(zip(("label", "value", "unit", "note"), row, strict=True)) for row in rows]


def _short(value: float) -> str:
    """Three significant digits, never in powers of ten."""
    digits = next((places for places, least in ((0, 100), (1, 10), (2, 1), (3, 0.1)) if abs(value) >= least), 4)
    return f"{value:,.{digits}f}"


def _stages(results: Mapping[str, Result], run: Mapping[str, Any]) -> list[Any]:
    from flows.svg import ROAD, StageFigure

    found = []
    for name, _ in ROAD:
        members = [result for identity, result in results.items() if stage_of(identity) == name]
        if members:
            state = "known" if all(result.cached for result in members) else "done"
            found.append(StageFigure(name, state, run[f"{name}__seconds"]))
        else:
            found.append(StageFigure(name, "this page", None))
    return found


def _resources(figures: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What the board top takes of the device, the kinds that the device has."""
    rows = []
    for kind, title in RESOURCE_TITLES.items():
        used, available = figures[f"pnr__{kind}_used"], figures[f"pnr__{kind}_available"]
        if available:
            rows.append({"title": title, "used": used, "available": available, "percent": 100 * used / available})
    return rows


def _timing(figures: Mapping[str, Any]) -> dict[str, float]:
    """Where the bar of the routed clock and the mark of the wanted one end, in percent of the scale."""
    fmax, clock = figures["pnr__fmax_mhz"], figures["pnr__clock_mhz"]
    scale = 1.08 * max(fmax, clock)
    return {"fmax_mhz": fmax, "clock_mhz": clock, "bar": 100 * fmax / scale, "mark": 100 * clock / scale}


def _parameters(design: Design) -> list[dict[str, str]]:
    from hdl.common.config import field_range

    model = type(design.config)
    return [
        {
            "name": name,
            "value": str(getattr(design.config, name)),
            "allowed": field_range(model, name),
            "meaning": " ".join((field.description or "").split()),
        }
        for name, field in model.model_fields.items()
    ]


def _steps(results: Mapping[str, Result]) -> list[dict[str, Any]]:
    """How it was made: each step with its stage, its time, its key and its logs, relative to the design's folder."""
    rows = [
        {
            "stage": stage_of(identity),
            "name": identity.split("/", 1)[1].replace("/", " "),
            "seconds": result.seconds,
            "state": "known" if result.cached else "done",
            "folder": result.path.name,
            "key": result.key,
            "logs": sorted(str(log.relative_to(result.path)) for log in result.path.rglob("*.log")),
        }
        for identity, result in results.items()
    ]
    order = ["elaborate", "lint", "simulate", "synth", "pnr", "pack"]
    return sorted(rows, key=lambda row: order.index(row["stage"]))
