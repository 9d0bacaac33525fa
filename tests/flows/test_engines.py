"""The same arrays give the same bytes on every engine, and a wrong engine is found out."""

import dataclasses

import numpy as np
import pytest

from boards.board_sim import BoardSim
from boards.host import Host
from flows import engines, run
from flows.errors import NielloError, ToolError
from flows.load import load_design
from flows.road import Route, results_or_error, travel
from flows.steps import HARNESS_LIBRARY

DESIGN = "dot_int8x4"


@pytest.fixture(scope="module")
def route():
    return Route.of(load_design(DESIGN), "icebreaker")


@pytest.fixture(scope="module")
def results(route):
    needed = [need for engine in ("rtl", "netlist", "board-sim") for need in run.needs(route, engine)]
    return results_or_error(travel([route], lambda _: needed, plain=True))


def arrays(design, seed, items):
    found = design.block.vectors_module().random_arrays(design.config, seed, items)
    assert len(found["a"]) == items
    return found


@pytest.mark.parametrize("engine", ["rtl", "netlist", "board-sim"])
def test_engines_give_the_bytes_of_the_model(route, results, engine):
    items = 100 if engine == "board-sim" else 2_000
    given = arrays(route.design, 5, items)
    expected, _ = run.execute(route, "model", results, given)
    stalls = 0.0 if engine == "board-sim" else 0.3
    got, metrics = run.execute(route, engine, results, given, stalls=stalls, seed=9)
    assert {name: array.dtype for name, array in got.items()} == {"y": np.dtype("int32")}
    assert got["y"].tobytes() == expected["y"].tobytes()
    assert metrics["cycles"] > 0
    assert metrics["operations"] == 2 * given["a"].size


@pytest.mark.deep
def test_engines_netlist_of_another_family_gives_the_same(route, results):
    ecp5 = Route.of(load_design(DESIGN), "ulx3s_85f")
    needed = run.needs(ecp5, "netlist")
    given = arrays(route.design, 6, 1_000)
    expected, _ = run.execute(route, "model", results, given)
    got, _ = run.execute(ecp5, "netlist", results_or_error(travel([ecp5], lambda _: needed, plain=True)), given)
    assert got["y"].tobytes() == expected["y"].tobytes()


def test_engines_measure_the_latency_that_the_config_promises(route, results):
    library = results[route.block("harness")][HARNESS_LIBRARY]
    ports = engines.read_ports(results[route.block("elaborate")][f"{DESIGN}.ports.json"])
    measured = engines.measure(route.design, library, ports)
    assert measured["latency_cycles"] == ports["latency_cycles"] == route.design.config.latency_cycles
    # One beat a cycle: with L elements a vector, 2 * L operations in ceil(L / 4) cycles.
    assert 4 < measured["operations_per_cycle"] <= 8

    slower = dataclasses.replace(
        route.design, config=route.design.config.model_copy(update={"tree_levels_per_stage": 1})
    )
    with pytest.raises(NielloError, match=r"^dot_int8x4: the latency is 5 cycles, its config promises 6$"):
        engines.measure(slower, library, ports)


def test_engines_mismatch_is_named_and_kept(route, tmp_path):
    given = arrays(route.design, 7, 10)
    right, _ = engines.run_model(route.design, given)
    wrong = {"y": right["y"].copy()}
    wrong["y"][3] += 1
    with pytest.raises(ToolError) as caught:
        engines.compare(route.design, wrong, right, given, tmp_path)
    assert str(caught.value) == (
        f"dot_int8x4: 1 of 10 elements of y differ from the golden model, the first at (3,): "
        f"{wrong['y'][3]}, not {right['y'][3]}; log: {tmp_path}/mismatch.npz"
    )
    with np.load(tmp_path / "mismatch.npz") as kept:
        assert sorted(kept.files) == ["a", "b", "y_got", "y_model"]


def test_engines_board_forgets_a_run_that_was_cut_off(route, results):
    library, design, board = results[route.on_board("board-sim")][HARNESS_LIBRARY], route.design, route.board
    ports = engines.read_ports(results[route.block("elaborate")][f"{DESIGN}.ports.json"])
    given = arrays(design, 8, 20)
    expected, _ = engines.run_model(design, given)
    clock_hz = route.clock_hz()
    with BoardSim(library, clock_hz=clock_hz, baud=board.baud) as port:
        with Host.open(port, board.baud) as host:
            host.ping()
            host.send(0, bytes(range(1, 30)), False)  # a packet without an end, and in the middle of a beat
            host.send(1, bytes(range(1, 14)), True)
            host.send(0, bytes(range(50, 90)), True)  # and whole ones whose results nobody takes
            host.send(1, bytes(range(50, 90)), True)
        got, _ = engines.run_serial(design, port, board.baud, ports, given, clock_hz=clock_hz, memory_bytes=0)
    assert got["y"].tolist() == expected["y"].tolist()


def test_engines_board_with_another_design_is_refused(route, results):
    other = dataclasses.replace(route.design, config=route.design.config.model_copy(update={"lanes": 5}))
    stranger = Route(other, route.board)
    with pytest.raises(NielloError, match=r"identity|design"):
        run.execute(stranger, "board-sim", results, arrays(other, 1, 2))
