"""Golden model of `pim.dispatch`: the device of every expert, and its time there."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from hdl.pim.dispatch_config import NO_DEVICE, TIME_BITS

LARGEST = (1 << TIME_BITS) - 1


def dispatch(
    table: Sequence[tuple[int, int]], tokens: npt.NDArray[np.uint16]
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint32], npt.NDArray[np.bool_]]:
    """Device and time of experts with so many tokens.

    A device's time is max(read, tokens * token), the largest there is where it does not fit 32 bits; the least wins, of
    equal ones the lowest device. An expert without tokens takes no time on no device, 255.

    Parameters
    ----------
    table : (read, token) of each device, 1/256 cycles
    tokens : uint16, any shape

    Returns
    -------
    device : uint8, time : uint32 in 1/256 cycles, saturated : bool, each of that shape
        Saturated is a time that fits on no device.
    """
    computes = np.stack([tokens.astype(np.uint64) * np.uint64(token) for _, token in table])
    reads = np.array([read for read, _ in table], np.uint64).reshape(-1, *[1] * tokens.ndim)
    times = np.minimum(np.maximum(computes, reads), LARGEST)
    device = np.where(tokens == 0, NO_DEVICE, times.argmin(axis=0)).astype(np.uint8)
    time = np.where(tokens == 0, 0, times.min(axis=0)).astype(np.uint32)
    return device, time, np.asarray((computes > LARGEST).all(axis=0))
