"""Config of `pim.lut_gemv`: matrix times vector by tables of subset sums. No gateware here."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from hdl.common.block import BlockConfig

RESULT_FORMATS = ("int32", "bf16", "fp32")
"""What a job's sums become; the place is the code in its header."""

INDEX_BITS = range(2, 9)
"""Widths of the operand that is taken bit by bit."""

HEADER_INDEX_BITS, HEADER_FORMAT, HEADER_COUNT = slice(0, 4), slice(4, 6), slice(16, 32)
"""Bits of a job's header."""


class LutGemvConfig(BlockConfig):
    """`pim.lut_gemv`: sums of products without products.

    One operand, in groups, fills tables of all sums of its subsets; each bit plane of the other is an index into them.
    """

    side: Literal["activation", "weight"] = "activation"
    """Which operand the tables are made of: activations serve all outputs, weights the whole batch. The gateware is the
    same; this says which arrays of `niello run` go where."""

    group: int = Field(ge=2, le=6)
    """Elements of one table, which has 2^group sums."""

    tables: int = Field(ge=1, le=16)
    """Tables that are looked up in one cycle, each of another group."""

    depth: int = Field(ge=16, le=4096)
    """Index vectors of one job, and accumulators of 32 bits."""

    pattern_cache: bool = True
    """Sums are made while others are looked up, those first that a pattern needs; else all before the first lookup."""

    element_bits: ClassVar[int] = 8
    accumulator_bits: ClassVar[int] = 32

    @model_validator(mode="after")
    def _check_header(self) -> Self:
        if self.elements < 4:
            raise ValueError(
                f"group times tables must be at least 4, as a job's header has 32 bits, not {self.elements}"
            )
        return self

    @property
    def elements(self) -> int:
        """Elements of each operand that one beat covers."""
        return self.group * self.tables

    @property
    def beat_bits(self) -> int:
        """Width of a beat of either operand: the elements of a table beat, or eight bit planes."""
        return self.element_bits * self.elements

    @property
    def entry_bits(self) -> int:
        """Width of a sum of a subset: of `group` times -128 at the least."""
        return self.element_bits + (self.group - 1).bit_length()

    @property
    def lookup_bits(self) -> int:
        """Width of the sum over all tables."""
        return self.entry_bits + (self.tables - 1).bit_length()

    @property
    def fill_cycles(self) -> int:
        """Sums of two elements and more: what a table without a pattern cache takes to be filled."""
        return (1 << self.group) - self.group - 1

    @property
    def latency_cycles(self) -> int:
        """From the cycle that takes an index beat of a job's last group, with one vector of one plane that is in the
        tables, to the first cycle that offers its result: slice, lookup, sum, accumulator, operand, product,
        normaliser, encoder, slice. Every plane and every sum to be made before it adds a cycle."""
        return 9

    @property
    def multipliers(self) -> int:
        """One, for the scale: all else is sums."""
        return 1

    @property
    def register_source(self) -> tuple[Path, dict[str, int]]:
        """The register file and its parameters."""
        return Path(__file__).with_name("lut_gemv.rdl"), {
            "GROUP": self.group,
            "TABLES": self.tables,
            "DEPTH": self.depth,
            "WEIGHT_SIDE": int(self.side == "weight"),
            "CACHE": int(self.pattern_cache),
        }
