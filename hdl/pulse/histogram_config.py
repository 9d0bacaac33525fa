"""Config of `pulse.histogram`: records, counted into bins. No gateware here."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Self

from pydantic import Field, model_validator

from hdl.common.block import BlockConfig
from hdl.pulse.config import RECORD_BITS

SOURCES = ("energy", "shape", "fraction", "interval")
"""What is counted; the place is the code in the register `source`."""


class HistogramConfig(BlockConfig):
    """`pulse.histogram`: counts of a record's energy, shape, fraction of time, or interval."""

    bins: int = Field(default=4096, ge=64, le=65536)
    """Bins, a power of two."""

    count_bits: int = Field(default=32, ge=8, le=32)
    """Bits of a bin's count, which stays at its largest."""

    record_bits: ClassVar[int] = RECORD_BITS
    value_bits: ClassVar[int] = 32
    setting_names: ClassVar[tuple[str, ...]] = (
        "run", "source", "low", "shift", "flags_mask", "flags_value", "channel_mask", "channel_value",
    )  # fmt: skip
    signed_settings: ClassVar[tuple[str, ...]] = ("low",)

    @model_validator(mode="after")
    def _check_power(self) -> Self:
        if self.bins & (self.bins - 1):
            raise ValueError(f"bins must be a power of 2, not {self.bins}")
        return self

    @property
    def bin_bits(self) -> int:
        """Of a bin's number."""
        return self.bins.bit_length() - 1

    @property
    def latency_cycles(self) -> int:
        """From the cycle that takes a record to the first that offers it, counted."""
        return 8

    @property
    def multipliers(self) -> int:
        """None."""
        return 0

    @property
    def register_source(self) -> tuple[Path, dict[str, int]]:
        """The register file and its parameters."""
        return Path(__file__).with_name("histogram.rdl"), {"BIN_BITS": self.bin_bits, "COUNT_BITS": self.count_bits}
