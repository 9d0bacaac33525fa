"""Scales of the array's language model: what weights of 2 bits are, and what activations are stored in units of."""

from __future__ import annotations

import numpy as np

from sim.common.language import Array

DEVIATIONS_OF_INT4 = 2.5
"""Root mean squares of keys, or values, up to which INT4 reaches; what is larger is clipped."""

MARGIN = 1.25
"""Of a scale over the largest number of the calibration's text."""


def two_bit(weight: Array) -> tuple[Array, float]:
    """Integers in -2 .. 1 and their scale, the mean magnitude of the weights."""
    scale = float(np.abs(weight).mean()) + 1e-12
    return np.clip(np.rint(weight / scale), -2, 1), scale


def int4_scale(x: Array) -> float:
    """Of keys or values in -8 .. 7, one for all."""
    return DEVIATIONS_OF_INT4 * float(np.sqrt((x.astype(np.float64) ** 2).mean())) / 7 + 1e-12


def calibrated(seen: dict[str, Array], kv_bits: int) -> dict[str, Array]:
    """`scale.LAYER.PLACE` of each place where the array reads or writes integers.

    Parameters
    ----------
    seen
        Inputs and outputs of the linear layers in floats, `sim.attention.language_train.Pass.seen`.
    kv_bits : int
        Of keys and values in the cache, 8 or 4.
    """
    made = {}
    for name, values in seen.items():
        layer, kind = name.rsplit(".", 1)
        most = float(np.abs(values).max()) * MARGIN
        matrix = layer.split(".")[-1]
        if kind == "outputs" and matrix in ("k", "v"):
            made[name] = int4_scale(values) if kv_bits == 4 else most / 127
        elif kind == "outputs" and matrix in ("out", "down", "head"):
            made[name] = 2 * most / 32767
        else:
            made[name] = most / 127
    return {f"scale.{name}": np.array(value) for name, value in made.items()}
