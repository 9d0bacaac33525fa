"""What circuits of synapses and neurons do, in few parameters: transfer curves, leak, threshold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import erf, pi, sqrt

import numpy as np
from numpy.typing import NDArray

from sim.sfq.circuit import FLUX_QUANTUM_UA_PH, PHASE_FLUX, Array
from sim.sfq.circuit_solver import STEP_PS, simulate
from sim.sfq.neuro_decks import LOOP_OHM, LOOP_PH, NEURON_UA, neuron, synapse
from sim.sfq.neuron_model import loop

FIRST_PS = 40.0
"""Of the first pulse: biases are settled."""

COPY_PULSES = 20
"""Pulses that a copy of a synapse gets."""


def measure_synapse(
    currents_ua: Array,
    pulses: int,
    *,
    period_ps: float = 60.0,
    temperature_k: float = 4.2,
    seed: int = 0,
    step_ps: float = STEP_PS,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pulses that passed and pulses that came, by current; `pulses` at least at each, `COPY_PULSES` a copy."""
    copies = -(-pulses // COPY_PULSES)
    times = FIRST_PS + period_ps * np.arange(COPY_PULSES)
    flips = simulate(
        synapse(currents_ua),
        {"in": times},
        times[-1] + 60,
        ["drive", "q"],
        copies=copies,
        temperature_k=temperature_k,
        seed=seed,
        step_ps=step_ps,
    )
    passed, came = (flips.counts(node).reshape(len(currents_ua), copies).sum(1) for node in ("q", "drive"))
    return passed, came


def synapse_delay_ps(current_ua: float) -> float:
    """From a pulse that comes to the one that it lets pass, without noise."""
    flips = simulate(synapse(current_ua), {"in": [FIRST_PS]}, FIRST_PS + 60, ["drive", "q"]).times_ps
    return float(flips["q"][0, 0] - flips["drive"][0, 0])


def neuron_delay_ps(bias_ua: Array, train_ps: Array) -> float:
    """From a pulse that comes to the firing that it causes: the median of all."""
    flips = simulate(
        neuron(bias_ua), {"in": FIRST_PS + train_ps}, FIRST_PS + train_ps[-1] + 60, ["drive", "q"]
    ).times_ps
    waits = [
        one - came[came < one][-1]
        for came, fired in zip(flips["drive"], flips["q"], strict=True)
        for one in fired[np.isfinite(fired)]
    ]
    return float(np.median(waits))


@dataclass(frozen=True)
class TransferFit:
    """p(I) = (1 + erf(sqrt(pi) (I - threshold) / gray zone)) / 2, and standard errors, in uA."""

    threshold_ua: float
    gray_zone_ua: float
    threshold_error_ua: float
    gray_zone_error_ua: float


def fit_transfer(currents_ua: Array, passed: NDArray[np.integer], came: NDArray[np.integer]) -> TransferFit:
    """The most likely curve for counts of pulses, by Fisher scoring."""
    share = np.clip(passed / came, 0, 1)
    # From a line through the points of the curve's middle.
    slope, offset = np.polyfit(currents_ua, share, 1, w=share * (1 - share) + 1e-3)
    beta = np.array([sqrt(pi) * (offset - 0.5), sqrt(pi) * slope])
    design = np.stack([np.ones_like(currents_ua), currents_ua], 1)
    information = np.eye(2)
    for _ in range(50):
        z = np.clip(design @ beta, -3.5, 3.5)
        p = (1 + np.array([erf(one) for one in z])) / 2
        density = np.exp(-(z**2)) / sqrt(pi)
        weight = density**2 / (p * (1 - p)) * came
        information = design.T @ (weight[:, None] * design)
        step = np.linalg.solve(information, design.T @ (weight * (share - p) / density))
        beta = beta + step
    covariance = np.linalg.inv(information)
    threshold, zone = -beta[0] / beta[1], sqrt(pi) / beta[1]
    by_threshold = np.array([-1 / beta[1], beta[0] / beta[1] ** 2])
    return TransferFit(
        float(threshold),
        float(zone),
        float(sqrt(by_threshold @ covariance @ by_threshold)),
        float(sqrt(covariance[1, 1]) * sqrt(pi) / beta[1] ** 2),
    )


def measure_neuron(
    bias_ua: Array, trains_ps: Sequence[Array], *, loop_ph: float = LOOP_PH, loop_ohm: float = LOOP_OHM
) -> NDArray[np.int64]:
    """How often the neuron fires, (trains, biases)."""
    counts = []
    for train in trains_ps:
        circuit = neuron(bias_ua, loop_ph, loop_ohm)
        flips = simulate(circuit, {"in": FIRST_PS + train - train[0]}, FIRST_PS + np.ptp(train) + 100, ["q"])
        counts.append(flips.counts("q"))
    return np.array(counts)


@dataclass(frozen=True)
class LoopFit:
    """The loop equation's parameters, and by how many firings its counts are off, as a share of the pulses."""

    tau_ps: float
    kick_ua: float
    threshold_ua: float
    drop_ua: float
    miss: float


def fit_neuron(
    bias_ua: Array,
    trains_ps: Sequence[Array],
    counts: NDArray[np.int64],
    *,
    loop_ph: float = LOOP_PH,
    loop_ohm: float = LOOP_OHM,
) -> LoopFit:
    """The loop equation whose counts, (trains, biases), are nearest to these.

    Leak and kick follow from the loop's inductance, to which the junctions at its ends add theirs; threshold and drop
    are those of the fewest misses: of a grid, then of one about its best, eight times finer; of equals, their mean.
    """
    inductance = loop_ph + 2 * PHASE_FLUX / NEURON_UA
    tau, kick = inductance / loop_ohm, FLUX_QUANTUM_UA_PH / inductance
    thresholds, drops = np.linspace(180, 300, 61), np.linspace(20, 80, 61)
    for width in (1 / 8, 0.0):
        fired = [loop(tau, (kick, thresholds[:, None, None], drops[:, None]), bias_ua, train) for train in trains_ps]
        misses = np.abs(np.array(fired) - counts[:, None, None]).sum((0, 3))
        row, column = np.argwhere(misses == misses.min()).mean(0)
        best = [float(np.interp(at, np.arange(61), grid)) for at, grid in ((row, thresholds), (column, drops))]
        thresholds, drops = (
            at + width * (grid - grid.mean()) for at, grid in zip(best, (thresholds, drops), strict=True)
        )
    fired = [loop(tau, (kick, best[0], best[1]), bias_ua, train) for train in trains_ps]
    pulses = sum(len(train) for train in trains_ps) * len(bias_ua)
    return LoopFit(tau, kick, best[0], best[1], float(np.abs(np.array(fired) - counts).sum() / pulses))
