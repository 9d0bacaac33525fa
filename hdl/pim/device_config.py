"""Config of the device on its own. No gateware here: models and flows read this file too."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from hdl.pim.channel_config import ChannelConfig

HEADER_FIELDS = {"command": 8, "bank": 8, "bank_mask": 16, "row": 16, "col": 8, "gb": 1, "acc": 1, "buf": 1}
"""Bits of what a beat of commands begins with, from the least significant; the rest of 64 is not used."""

HEADER_BITS = 64


class DeviceConfig(ChannelConfig):
    """`pim.device`: a memory whose banks multiply beside their rows, a command a beat."""

    header_bits: ClassVar[int] = HEADER_BITS

    @property
    def data_bits(self) -> int:
        """Of what follows the header in a beat: a column, or a bias for each bank."""
        return max(8, self.column_bits, self.bias_bits)

    @property
    def answer_bits(self) -> int:
        """Of a beat of answers: a column, or a result for each bank."""
        return max(8, self.column_bits, self.result_bits)

    @property
    def latency_cycles(self) -> int:
        """From the beat with RD or RDMAC to the first cycle that offers its answer: the device, the answers' queue."""
        return self.device_latency_cycles + 2

    @property
    def register_source(self) -> tuple[Path, dict[str, int]]:
        """The register file and its parameters."""
        parameters = {"BANKS": self.banks, "LANES": self.lanes, "LATENCY": self.device_latency_cycles}
        return Path(__file__).with_name("device.rdl"), parameters
