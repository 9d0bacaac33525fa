"""Circuits in time: every junction's flips, for many circuits side by side.

A step of the leapfrog method (central differences, error of second order in the step) with damping taken at its middle,
so that it is stable for steps below 2 over the largest plasma or LC frequency, whatever the shunts are. A step is one
matrix product and one sine for all circuits together. Johnson noise of every resistance R is a random current of
variance 2 k T / (R step), drawn anew each step.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hdl.common.config import ConfigError, did_you_mean
from sim.sfq.circuit import BOLTZMANN, PHASE_FLUX, Array, Circuit, System, assemble, node_index

STEP_PS = 0.1
BIAS_RAMP_PS = 15.0
"""Biases are switched on within so long; a pulse that comes before may be lost."""

RISE_PS = 5.0
"""An input's phase rises by 2 pi within so long, the pulse's time in the middle."""

NOISE_STEPS = 64
"""Steps whose noise is drawn at once."""


@dataclass(frozen=True)
class Flips:
    """When the phase of nodes went through an odd multiple of pi, upwards, each multiple for the first time.

    Attributes
    ----------
    times_ps : by node (circuits, most flips), increasing, NaN after the last
    """

    times_ps: Mapping[str, Array]

    def counts(self, node: str) -> np.ndarray:
        """Flips of a node in each circuit."""
        return np.asarray(np.isfinite(self.times_ps[node]).sum(1))


def simulate(
    circuit: Circuit,
    pulses: Mapping[str, ArrayLike],
    duration_ps: float,
    probes: Sequence[str],
    *,
    copies: int = 1,
    temperature_k: float = 0.0,
    seed: int = 0,
    step_ps: float = STEP_PS,
) -> Flips:
    """Simulates from power-up.

    Parameters
    ----------
    pulses : for each input the times in ps, (pulses,) or (circuits, pulses), NaN for none
    probes : nodes whose flips are wanted; their times are interpolated within a step, linearly
    copies : so many of every circuit, each with noise of its own; circuit c's are c * copies to (c + 1) * copies - 1
    seed : of the noise

    Raises
    ------
    ConfigError
        If a probe or input does not exist, or the step is too long for the circuit.
    """
    system = assemble(circuit)
    for name in pulses:
        if name not in system.inputs:
            raise ConfigError(f"{name} is not an input{did_you_mean(name, [*system.inputs])}")
    at = np.array([node_index(system, probe) for probe in probes])
    steps = round(duration_ps / step_ps)
    drive = _drive(system, pulses, steps + 1, step_ps)
    if system.width > 1 < drive.shape[1] != system.width:
        raise ConfigError(f"pulses must be for {system.width} circuits or for one, not for {drive.shape[1]}")
    width = max(system.width, drive.shape[1]) * copies
    drive = np.repeat(drive, copies, 1) if drive.shape[1] > 1 else drive
    matrices = _Matrices.of(system, step_ps, copies)
    noise = _noise(system, step_ps, temperature_k, copies, (steps, width), seed)

    n, j, m = len(system.nodes), len(system.junctions), len(system.branch_ohm[0])
    state = np.zeros((width, 2 * n + j + m))
    x, push, v, i = np.split(state, np.cumsum([n, j, n]), axis=1)
    ahead = np.full((width, len(at)), np.pi)
    found: list[tuple[Array, np.ndarray, np.ndarray]] = []
    with np.errstate(over="ignore", invalid="ignore"):  # an unstable run ends in an error below
        for step, (current, voltage) in enumerate(noise):
            np.multiply(np.sin(x @ matrices.phases), matrices.ic, out=push)
            push += current
            v[:] = _product(state, matrices.weights) + _product(drive[step], matrices.force)
            x += v
            if m:
                moved = drive[step + 1] - drive[step]
                i[:] = _product(state[:, n + j :], matrices.branches) + _product(moved, matrices.moved)
                i += _product(voltage, matrices.volts)
            hit = x[:, at] > ahead
            if hit.any():
                row, column = hit.nonzero()
                over = (x[row, at[column]] - ahead[row, column]) / v[row, at[column]]
                found.append(((step + 1 - over) * step_ps, row, column))
                ahead[hit] += 2 * np.pi
    if not np.isfinite(x).all():
        raise ConfigError(f"step_ps must be shorter than {step_ps:g} for this circuit: it did not stay stable")
    return Flips(dict(zip(probes, _gathered(found, width, len(at)), strict=True)))


@dataclass(frozen=True)
class _Matrices:
    """What a step multiplies with, leading axis circuits or 1, rows what is read.

    Attributes
    ----------
    weights : phases, junctions' currents, velocities (phase a step) and branches' currents to the next velocities
    force : what drives, to the next velocities
    phases : nodes' phases to those of the junctions
    branches : velocities and branches' currents to the next branches' currents
    moved, volts : steps of what drives, and voltages, to the next branches' currents
    """

    weights: Array
    force: Array
    phases: Array
    ic: Array
    branches: Array
    moved: Array
    volts: Array

    @staticmethod
    def of(system: System, step_ps: float, copies: int) -> _Matrices:
        inertia, friction = system.mass / step_ps**2, system.damping / (2 * step_ps)
        solve = np.linalg.inv(inertia + friction)
        parts = [-system.stiffness, -system.junctions.T[None], inertia - friction, -np.swapaxes(system.branches, 1, 2)]
        inductance = system.branch_ph / step_ps
        half = system.branch_ohm[:, :, None] * np.eye(system.branch_ohm.shape[1]) / 2
        admit = np.linalg.inv(inductance + half)
        gain = PHASE_FLUX / step_ps * admit
        every = (
            np.concatenate([np.swapaxes(solve @ part, 1, 2) for part in parts], 1),
            np.swapaxes(solve @ system.force, 1, 2),
            np.concatenate(
                [np.swapaxes(one, 1, 2) for one in (gain @ system.branches, admit @ (inductance - half))], 1
            ),
            np.swapaxes(gain @ system.moved, 1, 2),
            np.swapaxes(admit, 1, 2),
            system.ic,
        )
        weights, force, branches, moved, volts, ic = (_spread(one, copies) for one in every)
        return _Matrices(weights, force, np.ascontiguousarray(system.junctions.T), ic, branches, moved, volts)


def _spread(rows: Array, copies: int) -> Array:
    """Each circuit's part so many times; one for all if all are alike, so that a single product serves them."""
    return np.ascontiguousarray(rows[:1] if (rows == rows[:1]).all() else np.repeat(rows, copies, 0))


