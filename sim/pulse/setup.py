"""A measurement: shape of the pulses, what spreads, noise, ADC. Signals, and their limit, are made of it.

Heights are relative to the largest amplitude of a pulse, which is 1.
"""

from __future__ import annotations

import math
from functools import cached_property
from pathlib import Path
from typing import Literal, Self

import numpy as np
from pydantic import Field, model_validator

from hdl.common.config import Config, ConfigError
from sim.pulse.shapes import Biexponential, CrRc, Sampled, Shape

SETUPS = {path.stem: path for path in sorted(Path(__file__).with_name("setups").glob("*.yml"))}
"""Named set-ups."""


class Setup(Config):
    """What a detector, its electronics and its ADC give."""

    shape: Literal["cr_rc", "biexponential", "sampled"] = "cr_rc"
    """Of the pulse: a CR-RC^n shaper, a difference of two exponentials, or samples of a file."""

    order: int = Field(default=2, ge=1, le=8)
    """n of `cr_rc`."""

    tau_ns: float = Field(default=20.0, gt=0, le=1e6)
    """Time constant of `cr_rc`."""

    rise_ns: float = Field(default=8.0, gt=0, le=1e6)
    """Rising time constant of `biexponential`."""

    decay_ns: float = Field(default=40.0, gt=0, le=1e6)
    """Falling one; more than `rise_ns`."""

    waveform: str = ""
    """Of `sampled`: an NPY file with a pulse's samples from its onset on."""

    waveform_spacing_ns: float = Field(default=1.0, gt=0, le=1e6)
    """Between them."""

    sample_rate_hz: float = Field(default=125e6, gt=0, le=1e11)
    """Of the ADC."""

    samples: int = Field(default=32, ge=8, le=1024)
    """Of a record."""

    pre_samples: int = Field(default=8, ge=0, le=1016)
    """Of a record before the mean onset."""

    onset_spread_samples: float = Field(default=1.0, ge=0, le=64)
    """Onsets are uniform in so many samples to either side of the mean one."""

    adc_bits: int = Field(default=14, ge=4, le=16)
    """Codes are two's complement of so many bits."""

    full_scale: float = Field(default=1.25, gt=0, le=1000)
    """Span of all codes; beyond it they saturate."""

    baseline: float = Field(default=0.1, ge=-500, le=500)
    """Above the lowest code."""

    baseline_walk: float = Field(default=0.0, ge=0, le=1)
    """Rms of the baseline's wandering about `baseline`, between records or, in a stream, over `baseline_walk_s`."""

    baseline_walk_s: float = Field(default=1e-4, gt=0, le=1e3)
    """Time in which a stream's baseline forgets, an exponential's."""

    polarity: Literal[1, -1] = 1
    """Pulses rise or fall."""

    snr_db: float = Field(default=47.4, ge=0, le=140)
    """20 log10 of the largest amplitude over the noise's rms, before the ADC."""

    coloured_share: float = Field(default=0.0, ge=0, le=1)
    """Of the noise's power: with an autocorrelation that falls off as e^(-|t| / `correlation_ns`)."""

    correlation_ns: float = Field(default=40.0, gt=0, le=1e6)
    """Of coloured noise."""

    jitter_ps: float = Field(default=0.0, ge=0, le=1e6)
    """Rms of the sampling instants, each for itself."""

    amplitude_least: float = Field(default=1.0, gt=0, le=1)
    """Amplitudes are uniform from here to 1."""

    stretch_spread: float = Field(default=0.0, ge=0, le=0.5)
    """Pulses are uniformly stretched in time by up to this share, longer or shorter."""

    pile_up_share: float = Field(default=0.0, ge=0, le=1)
    """Of records: with a second pulse, of an amplitude of its own from the same range."""

    pile_up_least_ns: float = Field(default=20.0, ge=0, le=1e6)
    """A second pulse comes uniformly from so long after the first's onset …"""

    pile_up_most_ns: float = Field(default=160.0, ge=0, le=1e6)
    """… to so long."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.shape == "biexponential" and self.decay_ns <= self.rise_ns:
            raise ValueError(f"decay_ns must be more than rise_ns = {self.rise_ns}, not {self.decay_ns}")
        if (self.shape == "sampled") != bool(self.waveform):
            raise ValueError("waveform must name a file where shape is sampled, and nowhere else")
        if self.pre_samples > self.samples - 4:
            raise ValueError(f"pre_samples must be at most samples - 4 = {self.samples - 4}, not {self.pre_samples}")
        spread, least, most = self.onset_spread_samples, self.pile_up_least_ns, self.pile_up_most_ns
        if spread > self.pre_samples:
            raise ValueError(f"onset_spread_samples must be at most pre_samples = {self.pre_samples}, not {spread}")
        if most < least:
            raise ValueError(f"pile_up_most_ns must be at least pile_up_least_ns = {least}, not {most}")
        return self

    @cached_property
    def pulse(self) -> Shape:
        """The shape of a pulse.

        Raises
        ------
        ConfigError
            If `waveform` is no file of such samples.
        """
        if self.shape == "cr_rc":
            return CrRc(self.order, self.tau_ns)
        if self.shape == "biexponential":
            return Biexponential(self.rise_ns, self.decay_ns)
        try:
            return Sampled(np.load(self.waveform, allow_pickle=False), self.waveform_spacing_ns)
        except (OSError, ValueError, EOFError) as error:
            raise ConfigError(f"waveform: {self.waveform}: {error}") from None

    @property
    def sample_ns(self) -> float:
        """Between samples."""
        return 1e9 / self.sample_rate_hz

    @property
    def noise_rms(self) -> float:
        """Before the ADC, relative to the largest amplitude."""
        return float(10 ** (-self.snr_db / 20))

    @property
    def lsb(self) -> float:
        """Of the ADC, relative to the largest amplitude."""
        return math.ldexp(self.full_scale, -self.adc_bits)
