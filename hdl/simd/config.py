"""Configs of the simd family. No gateware here: models, flows and docs read this file too."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from hdl.common.block import BlockConfig
from hdl.common.format_table import ELEMENTS, FloatFormat
from hdl.simd.modes import (
    ACCUMULATOR_BITS,
    ACCUMULATOR_EXPONENT,
    ALL_MODES,
    BIAS_BITS,
    BIAS_EXPONENTS,
    MODES,
    OPERAND_BITS,
    OUTPUT_FORMATS,
    SINGLE_MODES,
    decoder_of,
)
from hdl.simd.product_widths import LANE_PRODUCTS, NUMBER_BITS


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


BLOCK_PLACE = 32
"""Place of a block's products in the accumulator: a multiple of a segment. No product but zero is less than 2**32
accumulator units."""

RUNNING_VALUE_BITS = 33
"""What a sum of blocks takes of the aligner's sum, with its sign: see `hdl.simd.mac_blocks`."""


def _tuple_of_list(value: Any) -> Any:
    """YAML and JSON have lists where a frozen config has tuples; sets, which have no order, stay wrong."""
    return tuple(value) if isinstance(value, list) else value


class EngineConfig(BlockConfig):
    """What `simd.mac` and `simd.matmul` have in common: dot products in many number formats, exact until they are
    rounded once."""

    modes: Annotated[tuple[Literal[ALL_MODES], ...], BeforeValidator(_tuple_of_list)] = Field(min_length=1)  # type: ignore[valid-type]
    """Operand formats that a job can choose from; what another one would need is not built."""

    outputs: Annotated[tuple[Literal[OUTPUT_FORMATS], ...], BeforeValidator(_tuple_of_list)] = Field(  # type: ignore[valid-type]
        min_length=1
    )
    """Formats of results that a job can choose from."""

    technology: Literal["asic", "fpga"] = "asic"
    """What multiplies and adds: columns of gates, or DSP blocks and carry chains."""

    segment_bits: ClassVar[int] = 16

    @model_validator(mode="after")
    def _check_lists(self) -> Self:
        for name, chosen in (("modes", self.modes), ("outputs", self.outputs)):
            twice = sorted({item for item in chosen if chosen.count(item) > 1})
            if twice:
                raise ValueError(f"{name} must name every format once, not {twice[0]} twice")
        if self.technology == "fpga" and self.block_modes:
            raise ValueError(f"modes must be single formats for technology fpga, not {self.block_modes[0]}")
        return self

    @property
    def block_modes(self) -> tuple[str, ...]:
        """Those of `modes` whose elements come in blocks with scales."""
        return tuple(mode for mode in self.modes if MODES[mode].block)

    @property
    def decoders(self) -> tuple[str, ...]:
        """What operand decoders are built, each once."""
        return tuple(dict.fromkeys(decoder_of(mode) for mode in self.modes))

    @property
    def encodings(self) -> tuple[str, ...]:
        """What sums are rounded into: the outputs, and fp32, in which blocks are added up."""
        inner = ("fp32",) if self.block_modes and "fp32" not in self.outputs else ()
        return (*self.outputs, *inner)

    @property
    def mode_bits(self) -> int:
        """Bits of a job's mode that tell the built ones apart."""
        return max(1, max(MODES[mode].code for mode in self.modes).bit_length())

    @property
    def output_bits(self) -> int:
        """Bits of a job's output format that tell the built ones apart."""
        return max(1, max(OUTPUT_FORMATS.index(name) for name in self.encodings).bit_length())

    @property
    def significand_bits(self) -> int:
        """Operand width of each of the four multiplier blocks."""
        if self.technology == "fpga":
            return max(NUMBER_BITS[decoder] for decoder in self.decoders)
        return 8 if {"int8", "int4"} & set(self.decoders) else 7

    @property
    def lane_shift_bits(self) -> int:
        """Bits of a byte lane's shift; one, always zero, where operands are put in their places before they are
        multiplied."""
        if self.technology == "fpga" and not {"e4m3", "e5m2"} & set(self.decoders):
            return 1
        return 6 if "e5m2" in self.decoders else 5

    @property
    def lane_bits(self) -> int:
        """A byte lane's product in its place, with its sign."""
        return max(26, *(sum(LANE_PRODUCTS.get(decoder, (0, 0))) for decoder in self.decoders))

    @property
    def product_bits(self) -> int:
        """A byte lane's product before its shift, with its sign; a P(16,1)'s lower half may have none."""
        if self.technology == "fpga":
            return 2 * self.significand_bits + 1
        return 2 * self.significand_bits + ("p16_1" in self.decoders and self.significand_bits == 7)

    def lane_exponent(self, mode: str) -> int:
        """Weight of the last place of a beat's sum, as a power of two: a product's. Of gates, sums of INT4 come out of
        the multipliers four places up."""
        paired = self.technology == "asic" and decoder_of(mode) == "int4"
        return MODES[mode].product_exponent - (4 if paired else 0)

    @property
    def sum_bits(self) -> int:
        """The sum of a beat's products: of four byte lanes and four odd nibbles, or one of P(16,1)."""
        return self.lane_bits + 2

    @property
    def term_bits(self) -> int:
        """That sum, moved to its place within an accumulator segment."""
        return max(self.sum_bits, self.moved_bits)

    @property
    def moved_bits(self) -> int:
        """The lower part of a term, which holds all that is moved within a segment. With block formats `place` is a
        whole segment's, and what moves is products of P(16,1), of 28 bits, those of NVFP4, and sums of blocks."""
        if self.block_modes:
            return RUNNING_VALUE_BITS + self.segment_bits - 1
        offsets = [self.place(mode) % self.segment_bits for mode in self.modes if mode != "p16_1"]
        if "p16_1" in self.modes:
            offsets.append(self.segment_bits - 1)
        return self.sum_bits + max(offsets)

    def place(self, mode: str) -> int:
        """Place of the last bit of a beat's sum in the accumulator. With block formats, where scales say what the
        accumulator's bits weigh, it is one for all but P(16,1), as `hdl.simd.mac_blocks` needs it."""
        if self.block_modes and mode != "p16_1":
            return BLOCK_PLACE
        return self.lane_exponent(mode) - ACCUMULATOR_EXPONENT

    def leading_exponent(self, mode: str) -> int:
        """Weight of the accumulator's topmost bit under the sign, as a power of two; to that of a block mode the
        exponent fields of both scales are added."""
        found = MODES[mode]
        bias = 0
        if found.block:
            scale = found.block.scale
            bias = scale.bias + (scale.mantissa_bits if isinstance(scale, FloatFormat) else 0)
        return ACCUMULATOR_BITS - 2 + self.lane_exponent(mode) - self.place(mode) - 2 * bias

    @property
    def reached_segments(self) -> range:
        """Segments of the accumulator that a sum of `Mode.most_products` products needs, its sign included."""
        sums = {mode: MODES[mode].most_products * MODES[mode].largest_product for mode in self.modes}
        up = {mode: MODES[mode].product_exponent - self.lane_exponent(mode) for mode in self.modes}
        sign = max(self.place(mode) + up[mode] + total.bit_length() for mode, total in sums.items())
        lowest = min(self.place(mode) for mode in self.modes)
        return range(lowest // self.segment_bits, sign // self.segment_bits + 1)

    @property
    def result_bits(self) -> int:
        """The widest format that sums are rounded into."""
        return max(ELEMENTS[name].bits for name in self.encodings)

    @property
    def has_long_lanes(self) -> bool:
        """8-bit floats need lanes so wide that registers cost more than a shorter cycle is worth: the aligner adds up
        the products in one step, and its second step is also the accumulator's."""
        return self.technology == "asic" and self.lane_bits > 26

    @property
    def pipeline_cycles(self) -> int:
        """From operands to accumulator: decoder of P(16,1), multiplier, aligner in two steps, accumulator. With 8-bit
        floats the first two share one, and the last two; a sum of blocks comes in a cycle later. On FPGAs decoding and
        placing take one each, the aligner three."""
        if self.technology == "fpga":
            return 7
        return 3 + bool(self.block_modes) if self.has_long_lanes else 5

    def term_cycles(self, mode: str) -> int:
        """From the cycle of a beat's operands to the one in which the accumulator takes their sum. Where the decoder of
        P(16,1) alone has a stage, other modes do without it."""
        if self.has_long_lanes:
            return 2
        return self.pipeline_cycles - 1 - (mode != "p16_1" and self.technology == "asic")

    special_cycles: ClassVar[int] = 1
    """From the cycle of a beat's operands to the one in which NaNs and infinities of its products are told."""

    @property
    def format_parameters(self) -> dict[str, int]:
        """What the registers say of the formats that are built: a bit for each, by its code."""
        return {
            "MODES": sum(1 << MODES[mode].code for mode in self.modes),
            "OUTPUTS": sum(1 << OUTPUT_FORMATS.index(name) for name in self.outputs),
        }

    @property
    def multipliers(self) -> int:
        """Those that a tool can map to DSP blocks."""
        return 4 if self.technology == "fpga" else 0


class MacConfig(EngineConfig):
    """`simd.mac`: one dot product at a time, from streams."""

    core_only: bool = False
    """The bare core: operands and job in one stream, no registers, no buffers."""

    @property
    def drain_cycles(self) -> int:
        """From the cycle in which the carries are home to the first with a rounded sum: the segments' way up, the
        normaliser in two steps, the output's shift. On FPGAs nothing goes up, two steps find the leading segment while
        the carries go home, the shift's amount has a step before it, and rounding one behind it."""
        return 7 if self.technology == "fpga" else ACCUMULATOR_BITS // self.segment_bits - 1 + 2 + 1

    @property
    def rounding_cycles(self) -> int:
        """From the cycle that takes the last beat to the first with a rounded sum: the pipeline, the carries' way
        through all segments, the drain."""
        return self.pipeline_cycles + ACCUMULATOR_BITS // self.segment_bits - 1 + self.drain_cycles

    @property
    def block_cycles(self) -> int:
        """From the cycle that takes a block's last beat to the first that works on one of the next block."""
        return self.rounding_cycles + 1

    @staticmethod
    def beat_cycles(mode: str) -> int:
        """Cycles that work on a beat; the last of them takes it. Of scales that have significands, every pair of their
        bits has its own."""
        block = MODES[mode].block
        return (block.scale.mantissa_bits + 1) ** 2 if block and isinstance(block.scale, FloatFormat) else 1

    def latency_in(self, mode: str) -> int:
        """From the cycle that takes a dot product's last beat to the first that offers its result. Behind the last
        block the sum goes through the accumulator once more, in two cycles less than a beat takes. A whole block has a
        buffer at either end; one with block formats needs a cycle more for a dot product of a single beat."""
        core = self.rounding_cycles + (self.block_cycles - 2 if MODES[mode].block else 0)
        return core if self.core_only else 1 + core + 1

    @property
    def latency_cycles(self) -> int:
        """`latency_in` the first of the modes."""
        return self.latency_in(self.modes[0])

    @property
    def register_source(self) -> tuple[Path, dict[str, int]] | None:
        """The register file and its parameters; a bare core has no registers."""
        if self.core_only:
            return None
        parameters = self.format_parameters | {"LATENCY": self.latency_cycles}
        return Path(__file__).with_name("mac.rdl"), parameters


class MatmulConfig(EngineConfig):
    """`simd.matmul`: a matrix product from memory to memory, on an array of `simd.mac`'s engines."""

    modes: Annotated[tuple[Literal[SINGLE_MODES], ...], BeforeValidator(_tuple_of_list)] = Field(min_length=1)  # type: ignore[valid-type]
    """Operand formats that a job can choose from; what another one would need is not built."""

    rows: int = Field(ge=1, le=16)
    """Engines above one another: rows of A that are worked on at once."""

    columns: Literal[1, 2, 4, 8, 16]
    """Engines beside one another: columns of B that are worked on at once."""

    bus_bits: Literal[32, 64, 128, 256, 512] = 64
    """Data width of the memory port."""

    depth_beats: Literal[16, 32, 64, 128, 256, 512, 1024] = 256
    """Operand words of 32 bits in each half of a row's or column's buffer."""

    address_bits: ClassVar[int] = 32

    @model_validator(mode="after")
    def _check_columns(self) -> Self:
        narrow = [name for name in self.outputs if ELEMENTS[name].bits == 4]
        if narrow and self.columns == 1:
            raise ValueError(f"columns must be 2 or more, not 1: two results of {narrow[0]} share a byte")
        return self

    @property
    def bus_bytes(self) -> int:
        """Bytes of a word of the memory port; addresses and strides are multiples of it."""
        return self.bus_bits // 8

    @property
    def engines(self) -> int:
        """Engines of the array, and results of a tile."""
        return self.rows * self.columns

    @property
    def multipliers(self) -> int:
        """Those that a tool can map to DSP blocks, of all engines."""
        return super().multipliers * self.engines

    @property
    def chunk_words(self) -> int:
        """Memory words of a row's or a column's chunk of K: half of its buffer."""
        return self.depth_beats * OPERAND_BITS // self.bus_bits

    @property
    def result_depth(self) -> int:
        """Results that wait for the writer; so many that tiles as short as the array's results need never wait."""
        return 2 * self.engines + 32

    @property
    def total_bits(self) -> int:
        """A sum with its bias, counted in the accumulator's last place: either fits with a bit to spare."""
        bias_top = BIAS_BITS + BIAS_EXPONENTS[-1] - ACCUMULATOR_EXPONENT
        return max(bias_top, self.reached_segments.stop * self.segment_bits) + 1

    buffer_cycles: ClassVar[int] = 2
    """From the sequencer's taking a beat to its operands at the engines."""

    bias_cycles: ClassVar[int] = 3
    """From asking for a bias to its being there, in its place within a segment."""

    drain_cycles: ClassVar[int] = 10
    """From the head of the array's chain of results to a code."""

    @property
    def latency_cycles(self) -> int:
        """From the array's taking the last beat of a tile to its first code, in P(16,1); one less in other modes."""
        return self.buffer_cycles + self.pipeline_cycles + 1 + self.drain_cycles

    @property
    def register_source(self) -> tuple[Path, dict[str, int]]:
        """The register file and its parameters."""
        parameters = {
            "ROWS": self.rows,
            "COLUMNS": self.columns,
            "BUS_BYTES": self.bus_bytes,
            "DEPTH": self.depth_beats,
        }
        return Path(__file__).with_name("matmul.rdl"), parameters | self.format_parameters
