"""Config of `pulse.channel`: detectors' channels, from their samples to records. No gateware here."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Self

from pydantic import Field, model_validator

from hdl.common.block import BlockConfig
from hdl.common.registers import RegisterMap
from hdl.pulse.config import RECORD_BITS, FilterConfig
from hdl.pulse.front_config import FrontConfig
from hdl.pulse.histogram_config import HistogramConfig

HISTOGRAM_BASE, FILTER_BASE, FRONT_BASE, FRONT_BYTES = 0x80, 0x100, 0x200, 0x100
"""Where the units' registers begin, in bytes, and how far it is from one front end's to the next one's."""


class ChannelConfig(BlockConfig):
    """`pulse.channel`: front ends and the optimal filter behind them, a record of 128 bits for each pulse."""

    channels: int = Field(default=1, ge=1, le=8)
    """Detectors, sampled together, each with a front end of its own; the filter is theirs in turn."""

    front: FrontConfig
    """The parameters of pulse.front."""

    filter: FilterConfig
    """The parameters of pulse.filter, of as many samples a window."""

    histogram: HistogramConfig | None = None
    """The parameters of pulse.histogram, which counts the records; without, there is none."""

    channel_bits: ClassVar[int] = 8
    energy_bits: ClassVar[int] = 24
    sequence_bits: ClassVar[int] = 8
    record_bits: ClassVar[int] = RECORD_BITS

    @model_validator(mode="after")
    def _check_windows(self) -> Self:
        if self.filter.samples != self.front.samples:
            raise ValueError(
                f"filter.samples must be the {self.front.samples} of the front end's windows, not {self.filter.samples}"
            )
        return self

    @property
    def latency_cycles(self) -> int:
        """From the cycle that takes sample t + `samples` - 1 of a trigger at t to the first that offers its record,
        where the inspection is over and no other event is before it: front end, of several a turn, window, fit,
        record, histogram."""
        front = self.front.latency_cycles + int(self.channels > 1)
        behind = self.histogram.latency_cycles if self.histogram else 0
        return front + self.front.samples - 1 + self.filter.latency_cycles + 1 + behind

    @property
    def index_bits(self) -> int:
        """Of a channel's place among the block's channels."""
        return (self.channels - 1).bit_length()

    @property
    def multipliers(self) -> int:
        """Those of the units."""
        return self.channels * self.front.multipliers + self.filter.multipliers

    @property
    def register_source(self) -> tuple[Path, dict[str, int]]:
        """The register file and its parameters."""
        front, fit = self.front.register_source[1], self.filter.register_source[1]
        parameters = {f"FRONT_{name}": value for name, value in front.items()}
        parameters |= {f"FILTER_{name}": value for name, value in fit.items()}
        if self.histogram:
            counts = self.histogram.register_source[1]
            parameters |= {"HISTOGRAM": 1} | {f"HISTOGRAM_{name}": value for name, value in counts.items()}
        return Path(__file__).with_name("channel.rdl"), parameters | {"CHANNELS": self.channels}

    @property
    def own_registers(self) -> RegisterMap:
        """The registers before those of the units."""
        registers = self.registers
        assert registers is not None
        return registers.before(HISTOGRAM_BASE)
