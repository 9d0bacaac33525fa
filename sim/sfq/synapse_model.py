"""What synapses let pass, bit for bit: `hdl/sfq/neuromorphic.py` has the definition."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hdl.sfq.neuromorphic import PASS_BITS, STATE_BITS


def advance(state: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """The next states of generators, any shape."""
    state = state ^ (state << np.uint32(13))
    state = state ^ (state >> np.uint32(17))
    return np.asarray(state ^ (state << np.uint32(5)), np.uint32)


def transmit(
    thresholds: NDArray[np.integer], states: NDArray[np.uint32], pulses: NDArray[np.bool_]
) -> tuple[NDArray[np.bool_], NDArray[np.uint32]]:
    """Which pulses pass, and the generators' states after them.

    Parameters
    ----------
    thresholds : (...), 0..65536, of each synapse's weight
    states : (...), not 0
    pulses : (..., slots), whether one comes; a generator moves on with each that does
    """
    passed = np.zeros(pulses.shape, bool)
    for slot in range(pulses.shape[-1]):
        comes = pulses[..., slot]
        states = np.where(comes, advance(states), states)
        passed[..., slot] = comes & ((states >> np.uint32(STATE_BITS - PASS_BITS)) < thresholds)
    return passed, states
