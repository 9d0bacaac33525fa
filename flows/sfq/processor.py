"""Netlists on the design `sfq_processor`: Verilated, or on a board that was programmed with it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from flows.engines import identity, read_ports, simulation_errors
from flows.errors import BadInput, NielloError
from flows.load import load_design
from flows.road import Route, results_or_error, travel
from flows.steps import HARNESS_LIBRARY
from hdl.sfq.netlist import Netlist, Stimulus
from hdl.sfq.processor_image import Results, make_program, read_answers, run_words
from hdl.sfq.processor_words import RULES, Status
from sim.sfq.event_model import Violation
from sim.sfq.processor_vectors import beats_of, words_of

DESIGN = "sfq_processor"
MOST_DELIVERIES = 3_000_000
MOST_CYCLES_A_DELIVERY = 100
SILENCE_S = 60.0
"""How long a board may take for a run whose answers are only counted."""

Exchange = Callable[[Sequence[int], int], tuple[list[int], int | None]]
"""Words to the processor, and how many answers there will be, to those answers, and the cycles that they took."""


@dataclass(frozen=True)
class Found:
    """What happened; `cycles` from the first word to the last answer, None on a board."""

    pulses: dict[str, list[int]]
    violations: list[Violation]
    deliveries: int
    cycles: int | None


def run_on_processor(
    netlist: Netlist,
    stimulus: Stimulus,
    *,
    policy: str,
    seed: int,
    until: int | None,
    port: str | None = None,
    baud: int | None = None,
) -> Found:
    """What the processor says of a netlist. It runs twice: first to count the answers, then to give them.

    Parameters
    ----------
    policy, seed, until : as those of `sim.sfq.event_model.run`
    port, baud : serial port of a board; None is the Verilated design

    Raises
    ------
    ConfigError
        If the netlist does not fit.
    BadInput
        If it never comes to rest.
    NielloError
        If more is under way at a time than the processor has room for, or a tool or the board fails.
    """
    route = Route.of(load_design(DESIGN))
    program = make_program(netlist, route.design.config)  # type: ignore[arg-type]  # of this design it is ours
    options = {"policy": policy, "seed": seed, "until": until, "most_deliveries": MOST_DELIVERIES}
    count_words = run_words(program, stimulus, **options, most_answers=0)  # type: ignore[arg-type]
    with simulation_errors(), _on_board(route, port, baud) if port else _in_verilator(route) as exchange:
        counted = read_answers(program, exchange(count_words, 1)[0])
        _check(counted, netlist.name)
        words = run_words(program, stimulus, **options)  # type: ignore[arg-type]
        answers, cycles = exchange(words, counted.finish.answers + 1)
    results = read_answers(program, answers)
    return Found(results.pulses, _violations(netlist, results), results.deliveries, cycles)


@contextlib.contextmanager
def _in_verilator(route: Route) -> Iterator[Exchange]:
    from sim.common.harness import Harness

    needs = [route.block("harness"), route.block("elaborate")]
    results = results_or_error(travel([route], lambda _: needs))
    library, rtl = (results[need] for need in needs)
    ports = read_ports(rtl[f"{DESIGN}.ports.json"])
    silence = MOST_DELIVERIES * MOST_CYCLES_A_DELIVERY
    with Harness(library[HARNESS_LIBRARY], ports) as harness:

        def exchange(words: Sequence[int], count: int) -> tuple[list[int], int | None]:
            given, expected = {"words": beats_of(words)}, {"answers": count}
            result = harness.run(given, expected, stall_in=0, stall_out=0, max_idle_cycles=silence)
            return words_of(result.outputs["answers"]), result.cycles

        yield exchange


@contextlib.contextmanager
def _on_board(route: Route, port: str, baud: int | None) -> Iterator[Exchange]:
    from boards.host import Host

    need = route.block("elaborate")
    ports = read_ports(results_or_error(travel([route], lambda _: [need]))[need][f"{DESIGN}.ports.json"])
    with Host.open(port, baud or route.board.baud) as host:
        host.expect_identity(identity(route.design))
        host.reset_design()

        def exchange(words: Sequence[int], count: int) -> tuple[list[int], int | None]:
            given, expected = {"words": beats_of(words)}, {"answers": count}
            return words_of(host.run_streams(given, expected, ports["ports"], stall_s=SILENCE_S)["answers"]), None

        yield exchange


def _check(results: Results, name: str) -> None:
    status = results.finish.status
    if status & Status.UNFINISHED:
        raise BadInput(f"{name} is not at rest after {MOST_DELIVERIES:,} pulses", hint="--until PS stops it at a time")
    if status & Status.QUEUE_FULL:
        raise NielloError(f"{DESIGN} has no room for all pulses of {name} that are under way at a time")
    if status & Status.TIME_OVERFLOW:
        raise NielloError(f"{name} is not at rest at the last time that {DESIGN} knows")
    if status:
        raise NielloError(f"{DESIGN} reports {status!r}, which is a defect")


def _violations(netlist: Netlist, results: Results) -> list[Violation]:
    return [
        Violation(time, netlist.instances[number].name, netlist.instances[number].cell.name, pin, rule)  # type: ignore[arg-type]
        for time, number, pin, rules in results.violations
        for bit, rule in enumerate(RULES)
        if rules >> bit & 1
    ]
