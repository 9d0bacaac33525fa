"""The SoC's cores beside each other: cells and clock of the whole processor, and how long an answer takes."""

from __future__ import annotations

import tempfile
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from bench.common import say
from bench.ecp5 import LFE5U_25F, SEEDS, routed, synthesised
from flows.verilog import emit, port_table
from hdl.soc.config import CORE_PACKAGES, SYSTEM_BASE, ProcessorConfig
from hdl.soc.processor import Processor
from sim.common.beats import Beats
from sim.common.harness import Harness, build_harness
from sim.soc import monitor

AIM_MHZ = 80
IO_ADDRESS_BITS = 12
REQUESTS = 20


def cpu() -> dict[str, Any]:
    """The processor with its memory of 8 KiB, registers and monitor, out of context on an LFE5U-25F, three seeds."""
    return {core: _measured(core) for core in CORE_PACKAGES}


def _measured(core: str) -> dict[str, Any]:
    config = ProcessorConfig.parse({"core": core})
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        component = Processor(config, IO_ADDRESS_BITS)
        ports = {"top": "processor", "clock": "clk", "reset": "rst", "ports": port_table(component)}
        found = synthesised(emit(component, "processor"), "processor", folder)
        clocks = [routed(folder, LFE5U_25F, AIM_MHZ, seed) for seed in SEEDS]
        cycles = _answer_cycles(config, Harness(build_harness(folder / "source.v", ports, folder / "harness"), ports))
    say(f"{core}: LUTs", found["lut"], "", "")
    say(f"{core}: clock", median(clocks), "MHz", "at least 50")
    say(f"{core}: a word for a host in", cycles, "cycles", "")
    return {**found, "fmax_mhz": median(clocks), "fmax_seeds_mhz": clocks, "answer_cycles": cycles}


def _answer_cycles(config: ProcessorConfig, harness: Harness) -> int:
    """Cycles for each of some requests of a word, and their answers, through the monitor."""
    harness.reset()
    spent = 0
    for _ in range(REQUESTS):
        asked = monitor.request("r", SYSTEM_BASE + config.registers["identity"].offset_bytes)
        given = {"console_in": Beats(np.frombuffer(asked, np.uint8).reshape(-1, 1))}
        result = harness.run(given, {"console_out": monitor.REPLY_BYTES}, max_idle_cycles=1_000_000)
        spent += result.cycles
        assert monitor.answer(result.outputs["console_out"].data.tobytes()) == config.registers["identity"].reset
    return spent // REQUESTS
