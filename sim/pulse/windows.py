"""Windows of a pulse as the stream that estimators take: a packet a window."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from sim.common.beats import Beats
from sim.common.stimulus import last_flags


def window_beats(windows: npt.NDArray[np.int16]) -> Beats:
    """A code a beat: int16 (count, samples)."""
    codes = np.ascontiguousarray(windows.astype("<i2"))
    return Beats(codes.view(np.uint8).reshape(-1, 2), last_flags([codes.shape[1]] * len(codes)))
