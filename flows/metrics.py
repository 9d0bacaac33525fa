"""`metrics.json`: what the road measured of one design on one board, and the figures that a user chooses by.

`docs/metrics.md` says what each key means; it and this module change together.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from boards.board import Board
from flows.load import Design
from flows.store import Result
from flows.verilog import VERSION

SCHEMA = 1
"""Version of the schema: a new one where a key is renamed, goes, or changes its meaning; not where one is added."""

CELL_KINDS = ("lut", "ff", "carry", "lutram", "bram", "dsp")
PLACE_KINDS = ("lut", "ff", "bram", "dsp", "io")

_STAGES = {
    "elaborate": ("elaborate",),
    "lint": ("lint",),
    "simulate": ("bench-build", "harness", "bench", "vectors"),
    "synth": ("netlist", "assemble", "synth"),
    "pnr": ("pnr",),
    "pack": ("pack",),
}


def stage_of(identity: str) -> str:
    """The stage of the road that a task belongs to, by its id: `<design>/lint`, `<design>/<board>/pnr`."""
    name = identity.rsplit("/", 1)[-1]
    for stage, names in _STAGES.items():
        if name in names or (name.startswith("netlist-") and "netlist" in names):
            return stage
    raise KeyError(f"{identity} is a task of no stage that is measured")


def collect(design: Design, board: Board, results: Mapping[str, Result]) -> dict[str, Any]:
    """All of `metrics.json`. Only what is under `run` differs between two runs of the same thing.

    Parameters
    ----------
    results : of every task up to and with `pack`, by id

    Returns
    -------
    Plain data. A figure that a device does not have, or that would divide by zero, is None.
    """
    clock = results[f"{design.name}/{board.name}/assemble"].metrics["clock_hz"]
    measured = _measured(design, board, results)
    return {
        "schema": SCHEMA,
        "niello": VERSION,
        "design": design.name,
        "block": design.block.name,
        "config": design.config.model_dump(mode="json"),
        "config_sha256": design.config_sha256,
        "board": board.name,
        "device": board.device,
        "clock_hz": clock,
        "metrics": measured | _derived(measured, clock),
        "versions": _versions(results),
        "run": _run(results),
    }


def _measured(design: Design, board: Board, results: Mapping[str, Result]) -> dict[str, Any]:
    def block(name: str) -> dict[str, Any]:
        return results[f"{design.name}/{name}"].metrics

    def on_board(name: str) -> dict[str, Any]:
        return results[f"{design.name}/{board.name}/{name}"].metrics

    rtl, bench, vectors = block("elaborate"), block("bench"), block("vectors")
    cells, top, routed, packed = block(f"netlist-{board.family}"), on_board("synth"), on_board("pnr"), on_board("pack")
    return {
        "elaborate__verilog_lines": rtl["verilog_lines"],
        "elaborate__latency_cycles": rtl["latency_cycles"],
        "lint__warnings": block("lint")["warnings"],
        "simulate__bench_tests": bench["tests"],
        "simulate__bench_cycles": bench["cycles"],
        "simulate__bench_seed": bench["seed"],
        "simulate__vectors": vectors["vectors"],
        "simulate__vector_cycles": vectors["vector_cycles"],
        "simulate__latency_cycles": vectors["latency_cycles"],
        "simulate__operations_per_cycle": vectors["operations_per_cycle"],
        **{f"synth__block_{kind}": cells[kind] for kind in CELL_KINDS},
        **{f"synth__board_{kind}": top[kind] for kind in CELL_KINDS},
        **{f"pnr__{kind}_used": routed.get(kind) for kind in PLACE_KINDS},
        **{f"pnr__{kind}_available": routed.get(f"{kind}_available") for kind in PLACE_KINDS},
        "pnr__fmax_mhz": routed["fmax_mhz"],
        "pnr__clock_mhz": routed["clock_mhz"],
        "pnr__seed": routed["seed"],
        "pack__bitstream_bytes": packed["bitstream_bytes"],
        "pack__bitstream_sha256": packed["bitstream_sha256"],
    }


def _derived(measured: Mapping[str, Any], clock: int) -> dict[str, Any]:
    operations = measured["simulate__operations_per_cycle"]
    fmax_mhz, constraint_mhz = measured["pnr__fmax_mhz"], measured["pnr__clock_mhz"]
    gops = operations * fmax_mhz / 1e3
    luts, dsp = measured["synth__block_lut"], measured["synth__block_dsp"]
    return {
        "derived__gops": round(gops, 4),
        "derived__gops_at_clock": round(operations * clock / 1e9, 4),
        "derived__mops_per_lut": round(gops * 1e3 / luts, 4) if luts else None,
        "derived__gops_per_dsp": round(gops / dsp, 4) if dsp else None,
        "derived__clock_margin_percent": round((fmax_mhz / constraint_mhz - 1) * 100, 2),
    }


def _versions(results: Mapping[str, Result]) -> dict[str, str]:
    """Of every package that a step says it depends on."""
    found: dict[str, str] = {}
    for result in results.values():
        found |= step_record(result)["inputs"].get("versions", {})
    return dict(sorted(found.items()))


def step_record(result: Result) -> dict[str, Any]:
    """The `step.json` of a result."""
    record: dict[str, Any] = json.loads((result.path / "step.json").read_text())
    return record


def _run(results: Mapping[str, Result]) -> dict[str, Any]:
    seconds = dict.fromkeys(_STAGES, 0.0)
    peak = dict.fromkeys(("synth", "pnr", "pack"), 0)
    for identity, result in results.items():
        stage = stage_of(identity)
        seconds[stage] += result.seconds
        if stage in peak:
            peak[stage] = max(peak[stage], result.metrics.get("peak_rss_bytes", 0))
    return {
        **{f"{stage}__seconds": round(value, 3) for stage, value in seconds.items()},
        "total__seconds": round(sum(seconds.values()), 3),
        **{f"{stage}__peak_rss_bytes": value for stage, value in peak.items()},
    }
