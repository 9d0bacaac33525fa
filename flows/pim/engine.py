"""The golden model of a channel, and its compiled twin where there is a compiler and enough to do."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from flows.paths import build_root
from hdl.pim.channel_config import ChannelConfig
from hdl.pim.commands import Instruction
from sim.common.verilator import BuildError
from sim.pim.channel_kernel import KernelChannel, build_kernel
from sim.pim.channel_model import Channel
from sim.pim.channel_run import Run

PATIENCE = 50_000
"""Instructions, about a second's worth, from which on the kernel is worth its compilation."""


def load_kernel() -> Path | None:
    """The kernel's library, compiled once below the build folder; None where it cannot be."""
    try:
        return build_kernel(build_root() / "pim")
    except (BuildError, OSError):
        return None


def simulate(config: ChannelConfig, program: Sequence[Instruction]) -> tuple[Run, str]:
    """A run from reset with its commands, and what gave it, `python` or `kernel`."""
    library = load_kernel() if len(program) > PATIENCE else None
    if library is None:
        return Channel(config).run(program), "python"
    with KernelChannel(config, library) as channel:
        return channel.run(program), "kernel"
