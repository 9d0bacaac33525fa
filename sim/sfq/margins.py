"""Margins: the range of a quantity around its nominal value in which the yield stays at least as high as wanted.

The yield is taken on a grid. On each side the margin ends between the last point of the grid, counted from the nominal
value, that has the wanted yield, and the next one, which has not; bisection says where. All points have the same random
numbers, so that they differ by the quantity alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from hdl.sfq.cells import TICKS_PER_PS
from sim.sfq.bias import LEAST_BIAS, MOST_BIAS
from sim.sfq.monte_carlo import Experiment, Point

GRID = 16
"""Steps of the grid."""

BISECTIONS = 6
"""The margin ends within a 64th of a step of the grid."""


@dataclass(frozen=True)
class Sweep:
    """A quantity that can be swept.

    Attributes
    ----------
    what : in words, with its unit
    least, most : where it is swept from and to unless other ends are given
    floor, ceiling : further it cannot go
    at : the point at which the quantity has a value
    of : its value at a point
    modelled : whether a curve that was measured elsewhere stands behind it
    """

    what: str
    least: float
    most: float
    floor: float
    ceiling: float
    at: Callable[[Point, float], Point]
    of: Callable[[Point], float]
    modelled: bool = False


def _with_sigma(point: Point, value: float) -> Point:
    return replace(point, spread=replace(point.spread, sigma=value))


def _with_jitter(point: Point, value: float) -> Point:
    return replace(point, spread=replace(point.spread, jitter=value * TICKS_PER_PS))


SWEEPS = {
    "scale": Sweep(
        *("factor of all delays", 0.5, 1.5, 0.01, 100),
        *(lambda point, value: replace(point, scale=value), lambda point: point.scale),
    ),
    "period": Sweep(
        *("factor of the times of all input pulses", 0.5, 1.5, 0.01, 100),
        *(lambda point, value: replace(point, period=value), lambda point: point.period),
    ),
    "bias": Sweep(
        *("factor of all bias currents", LEAST_BIAS, MOST_BIAS, LEAST_BIAS, MOST_BIAS),
        *(lambda point, value: replace(point, bias=value), lambda point: point.bias),
        modelled=True,
    ),
    "sigma": Sweep("relative sigma of a cell's delays", 0, 0.25, 0, 1, _with_sigma, lambda point: point.spread.sigma),
    "jitter": Sweep(
        *("sigma of a pulse's delay, ps", 0, 4, 0, 1000, _with_jitter),
        lambda point: point.spread.jitter / TICKS_PER_PS,
    ),
}


@dataclass(frozen=True)
class Margin:
    """Where a quantity may lie.

    Attributes
    ----------
    nominal : float
    low, high : ends of the range, both with the wanted yield; None if the nominal value has not
    low_is_end, high_is_end : whether the sweep ended there, so that the margin may be wider
    curve : yield by value, by increasing value, of all values that were tried
    """

    nominal: float
    low: float | None
    high: float | None
    low_is_end: bool
    high_is_end: bool
    curve: dict[float, float]


def margin(
    experiment: Experiment,
    sweep: Sweep,
    point: Point,
    wanted: float,
    trials: int,
    *,
    least: float,
    most: float,
) -> Margin:
    """The margin of a quantity around its value at `point`, which lies between `least` and `most`.

    Parameters
    ----------
    wanted : yield, 0 to 1
    trials : at each value

    Raises
    ------
    sim.sfq.event_model.NeverAtRest
        If a trial does not come to rest.
    """
    nominal, curve = sweep.of(point), dict[float, float]()

    def good(value: float) -> bool:
        if value not in curve:
            curve[value] = experiment.outcome(sweep.at(point, value), trials).passing
        return curve[value] >= wanted

    grid = sorted({nominal, *(least + (most - least) * step / GRID for step in range(GRID + 1))})
    for value in grid:
        good(value)

    def end(values: list[float]) -> float:
        """The last good value on the way outward; the first is good."""
        inside = values[0]
        for value in values[1:]:
            if not good(value):
                break
            inside = value
        else:
            return inside
        outside = value
        for _ in range(BISECTIONS):
            middle = (inside + outside) / 2
            if good(middle):
                inside = middle
            else:
                outside = middle
        return inside

    low = high = None
    if good(nominal):
        low = end([value for value in reversed(grid) if value <= nominal])
        high = end([value for value in grid if value >= nominal])
    return Margin(nominal, low, high, low == grid[0], high == grid[-1], dict(sorted(curve.items())))
