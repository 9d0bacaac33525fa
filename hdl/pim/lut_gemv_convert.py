"""From an exact sum to a result: times a scale, rounded once."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.common.arithmetic import wire
from hdl.common.encoders import Encoder, Normaliser
from hdl.common.format_table import ELEMENTS
from hdl.pim.lut_gemv_config import RESULT_FORMATS

SIGNIFICAND_BITS = 24
SCALE_LSB = -149
"""Weight of the last bit of a subnormal fp32, as a power of two."""


class LutGemvConvert(wiring.Component):
    """total * scale in bf16 or fp32, or the total itself.

    Numerics: the product is exact and rounded once, to nearest, ties to even; beyond the largest number it is infinity,
    and what is rounded to zero keeps its sign. A product that is exactly zero is +0. An infinite scale gives infinity
    with the product's sign, but NaN with a total of 0; a NaN gives the canonical NaN.

    Latency: 4 cycles in which `advance` is high: operands, product, normaliser, encoder.

    Members
    -------
    advance : In(1)
    total : In(signed(32)), scale : In(32), kind : In(2)
        `scale` is an fp32 code; `kind` an index of `RESULT_FORMATS`.
    code : Out(32)
        A bf16 is in the lower half, zeros above it.
    nonfinite : Out(1)
        `code` is an infinity or NaN.
    """

    cycles = 4

    def __init__(self):
        super().__init__(
            {
                "advance": In(1),
                "total": In(signed(32)),
                "scale": In(32),
                "kind": In(2),
                "code": Out(32),
                "nonfinite": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()

        def held(value, name):
            """`value` of the cycle before, where `advance` was high."""
            kept = Signal.like(value, name=name, reset_less=True)
            with m.If(self.advance):
                m.d.sync += kept.eq(value)
            return kept

        field = wire(m, self.scale[23:31], "field")
        sign = self.scale[31]
        significand = Signal(signed(SIGNIFICAND_BITS + 1))
        magnitude = Signal(SIGNIFICAND_BITS)
        special = field.all()
        m.d.comb += [
            magnitude.eq(self.scale[:23] | (field.any() << 23)),
            significand.eq(Mux(sign, -magnitude, magnitude)),
        ]
        empty = ~self.total.any()
        total, scale = held(self.total, "total_0"), held(significand, "scale_0")
        exponent = held(wire(m, Mux(field.any(), field - 1, 0), "steps"), "steps_0")
        nan = held(wire(m, special & (self.scale[:23].any() | empty), "nan"), "nan_0")
        infinite = held(wire(m, special & ~self.scale[:23].any(), "infinite"), "infinite_0")
        negative = held(wire(m, sign ^ self.total[-1], "sign"), "sign_0")
        kind = held(self.kind, "kind_0")

        # Within a stage the names of what travels are of the stage before.
        product = held(wire(m, total * scale, "product"), "product_1")
        total, exponent, nan, infinite, negative, kind = (
            held(value, f"{name}_1")
            for name, value in zip(
                ("total", "steps", "nan", "infinite", "sign", "kind"),
                (total, exponent, nan, infinite, negative, kind),
                strict=True,
            )
        )

        fraction_bits = ELEMENTS["fp32"].mantissa_bits + 1
        m.submodules.normaliser = normaliser = Normaliser(len(product), fraction_bits=fraction_bits)
        m.d.comb += normaliser.value.eq(product)
        wide = Signal(signed(10))
        m.d.comb += wide.eq(normaliser.exponent + exponent + SCALE_LSB)
        given = {
            "significand": held(normaliser.significand, "significand_2"),
            "sticky": held(normaliser.sticky, "sticky_2"),
            "exponent": held(wide, "exponent_2"),
            "zero": held(normaliser.zero, "zero_2"),
            "nan": held(nan, "nan_2"),
            "infinite": held(infinite, "infinite_2"),
            "sign": held(negative, "sign_2"),
        }
        total, kind = held(total, "total_2"), held(kind, "kind_2")

        codes = {}
        for name in ("bf16", "fp32"):
            encoder = Encoder(ELEMENTS[name], fraction_bits=fraction_bits, exponent_bits=len(wide))
            m.submodules[name] = encoder
            m.d.comb += [getattr(encoder, member).eq(value) for member, value in given.items()]
            m.d.comb += encoder.overflow_to_infinity.eq(1)
            codes[name] = encoder.code
        code, nonfinite = Signal(32), Signal()
        with m.Switch(kind):
            for place, name in enumerate(RESULT_FORMATS):
                with m.Case(place):
                    m.d.comb += code.eq(codes.get(name, total))
                    if name in codes:
                        exponents = codes[name][ELEMENTS[name].mantissa_bits : -1]
                        m.d.comb += nonfinite.eq(exponents.all())
        m.d.comb += [self.code.eq(held(code, "code_3")), self.nonfinite.eq(held(nonfinite, "nonfinite_3"))]
        return m
