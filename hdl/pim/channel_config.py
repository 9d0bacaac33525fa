"""Config of a channel of memory with multipliers. No gateware here: models, compilers and flows read this file too."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from hdl.common.block import BlockConfig
from hdl.common.config import ConfigError
from hdl.pim.commands import FIELDS
from hdl.pim.device_latency import answer_cycles
from hdl.pim.timing import Rule, TimingProfile, compile_rules, load_profile, profile_document

MOST_MEMORY_BITS = 1 << 26
"""Of a device in gateware; its Verilog then takes some ten seconds, and a simulator 8 MiB."""


class ChannelConfig(BlockConfig):
    """`pim.channel`: a controller that takes instructions of 64 bits and sends a memory its commands, in time."""

    profile: str | dict[str, Any] = "aim"
    """Timing: a profile's name, the path of a YAML file, or the document itself."""

    channel: int = Field(default=0, ge=0, le=7)
    """Its bit in the instructions' `ch_mask`."""

    banks: Literal[1, 2, 4, 8, 16] = 16
    """Banks of the memory."""

    rows: int = Field(default=16384, ge=1, le=1 << FIELDS["row"])
    """Rows of a bank."""

    columns: int = Field(default=64, ge=1, le=1 << FIELDS["col"])
    """Columns of a row."""

    lanes: Literal[1, 2, 4, 8, 16, 32] = 16
    """Elements of a column, and multipliers of a bank."""

    dtype: Literal["bf16", "int8"] = "bf16"
    """What a column holds; accumulators are fp32 or int32."""

    accumulators: Literal[1, 2] = 1
    """Accumulator sets of a bank."""

    gb_banks: Literal[1, 2] = 1
    """Banks of the global buffer."""

    row_buffers: Literal[1, 2] = 1
    """Rows that a bank can hold open, of MAC_ABK alone; all else works in the first."""

    overlap: bool = False
    """Whether register commands go beside MACs that they do not touch."""

    act_group: Literal[1, 2, 4, 16] = 16
    """Banks that one ACTG opens; 16: all, however many there are, free of tFAW. Default: the profile's."""

    refresh: bool = True
    """Whether there is a refresher. Default: the profile's."""

    queue_depth: int = Field(default=16, ge=2, le=1024)
    """Instructions that wait before the dispatcher; a power of 2."""

    lane_depth: Literal[2] = 2
    """Instructions in a lane: the one that works and the next."""

    ecc: bool = True
    """Whether the device's memory has SECDED check bits."""

    checker: bool = False
    """Whether the device checks times too, not only what is open."""

    checksum: bool = False
    """Whether the device adds a checksum over all banks to each RDMAC's answer; of int8."""

    device: bool = True
    """Whether the behavioural device is inside, or its port is at the edge."""

    device_latency_cycles: int = Field(default=0, ge=0, le=64)
    """From RD or RDMAC to the device's answer; 0: as long as the device inside takes."""

    element_bits_of: ClassVar[dict[str, int]] = {"bf16": 16, "int8": 8}

    def __hash__(self) -> int:
        return hash(self.model_dump_json())

    @model_validator(mode="before")
    @classmethod
    def _take_defaults_of_profile(cls, data: Any) -> Any:
        if not isinstance(data, dict) or not isinstance(data.get("profile", "aim"), str | dict):
            return data
        try:
            timing = load_profile(data.get("profile", "aim"))
        except ConfigError as error:
            raise ValueError(str(error)) from None
        return {"act_group": timing.act_group, "refresh": timing.refresh} | data

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.act_group > self.banks and self.act_group != 16:
            raise ValueError(f"act_group must be at most banks, {self.banks}, or 16, not {self.act_group}")
        if not self.single_shot and self.timing.tFAW_cycles is None:
            raise ValueError(f"act_group must be 16, as the profile has no tFAW, not {self.act_group}")
        if self.queue_depth & (self.queue_depth - 1):
            raise ValueError(f"queue_depth must be a power of 2, not {self.queue_depth}")
        if self.overlap and self.timing.mode_switch_cycles:
            cycles = self.timing.mode_switch_cycles
            raise ValueError(f"overlap must be false where the profile has a mode switch of {cycles} cycles, not true")
        if self.checksum and self.dtype != "int8":
            raise ValueError(f"checksum must be false for dtype {self.dtype}, not true")
        least = answer_cycles(self.dtype, self.lanes, self.timing.tCCD_cycles, self.checksum)
        if self.device_latency_cycles == 0:
            object.__setattr__(self, "device_latency_cycles", least)
        if self.device and self.device_latency_cycles < least:
            taken = self.device_latency_cycles
            raise ValueError(f"device_latency_cycles must be at least {least}, which the device takes, not {taken}")
        return self

    @cached_property
    def timing(self) -> TimingProfile:
        """The profile's times."""
        return load_profile(self.profile)

    @cached_property
    def rules(self) -> tuple[Rule, ...]:
        """What the times forbid, without tFAW."""
        return compile_rules(
            self.timing, overlap=self.overlap, result_beats=self.result_beats, bias_beats=self.bias_beats
        )

    @property
    def identity(self) -> dict[str, Any]:
        """The fields, with the profile's document instead of its name."""
        return self.model_dump(mode="json") | {"profile": profile_document(self.profile)}

    @property
    def single_shot(self) -> bool:
        """Whether one ACTG opens all banks."""
        return self.act_group == 16

    @property
    def group_banks(self) -> int:
        """Banks that one ACTG opens."""
        return min(self.act_group, self.banks)

    @property
    def faw_cycles(self) -> int:
        """The window of four activations; 0: there is none. A single shot neither obeys nor fills it."""
        return self.timing.tFAW_cycles or 0

    @property
    def element_bits(self) -> int:
        """Of an element."""
        return self.element_bits_of[self.dtype]

    @property
    def memory_bits(self) -> int:
        """Of the device's banks, without check bits."""
        return self.banks * self.rows * self.columns * self.column_bits

    @property
    def column_bits(self) -> int:
        """Of a column, and of a beat of data."""
        return self.lanes * self.element_bits

    @property
    def result_element_bits(self) -> int:
        """Of a bank's result and bias: bf16 or int32."""
        return 16 if self.dtype == "bf16" else 32

    @property
    def bias_bits(self) -> int:
        """Of a WRMAC's word."""
        return self.banks * self.result_element_bits

    @property
    def result_bits(self) -> int:
        """Of an RDMAC's word, with its checksum."""
        return self.bias_bits + (32 if self.checksum else 0)

    @property
    def bias_beats(self) -> int:
        """Beats that a WRMAC takes."""
        return -(-self.bias_bits // self.column_bits)

    @property
    def result_beats(self) -> int:
        """Beats that an RDMAC makes."""
        return -(-self.result_bits // self.column_bits)

    @property
    def latency_cycles(self) -> int:
        """Of data: from RD or RDMAC to the beat."""
        return self.device_latency_cycles

    @property
    def multipliers(self) -> int:
        """Those of the device's banks."""
        return self.banks * self.lanes if self.device else 0

    @property
    def register_source(self) -> tuple[Path, dict[str, int]]:
        """The register file and its parameters."""
        return Path(__file__).with_name("channel.rdl"), {"BANKS": self.banks, "ROWS": self.rows, "LANES": self.lanes}


def check_memory(config: ChannelConfig) -> None:
    """Nothing, where the device's memory is one that gateware can have.

    Raises
    ------
    ConfigError
        If it is of a size that only a real memory has.
    """
    if config.memory_bits > MOST_MEMORY_BITS:
        raise ConfigError(
            f"params.rows: banks, rows, columns and lanes must make at most {MOST_MEMORY_BITS} bits of memory, not "
            f"{config.memory_bits}; take fewer rows, or leave a channel's memory outside by `device: false`"
        )
