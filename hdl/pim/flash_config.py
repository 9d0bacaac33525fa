"""Config of `pim.flash`: a channel of NAND flash whose planes compute. No gateware here."""

from __future__ import annotations

from enum import IntEnum
from pathlib import Path
from typing import ClassVar, Self

from pydantic import Field, model_validator

from hdl.common.block import BlockConfig


class FlashOp(IntEnum):
    """Operation codes of commands."""

    READ = 1
    READ_COMPUTE = 2
    READ_SLICE = 3
    PROGRAM = 4
    ERASE = 5


COMMAND_BITS = 64
COMMAND_OP, COMMAND_PLANE, COMMAND_PAGE = slice(0, 4), slice(4, 12), slice(12, 32)
COMMAND_OFFSET, COMMAND_COUNT = slice(32, 48), slice(48, 64)
"""Fields of a command; offset and count, in bytes, are of READ_SLICE alone."""

SUM_BYTES = 4
"""Of one result of READ_COMPUTE."""

COMMAND_CYCLES = 7
"""Bus cycles of a command: code, five of address, confirmation (ONFI 5.1, page read)."""


class FlashConfig(BlockConfig):
    """`pim.flash`: one channel, its controller and its dies.

    A byte of the channel's bus takes one cycle. Times are those of the dies, in these cycles.
    """

    dies: int = Field(ge=1, le=16)
    """Dies on the channel, those of all its chips."""

    planes: int = Field(ge=1, le=4)
    """Planes of a die; each has its own array, page register and cache register."""

    blocks: int = Field(ge=1, le=64)
    """Blocks of a plane, what is erased at once."""

    block_pages: int = Field(ge=2, le=64)
    """Pages of a block, what is read and programmed at once."""

    page_bytes: int = Field(ge=16, le=16384)
    """Bytes of a page."""

    columns: int = Field(ge=4, le=1024)
    """Columns of the weights that a page holds for READ_COMPUTE, row by row: bytes of the vector that it takes."""

    read_cycles: int = Field(ge=20, le=1 << 20)
    """tR: from the array to the page register, the products of READ_COMPUTE among it."""

    program_cycles: int = Field(ge=20, le=1 << 22)
    """tPROG: from the page register to the array."""

    erase_cycles: int = Field(ge=20, le=1 << 24)
    """tBERS: all pages of a block become 0xFF."""

    copy_cycles: ClassVar[int] = 8
    """What moving a page of n bytes takes beyond n cycles, and a row's sum."""

    @model_validator(mode="after")
    def _check_shape(self) -> Self:
        for name in ("block_pages", "page_bytes"):
            if (size := getattr(self, name)) & (size - 1):
                raise ValueError(f"{name} must be a power of 2, not {size}")
        if self.columns & (self.columns - 1) or self.columns > self.page_bytes:
            raise ValueError(f"columns must be a power of 2 up to page_bytes, not {self.columns}")
        least = self.page_bytes + self.copy_cycles
        for name in ("read_cycles", "program_cycles"):
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be at least page_bytes + {self.copy_cycles} = {least}, a byte a cycle, "
                                 f"not {getattr(self, name)}")  # fmt: skip
        return self

    @property
    def plane_count(self) -> int:
        """Planes of the channel; plane p of die d is number d * planes + p."""
        return self.dies * self.planes

    @property
    def plane_bits(self) -> int:
        """Width of a plane's number."""
        return max(1, (self.plane_count - 1).bit_length())

    @property
    def pages(self) -> int:
        """Pages of a plane."""
        return self.blocks * self.block_pages

    @property
    def rows(self) -> int:
        """Rows of the weights that a page holds, and sums of a READ_COMPUTE."""
        return self.page_bytes // self.columns

    @property
    def sum_bytes(self) -> int:
        """Bytes that a READ_COMPUTE gives."""
        return SUM_BYTES * self.rows

    @property
    def latency_cycles(self) -> int:
        """From the cycle that takes a READ to the first that offers its page, all idle: slice, the command on the bus,
        tR, the choice of what the bus does next, the cache register, slice."""
        return COMMAND_CYCLES + self.read_cycles + 5

    @property
    def multipliers(self) -> int:
        """One a plane."""
        return self.plane_count

    @property
    def register_source(self) -> tuple[Path, dict[str, int]]:
        """The register file and its parameters."""
        return Path(__file__).with_name("flash.rdl"), {
            "DIES": self.dies,
            "PLANES": self.planes,
            "PAGES": self.pages,
            "BLOCK_PAGES": self.block_pages,
            "PAGE_BYTES": self.page_bytes,
            "COLUMNS": self.columns,
        }
