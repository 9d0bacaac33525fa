"""Config of `pim.dispatch`: which device computes an expert. No gateware here."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, ClassVar, Self

from pydantic import BeforeValidator, Field, model_validator

from hdl.common.block import BlockConfig

MOST_DEVICES = 4
NO_DEVICE = 255
"""What an expert without tokens is given to."""

FRACTION_BITS = 8
"""Times are in 1/256 of a cycle."""

TIME_BITS = 32


def _tuple_of_list(value: Any) -> Any:
    """YAML and JSON have lists where a frozen config has tuples."""
    return tuple(value) if isinstance(value, list) else value


Rates = Annotated[tuple[int, ...], BeforeValidator(_tuple_of_list)]


class DispatchConfig(BlockConfig):
    """`pim.dispatch`: experts of a mixture to the device on which each is done first, by a table of two times a device.

    A device takes max(bytes / bandwidth, tokens * operations / peak): its roofline.
    """

    bytes_per_cycle: Rates = Field(min_length=2, max_length=MOST_DEVICES)
    """Bandwidth of each device to its weights, bytes a cycle, 1..65536."""

    ops_per_cycle: Rates = Field(min_length=2, max_length=MOST_DEVICES)
    """Peak of each device, operations a cycle, 1..4194304; a multiplication and an addition are two."""

    expert_bytes: int = Field(ge=1, le=1 << 24)
    """Weights of an expert."""

    weight_bytes: int = Field(default=2, ge=1, le=4)
    """Of one weight: 2 is bf16, where a token makes one operation a byte."""

    token_bits: ClassVar[int] = 16

    @model_validator(mode="after")
    def _check_rates(self) -> Self:
        if len(self.bytes_per_cycle) != len(self.ops_per_cycle):
            lengths = f"{len(self.bytes_per_cycle)} and {len(self.ops_per_cycle)}"
            raise ValueError(f"bytes_per_cycle and ops_per_cycle must name as many devices, not {lengths}")
        for name, most in (("bytes_per_cycle", 1 << 16), ("ops_per_cycle", 1 << 22)):
            for device, rate in enumerate(getattr(self, name)):
                if not 1 <= rate <= most:
                    raise ValueError(f"{name}[{device}] must be in 1..{most}, not {rate}")
        for device, (read, token) in enumerate(self.table):
            if max(read, token) >> TIME_BITS:
                raise ValueError(f"device {device} must do an expert or a token of it in less than 2^24 cycles")
        return self

    @property
    def devices(self) -> int:
        """Devices there are."""
        return len(self.bytes_per_cycle)

    @property
    def table(self) -> list[tuple[int, int]]:
        """Of each device, in 1/256 cycles, rounded up: reading an expert, and computing a token of it. What the
        registers hold after reset."""
        operations = 2 * self.expert_bytes // self.weight_bytes
        return [
            (-(-(self.expert_bytes << FRACTION_BITS) // bandwidth), -(-(operations << FRACTION_BITS) // peak))
            for bandwidth, peak in zip(self.bytes_per_cycle, self.ops_per_cycle, strict=True)
        ]

    @property
    def latency_cycles(self) -> int:
        """From the cycle that takes an expert's tokens to the first that offers its device: slice, product, roofline,
        comparison, slice."""
        return 5

    @property
    def multipliers(self) -> int:
        """One a device, of 16 by 32 bits."""
        return self.devices

    @property
    def register_source(self) -> tuple[Path, dict[str, int]]:
        """The register file and its parameters."""
        table = [*self.table, *[(0, 0)] * (MOST_DEVICES - self.devices)]
        times = {f"READ_{d}": read for d, (read, _) in enumerate(table)}
        times |= {f"TOKEN_{d}": token for d, (_, token) in enumerate(table)}
        return Path(__file__).with_name("dispatch.rdl"), {"DEVICES": self.devices} | times
