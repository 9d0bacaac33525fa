"""The number formats: what their bits mean, as data that gateware and golden models both read.

Only facts stand here, no arithmetic: `hdl.common.formats` decodes and encodes in gateware, `sim.common.formats` in
numpy, each written without a look at the other.

Sources: OCP 8-bit Floating Point (OFP8) 1.0 for e4m3 and e5m2; OCP Microscaling Formats (MX) 1.0 for fp4, fp6, e8m0 and
the mx blocks; IEEE 754-2019 for fp16 and fp32; the Posit Standard (2022) for the rules of posits, of which p(n, 2) is
the standard's own; NVIDIA's description of NVFP4.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

Specials = Literal["ieee", "nan", "none"]
"""What the codes with the largest exponent field mean: `ieee`, infinities and NaN; `nan`, numbers, but for NaN where
all bits under the sign are ones; `none`, numbers."""


@dataclass(frozen=True)
class IntFormat:
    """Two's complement; value = code as a signed integer * 2**lsb_exponent."""

    name: str
    bits: int
    lsb_exponent: int = 0


@dataclass(frozen=True)
class BipolarFormat:
    """Each bit is a digit -1 or 1; value = 2 * code - (2**bits - 1), always odd."""

    name: str
    bits: int


@dataclass(frozen=True)
class FloatFormat:
    """Sign, exponent, mantissa, with subnormals.

    value = (-1)**sign * mantissa / 2**mantissa_bits * 2**(1 - bias) where the exponent field is 0, else
    (-1)**sign * (1 + mantissa / 2**mantissa_bits) * 2**(field - bias). `nan_code` is the one NaN that is ever encoded.
    """

    name: str
    exponent_bits: int
    mantissa_bits: int
    specials: Specials

    @property
    def bits(self) -> int:
        return 1 + self.exponent_bits + self.mantissa_bits

    @property
    def bias(self) -> int:
        return (1 << (self.exponent_bits - 1)) - 1

    @property
    def max_code(self) -> int:
        """The largest finite number."""
        largest = (1 << (self.bits - 1)) - 1
        return {"ieee": self.infinity_code - 1, "nan": largest - 1, "none": largest}[self.specials]

    @property
    def infinity_code(self) -> int:
        """Plus infinity, where `specials` is `ieee`; elsewhere the smallest number with the largest exponent field."""
        return ((1 << self.exponent_bits) - 1) << self.mantissa_bits

    @property
    def nan_code(self) -> int | None:
        """The canonical NaN: quiet and positive; None where the format has none."""
        quiet = self.infinity_code | 1 << (self.mantissa_bits - 1)
        return {"ieee": quiet, "nan": (1 << (self.bits - 1)) - 1, "none": None}[self.specials]


@dataclass(frozen=True)
class PositFormat:
    """A posit of `bits` bits with up to `exponent_bits` exponent bits; NaR is the sign bit alone."""

    bits: int
    exponent_bits: int

    @property
    def name(self) -> str:
        return f"p{self.bits}_{self.exponent_bits}"

    @property
    def max_scale(self) -> int:
        """log2 of the largest number, and of the smallest positive one's inverse."""
        return (self.bits - 2) << self.exponent_bits


@dataclass(frozen=True)
class PowerFormat:
    """An unsigned power of two, 2**(code - bias); all ones is NaN. Neither zero nor sign."""

    name: str
    bits: int
    bias: int


ElementFormat = IntFormat | BipolarFormat | FloatFormat | PositFormat
NumberFormat = ElementFormat | PowerFormat


@dataclass(frozen=True)
class BlockFormat:
    """`block_length` elements share a scale; a number is element * scale (* tensor scale, an fp32 of the whole tensor).

    Elements are packed in as few bits as they have; on a bus, one of 6 bits takes a byte.
    """

    name: str
    element: IntFormat | FloatFormat
    block_length: int
    scale: FloatFormat | PowerFormat
    has_tensor_scale: bool = False


ELEMENTS: dict[str, ElementFormat] = {
    one.name: one
    for one in [
        IntFormat("int4", 4),
        IntFormat("int8", 8),
        IntFormat("int32", 32),
        IntFormat("int8_q6", 8, lsb_exponent=-6),  # element of mxint8
        BipolarFormat("bipolar2", 2),
        BipolarFormat("bipolar4", 4),
        FloatFormat("fp4", 2, 1, "none"),
        FloatFormat("e2m3", 2, 3, "none"),
        FloatFormat("e3m2", 3, 2, "none"),
        FloatFormat("e4m3", 4, 3, "nan"),
        FloatFormat("e5m2", 5, 2, "ieee"),
        FloatFormat("fp16", 5, 10, "ieee"),
        FloatFormat("bf16", 8, 7, "ieee"),
        FloatFormat("fp32", 8, 23, "ieee"),
        PositFormat(4, 1),
        PositFormat(8, 0),
        PositFormat(16, 1),
    ]
}
"""Formats of single numbers, by name. Any other posit is there by its name: `p32_2`."""

E8M0 = PowerFormat("e8m0", 8, bias=127)

BLOCKS: dict[str, BlockFormat] = {}
for _name, _element in (
    ("mxint8", "int8_q6"),
    ("mxfp8_e4m3", "e4m3"),
    ("mxfp8_e5m2", "e5m2"),
    ("mxfp6_e2m3", "e2m3"),
    ("mxfp6_e3m2", "e3m2"),
    ("mxfp4", "fp4"),
):
    BLOCKS[_name] = BlockFormat(_name, ELEMENTS[_element], 32, E8M0)  # type: ignore[arg-type]
BLOCKS["nvfp4"] = BlockFormat("nvfp4", ELEMENTS["fp4"], 16, ELEMENTS["e4m3"], True)  # type: ignore[arg-type]

MAX_POSIT_BITS = 32
MAX_POSIT_EXPONENT_BITS = 3


def element_format(name: str) -> ElementFormat:
    """The format of single numbers that is called `name`.

    Raises
    ------
    ValueError
        If there is none; names the formats there are.
    """
    if name in ELEMENTS:
        return ELEMENTS[name]
    posit = re.fullmatch(r"p([1-9]\d?)_(\d)", name)
    if posit:
        bits, exponent_bits = int(posit[1]), int(posit[2])
        if 3 <= bits <= MAX_POSIT_BITS and exponent_bits <= MAX_POSIT_EXPONENT_BITS:
            return PositFormat(bits, exponent_bits)
        raise ValueError(
            f"posit {name} must have 3..{MAX_POSIT_BITS} bits and 0..{MAX_POSIT_EXPONENT_BITS} exponent bits"
        )
    raise ValueError(f"no number format {name!r}; there are {', '.join(ELEMENTS)} and posits such as p32_2")
