"""The road of a design: elaborate, lint, simulate, synth, pnr, pack, report; as a graph of steps."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from boards.catalog import BOARDS, Board, get_board
from flows import board_steps, report, steps
from flows.errors import BadInput, NielloError
from flows.load import Design
from flows.paths import build_root, shown
from flows.preflight import check as preflight
from flows.preflight import needs_of
from flows.progress import progress_for
from flows.schedule import Outcome, Task, run_tasks
from flows.store import Result, Step, Store, publish
from hdl.common.config import ConfigError

STAGES = {
    "elaborate": "the config becomes Verilog",
    "lint": "Verilator reads the Verilog with all warnings on",
    "simulate": "the Verilog is held to the golden model",
    "synth": "Yosys makes netlists of the block and of the board top",
    "pnr": "nextpnr places and routes the board top",
    "pack": "the bitstream",
    "report": "metrics.json and report.html",
}

DEFAULT_BOARD = "ulx3s_85f"


@dataclass(frozen=True)
class Route:
    """A design on its way to a board. The names of its tasks; `block` ones are shared by all boards."""

    design: Design
    board: Board

    @classmethod
    def of(cls, design: Design, board_name: str | None = None) -> Route:
        """The route to the board named, else to the design's target, else to the default board."""
        try:
            board = get_board(board_name or design.target.board or DEFAULT_BOARD)
        except ConfigError as error:
            field = "--board" if board_name else f"{shown(design.path)}: target.board"
            raise BadInput(f"{field}: {error}") from None
        return cls(design, board)

    def block(self, name: str) -> str:
        return f"{self.design.name}/{name}"

    def on_board(self, name: str) -> str:
        return f"{self.design.name}/{self.board.name}/{name}"

    def clock_hz(self) -> int:
        """The block's clock on this board."""
        return board_steps.clock_hz_of(self.design, self.board)

    def tasks(self) -> dict[str, Task]:
        """Every task of the route, the longest chain first."""
        design, board, block, on_board = self.design, self.board, self.block, self.on_board
        family, dsp = board.family, board.resources.dsp > 0
        tasks: dict[str, Task] = {}

        def add(identity: str, stage: str, needs: tuple[str, ...], make: Callable[..., Step]) -> None:
            def made(results: dict[str, Result]) -> Step:
                return make(*(results[need] for need in needs))

            tasks[identity] = Task(identity.split("/", 1)[1].replace("/", " "), design.name, stage, needs, made)

        rtl = block("elaborate")
        add(rtl, "elaborate", (), lambda: steps.elaborate(design))
        add(on_board("assemble"), "elaborate", (), lambda: board_steps.assemble(design, board))
        add(on_board("synth"), "synth", (on_board("assemble"),), lambda plan: board_steps.synth(design, board, plan))
        add(
            on_board("pnr"),
            "pnr",
            (on_board("assemble"), on_board("synth")),
            lambda plan, netlist: board_steps.pnr(design, board, plan, netlist),
        )
        add(
            on_board("pack"),
            "pack",
            (on_board("assemble"), on_board("pnr")),
            lambda plan, routed: board_steps.pack(design, board, plan, routed),
        )
        add(block("bench-build"), "simulate", (rtl,), lambda rtl: steps.build_bench(design, rtl))
        add(block("harness"), "simulate", (rtl,), lambda rtl: steps.build_harness(design, rtl))
        add(block("lint"), "lint", (rtl,), lambda rtl: steps.lint(design, rtl))
        add(block(f"netlist-{family}"), "synth", (rtl,), lambda rtl: steps.netlist(design, rtl, family, dsp=dsp))
        add(
            block("bench"),
            "simulate",
            (rtl, block("bench-build")),
            lambda rtl, built: steps.run_bench(design, rtl, built),
        )
        add(
            block("vectors"),
            "simulate",
            (rtl, block("harness")),
            lambda rtl, library: steps.run_vectors(design, rtl, library),
        )
        add(
            block(f"netlist-harness-{family}"),
            "engine",
            (rtl, block(f"netlist-{family}")),
            lambda rtl, netlist: steps.build_harness(design, rtl, netlist=netlist, family=family),
        )
        add(
            on_board("board-sim"),
            "engine",
            (on_board("assemble"),),
            lambda plan: board_steps.board_sim(design, board, plan),
        )
        measured = tuple(self.upto("pack", tasks))
        add(
            on_board("report"),
            "report",
            measured,
            lambda *results: report.step(design, board, dict(zip(measured, results, strict=True))),
        )
        return tasks

    def upto(self, stage: str, tasks: dict[str, Task] | None = None) -> list[str]:
        """The tasks of every stage up to and with this one."""
        reached = list(STAGES)[: list(STAGES).index(stage) + 1]
        return [identity for identity, task in (tasks or self.tasks()).items() if task.stage in reached]


