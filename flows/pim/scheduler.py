"""The scheduler of a channel, Verilated: programs on its gateware."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from flows.engines import simulation_errors
from flows.paths import build_root
from flows.verilog import emit, port_table
from hdl.pim.channel_config import ChannelConfig
from hdl.pim.commands import Instruction
from hdl.pim.scheduler import Scheduler
from sim.common.harness import Harness, build_harness
from sim.pim.scheduler_trace import Told, run_programs

TOP = "niello_scheduler"


def write_scheduler(config: ChannelConfig, folder: Path) -> tuple[Path, Path]:
    """The Verilog of a config's scheduler, and its ports."""
    folder.mkdir(parents=True, exist_ok=True)
    component = Scheduler(config)
    ports = {"top": TOP, "clock": "clk", "reset": "rst", "ports": port_table(component)}
    verilog, table = folder / f"{TOP}.v", folder / f"{TOP}.ports.json"
    verilog.write_text(emit(component, TOP))
    table.write_text(json.dumps(ports))
    return verilog, table


@contextlib.contextmanager
def scheduler(config: ChannelConfig, folder: Path, *, optimise: str = "-O2") -> Iterator[Harness]:
    """The harness around a config's scheduler, compiled in `folder`."""
    verilog, ports = write_scheduler(config, folder)
    with simulation_errors():
        library = build_harness(verilog, ports, folder / "harness", optimise=optimise)
        with Harness(library, ports) as harness:
            yield harness


def run_on_scheduler(config: ChannelConfig, programs: Sequence[Sequence[Instruction]], most_words: int) -> list[Told]:
    """Programs on a config's scheduler, from reset.

    Raises
    ------
    NielloError
        If a tool fails.
    """
    identity = json.dumps(config.identity, sort_keys=True)
    folder = build_root() / "pim" / f"scheduler-{hashlib.sha256(identity.encode()).hexdigest()[:12]}"
    with scheduler(config, folder) as harness, simulation_errors():
        return run_programs(harness, programs, most_words=most_words)
