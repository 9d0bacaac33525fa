"""Config of `pim.system`: a channel with its device, and the vector unit beside it. No gateware here."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from hdl.common.block import BlockConfig
from hdl.common.config import ConfigError
from hdl.common.registers import RegisterMap
from hdl.pim.channel_config import ChannelConfig
from hdl.pim.commands import Instruction
from hdl.pim.vector_config import VectorConfig, VectorInstruction

VECTOR_BIT = 63
"""Of a program's word: 1 goes to the vector unit, which sees it as 0; 0 goes to the channel."""

CHANNEL_BASE, VECTOR_BASE = 0x100, 0x200
"""Where the units' registers begin, in bytes."""


class SystemConfig(BlockConfig):
    """`pim.system`: one program for a channel of memory and a vector unit, whose data goes from one to the other."""

    channel: ChannelConfig
    """The parameters of pim.channel, with its device inside, in bf16."""

    vector: VectorConfig
    """The parameters of pim.vector."""

    queue_depth: int = Field(default=16, ge=2, le=1024)
    """Words that wait before the vector unit, a power of 2; the channel has a parameter of its own."""

    link_beats: int = Field(default=16, ge=2, le=1024)
    """Columns that each link between the units holds, a power of 2."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        for name in ("queue_depth", "link_beats"):
            value = getattr(self, name)
            if value & (value - 1):
                raise ValueError(f"{name} must be a power of 2, not {value}")
        if self.channel.dtype != "bf16":
            raise ValueError(f"channel.dtype must be bf16, which the vector unit computes in, not {self.channel.dtype}")
        if not self.channel.device:
            raise ValueError("channel.device must be true: the memory is inside")
        return self

    @property
    def identity(self) -> dict[str, Any]:
        """The fields, with the profile's document instead of its name."""
        return self.model_dump(mode="json") | {"channel": self.channel.identity}

    @property
    def latency_cycles(self) -> int:
        """From the cycle that takes a STORE to the host at the port to the first that offers its first beat."""
        return self.vector.latency_cycles + 3

    @property
    def multipliers(self) -> int:
        """Those of the banks and of the vector unit's lanes."""
        return self.channel.multipliers + self.vector.multipliers

    @property
    def register_source(self) -> tuple[Path, dict[str, int]]:
        """The register file and its parameters."""
        channel, vector = self.channel, self.vector
        parameters = {"BANKS": channel.banks, "ROWS": channel.rows, "LANES": channel.lanes}
        parameters |= {"VECTOR_LANES": vector.lanes, "WORDS": vector.words, "LINK_BEATS": self.link_beats}
        return Path(__file__).with_name("system.rdl"), parameters

    @property
    def own_registers(self) -> RegisterMap:
        """The registers before those of the units."""
        registers = self.registers
        assert registers is not None
        return registers.before(CHANNEL_BASE)


SystemInstruction = Instruction | VectorInstruction
"""Of the channel, or of the vector unit."""


def encode_system_program(program: Sequence[SystemInstruction]) -> npt.NDArray[np.uint64]:
    """Instructions of both units as words of 64 bits, (n,) uint64.

    Raises
    ------
    ConfigError
        If an operation has bit 5 set, which is the unit's.
    """
    for one in program:
        if one.op >> 5:
            raise ConfigError(f"op must be in 0..31 in a program of a system, not {one.op}")
    return np.array([one.encode() | isinstance(one, VectorInstruction) << VECTOR_BIT for one in program], np.uint64)


def decode_system_program(words: Iterable[int]) -> list[SystemInstruction]:
    """The instructions that words of 64 bits mean."""
    found: list[SystemInstruction] = []
    for word in map(int, words):
        to_vector = word >> VECTOR_BIT
        found.append(VectorInstruction.decode(word ^ 1 << VECTOR_BIT) if to_vector else Instruction.decode(word))
    return found
