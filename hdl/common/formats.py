"""Decoders of the number formats: from a code to an exact significand and exponent, combinationally.

What the codes mean is in `hdl.common.format_table`; the way back is in `hdl.common.encoders`.
"""

from __future__ import annotations

from dataclasses import dataclass

from amaranth.hdl import C, Cat, Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.common.format_table import BipolarFormat, FloatFormat, IntFormat, NumberFormat, PositFormat, PowerFormat


@dataclass(frozen=True)
class DecodedShape:
    """Widths and ranges of what `Decoder` gives for a format."""

    fmt: NumberFormat

    @property
    def fraction_bits(self) -> int:
        """Bits of the significand after its leading one: of the longest fraction that the format has."""
        return self.significand_bits - 2

    @property
    def significand_bits(self) -> int:
        """Width of the significand, sign included."""
        match self.fmt:
            case IntFormat(bits=bits):
                return bits
            case BipolarFormat(bits=bits):
                return bits + 1
            case FloatFormat(mantissa_bits=mantissa_bits):
                return mantissa_bits + 2
            case PositFormat(bits=bits, exponent_bits=exponent_bits):
                return max(bits - 3 - exponent_bits, 0) + 2
            case PowerFormat():
                return 2
        raise TypeError(f"{self.fmt!r} is not a number format")

    @property
    def exponents(self) -> range:
        """The exponents of the finite numbers."""
        match self.fmt:
            case FloatFormat(exponent_bits=exponent_bits, specials=specials):
                last = (1 << exponent_bits) - (2 if specials == "ieee" else 1)
                return range(1 - self.exponent_bias, last - self.exponent_bias + 1)
            case PositFormat(max_scale=max_scale):
                # A negative number's significand is -2 where a positive one's is 1, so its exponent is one less.
                return range(-max_scale - 1 - self.fraction_bits, max_scale - self.fraction_bits + 1)
            case PowerFormat(bits=bits):
                return range(-self.exponent_bias, (1 << bits) - 1 - self.exponent_bias)
        return range(-self.exponent_bias, 1 - self.exponent_bias)

    @property
    def exponent_bits(self) -> int:
        """Width of the exponent, sign included."""
        return max((end if end >= 0 else ~end).bit_length() for end in (self.exponents[0], self.exponents[-1])) + 1

    @property
    def exponent_bias(self) -> int:
        """What is to be subtracted from the biased exponent."""
        match self.fmt:
            case IntFormat(lsb_exponent=lsb_exponent):
                return -lsb_exponent
            case FloatFormat(mantissa_bits=mantissa_bits, bias=bias):
                return bias + mantissa_bits
            case PositFormat():
                return (1 << (self.biased_exponent_bits - 1)) + self.fraction_bits
            case PowerFormat(bias=bias):
                return bias
        return 0

    @property
    def biased_exponent_bits(self) -> int:
        """Width of the biased exponent."""
        match self.fmt:
            case FloatFormat(exponent_bits=exponent_bits):
                return exponent_bits
            case PositFormat(bits=bits, exponent_bits=exponent_bits):
                return (bits - 2).bit_length() + 1 + exponent_bits
            case PowerFormat(bits=bits):
                return bits
        return 1


