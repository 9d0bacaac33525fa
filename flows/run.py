"""Arrays through an engine that a route has made: what the engine needs of the road, and the run itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flows import engines
from flows.road import Route
from flows.steps import HARNESS_LIBRARY
from flows.store import Result

REAL_TIMEOUT_S, SIMULATED_TIMEOUT_S = 0.5, 20.0
"""Silence after which a request is repeated. A large design on a busy machine simulates a few 10,000 cycles a
second, and a long frame takes 10 ms of its time."""


def needs(route: Route, engine: str) -> list[str]:
    """The tasks of the road whose results an engine runs on; the first holds its library."""
    return {
        "model": [],
        "rtl": [route.block("harness"), route.block("elaborate")],
        "netlist": [route.block(f"netlist-harness-{route.board.family}"), route.block("elaborate")],
        "board-sim": [route.on_board("board-sim"), route.block("elaborate")],
        "board": [route.block("elaborate")],
    }[engine]


def execute(
    route: Route,
    engine: str,
    results: Mapping[str, Result],
    arrays: engines.Arrays,
    *,
    port: str = "",
    baud: int | None = None,
    stalls: float = 0.0,
    seed: int = 0,
) -> tuple[engines.Arrays, dict[str, Any]]:
    """Outputs and metrics of one engine; `results` are those of `needs`. `port` and `baud`: of a real board."""
    design, board = route.design, route.board
    if engine == "model":
        return engines.run_model(design, arrays)
    ports = engines.read_ports(results[route.block("elaborate")][f"{design.name}.ports.json"])
    clock_hz, memory_bytes = route.clock_hz(), board.memory_bytes

    def serial(path: str, rate: int, timeout_s: float) -> tuple[engines.Arrays, dict[str, Any]]:
        known = {"clock_hz": clock_hz, "memory_bytes": memory_bytes}
        return engines.run_serial(design, path, rate, ports, arrays, timeout_s=timeout_s, **known)

    if engine == "board":
        return serial(port, baud or board.baud, REAL_TIMEOUT_S)
    library = results[needs(route, engine)[0]][HARNESS_LIBRARY]
    if engine == "board-sim":
        from boards.board_sim import BoardSim

        with engines.simulation_errors(), BoardSim(library, clock_hz=clock_hz, baud=board.baud) as terminal:
            return serial(terminal, board.baud, SIMULATED_TIMEOUT_S)
    return engines.run_library(design, library, ports, arrays, stalls=stalls, seed=seed)
