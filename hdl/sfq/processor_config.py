"""Config of `sfq.processor`. No gateware here: models, flows and docs read this file too."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from hdl.common.block import BlockConfig


class ProcessorConfig(BlockConfig):
    """`sfq.processor`: runs any netlist of pulse logic up to these sizes, without being built anew."""

    instance_bits: int = Field(default=9, ge=2, le=16)
    """Room for 2**instance_bits cells."""

    state_bits: int = Field(default=7, ge=1, le=12)
    """Room for 2**state_bits states of all kinds of cells together."""

    pins: Literal[2, 4, 8] = 4
    """Most inputs of a cell."""

    outputs: Literal[1, 2, 4] = 2
    """Most outputs of a cell."""

    horizon_bits: int = Field(default=12, ge=4, le=14)
    """Delays are below 2**horizon_bits ticks of 0.1 ps."""

    window_bits: int = Field(default=12, ge=1, le=20)
    """Blocked times and least ages are below 2**window_bits ticks of 0.1 ps."""

    time_bits: int = Field(default=40, ge=16, le=40)
    """Times are below 2**time_bits ticks of 0.1 ps; more than horizon_bits and window_bits."""

    slot_bits: int = Field(default=10, ge=2, le=16)
    """Room for 2**slot_bits pulses under way."""

    @model_validator(mode="after")
    def _check_widths(self) -> Self:
        if max(self.horizon_bits, self.window_bits) >= self.time_bits:
            raise ValueError("time_bits must be more than horizon_bits and window_bits")
        return self

    @property
    def pin_bits(self) -> int:
        """Bits that number the inputs of a cell."""
        return self.pins.bit_length() - 1

    @property
    def output_bits(self) -> int:
        """Bits that number the outputs of a cell."""
        return self.outputs.bit_length() - 1

    @property
    def target_bits(self) -> int:
        """Bits that number the inputs of all cells: {instance, pin}."""
        return self.instance_bits + self.pin_bits

    @property
    def row_bits(self) -> int:
        """Bits that number reactions: {state, pin}."""
        return self.state_bits + self.pin_bits

    @property
    def state_word_bits(self) -> int:
        """A state, and the order in which pulses that come together are taken in it."""
        return self.state_bits + self.pins * self.pin_bits

    @property
    def last_tick(self) -> int:
        """The latest time there is."""
        return (1 << self.time_bits) - 1

    @property
    def latency_cycles(self) -> int:
        """From the cycle that takes END to the first that offers the answer END, where nothing is under way."""
        return 3

    @property
    def multipliers(self) -> int:
        """None."""
        return 0

    @property
    def register_source(self) -> tuple[Path, dict[str, int]]:
        """The register file and its parameters."""
        sizes = {"INSTANCE_BITS": self.instance_bits, "STATE_BITS": self.state_bits, "SLOT_BITS": self.slot_bits}
        return Path(__file__).with_name("processor.rdl"), sizes | {"PINS": self.pins, "OUTPUTS": self.outputs}
