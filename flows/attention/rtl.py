"""`attention.array` in Verilator: arrays through its memory, and what its counters say."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from flows.engines import read_ports, simulation_errors
from flows.load import Design
from flows.road import Route, results_or_error, travel
from flows.steps import HARNESS_LIBRARY
from hdl.attention.config import ArrayConfig
from sim.attention import array_vectors
from sim.common.harness import Harness
from sim.common.harness_device import HarnessDevice
from sim.common.memory_job import run_job
from sim.common.vectors import Arrays

COUNTERS = ("cycles", "span", "macs", "stall_memory", "stall_softmax", "stall_output", "words_read", "words_written")


@contextlib.contextmanager
def verilated(design: Design) -> Iterator[Harness]:
    """The design's gateware, compiled on the road that every design goes.

    Raises
    ------
    NielloError
        If a tool fails.
    """
    route = Route.of(design)
    needs = [route.block("harness"), route.block("elaborate")]
    results = results_or_error(travel([route], lambda _: needs, plain=True))
    library, elaborated = (results[need] for need in needs)
    ports = read_ports(elaborated[f"{design.name}.ports.json"])
    with simulation_errors(), Harness(library[HARNESS_LIBRARY], ports) as harness:
        yield harness


def run_on(config: ArrayConfig, harness: Harness, arrays: Arrays, **memory: Any) -> tuple[Arrays, dict[str, int]]:
    """Outputs, and the counters of this list of jobs alone, words of both directions as `words`.

    Parameters
    ----------
    memory
        Options of `sim.common.harness_device.HarnessDevice`.
    """
    registers = config.registers
    assert registers is not None
    harness.write(registers["control"].offset_bytes, registers["control"]["clear_counters"].mask)
    result = run_job(HarnessDevice(harness, **memory), registers, array_vectors.job(config, arrays))
    counted = {name: harness.read(registers[name].offset_bytes) for name in COUNTERS}
    counted["words"] = counted["words_read"] + counted["words_written"]
    return array_vectors.results(config, arrays, result), counted


def run_rtl(design: Design, arrays: Arrays, **memory: Any) -> tuple[Arrays, dict[str, int]]:
    """`run_on` of a design that is compiled for it.

    Raises
    ------
    NielloError
        If a tool fails, or the gateware hangs.
    """
    assert isinstance(design.config, ArrayConfig)
    with verilated(design) as harness:
        return run_on(design.config, harness, arrays, **memory)
