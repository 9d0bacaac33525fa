"""Cells of pulse logic as data: states, what a pulse at a pin does in each, and which pulses come too soon.

A cell is a state machine whose inputs are pulses. Model, emulation and mapper all read it from here. Times are whole
ticks of 0.1 ps.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from hdl.common.config import ConfigError, describe_value, did_you_mean
from hdl.common.plain_data import number_of

TICKS_PER_PS = 10
MOST_TICKS = 1 << 40
"""Of a time: 0.1 s."""

ROUNDING_TICKS = 1e-5
"""What a sum of decimal fractions in floating point may be off a whole tick."""

Ticks = Mapping[str, int]
"""A time for each of some pins."""


@dataclass(frozen=True)
class Reaction:
    """What a pulse does in a state.

    Attributes
    ----------
    target : the state after it
    fires : output pins, each with its delay, above 0
    blocks : inputs at which a pulse comes too soon for so long after it
    ages : inputs whose last pulse must be so old; that of the pulse's own pin is the one before
    """

    target: str
    fires: Ticks = field(default_factory=dict)
    blocks: Ticks = field(default_factory=dict)
    ages: Ticks = field(default_factory=dict)


States = Mapping[str, Mapping[str, Reaction]]
"""Reactions by state and input pin."""


@dataclass(frozen=True)
class Cell:
    """A cell. Where pulses come at the same time, they are taken in the order of the pins in `states[s]`, s the state
    before the first of them.

    Attributes
    ----------
    name : str
    inputs, outputs : pins
    states : the first is that after power-up; each has a reaction to every input
    junctions : Josephson junctions
    bias_ua : nominal bias current, None if it is not known
    probe_ps : so much longer than a delay it takes from the flip of a driving JTL to that of a loading one
    source : where the figures come from

    Raises
    ------
    ConfigError
        If the machine makes no sense: the reason, with cell, state and pin.
    """

    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    states: States
    junctions: int = 0
    bias_ua: float | None = None
    probe_ps: float = 0.0
    source: str = ""

    def __post_init__(self) -> None:
        at = f"cell {self.name}"
        if not self.inputs:
            raise ConfigError(f"{at} has no input")
        pins = [*self.inputs, *self.outputs]
        for pin in pins:
            if pins.count(pin) > 1:
                raise ConfigError(f"{at} has two pins {pin}")
        if self.junctions < 0:
            raise ConfigError(f"{at}: junctions must be at least 0, not {self.junctions}")
        if self.bias_ua is not None and not self.bias_ua >= 0:
            raise ConfigError(f"{at}: bias_ua must be at least 0, not {self.bias_ua}")
        if not self.states:
            raise ConfigError(f"{at} has no state")
        for state, reactions in self.states.items():
            for pin in reactions:
                self._check_pin(f"{at}, state {state}", pin, self.inputs, "an input")
            for pin in self.inputs:
                if pin not in reactions:
                    raise ConfigError(f"{at}, state {state}: nothing says what a pulse at {pin} does")
                self._check_reaction(f"{at}, state {state}, pulse at {pin}", reactions[pin])
        self._check_reachable(at)
        silent = set(self.outputs) - {
            pin for reactions in self.states.values() for one in reactions.values() for pin in one.fires
        }
        if silent:
            raise ConfigError(f"{at}: nothing fires {min(silent)}")

    def _check_reaction(self, at: str, reaction: Reaction) -> None:
        if reaction.target not in self.states:
            raise ConfigError(f"{at}: {reaction.target} is not a state{did_you_mean(reaction.target, [*self.states])}")
        for what, known, kind, times, least in (
            ("delay", self.outputs, "an output", reaction.fires, 1),
            ("blocked time", self.inputs, "an input", reaction.blocks, 0),
            ("least age", self.inputs, "an input", reaction.ages, 0),
        ):
            for pin, ticks in times.items():
                self._check_pin(at, pin, known, kind)
                if not least <= ticks <= MOST_TICKS:
                    raise ConfigError(f"{at}: the {what} of {pin} must be {_at_least(least)}, not {ps(ticks):g} ps")

    @staticmethod
    def _check_pin(at: str, pin: str, known: tuple[str, ...], kind: str) -> None:
        if pin not in known:
            raise ConfigError(f"{at}: {pin} is not {kind}{did_you_mean(pin, [*known])}")

    def _check_reachable(self, at: str) -> None:
        reached, ahead = set(), [self.initial]
        while ahead:
            state = ahead.pop()
            if state not in reached:
                reached.add(state)
                ahead += [reaction.target for reaction in self.states[state].values()]
        for state in self.states:
            if state not in reached:
                raise ConfigError(f"{at}: no pulse leads from {self.initial} to state {state}")

    @property
    def initial(self) -> str:
        """The state after power-up."""
        return next(iter(self.states))

    @cached_property
    def clocked(self) -> bool:
        """Whether it waits for a clock: it has a pin `clk`."""
        return "clk" in self.inputs


def _at_least(ticks: int) -> str:
    return "above 0" if ticks else "at least 0"


def ps(ticks: int) -> float:
    """Ticks in picoseconds: the nearest float, which prints with one decimal."""
    return ticks / TICKS_PER_PS


def exact_ps(ticks: int) -> str:
    """Ticks, at least 0, in picoseconds as text: all digits, however many."""
    whole, tenth = divmod(ticks, TICKS_PER_PS)
    return f"{whole}.{tenth}" if tenth else f"{whole}"


def ticks(value: Any, at: str) -> int:
    """Picoseconds as whole ticks.

    Raises
    ------
    ConfigError
        If it is not a number, or not a multiple of 0.1 ps, or too large.
    """
    if not abs(number_of(value, at)) <= MOST_TICKS / TICKS_PER_PS:
        raise ConfigError(f"{at} must be at most {MOST_TICKS // TICKS_PER_PS} ps, not {describe_value(value)}")
    found: int = round(value * TICKS_PER_PS)
    if abs(value * TICKS_PER_PS - found) > ROUNDING_TICKS:
        raise ConfigError(f"{at} must be a multiple of 0.1 ps, not {describe_value(value)}")
    return found
