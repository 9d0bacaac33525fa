"""Delay against bias current: how a cell's delays scale when all bias currents are a factor off their nominal values.

Modelled: JoSIM 2.7 gave the delays of two RSFQlib v3.0 cells, JTL and DFF, from the flip of a driving JTL to that of a
loading one. Between those points the curve is linear; clocked cells are taken to follow DFF, all others JTL.
"""

from __future__ import annotations

import numpy as np

from hdl.sfq.cells import Cell

LEAST_BIAS, MOST_BIAS = 0.7, 1.3

_BIAS = (0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 1.3)
_JTL_PS = (7.14, 6.46, 5.91, 5.46, 5.06, 4.71, 4.39)
_DFF_PS = (11.22, 9.58, 8.56, 7.80, 7.18, 6.64, 6.15)


def delay_scale(cell: Cell, bias: float) -> float:
    """Delay at this bias over that at nominal bias.

    Raises
    ------
    ValueError
        If nothing was measured at such a bias.
    """
    if not LEAST_BIAS <= bias <= MOST_BIAS:
        raise ValueError(f"bias must be in {LEAST_BIAS}..{MOST_BIAS}, not {bias:g}")
    delays = _DFF_PS if cell.clocked else _JTL_PS
    return float(np.interp(bias, _BIAS, delays) / delays[_BIAS.index(1.0)])
