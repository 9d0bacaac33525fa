"""Configs of the simd family. No gateware here: models, flows and docs read this file too."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field

from hdl.common.block import BlockConfig


class DotConfig(BlockConfig):
    """`simd.dot`: dot products of signed INT8 vectors, `lanes` elements a cycle."""

    lanes: int = Field(ge=2, le=64)
    """Elements of each operand in one beat, and multipliers in the array."""

    tree_levels_per_stage: Literal[1, 2, 3] = 2
    """Levels of the adder tree between two pipeline registers: fewer run faster, more save cycles and registers."""

    element_bits: ClassVar[int] = 8
    product_bits: ClassVar[int] = 16
    accumulator_bits: ClassVar[int] = 32

    @property
    def operand_bits(self) -> int:
        """Width of one operand beat."""
        return self.lanes * self.element_bits

    @property
    def tree_levels(self) -> int:
        """Two-input adder levels that sum one beat's products."""
        return (self.lanes - 1).bit_length()

    @property
    def lane_sum_bits(self) -> int:
        """Width of one beat's sum, which cannot overflow: (-128)^2 * lanes."""
        return self.product_bits + self.tree_levels

    @property
    def tree_stages(self) -> int:
        """Pipeline registers in the adder tree."""
        return -(-self.tree_levels // self.tree_levels_per_stage)

    @property
    def latency_cycles(self) -> int:
        """From the cycle that takes a vector's last beat to the first cycle that offers its result, without stalls:
        operands, products, tree, accumulator, output slice."""
        return 1 + 1 + self.tree_stages + 1 + 1

    @property
    def multipliers(self) -> int:
        """8x8 signed multipliers, each a DSP block where the device has them."""
        return self.lanes

    @property
    def register_source(self) -> tuple[Path, dict[str, int]]:
        """The register file and its parameters."""
        return Path(__file__).with_name("dot.rdl"), {"LANES": self.lanes, "LATENCY": self.latency_cycles}
