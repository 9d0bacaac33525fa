"""Configs of the attention family's blocks."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from hdl.attention.formats import FORMATS, OPERAND_BITS, FormatName, KvFormat
from hdl.common.block import BlockConfig

SCORE_BITS_OF_PRODUCT = 15
"""A product of a channel and a key's operand, without its sign: at most 2**14 of two INT8 numbers, 128 * 180 with
`nvfp4`."""

LEAST_ROUND_CYCLES = 8
"""Cycles that softmax units are to take for a block's tile: a row's state is read again no sooner."""

LEAST_OPERAND_CYCLES = 3
"""From a beat's leaving the sequencer to its operands at the lanes: of bytes, which are read, chosen and spread."""


def _tuple_of_list(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


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
    """Units for exponentials, each one a cycle; 0: as many as just keep up with the array at d = `dim`."""

    normalisers: Literal[0, 1, 2, 4] = 0
    """Rows that are divided at once, an output a cycle each; 0: as many as keep up with `dim` keys, 4 at most."""

    tile_slots: Literal[4, 8, 16] = 4
    """Tiles of keys, and of values, that the buffers hold: more even out masks that leave little to do of some."""

    formats: Annotated[tuple[FormatName, ...], BeforeValidator(_tuple_of_list)] = ()
    """Formats of keys and values that a job can choose, beside `int8`; what another one would need is not built."""

    linear: bool = False
    """Whether jobs can be linear layers."""

    dual_issue: bool = False
    """Whether jobs on keys and values of 4 bits can have two of each in a lane: tiles of twice as many keys."""

    sparse: bool = False
    """Whether linear layers can keep two of four weights: tiles of twice as many outputs."""

    packed_rows: bool = False
    """Whether a multiplier of 27 x 18 bits, as DSP48E2 has, does the products of two rows."""

    address_bits: ClassVar[int] = 32

    key_bits: ClassVar[int] = 24
    """Of a key's index, two's complement."""

    logit_bits: ClassVar[int] = 20
    """Of a logit in base 2, two's complement, with `logit_fraction_bits`."""

    logit_fraction_bits: ClassVar[int] = 10

    exponent_bits: ClassVar[int] = 12
    """Of a row's exponent m, two's complement."""

    banks: ClassVar[int] = 4
    """Blocks whose scores, or probabilities, wait at once."""

    @model_validator(mode="after")
    def _check_sizes(self) -> Self:
        if self.dim % self.lanes or self.dim < 2 * self.lanes:
            raise ValueError(f"dim must be a multiple of lanes = {self.lanes}, twice it or more, not {self.dim}")
        if self.bus_bytes > self.lanes:
            raise ValueError(f"bus_bits must be at most 8 * lanes = {8 * self.lanes}, not {self.bus_bits}")
        if self.softmax_units > self.rows:
            raise ValueError(f"softmax_units must be at most rows = {self.rows}, not {self.softmax_units}")
        if self.units > self.lanes or self.rows_per_unit * self.lanes < LEAST_ROUND_CYCLES:
            most = min(self.lanes, self.rows * self.lanes // LEAST_ROUND_CYCLES)
            raise ValueError(
                f"softmax_units must be at most {most} for {self.rows} rows of {self.lanes} lanes, not {self.units}"
            )
        if self.normalisers > self.rows // 2:
            raise ValueError(f"normalisers must be at most rows / 2 = {self.rows // 2}, not {self.normalisers}")
        return self

    @model_validator(mode="after")
    def _check_formats(self) -> Self:
        if len(set(self.formats)) < len(self.formats):
            raise ValueError(f"formats must differ from each other, not {', '.join(self.formats)}")
        for each in self.built_formats.values():
            if each.block % self.lanes:
                raise ValueError(f"lanes must divide the {each.block} elements of a block of {each.name}")
            if each.block > self.dim:
                raise ValueError(f"dim must be at least {each.block}, a block of {each.name}, not {self.dim}")
            if each.keys_of_linear_layers_only and not self.linear:
                raise ValueError(f"{each.name} is for linear layers only, and linear is false")
        return self

    @model_validator(mode="after")
    def _check_lanes(self) -> Self:
        if self.packed_rows and (self.p_bits > 8 or self.has_blocks or self.wide):
            raise ValueError("packed_rows needs p_bits of 8, no formats with blocks, and neither dual_issue nor sparse")
        if self.wide and self.has_blocks:
            raise ValueError("dual_issue and sparse need formats without blocks")
        if self.wide and (self.dim % (2 * self.lanes) or self.dim < 4 * self.lanes):
            raise ValueError(
                f"with dual_issue or sparse dim must be a multiple of 2 * lanes = {2 * self.lanes}, twice it or more, "
                f"not {self.dim}"
            )
        if self.dual_issue and "int4" not in self.formats:
            raise ValueError("dual_issue needs int4 in formats")
        if self.sparse and not self.linear:
            raise ValueError("sparse is for linear layers, and linear is false")
        if self.sparse and self.bus_bits < 2 * self.lanes:
            raise ValueError(f"sparse needs bus_bits of at least 2 * lanes = {2 * self.lanes}, not {self.bus_bits}")
        return self

    @property
    def built_formats(self) -> dict[str, KvFormat]:
        """Formats that a job can choose, by name, in the order of their codes."""
        return {name: each for name, each in FORMATS.items() if name == "int8" or name in self.formats}

    @property
    def has_blocks(self) -> bool:
        """Whether a format is built whose elements share scales."""
        return any(each.block for each in self.built_formats.values())

    @property
    def streamed_bits(self) -> int:
        """Of an operand that comes past the lanes, two's complement: an element of a key, or a value."""
        return OPERAND_BITS if self.has_blocks else 8

    @property
    def bus_bytes(self) -> int:
        """Bytes of a word of the memory port; addresses and strides are multiples of it."""
        return self.bus_bits // 8

    @property
    def slot_bits(self) -> int:
        """Of a slot of a tile in the buffers."""
        return (self.tile_slots - 1).bit_length()

    @property
    def most_chunks(self) -> int:
        """Chunks of `lanes` channels that the largest head has."""
        return self.dim // self.lanes

    @property
    def most_inputs(self) -> int:
        """Products of a score, at most: those of a head, or the inputs of a linear layer, of `subtiles` parts."""
        return self.dim * (self.subtiles if self.linear else 1)

    @property
    def units(self) -> int:
        """Softmax units: a tile of a block has rows * tile_keys scores, and takes 2 * dim cycles of the array."""
        wanted = -(-self.rows * self.tile_keys // (2 * self.dim))
        return self.softmax_units or next(units for units in range(wanted, self.rows + 1) if self.rows % units == 0)

    @property
    def dividers(self) -> int:
        """Rows that are divided at once: rows * d outputs of a block, in 2 * d * d / tile_keys cycles of d keys. They
        are in the same half of the rows, as an aligner serves one of each half."""
        wanted = -(-self.rows * self.tile_keys // (2 * self.dim))
        return self.normalisers or min(self.rows // 2, next((count for count in (1, 2) if count >= wanted), 4))

    @property
    def rows_per_unit(self) -> int:
        """Rows that a softmax unit serves, one after the other; some serve one less where `rows` is no multiple."""
        return -(-self.rows // self.units)

    @property
    def lane_bits(self) -> int:
        """Of a lane's index."""
        return (self.lanes - 1).bit_length()

    @property
    def wide(self) -> bool:
        """Whether jobs can be wide: lanes then have two stationary operands."""
        return self.dual_issue or self.sparse

    @property
    def tile_keys(self) -> int:
        """Keys of the largest tile."""
        return self.lanes << self.wide

    @property
    def tile_key_bits(self) -> int:
        """Of a key's index within a tile."""
        return self.lane_bits + self.wide

    @property
    def stationary_bits(self) -> int:
        """Of a stationary operand, two's complement: a query's channel or a probability up to 2**p_bits."""
        return self.p_bits + 2

    @property
    def product_bits(self) -> int:
        """Of a product: a probability times a value."""
        return self.p_bits + self.streamed_bits

    @property
    def partial_bits(self) -> int:
        """Of a row's sum of products."""
        return self.product_bits + self.lane_bits

    @property
    def score_bits(self) -> int:
        """Of a score: `most_inputs` products of a channel and a key's operand."""
        return SCORE_BITS_OF_PRODUCT + (self.most_inputs - 1).bit_length() + 1

    @property
    def chunk_bits(self) -> int:
        """Of a chunk's part of a score."""
        return SCORE_BITS_OF_PRODUCT + self.lane_bits + 1

    @property
    def key_operand_bits(self) -> int:
        """Of e << g_K, two's complement: with `nvfp4` it is at most 12 * 15."""
        return 9 if "nvfp4" in self.formats else 8

    @property
    def l_bits(self) -> int:
        """L, of a row's sum of probabilities, unsigned."""
        return self.p_bits + self.guard_bits + self.tile_key_bits + 4

    @property
    def o_bits(self) -> int:
        """W, of an output's sum, two's complement."""
        return self.l_bits + self.streamed_bits

    @property
    def multipliers(self) -> int:
        """Lanes of the array; logits (two a unit), exponentials (one a unit) and dividers (two each) have theirs."""
        return self.rows * self.lanes + 3 * self.units + 2 * self.dividers

    @property
    def operand_cycles(self) -> int:
        """From a beat's leaving the sequencer to its operands at the lanes: longer where they are decoded, aligned."""
        return LEAST_OPERAND_CYCLES + (5 if self.has_blocks else 1 if self.formats else 0) + self.dual_issue

    @property
    def score_cycles(self) -> int:
        """By which a chunk's sum is late at the scores: with blocks it takes the way through the row's shifter."""
        return 3 if self.has_blocks else 0

    @property
    def array_cycles(self) -> int:
        """From the sequencer's giving a beat to its products' first sums."""
        return self.operand_cycles + 2

    @property
    def latency_cycles(self) -> int:
        """From a beat's leaving the sequencer to its sum at the rows' edges; with packed rows a second row's is put
        right at its end, a sparse layer's lanes choose what they multiply, and two products of a lane are added."""
        return self.array_cycles + self.lane_bits - 1 + self.packed_rows + self.sparse + self.dual_issue

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
