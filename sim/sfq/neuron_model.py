"""When neurons fire, bit for bit: `hdl/sfq/neuromorphic.py` has the definition. `loop` is what it approximates."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hdl.sfq.neuromorphic import CURRENT_BITS, FINE_TICKS, LEAK_BITS, NeuronFit

MOST = (1 << CURRENT_BITS - 1) - 1
LEAST = -MOST - 1
HALF = 1 << LEAK_BITS - 1


def fires(fit: NeuronFit, bias: NDArray[np.integer], times: NDArray[np.integer]) -> NDArray[np.bool_]:
    """Which pulses make neurons fire, (neurons, pulses).

    Parameters
    ----------
    bias : (neurons,), in units, `CURRENT_BITS` signed
    times : (pulses,) or (neurons, pulses), ticks, not decreasing; below 0 is no pulse. The loops are empty at first
    """
    fine, coarse = np.array(fit.fine, np.int64), np.array(fit.coarse, np.int64)
    kick, threshold, drop = fit.currents
    times = np.broadcast_to(times, (len(bias), np.shape(times)[-1])).astype(np.int64)
    current, last = np.zeros(len(bias), np.int64), np.zeros(len(bias), np.int64)
    fired = np.zeros(times.shape, bool)
    for number, now in enumerate(times.T):
        comes = now >= 0
        wait = np.where(comes, now - last, 0)
        step = wait // FINE_TICKS
        left = current * fine[wait % FINE_TICKS] + HALF >> LEAK_BITS
        left = left * coarse[np.minimum(step, len(coarse) - 1)] + HALF >> LEAK_BITS
        left = np.where(step < len(coarse), left, 0)
        left = np.clip(left + kick, LEAST, MOST)
        fire = comes & (bias + left > threshold)
        left = np.clip(left - drop * fire, LEAST, MOST)
        current, last = np.where(comes, left, current), np.where(comes, now, last)
        fired[:, number] = fire
    return fired


def loop(
    tau_ps: float,
    currents_ua: tuple[NDArray[np.float64] | float, ...],
    bias_ua: NDArray[np.float64],
    times_ps: NDArray[np.float64],
) -> NDArray[np.int64]:
    """How often neurons fire by the loop's equation, in floating point, any shape that the parameters broadcast to.

    Parameters
    ----------
    tau_ps : time within which the current dies away
    currents_ua : kick, threshold and drop
    times_ps : (pulses,), increasing
    """
    kick, threshold, drop = currents_ua
    current, fired = np.zeros(()), np.zeros((), np.int64)
    for wait in np.diff(times_ps, prepend=times_ps[0]):
        current = np.asarray(current * np.exp(-wait / tau_ps) + kick)
        fire = bias_ua + current > threshold
        current = np.asarray(current - drop * fire)
        fired = np.asarray(fired + fire)
    return fired
