"""The event model of pulse logic, and its compiled kernel where there is a compiler."""

from __future__ import annotations

from flows.paths import build_root
from hdl.sfq.netlist import Netlist, Stimulus
from sim.common.verilator import BuildError
from sim.sfq import event_model
from sim.sfq.event_model import NeverAtRest, Policy, Run
from sim.sfq.kernel import Kernel, build_kernel

PATIENCE = 200_000
"""Deliveries, about a second's worth, after which the compiled kernel takes over from the event model."""


def load_kernel() -> Kernel | None:
    """The kernel, compiled once below the build folder; None where it cannot be, and the event model has to do."""
    try:
        return Kernel(build_kernel(build_root() / "sfq"))
    except (BuildError, OSError):
        return None


def simulate(
    netlist: Netlist, stimulus: Stimulus, *, policy: Policy = "flag", seed: int = 0, until: int | None = None
) -> tuple[Run, str]:
    """What the golden model gives, and what gave it, `python` or `kernel`: the kernel is loaded only where it pays.

    Raises
    ------
    NeverAtRest
        As `event_model.run`.
    """
    if event_model.MOST_DELIVERIES > PATIENCE:
        try:
            return event_model.run(netlist, stimulus, policy=policy, seed=seed, until=until, most=PATIENCE), "python"
        except NeverAtRest:
            kernel = load_kernel()
        if kernel is not None:
            return kernel.load(netlist).run(stimulus, policy=policy, seed=seed, until=until), "kernel"
    return event_model.run(netlist, stimulus, policy=policy, seed=seed, until=until), "python"
