"""Delays that differ from the cell tables: by process and bias from trial to trial, by instance, by pulse.

The delay of a pulse is nearest(d·g·(1 + sigma·z) + jitter·y) ticks, halves to even, at least 1 and at most 2^40, where

- d is the table's delay in ticks, and g the instance's nominal scale times 1 + global_sigma·x,
- x is a normal number of the trial, z one of the instance in the trial, y one of the pulse (`random_stream`).

Windows (`blocks`, `ages`) are nearest(w·g·(1 + sigma·z)), at least 0, or the table's.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from hdl.sfq.cells import MOST_TICKS, Cell, Reaction, Ticks
from sim.sfq.random_stream import NO_INSTANCE, instance_key, normal


@dataclass(frozen=True)
class Spread:
    """How much delays differ.

    Attributes
    ----------
    sigma : relative standard deviation of an instance's delays, fixed in a trial
    global_sigma : of all delays of a trial
    jitter : standard deviation of a pulse's delay, in ticks
    windows : whether windows scale with an instance's delays
    seed : of all random numbers, below 2^64
    """

    sigma: float = 0.0
    global_sigma: float = 0.0
    jitter: float = 0.0
    windows: bool = True
    seed: int = 0


def instance_scale(spread: Spread, trial: int, instance: int, scale: float) -> float:
    """The factor of an instance's delays in a trial; `scale` is its nominal one."""
    x = normal(instance_key(spread.seed, trial, NO_INSTANCE), 0) if spread.global_sigma > 0 else 0.0
    z = normal(instance_key(spread.seed, trial, instance), 0) if spread.sigma > 0 else 0.0
    return scale * (1.0 + spread.global_sigma * x) * (1.0 + spread.sigma * z)


def nearest(value: float, least: int) -> int:
    """The nearest whole tick, halves to even, at least `least`, at most 2^40."""
    return round(min(max(value, least), MOST_TICKS))


def scaled_windows(cell: Cell, factor: float) -> Cell:
    """A cell whose windows are longer by a factor."""

    def scaled(times: Ticks) -> dict[str, int]:
        return {pin: nearest(time * factor, 0) for pin, time in times.items()}

    states = {
        state: {
            pin: Reaction(one.target, one.fires, scaled(one.blocks), scaled(one.ages)) for pin, one in reactions.items()
        }
        for state, reactions in cell.states.items()
    }
    return replace(cell, states=states)
