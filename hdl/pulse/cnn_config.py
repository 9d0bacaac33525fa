"""Config of `pulse.cnn`: small convolutional networks on windows. No gateware here."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from hdl.common.block import BlockConfig
from hdl.pulse.cnn_words import IMAGE_WEIGHT_BITS, WORD_BITS
from hdl.pulse.config import RATIO_CYCLES


class CnnConfig(BlockConfig):
    """`pulse.cnn`: arithmetic units in processing elements in a network, which takes its layers from a memory."""

    samples: int = Field(ge=16, le=256)
    """Samples of a window."""

    products: Literal[4, 8, 16] = 4
    """Products of an arithmetic unit in a cycle."""

    elements: Literal[1, 2, 4, 8, 16] = 4
    """Processing elements, an output channel each; at most `products`."""

    requantisers: Literal[1, 2, 4, 8, 16] | None = None
    """Requantisers, at most `elements`; as many if left out. With fewer an output takes `elements` over `requantisers`
    cycles at least."""

    weight_bits: Literal[4, 6, 8] = 8
    """Bits of a weight that the memory keeps, the low ones of an image's byte."""

    activation_bits: Literal[8, 10, 12, 16] = 16
    """Bits of an activation."""

    activations: int = Field(default=512, ge=32, le=8192)
    """Activations that each of the two memories holds, a power of 2."""

    weight_words: int = Field(default=512, ge=16, le=8192)
    """Words of `products` weights that a processing element holds, a power of 2."""

    channel_words: int = Field(default=64, ge=4, le=1024)
    """Output channels that a processing element holds bias, factor and shift of, a power of 2."""

    layers: int = Field(default=16, ge=2, le=256)
    """Layers of all programs together, a power of 2."""

    address_bits: ClassVar[int] = 18
    code_bits: ClassVar[int] = 16
    sum_bits: ClassVar[int] = 32
    result_bits: ClassVar[int] = 32

    @model_validator(mode="after")
    def _check_sizes(self) -> Self:
        if self.elements > self.products:
            raise ValueError(f"elements must be at most the {self.products} products, not {self.elements}")
        if (self.requantisers or 1) > self.elements:
            raise ValueError(f"requantisers must be at most the {self.elements} elements, not {self.requantisers}")
        for name in ("activations", "weight_words", "channel_words", "layers"):
            value = getattr(self, name)
            if value & (value - 1):
                raise ValueError(f"{name} must be a power of 2, not {value}")
        return self

    @property
    def output_cycles(self) -> int:
        """Cycles that the outputs of one position and group take at least."""
        return self.elements // self.requantiser_count

    @property
    def requantiser_count(self) -> int:
        """Requantisers."""
        return self.requantisers or self.elements

    @property
    def weight_parts(self) -> int:
        """Words of an image in a word of weights."""
        return self.products * IMAGE_WEIGHT_BITS // WORD_BITS

    @property
    def input_rows(self) -> int:
        """Rows of `products` elements that hold a window, a power of 2."""
        return 1 << (-(-self.samples // self.products) - 1).bit_length()

    @property
    def unit_bits(self) -> int:
        """Width of an arithmetic unit's exact sum."""
        return self.activation_bits + self.weight_bits + self.products.bit_length() - 1

    @property
    def unit_cycles(self) -> int:
        """From operands to their sum: a multiplier, then an adder a level."""
        return self.products.bit_length()

    @property
    def sum_cycles(self) -> int:
        """From a read to the sum of its products: rows of the banks, memory, register, rotation; then the unit."""
        return 4 + self.unit_cycles

    @property
    def layer_cycles(self) -> int:
        """Between layers: sums, two registers, the requantiser, the write; then the layer changes."""
        return self.sum_cycles + 11 + self.output_cycles

    @property
    def input_cycles(self) -> int:
        """From a window's last beat to its reference, where nothing is before it: exponent and reciprocal of its peak,
        its samples one by one, eight stages behind each, and the way through `input`."""
        return self.samples + RATIO_CYCLES + 21

    @property
    def latency_cycles(self) -> int:
        """From a window's last beat to its first output, of a network of one layer of one read."""
        return self.input_cycles + self.sum_cycles + 12

    @property
    def multipliers(self) -> int:
        """One for a product, two for a requantiser, one for the normaliser; of 18 x 18 bits."""
        return self.elements * self.products + 2 * self.requantiser_count + 1

    @property
    def register_source(self) -> tuple[Path, dict[str, int]]:
        """The register file and its parameters."""
        return Path(__file__).with_name("cnn.rdl"), {
            "SAMPLES": self.samples,
            "PRODUCTS": self.products,
            "ELEMENTS": self.elements,
            "WEIGHT_BITS": self.weight_bits,
            "ACTIVATION_BITS": self.activation_bits,
        }
