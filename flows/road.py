"""The road of a design: elaborate, lint, simulate, synth, pnr, pack, report; as a graph of steps."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from boards.catalog import BOARDS, Board, get_board
from flows import board_steps, report, steps
from flows.errors import BadInput, NielloError
from flows.load import Design
from flows.paths import build_root, shown
from flows.preflight import check as preflight
from flows.preflight import needs_of
from flows.progress import progress_for
from flows.results import check_budgets, publish_results
from flows.schedule import Outcome, Task, run_tasks
from flows.store import Result, Step, Store
from flows.tools import require_extra
from hdl.common.config import ConfigError

STAGES = {
    "elaborate": "the config becomes Verilog",
    "lint": "Verilator reads the Verilog, every warning an error but those that the file waives",
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
            return cls(design, get_board(board_name or design.target.board or DEFAULT_BOARD))
        except ConfigError as error:
            raise BadInput(f"--board: {error}") from None

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
        add(on_board("assemble"), "synth", (), lambda: board_steps.assemble(design, board))
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
        add(
            on_board("board-sim"),
            "engine",
            (on_board("assemble"),),
            lambda plan: board_steps.board_sim(design, board, plan),
        )
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
    routes = list(dict.fromkeys(routes))
    tasks: dict[str, Task] = {}
    for number, route in enumerate(routes):
        for other in routes[:number]:
            if other.design.name == route.design.name and other.design.path != route.design.path:
                paths = f"{shown(other.design.path)} and {shown(route.design.path)}"
                raise BadInput(f"{paths} have the same name; a design's name must be unique")
        available = route.tasks() | dict(more_tasks)
        chosen = _closure(wanted(route), available)
        if any(available[identity].stage in ("synth", "pnr", "pack", "report") for identity in chosen):
            preflight(route.design.name, needs_of(route.design.config), route.board, BOARDS)
            require_extra(route.board)
        tasks |= {identity: task for identity, task in available.items() if identity in chosen}
    names = list(STAGES)
    forced = frozenset(names[names.index(from_stage) :]) if from_stage else frozenset()
    with progress_for(len(tasks), plain=plain) as progress:
        outcome = run_tasks(tasks, Store(build_root()), progress, forced_stages=forced)
    for route in routes:
        check_budgets(route, outcome)
        publish_results(route, outcome)
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