def _product(rows: Array, matrices: Array) -> Array:
    """Each circuit's row times its matrix; either may be one for all."""
    return np.asarray(rows @ matrices[0] if len(matrices) == 1 else np.matmul(rows[:, None], matrices)[:, 0])


def _noise(
    system: System, step_ps: float, temperature_k: float, copies: int, shape: tuple[int, int], seed: int
) -> Iterator[tuple[Array, Array]]:
    """At each step the noise currents of the junctions and the noise voltages of the branches, (circuits or 1, .)."""
    steps, width = shape
    ohm = np.concatenate([1 / system.ohm, system.branch_ohm], 1)
    sigma = np.sqrt(2 * BOLTZMANN * temperature_k * ohm / step_ps)
    parts = [system.ohm.shape[1]]
    if temperature_k == 0:
        still, quiet = np.split(np.zeros((1, ohm.shape[1])), parts, 1)
        yield from itertools.repeat((still, quiet), steps)
        return
    rng = np.random.default_rng(seed)
    sigma = _spread(sigma, copies).astype(np.float32)
    for first in range(0, steps, NOISE_STEPS):
        drawn = rng.standard_normal((min(NOISE_STEPS, steps - first), width, sigma.shape[1]), np.float32) * sigma
        yield from zip(*np.split(drawn, parts, 2), strict=True)


def _drive(system: System, pulses: Mapping[str, ArrayLike], steps: int, step_ps: float) -> Array:
    """The biases' switch and the inputs' phases at each step, (steps, circuits or 1, 1 + inputs)."""
    times = {name: np.atleast_2d(np.asarray(pulses.get(name, []), float)) for name in system.inputs}
    width = max([len(one) for one in times.values()], default=1)
    drive = np.zeros((steps, width, 1 + len(times)))
    drive[:, :, 0] = _smooth(np.arange(steps) * step_ps / BIAS_RAMP_PS)[:, None]
    now = np.arange(steps) * step_ps
    for column, one in enumerate(times.values(), 1):
        for row, pulse_times in enumerate(one):
            for time in pulse_times[np.isfinite(pulse_times)]:
                first = max(0, int((time - RISE_PS / 2) / step_ps))
                last = min(steps, first + int(RISE_PS / step_ps) + 3)
                begin = (now[first:last] - time) / RISE_PS + 0.5
                drive[first:last, row, column] += 2 * np.pi * _smooth(begin)
                drive[last:, row, column] += 2 * np.pi
    return drive


def _smooth(share: NDArray[Any]) -> NDArray[Any]:
    """From 0 to 1 without a bend."""
    share = np.clip(share, 0, 1)
    return np.asarray(share * share * (3 - 2 * share))


def _gathered(found: list[tuple[Array, np.ndarray, np.ndarray]], width: int, probes: int) -> list[Array]:
    """For each probe the times of its flips, (circuits, most flips), NaN after the last."""
    times = np.concatenate([np.zeros(0), *(one for one, _, _ in found)])
    rows, columns = (np.concatenate([np.zeros(0, int), *(one[index] for one in found)]) for index in (1, 2))
    padded = []
    for probe in range(probes):
        mine = columns == probe
        time, row = times[mine], rows[mine]
        order = np.lexsort((time, row))
        time, row = time[order], row[order]
        counts = np.bincount(row, minlength=width)
        table = np.full((width, counts.max(initial=0)), np.nan)
        table[row, np.arange(len(row)) - (np.cumsum(counts) - counts)[row]] = time
        padded.append(table)
    return padded
