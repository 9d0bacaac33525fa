"""Operand modes and output formats of `simd.mac`, and how they are numbered: data for gateware, models and flows."""

from __future__ import annotations

from dataclasses import dataclass

from hdl.common.format_table import BLOCKS, ELEMENTS, BlockFormat, ElementFormat, FloatFormat, IntFormat, PositFormat

OPERAND_BITS = 32
"""One beat of either operand."""


@dataclass(frozen=True)
class Mode:
    """What the operands of a dot product are.

    Attributes
    ----------
    name, code : in texts; in a job
    element : format of an element
    slot_bits : what an element takes on the bus; 6-bit elements take a byte, and its upper two bits must be zero
    block : block format that the elements belong to, or None
    """

    name: str
    code: int
    element: ElementFormat
    slot_bits: int
    block: BlockFormat | None = None

    @property
    def elements_per_beat(self) -> int:
        """Multiplications in a cycle; of 16-bit elements there is one, in the lower half of the beat."""
        return {4: 8, 8: 4, 16: 1}[self.slot_bits]

    @property
    def product_exponent(self) -> int:
        """Weight of a product's last place, as a power of two: every product is a whole multiple of 2**this.

        Twice that of the smallest number.
        """
        element = self.element
        if isinstance(element, PositFormat):
            return -2 * element.max_scale
        if isinstance(element, FloatFormat):
            return 2 * (1 - element.bias - element.mantissa_bits)
        assert isinstance(element, IntFormat)
        return 2 * element.lsb_exponent

    @property
    def largest_product(self) -> int:
        """A power of two that no product exceeds, counted in `product_exponent`."""
        element = self.element
        if isinstance(element, PositFormat):
            exponent = element.max_scale
        elif isinstance(element, FloatFormat):
            exponent = (element.max_code >> element.mantissa_bits) - element.bias + 1
        else:
            assert isinstance(element, IntFormat)
            exponent = element.bits - 1 + element.lsb_exponent
        return 1 << (2 * exponent - self.product_exponent)

    @property
    def most_products(self) -> int:
        """Products of a dot product that the accumulator holds whatever they are."""
        return (1 << 15) - 1 if self.name == "p16_1" else 1 << 20

    @property
    def beats_per_block(self) -> int:
        """Beats of a whole block; 0 if there are no blocks."""
        return self.block.block_length // self.elements_per_beat if self.block else 0


def _modes() -> dict[str, Mode]:
    names = ["fp4", "p4_1", "p8_0", "p16_1", "int4", "int8", "e4m3", "e5m2"]
    found = {name: Mode(name, code, ELEMENTS[name], ELEMENTS[name].bits) for code, name in enumerate(names)}
    for code, (name, block) in enumerate(BLOCKS.items(), len(found)):
        slot_bits = 4 if block.element.bits == 4 else 8
        found[name] = Mode(name, code, block.element, slot_bits, block)
    return found


MODES = _modes()
"""By name; single formats first, then blocks. The code never changes: what is added comes last."""

ALL_MODES = tuple(MODES)
SINGLE_MODES = tuple(name for name, mode in MODES.items() if mode.block is None)


def decoder_of(mode: str) -> str:
    """Which operand decoder a mode needs: modes that differ in what a unit weighs, or in scales alone, share one."""
    element = MODES[mode].element
    return "int8" if element.name == "int8_q6" else element.name


OUTPUT_FORMATS = (
    *("fp4", "p4_1", "p8_0", "p16_1", "int4", "int8", "e4m3", "e5m2"),
    *("e2m3", "e3m2", "fp16", "bf16", "fp32", "int32"),
)
"""What a result can be; the place in this list is its code in a job."""

STATUS = ("nar", "nan", "inf", "overflow", "underflow")
"""What a result can report; bit 0 first."""

STATUS_BAD_JOB = 1 << 7
"""Status of a result whose job named a format that is not built."""


def default_output(mode: Mode) -> str:
    """The output format of a dot product where none is asked for."""
    if mode.block:
        return "fp32"
    return "int32" if mode.name.startswith("int") else mode.name


ACCUMULATOR_BITS = 128
ACCUMULATOR_EXPONENT = -56
"""The accumulator holds multiples of 2**this, the smallest product of P(16,1); so wide is the rest that all fits."""

JOB_BITS = 16
JOB_MODE, JOB_OUTPUT, JOB_INFINITY = slice(0, 4), slice(4, 8), 8
"""Fields of a job: mode, output format, and whether overflow gives infinity where there is one."""

BIAS_BITS = 32
BIAS_EXPONENTS = range(-56, 33)
"""A bias is an integer of so many bits, times 2 to one of these."""

SCALE_BITS = 7
"""Of the power of two that a result is multiplied by before it is rounded, two's complement."""
