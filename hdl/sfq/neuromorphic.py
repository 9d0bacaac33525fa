"""Synapse and neuron as integers: what model and gateware compute with, made from the fits in `neuromorphic.yml`.

Synapse. A generator of 32 bits, xorshift by 13 left, 17 right, 5 left, moves on with every pulse that comes; the pulse
passes if its upper 16 bits are then below the weight's threshold, `65536 p(I)` rounded to nearest even: 0..65536. It
starts `WARM_UP` steps after `seed * 0x9E3779B9 + index * 0x85EBCA6B + 1` modulo 2^32, or after 1 where that is 0.

Neuron. Currents are signed, `CURRENT_BITS` wide, in units of 1/16 uA; times are ticks of 0.1 ps. When a pulse comes
`dt` ticks after the one before, the loop's current I becomes `leak(leak(I, FINE[dt % 64]), COARSE[dt // 64])`, with
`leak(I, f) = (I f + 2^15) >> 16`, or 0 where `dt` is `LONGEST_TICKS` or more; then `I + kick`, and, if `bias + I` is
above the threshold, the neuron fires and I loses `drop`. I saturates. The tables hold `65536 exp(-dt / tau)` rounded
to nearest even, at most 65535.
"""

from __future__ import annotations

from functools import cache
from math import erf, exp, pi, sqrt
from pathlib import Path
from typing import Any

import yaml
from pydantic import Field

from hdl.common.config import Config
from hdl.sfq.cells import TICKS_PER_PS

FITS = Path(__file__).with_name("neuromorphic.yml")

WEIGHT_BITS = 8
PASS_BITS = 16
STATE_BITS = 32
WARM_UP = 16

CURRENT_BITS = 16
UNITS_PER_UA = 16
LEAK_BITS = 16
FINE_TICKS, COARSE_STEPS = 64, 256
LONGEST_TICKS = FINE_TICKS * COARSE_STEPS


class SynapseFit(Config):
    """A synapse's transfer curve, and the currents of its weights."""

    junctions: int = Field(ge=1)
    """Josephson junctions."""
    threshold_ua: float
    """Current at which half of the pulses pass, in uA."""
    gray_zone_ua: float = Field(gt=0)
    """Width of the transfer curve, in uA."""
    delay_ps: float = Field(gt=0)
    """From a pulse to the one that it lets pass, in ps."""
    first_ua: float
    """Current of weight 0, in uA."""
    step_ua: float = Field(gt=0)
    """Current between weights, in uA."""

    def current_ua(self, weight: int) -> float:
        """The bias current of a weight."""
        return self.first_ua + self.step_ua * weight

    def pass_probability(self, current_ua: float) -> float:
        """The share of pulses that pass at a bias current."""
        return (1 + erf(sqrt(pi) * (current_ua - self.threshold_ua) / self.gray_zone_ua)) / 2

    @property
    def thresholds(self) -> list[int]:
        """The threshold of each weight."""
        shares = (self.pass_probability(self.current_ua(weight)) for weight in range(1 << WEIGHT_BITS))
        return [round(share * (1 << PASS_BITS)) for share in shares]


class NeuronFit(Config):
    """A leaky loop's figures."""

    junctions: int = Field(ge=1)
    """Josephson junctions."""
    tau_ps: float = Field(gt=0, le=170)
    """Time within which the loop's current dies away, in ps."""
    kick_ua: float = Field(gt=0, le=500)
    """What a pulse adds to the loop's current, in uA."""
    threshold_ua: float = Field(gt=0, le=1000)
    """Bias and loop current together above which the neuron fires, in uA."""
    drop_ua: float = Field(gt=0, le=500)
    """What the loop's current loses when the neuron fires, in uA."""
    delay_ps: float = Field(gt=0)
    """From a pulse to the firing that it causes, in ps."""

    def leaks(self, step_ticks: int, steps: int) -> list[int]:
        """What is left of a current after 0, 1, 2... steps, in 1/65536."""
        tau_ticks = self.tau_ps * TICKS_PER_PS
        most = (1 << LEAK_BITS) - 1
        return [min(most, round(exp(-step * step_ticks / tau_ticks) * (most + 1))) for step in range(steps)]

    @property
    def currents(self) -> tuple[int, int, int]:
        """Kick, threshold and drop in units."""
        return units(self.kick_ua), units(self.threshold_ua), units(self.drop_ua)

    @property
    def fine(self) -> list[int]:
        """`FINE`: by ticks."""
        return self.leaks(1, FINE_TICKS)

    @property
    def coarse(self) -> list[int]:
        """`COARSE`: by 64 ticks."""
        return self.leaks(FINE_TICKS, COARSE_STEPS)


def units(current_ua: float) -> int:
    """A current in units, rounded to nearest even."""
    return round(current_ua * UNITS_PER_UA)


def first_state(seed: int, index: int) -> int:
    """What the generator of a synapse begins with: `seed` is the network's, `index` the synapse's."""
    state = (seed * 0x9E3779B9 + index * 0x85EBCA6B + 1) % (1 << STATE_BITS) or 1
    for _ in range(WARM_UP):
        state = next_state(state)
    return state


def next_state(state: int) -> int:
    """The generator's next state."""
    state ^= state << 13 & 0xFFFFFFFF
    state ^= state >> 17
    return state ^ state << 5 & 0xFFFFFFFF


@cache
def _fits() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(FITS.read_text())
    return found


def synapse_fit() -> SynapseFit:
    """The synapse that was fitted."""
    return SynapseFit.parse(_fits()["synapse"], at="synapse")


def neuron_fit() -> NeuronFit:
    """The neuron that was fitted."""
    return NeuronFit.parse(_fits()["neuron"], at="neuron")
