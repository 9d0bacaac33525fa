"""Config of `pulse.front`: triggers in detector samples, and a window of codes for each. No gateware here."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from hdl.common.block import BlockConfig

FRAME_SAMPLES = 128
"""Samples with the same baseline; the first of them are there for the sums to fill."""

GROUP_SAMPLES = 4
"""Samples that are quiet together, or not."""

LEAST_HOLD_OFF = 3
"""Samples after a trigger in which there is none: as many lanes have one trigger at most."""

SOURCES = ("none", "level", "trapezoid", "zero_crossing")
"""What makes candidates; the place is the code in the register `source`."""

SIGNED_SETTINGS = ("offset", "code_least", "code_most", "threshold")
"""Settings that are of two's complement."""

CONDITION_CYCLES, DISCRIMINATOR_CYCLES = 3, 11
"""From a beat to its conditioned samples, and from there to what each of them sets and fires."""


class FrontConfig(BlockConfig):
    """`pulse.front`: detector samples in, windows of triggered pulses out.

    The settings are registers of one field, `value`, in the order of `setting_names`.
    """

    samples: int = Field(ge=16, le=256)
    """Samples of a window."""

    pre: int = Field(ge=0, le=127)
    """Samples of a window before the trigger sample: below `samples`, a multiple of `lanes`."""

    lanes: Literal[1, 2, 4] = 1
    """Samples a clock."""

    events: Literal[2, 4, 8, 16, 32, 64] = 16
    """Windows that the ring keeps."""

    code_bits: int = Field(default=16, ge=8, le=16)
    """Bits of a detector's code."""

    sample_bits: ClassVar[int] = 16
    baseline_bits: ClassVar[int] = 24
    baseline_fraction_bits: ClassVar[int] = 8
    time_bits: ClassVar[int] = 48
    number_bits: ClassVar[int] = 32
    event_bits: ClassVar[int] = 128
    setting_names: ClassVar[tuple[str, ...]] = (
        "run", "invert", "offset", "pole", "code_least", "code_most",
        "baseline_on", "baseline_exponent", "gate_before", "gate_after",
        "source", "external_on", "rise", "flat", "threshold", "hysteresis", "hold_off", "inspect", "period",
    )  # fmt: skip

    @model_validator(mode="after")
    def _check_window(self) -> Self:
        if self.pre >= self.samples:
            raise ValueError(f"pre must be below the {self.samples} samples of a window, not {self.pre}")
        if self.pre % self.lanes:
            raise ValueError(f"pre must be a multiple of the {self.lanes} lanes, not {self.pre}")
        return self

    @property
    def lane_bits(self) -> int:
        """Of a sample's number, those that say its lane."""
        return self.lanes.bit_length() - 1

    @property
    def window_words(self) -> int:
        """Words of the ring, a beat each, that hold a window, whatever its first sample's lane."""
        return (self.samples + self.lanes - 1 + self.lanes - 1) // self.lanes

    @property
    def ring_words(self) -> int:
        """Words of the ring: a power of two that is enough for all events."""
        return 1 << (self.events * self.window_words - 1).bit_length()

    @property
    def latency_cycles(self) -> int:
        """From the cycle that takes sample t + `samples` - 1 of a trigger at t to the first that offers its event,
        where the inspection is over and no other event is before it: samples, triggers, ring, reader."""
        return CONDITION_CYCLES + DISCRIMINATOR_CYCLES + 1 + 1 + 6

    @property
    def window_cycles(self) -> int:
        """From an event to the next that waits already, without stalls."""
        return self.samples + 7

    @property
    def multipliers(self) -> int:
        """The pole-zero's, one a lane."""
        return self.lanes

    @property
    def register_source(self) -> tuple[Path, dict[str, int]]:
        """The register file and its parameters."""
        return Path(__file__).with_name("front.rdl"), {
            "SAMPLES": self.samples,
            "PRE": self.pre,
            "LANES": self.lanes,
            "EVENTS": self.events,
            "CODE_BITS": self.code_bits,
        }
