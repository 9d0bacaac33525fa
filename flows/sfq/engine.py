"""The compiled event kernel of pulse logic, where there is a compiler."""

from __future__ import annotations

from flows.paths import build_root
from sim.common.verilator import BuildError
from sim.sfq.kernel import Kernel, build_kernel


def load_kernel() -> Kernel | None:
    """The kernel, compiled once below the build folder; None where it cannot be, and the event model has to do."""
    try:
        return Kernel(build_kernel(build_root() / "sfq"))
    except (BuildError, OSError):
        return None
