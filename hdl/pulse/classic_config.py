"""Config of `pulse.classic`: time, energy and charge of a pulse by the classic estimators. No gateware here."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from pydantic import Field

from hdl.common.block import BlockConfig
from hdl.pulse.config import RATIO_CYCLES

TABLE_ENTRIES = 64
"""Of the table of corrections: phases of a sample that it tells apart."""

TIME_SOURCES = ("leading_edge", "constant_fraction")
"""What gives the time; the place is the code in the register `time_source`."""

ENERGY_SOURCES = ("peak", "trapezoid", "long_gate")
"""What gives the energy; the place is the code in the register `energy_source`, and the last one's is 3, too."""

SIGNED_SETTINGS = ("threshold", "time_offset", "code_least", "code_most")
"""Settings that are of two's complement."""


class ClassicConfig(BlockConfig):
    """`pulse.classic`: leading edge or constant fraction, peak, trapezoid and charge gates, a record for each window.

    The settings are registers of one field, `value`, in the order of `setting_names`.
    """

    samples: int = Field(ge=16, le=256)
    """Samples of a window."""

    code_bits: ClassVar[int] = 16
    correction_bits: ClassVar[int] = 16
    charge_bits: ClassVar[int] = 33
    energy_bits: ClassVar[int] = 32
    record_bits: ClassVar[int] = 128
    scan_stages: ClassVar[int] = 11
    setting_names: ClassVar[tuple[str, ...]] = (
        "baseline_exponent", "time_source", "threshold", "delay", "fraction", "table_on", "time_offset",
        "energy_source", "energy_exponent", "rise", "flat", "gate_start", "gate_long", "gate_short",
        "code_least", "code_most",
    )  # fmt: skip

    @property
    def most_baseline_exponent(self) -> int:
        """Of 2: the samples of the longest baseline."""
        return min(7, self.samples.bit_length() - 1)

    @property
    def scan_cycles(self) -> int:
        """A window's samples, one a cycle, through the estimators."""
        return self.samples + self.scan_stages

    @property
    def divide_cycles(self) -> int:
        """The divider's: the crossing's fraction of a sample, and the ratio of the gates."""
        return 2 * RATIO_CYCLES + 2

    @property
    def window_cycles(self) -> int:
        """From a record to the next where windows wait, without stalls: one is scanned while the one before divides."""
        return max(self.scan_cycles, self.divide_cycles)

    @property
    def latency_cycles(self) -> int:
        """From the cycle that takes a window's last beat to the first that offers its record, where no other window is
        worked on."""
        return self.scan_cycles + self.divide_cycles

    @property
    def multipliers(self) -> int:
        """A sample's fraction: 25 bits by 8, two of 18 bits by 18."""
        return 2

    @property
    def register_source(self) -> tuple[Path, dict[str, int]]:
        """The register file and its parameters."""
        return Path(__file__).with_name("classic.rdl"), {"SAMPLES": self.samples}
