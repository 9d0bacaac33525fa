"""The channel's scheduler in Verilator against its golden model, command by command.

.venv/bin/python bench/pim.py rtl
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from bench.common import one_core, say
from flows.pim.scheduler import scheduler
from hdl.pim.channel_config import ChannelConfig
from hdl.pim.commands import Command
from sim.pim.channel_model import Channel
from sim.pim.random_programs import SAMPLES, random_program
from sim.pim.scheduler_trace import difference, run_programs
from sim.pim.timing_checker import TimingChecker

PROGRAMS, BATCH, LONGEST = 1300, 50, 40


def rtl() -> dict[str, Any]:
    """Programs whose commands differ in cycle, command, bank, row, column or buffer, or whose end does; commands that
    the checker refuses; cycles a second in the harness."""
    figures = {}
    for name, params in SAMPLES.items():
        config = ChannelConfig.parse(params | {"device": False})
        with tempfile.TemporaryDirectory() as folder, one_core(), scheduler(config, Path(folder)) as harness:
            figures[name] = found = _compare(config, harness)
        say(f"{name}: programs that differ, of {found['programs']}", found["differing"], "", "0")
        say(f"{name}: commands, {found['refreshes']} refreshes", found["commands"], "", "none")
        say(f"{name}: batches with an illegal command", found["illegal"], "", "0")
        say(f"{name}: harness, one core", found["cycles_per_s"] / 1e6, "Mcycle/s", "none")
    return figures


def _compare(config: ChannelConfig, harness: Any) -> dict[str, Any]:
    found = {"programs": 0, "differing": 0, "commands": 0, "refreshes": 0, "illegal": 0, "cycles": 0}
    seconds = 0.0
    for low in range(0, PROGRAMS, BATCH):
        randoms = [Random(seed) for seed in range(low, low + BATCH)]
        programs = [random_program(one, config, one.randint(1, LONGEST)) for one in randoms]
        begin = time.perf_counter()
        told = run_programs(harness, programs)
        seconds += time.perf_counter() - begin
        model, parts = Channel(config), []
        for program, one in zip(programs, told, strict=True):
            run = model.run(program, start=one.start)
            found["differing"] += difference(one, run) is not None
            found["commands"] += len(one.commands)
            found["refreshes"] += int((one.commands["command"] == Command.REF).sum())
            parts.append(run.commands)
        found["programs"] += len(programs)
        found["cycles"] += told[-1].end
        found["illegal"] += TimingChecker(config).check(np.concatenate(parts), told[-1].end) is not None
    return found | {"cycles_per_s": round(found["cycles"] / seconds)}
