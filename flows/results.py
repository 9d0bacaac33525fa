"""What becomes of a road's results: budgets are held against them, and the files that users look for are linked."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from flows.errors import NielloError
from flows.paths import build_root
from flows.schedule import Outcome
from flows.store import Result, publish

if TYPE_CHECKING:
    from flows.road import Route

RTL_KINDS = ("v", "ports.json", "h", "core", "upf")


def check_budgets(route: Route, outcome: Outcome) -> None:
    """Makes an exceeded budget an error of the step that measured it, with every number that broke one.

    `lut`, `ff`, `dsp` and `bram` are the block's own, of its netlist; `fmax_mhz` is the routed board top's.
    """
    budgets, name = route.design.budgets, route.design.name
    identity = route.block(f"netlist-{route.board.family}")
    if netlist := outcome.results.get(identity):
        limits = {kind: getattr(budgets, kind) for kind in ("lut", "ff", "dsp", "bram")}
        over = [
            f"{kind} is {netlist.metrics[kind]}, over its budget of {limit}"
            for kind, limit in limits.items()
            if limit is not None and netlist.metrics[kind] > limit
        ]
        if over:
            _fail(outcome, identity, f"{name}: {'; '.join(over)}")
    identity = route.on_board("pnr")
    routed = outcome.results.get(identity)
    if routed and budgets.fmax_mhz is not None and routed.metrics["fmax_mhz"] < budgets.fmax_mhz:
        reached = f"{routed.metrics['fmax_mhz']:.1f}"
        _fail(outcome, identity, f"{name}: fmax_mhz is {reached}, under its budget of {budgets.fmax_mhz}")


def publish_results(route: Route, outcome: Outcome) -> None:
    """Links the files that users look for into the design's folder. What a budget failed, gets no link."""
    folder, name, results = build_root() / route.design.name, route.design.name, outcome.results
    if rtl := results.get(route.block("elaborate")):
        verilog = folder / f"{name}.v"
        if verilog.is_symlink() and verilog.resolve() != rtl[f"{name}.v"].resolve():
            _unlink_all(folder)  # figures and bitstreams of another config must not stand beside this one
        for file in rtl_files(rtl, name):
            publish(rtl[file], folder / file)
        if route.design.config.register_source is not None:
            publish(rtl.path / "registers", folder / "registers")
    if any(identity.startswith(f"{name}/") for identity in outcome.errors):
        return
    if packed := results.get(route.on_board("pack")):
        bitstream = packed.path / packed.metrics["bitstream"]
        publish(bitstream, folder / f"{route.board.name}{bitstream.suffix}")
    if reported := results.get(route.on_board("report")):
        for file in ("metrics.json", "report.html"):
            publish(reported[file], folder / file)


def rtl_files(rtl: Result, name: str) -> list[str]:
    """The files of a design's RTL that users look for, as far as there are such of it."""
    return [file for kind in RTL_KINDS if (file := f"{name}.{kind}") in rtl.outputs]


def bitstream_path(route: Route, outcome: Outcome) -> Path:
    """The linked bitstream of a route."""
    suffix = Path(outcome.results[route.on_board("pack")].metrics["bitstream"]).suffix
    return build_root() / route.design.name / f"{route.board.name}{suffix}"


def _fail(outcome: Outcome, identity: str, message: str) -> None:
    del outcome.results[identity]
    outcome.errors[identity] = NielloError(message)


def _unlink_all(folder: Path) -> None:
    for path in folder.iterdir():
        if path.is_symlink():
            path.unlink()