class Decoder(wiring.Component):
    """What a code stands for: `significand * 2**exponent`, exactly, for every finite code.

    All combinational, and exact: nothing is rounded. Floats are negated to two's complement where the sign is set;
    posits are not, their significand is the bits {s, not s, fraction} (raw-field form). Posits' significands are
    normalised, those of floats are except for subnormals, those of integers and bipolar numbers are not.

    Parameters
    ----------
    fmt : NumberFormat
        Of `hdl.common.format_table`; any kind.

    Members
    -------
    code : In(fmt.bits)
    significand : Out(signed(shape.significand_bits))
        0 for zero and for NaN, 1 or -1 for infinity.
    exponent : Out(signed(shape.exponent_bits))
        Without a meaning where the significand is 0, or `infinite` is set.
    biased_exponent : Out(shape.biased_exponent_bits)
        The exponent + `shape.exponent_bias`, never negative: what comes without an adder, and what an aligner shifts
        by.
    zero : Out(1)
    nan : Out(1)
        NaN, or NaR.
    infinite : Out(1)
        Plus or minus infinity, as the significand's sign says.

    Attributes
    ----------
    shape : DecodedShape
    """

    def __init__(self, fmt: NumberFormat):
        self.shape = DecodedShape(fmt)
        super().__init__(
            {
                "code": In(fmt.bits),
                "significand": Out(signed(self.shape.significand_bits)),
                "exponent": Out(signed(self.shape.exponent_bits)),
                "biased_exponent": Out(self.shape.biased_exponent_bits),
                "zero": Out(1),
                "nan": Out(1),
                "infinite": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.d.comb += self.exponent.eq(self.biased_exponent - self.shape.exponent_bias)
        match self.shape.fmt:
            case IntFormat():
                m.d.comb += [self.significand.eq(self.code), self.zero.eq(self.code == 0)]
            case BipolarFormat():
                # 2 * code + 1 - 2**bits: the subtraction turns the top bit over into a sign.
                m.d.comb += self.significand.eq(Cat(C(1, 1), self.code[:-1], ~self.code[-1]))
            case FloatFormat() as fmt:
                self._float(m, fmt)
            case PositFormat() as fmt:
                self._posit(m, fmt)
            case PowerFormat():
                m.d.comb += [
                    self.nan.eq(self.code.all()),
                    self.significand.eq(~self.nan),
                    self.biased_exponent.eq(self.code),
                ]
        return m

    def _float(self, m, fmt):
        mantissa = self.code[: fmt.mantissa_bits]
        field = self.code[fmt.mantissa_bits : -1]
        sign = self.code[-1]
        magnitude = Cat(mantissa, field.any())
        if fmt.specials == "ieee":
            special = field.all()
            m.d.comb += [self.nan.eq(special & mantissa.any()), self.infinite.eq(special & ~mantissa.any())]
            magnitude = Mux(special, self.infinite, magnitude)
        elif fmt.specials == "nan":
            m.d.comb += self.nan.eq(self.code[:-1].all())
            magnitude = Mux(self.nan, 0, magnitude)
        m.d.comb += [
            self.zero.eq(~self.code[:-1].any()),
            self.significand.eq(negated_if(m, sign, magnitude)),
            # Subnormals have the exponent of the smallest normal numbers.
            self.biased_exponent.eq(Cat(field[0] | ~field.any(), field[1:])),
        ]

    def _posit(self, m, fmt):
        sign, first, rest = self.code[-1], self.code[-2], self.code[:-2]
        special = ~self.code[:-1].any()
        m.d.comb += [self.zero.eq(special & ~sign), self.nan.eq(special & sign)]

        # The regime's bits beyond the first are shifted out to the left, most at once; with zeros from below, which are
        # what missing bits of exponent and fraction stand for, and which end a regime of ones that fills the code.
        run = []
        for stage in reversed(range(len(rest).bit_length())):
            step = 1 << stage
            same = Signal(name=f"run_{stage}")
            shifted = Signal(len(rest), name=f"shifted_{stage}")
            m.d.comb += [
                same.eq(rest[-step:] == first.replicate(step)),
                shifted.eq(Mux(same, rest << step, rest)),
            ]
            rest = shifted
            run.insert(0, same)

        # Under the bit that ends the regime: exponent and fraction. Very short posits lack low exponent bits.
        fraction_bits = self.shape.fraction_bits
        fields = Cat(C(0, max(fmt.exponent_bits + fraction_bits - len(rest) + 1, 0)), rest[:-1])
        fraction, exponent = fields[:fraction_bits], fields[fraction_bits:]
        # A run of L bits is k = L - 1 where they are ones, k = -L = ~(L - 1) where they are zeros. The sign turns all
        # bits of {k, exponent} over. Biased, their own sign bit is turned over once more.
        k_negative = ~first
        upper = flipped_if(k_negative ^ sign, Cat(run))
        m.d.comb += [
            self.biased_exponent.eq(Cat(flipped_if(sign, exponent), upper, ~(k_negative ^ sign))),
            self.significand.eq(Cat(fraction, ~special & ~sign, ~special & sign)),
        ]


def flipped_if(flip, bits):
    """`~bits` where `flip` is set, else `bits`; they may be no bits at all."""
    return bits ^ flip.replicate(len(bits)) if len(bits) else bits


def negated_if(m, negative, magnitude):
    """`-magnitude` where `negative` is set, else `magnitude`, with one bit more for the sign."""
    value = Signal(signed(len(magnitude) + 1), name="signed_magnitude")
    m.d.comb += value.eq(flipped_if(negative, Cat(magnitude, C(0, 1))) + negative)
    return value
