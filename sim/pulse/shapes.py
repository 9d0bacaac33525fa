"""Pulse shapes: what a detector's preamplifier and shaper make of one hit, with a peak of 1.

A shape is a function of the time since its onset, 0 before it. Stretched by 1 + e, s(t / (1 + e)), it is the same shape
with all its time constants 1 + e times as long; the derivative by e, at e = 0, is -t s'(t).
"""

from __future__ import annotations

import math
from typing import Protocol

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


class Shape(Protocol):
    """A pulse over the time since its onset."""

    peak_ns: float
    """When it is at its peak."""

    def value(self, t_ns: Floats) -> Floats:
        """Height at these times, in ns, of any shape of array; the peak is 1."""

    def slope(self, t_ns: Floats) -> Floats:
        """Its derivative, per ns."""


class CrRc:
    """A CR-RC^n shaper of equal time constants: (t / n tau)^n e^(n - t / tau); its peak is at n tau.

    Knoll, Radiation Detection and Measurement, ch. 16.
    """

    def __init__(self, order: int, tau_ns: float):
        self._order, self._tau_ns = order, tau_ns
        self.peak_ns = order * tau_ns

    def value(self, t_ns: Floats) -> Floats:
        x = np.maximum(t_ns, 0) / self.peak_ns
        return np.asarray((x * np.exp(1 - x)) ** self._order)

    def slope(self, t_ns: Floats) -> Floats:
        x = np.maximum(t_ns, 0) / self.peak_ns
        rise = self._order / self.peak_ns * x ** (self._order - 1) * (1 - x) * np.exp(self._order * (1 - x))
        return np.where(t_ns > 0, rise, 0.0)


class Biexponential:
    """A scintillator or charge-sensitive amplifier: e^(-t / decay) - e^(-t / rise), over its largest value."""

    def __init__(self, rise_ns: float, decay_ns: float):
        self._rise_ns, self._decay_ns = rise_ns, decay_ns
        self.peak_ns = math.log(decay_ns / rise_ns) / (1 / rise_ns - 1 / decay_ns)
        self._largest = math.exp(-self.peak_ns / decay_ns) - math.exp(-self.peak_ns / rise_ns)

    def value(self, t_ns: Floats) -> Floats:
        t = np.maximum(t_ns, 0)
        return np.asarray((np.exp(-t / self._decay_ns) - np.exp(-t / self._rise_ns)) / self._largest)

    def slope(self, t_ns: Floats) -> Floats:
        t = np.maximum(t_ns, 0)
        found = np.exp(-t / self._rise_ns) / self._rise_ns - np.exp(-t / self._decay_ns) / self._decay_ns
        return np.where(t_ns > 0, found / self._largest, 0.0)


class Sampled:
    """A measured mean pulse, as from a file: cubic between its samples (Catmull-Rom), 0 before the first one.

    Parameters
    ----------
    samples : (n,)
        From the onset on, on a baseline of 0; at least four. Scaled so that the largest sample is 1.
    spacing_ns : float
        Between samples. After the last one the pulse stays at its value there.

    Raises
    ------
    ValueError
        If there are fewer than four, or one that is not finite, or none above 0.
    """

    def __init__(self, samples: npt.ArrayLike, spacing_ns: float):
        given = np.asarray(samples, np.float64)
        if given.ndim != 1 or given.size < 4:
            raise ValueError(f"a pulse must have four samples or more in one row, not {given.shape}")
        if not np.isfinite(given).all():
            raise ValueError(f"sample {int(np.argmin(np.isfinite(given)))} of the pulse is not finite")
        if given.max() <= 0:
            raise ValueError("the pulse has no sample above 0")
        given = given / given.max()
        tangents = np.gradient(given)
        self._spacing_ns, self._samples, self._tangents = spacing_ns, given, tangents
        self.peak_ns = float(np.argmax(given)) * spacing_ns

    def value(self, t_ns: Floats) -> Floats:
        place, x = self._place(t_ns)
        a, b = self._samples[place], self._samples[place + 1]
        c, d = self._tangents[place], self._tangents[place + 1]
        found = a + x * (c + x * (3 * (b - a) - 2 * c - d + x * (2 * (a - b) + c + d)))
        return np.where(t_ns < 0, 0.0, found)

    def slope(self, t_ns: Floats) -> Floats:
        place, x = self._place(t_ns)
        a, b = self._samples[place], self._samples[place + 1]
        c, d = self._tangents[place], self._tangents[place + 1]
        found = c + x * (2 * (3 * (b - a) - 2 * c - d) + 3 * x * (2 * (a - b) + c + d))
        inside = (t_ns > 0) & (t_ns < (len(self._samples) - 1) * self._spacing_ns)
        return np.where(inside, found / self._spacing_ns, 0.0)

    def _place(self, t_ns: Floats) -> tuple[npt.NDArray[np.intp], Floats]:
        t = np.clip(t_ns / self._spacing_ns, 0, len(self._samples) - 1)
        place = np.minimum(t.astype(np.intp), len(self._samples) - 2)
        return place, t - place
