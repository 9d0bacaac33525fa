"""Golden model of the array's linear layers: exact sums, one rounding, and what is too large clipped.

"Linear layers" in hdl/attention/README.md.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from sim.attention.integers import exact_product, rs
from sim.attention.masks import Bools, Ints


def linear(
    x: npt.NDArray[np.integer[Any]],
    weights: npt.NDArray[np.integer[Any]],
    multiplier: int,
    shift: int,
    *,
    bits: int,
    relu: bool = False,
) -> tuple[Ints, Bools]:
    """y = (x @ weights.T * multiplier + 2**(shift - 1)) >> shift, and where it was clipped, both (rows, outputs).

    Parameters
    ----------
    x : integers (rows, inputs)
    weights : integers (outputs, inputs)
    multiplier : int
        16 bits, unsigned.
    shift : int
        1 .. 31.
    bits : int
        Of an output, two's complement: y is clamped to them.
    relu : bool
        Negative numbers become 0 before they are clamped.
    """
    exact = rs(exact_product(x, weights.T) * multiplier, np.int64(shift))
    if relu:
        exact = np.maximum(exact, 0)
    most = 1 << (bits - 1)
    y = np.clip(exact, -most, most - 1)
    return y, y != exact
