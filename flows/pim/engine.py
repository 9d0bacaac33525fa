"""The per-command simulator of a channel: the compiled twin of the golden model, or that itself where none compiles."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from flows.paths import build_root
from hdl.pim.channel_config import ChannelConfig
from hdl.pim.commands import Instruction
from hdl.pim.scheduler_words import FIRST_CYCLE
from sim.common.verilator import BuildError
from sim.pim.channel_kernel import KernelChannel, build_kernel
from sim.pim.channel_model import Channel
from sim.pim.channel_run import Run


def load_kernel() -> Path | None:
    """The kernel's library, compiled once below the build folder; None where it cannot be."""
    try:
        return build_kernel(build_root() / "pim")
    except (BuildError, OSError):
        return None


def simulate(config: ChannelConfig, program: Sequence[Instruction]) -> Run:
    """A run with its commands, that begins as soon after reset as the gateware can: by the kernel where there is a
    compiler, else by the golden model."""
    library = load_kernel()
    if library is None:
        return Channel(config).run(program, start=FIRST_CYCLE)
    with KernelChannel(config, library) as channel:
        return channel.run(program, start=FIRST_CYCLE)
