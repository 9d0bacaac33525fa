"""Configs of the attention family's blocks."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from hdl.common.block import BlockConfig

SCORE_BITS_OF_PRODUCT = 15
"""A product of two INT8 numbers in [-127, 127], or [-128, 127], without its sign: at most 2**14."""

LEAST_ROUND_CYCLES = 8
"""Cycles that softmax units are to take for a block's tile: a row's state is read again no sooner."""


class ArrayConfig(BlockConfig):
    """`attention.array`: attention over any number of keys in one pass, on an array of rows of queries and lanes."""

    rows: Literal[2, 4, 8, 16, 32, 64]
    """R: query rows that are worked on at once, a block."""

    lanes: Literal[4, 8, 16, 32, 64]
    """C: multipliers of a row, and keys of a tile."""

    dim: int = Field(ge=8, le=256)
    """D: the largest dimension d of a head; a multiple of `lanes`, at least twice it."""

    subtiles: Literal[2, 4, 8, 16, 32, 64] = 8
    """T: blocks of queries that share each tile of keys."""

    p_bits: Literal[8, 9] = 8
    """PB: fraction bits of a tile's probabilities."""

    guard_bits: int = Field(default=12, ge=10, le=14)
    """G: bits that sums keep below the last place of a probability."""

    bus_bits: Literal[32, 64, 128, 256, 512] = 64
    """Data width of the memory port; at most `lanes` bytes."""

    softmax_units: int = Field(default=0, ge=0, le=64)
    """Units for exponentials, each one a cycle; 0: as many as keep up with the array at d = `dim`."""

    address_bits: ClassVar[int] = 32

    key_bits: ClassVar[int] = 24
    """Of a key's index, two's complement."""

    logit_bits: ClassVar[int] = 20
    """Of a logit in base 2, two's complement, with `logit_fraction_bits`."""

    logit_fraction_bits: ClassVar[int] = 10

    exponent_bits: ClassVar[int] = 12
    """Of a row's exponent m, two's complement."""

    tile_slots: ClassVar[int] = 4
    """Tiles of keys, and of values, that the buffers hold."""

    banks: ClassVar[int] = 4
    """Blocks whose scores, or probabilities, wait at once."""

    @model_validator(mode="after")
    def _check_sizes(self) -> Self:
        if self.dim % self.lanes or self.dim < 2 * self.lanes:
            raise ValueError(f"dim must be a multiple of lanes = {self.lanes}, twice it or more, not {self.dim}")
        if self.bus_bytes > self.lanes:
            raise ValueError(f"bus_bits must be at most 8 * lanes = {8 * self.lanes}, not {self.bus_bits}")
        if self.softmax_units and (self.softmax_units > self.rows or self.rows % self.softmax_units):
            raise ValueError(f"softmax_units must divide rows = {self.rows}, not {self.softmax_units}")
        if self.units > self.lanes or self.rows_per_unit * self.lanes < LEAST_ROUND_CYCLES:
            most = min(self.lanes, self.rows * self.lanes // LEAST_ROUND_CYCLES)
            raise ValueError(
                f"softmax_units must be at most {most} for {self.rows} rows of {self.lanes} lanes, not {self.units}"
            )
        return self

    @property
    def bus_bytes(self) -> int:
        """Bytes of a word of the memory port; addresses and strides are multiples of it."""
        return self.bus_bits // 8

    @property
    def most_chunks(self) -> int:
        """Chunks of `lanes` channels that the largest head has."""
        return self.dim // self.lanes

    @property
    def units(self) -> int:
        """Softmax units: a tile of a block has rows * lanes scores, and takes 2 * dim cycles of the array."""
        wanted = self.softmax_units or -(-self.rows * self.lanes // (2 * self.dim))
        return next(units for units in range(wanted, self.rows + 1) if self.rows % units == 0)

    @property
    def rows_per_unit(self) -> int:
        """Rows that a softmax unit serves, one after the other."""
        return self.rows // self.units

    @property
    def lane_bits(self) -> int:
        """Of a lane's index."""
        return (self.lanes - 1).bit_length()

    @property
    def stationary_bits(self) -> int:
        """Of a stationary operand, two's complement: a query's channel or a probability up to 2**p_bits."""
        return self.p_bits + 2

    @property
    def product_bits(self) -> int:
        """Of a product: a probability times a value."""
        return self.p_bits + 8

    @property
    def partial_bits(self) -> int:
        """Of a row's sum of products."""
        return self.product_bits + self.lane_bits

    @property
    def score_bits(self) -> int:
        """Of a score: dim products of at most 2**14."""
        return SCORE_BITS_OF_PRODUCT + (self.dim - 1).bit_length() + 1

    @property
    def l_bits(self) -> int:
        """L, of a row's sum of probabilities, unsigned."""
        return self.p_bits + self.guard_bits + self.lane_bits + 4

    @property
    def o_bits(self) -> int:
        """W, of an output's sum, two's complement."""
        return self.l_bits + 8

    @property
    def multipliers(self) -> int:
        """Lanes of the array; logits (two a unit), exponentials (one a unit) and the normaliser (two) have theirs."""
        return self.rows * self.lanes + 3 * self.units + 2

    array_cycles: ClassVar[int] = 5
    """From the sequencer's giving a beat to its products' first sums."""

    @property
    def latency_cycles(self) -> int:
        """From a beat's leaving the sequencer to its sum at the rows' edges."""
        return self.array_cycles + self.lane_bits - 1

    @property
    def register_source(self) -> tuple[Path, dict[str, int]]:
        """The register file and its parameters."""
        parameters = {
            "ROWS": self.rows,
            "LANES": self.lanes,
            "DIM": self.dim,
            "SUBTILES": self.subtiles,
            "P_BITS": self.p_bits,
            "GUARD_BITS": self.guard_bits,
            "BUS_BYTES": self.bus_bytes,
        }
        return Path(__file__).with_name("array.rdl"), parameters