def travel(
    routes: Iterable[Route],
    wanted: Callable[[Route], Iterable[str]],
    *,
    more_tasks: Mapping[str, Task] = MappingProxyType({}),
    from_stage: str | None = None,
    plain: bool = False,
) -> Outcome:
    """Runs what is wanted of each route, and all that it needs; says on standard error what goes on.

    `more_tasks`: tasks that stand beside the road's own, and may be wanted as they are.
    `from_stage`: that stage and all after it run even where their results are there.
    """
    routes = list(routes)
    tasks: dict[str, Task] = {}
    for route in routes:
        available = route.tasks() | dict(more_tasks)
        chosen = _closure(wanted(route), available)
        if any(available[identity].stage in ("synth", "pnr", "pack", "report") for identity in chosen):
            preflight(route.design.name, needs_of(route.design.config), route.board, BOARDS)
        tasks |= {identity: task for identity, task in available.items() if identity in chosen}
    names = list(STAGES)
    forced = frozenset(names[names.index(from_stage) :]) if from_stage else frozenset()
    with progress_for(len(tasks), plain=plain) as progress:
        outcome = run_tasks(tasks, Store(build_root()), progress, forced_stages=forced)
    for route in routes:
        _publish(route, outcome)
        check_budgets(route, outcome)
    return outcome


def results_or_error(outcome: Outcome) -> dict[str, Result]:
    """The results of a run in which all went well.

    Raises
    ------
    NielloError
        The first error, saying how many more there are; every one was shown when it came.
    """
    if outcome.errors:
        errors = list(outcome.errors.values())
        if len(errors) > 1:
            raise NielloError(f"{errors[0].message} (and {len(errors) - 1} more)", hint=errors[0].hint)
        raise errors[0]
    return outcome.results


def _closure(wanted: Iterable[str], tasks: dict[str, Task]) -> set[str]:
    found: set[str] = set()
    pending = list(wanted)
    while pending:
        identity = pending.pop()
        if identity not in found:
            found.add(identity)
            pending += tasks[identity].needs
    return found


def _publish(route: Route, outcome: Outcome) -> None:
    """Links the files that users look for into the design's folder."""
    folder = build_root() / route.design.name
    results = outcome.results
    if rtl := results.get(route.block("elaborate")):
        for kind in ("v", "ports.json", "h", "core"):
            publish(rtl[f"{route.design.name}.{kind}"], folder / f"{route.design.name}.{kind}")
        publish(rtl.path / "registers", folder / "registers")
    if packed := results.get(route.on_board("pack")):
        bitstream = packed.path / packed.metrics["bitstream"]
        publish(bitstream, folder / f"{route.board.name}{bitstream.suffix}")
    if reported := results.get(route.on_board("report")):
        for name in ("metrics.json", "report.html"):
            publish(reported[name], folder / name)


def bitstream_path(route: Route, outcome: Outcome) -> Path:
    """The published bitstream of a route."""
    suffix = Path(outcome.results[route.on_board("pack")].metrics["bitstream"]).suffix
    return build_root() / route.design.name / f"{route.board.name}{suffix}"


def check_budgets(route: Route, outcome: Outcome) -> None:
    """A budget that is exceeded is an error of the stage that measured it."""
    budgets = route.design.budgets
    identity = route.block(f"netlist-{route.board.family}")
    if netlist := outcome.results.get(identity):
        for name in ("lut", "ff", "dsp", "bram"):
            limit: Any = getattr(budgets, name)
            if limit is not None and netlist.metrics[name] > limit:
                outcome.errors[identity] = NielloError(
                    f"{route.design.name}: {name} is {netlist.metrics[name]}, over its budget of {limit}"
                )
    identity = route.on_board("pnr")
    routed = outcome.results.get(identity)
    if routed and budgets.fmax_mhz is not None and routed.metrics["fmax_mhz"] < budgets.fmax_mhz:
        outcome.errors[identity] = NielloError(
            f"{route.design.name}: fmax_mhz is {routed.metrics['fmax_mhz']:.1f}, under its budget of {budgets.fmax_mhz}"
        )
