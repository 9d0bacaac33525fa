"""Operand decoders of `simd.mac`: from codes to signed significands and shifts, combinational.

A lane's number is significand * 2**(shift + exponent), where the exponent is its mode's: half of
`Mode.product_exponent`.
Significands are right-aligned wherever that is cheaper than to normalise them: the aligner behind the multipliers
shifts anyway. A code of zeros always gives a significand of zero, so that an operand gated to zero adds nothing.
"""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.common.arithmetic import register
from hdl.common.format_table import FloatFormat


def leading_run(bits: list[Value]) -> list[Value]:
    """Of `bits`, most significant first, for each one whether it and all before it equal the first."""
    run: list[Value] = [Const(1, 1)]
    for bit in bits[1:]:
        run.append(run[-1] & ~(bit ^ bits[0]))
    return run


def negate_if(negative: Value, magnitude: Value) -> Value:
    """The signed number of one bit more."""
    return Mux(negative, -magnitude, magnitude)[: len(magnitude) + 1].as_signed()


class PositByteDecoder(wiring.Component):
    """P(8,0): value = significand * 2**(shift - 6).

    Right-aligned: below one a P(8,0) is a fixed-point number, its code / 64; above, the run of regime bits is replaced
    by the sign and the bit that ends it by the hidden digit, and the last place weighs 2**(2 * run - 7).
    """

    def __init__(self):
        super().__init__({"code": In(8), "significand": Out(signed(7)), "shift": Out(4), "nar": Out(1)})

    def elaborate(self, platform):
        m = Module()
        sign, body = self.code[7], self.code[:7]
        run = leading_run(list(reversed(body)))  # run[i]: more than i regime bits
        large, largest = Signal(), Signal()
        flipped = Signal(7)
        mask = Cat(*reversed([Const(1, 1), *run[:6]]))  # the run, and the bit that ends it
        count = Cat((run[1] & ~run[2]) | (run[3] & ~run[4]) | run[5], run[2] & ~run[4], run[4])  # run - 1, at most 5
        m.d.comb += [
            large.eq(body[6] ^ sign),
            largest.eq(run[6] & body[6] & large),
            flipped.eq(body ^ (mask & large.replicate(7))),
            self.significand.eq(Cat(flipped[0], flipped[1] | largest, flipped[2:])),
            self.shift.eq(Cat(large, count & large.replicate(3))),
            self.nar.eq(sign & run[6] & ~body[0]),
        ]
        return m


class PositHalfDecoder(wiring.Component):
    """P(16,1), left-aligned: value = significand / 2**12 * 2**scale.

    Parameters
    ----------
    registered : significand and scale come a cycle later, from registers in the middle of the way to them
    """

    def __init__(self, *, registered: bool = False):
        self._registered = registered
        super().__init__({"code": In(16), "significand": Out(signed(14)), "scale": Out(signed(6)), "nar": Out(1)})

    def elaborate(self, platform):
        m = Module()
        sign, body = self.code[15], self.code[:15]
        first = body[14]
        differs = Signal(14)  # from the first regime bit; the leading one ends the regime
        count = Signal(4)  # regime bits - 1
        m.d.comb += differs.eq(body[:14] ^ first.replicate(14))
        field, shifted = Cat(Const(2, 2), differs), body[:13]  # the run ends at the latest after 15
        if self._registered:
            shifted = body[:14]  # the rest of the field, too
        special, large = Signal(), Signal()
        middle = {"sign": sign, "special": special, "large": large}
        for level, step in ((3, 8), (2, 4), (1, 2), (0, 1)):
            if self._registered and level == 1:
                middle |= {"shifted": shifted, "high": count[2:]}
                middle = {name: register(m, value, f"{name}_held") for name, value in middle.items()}
                shifted = middle["shifted"]
                field = shifted ^ (middle["large"] ^ middle["sign"]).replicate(14)
            m.d.comb += count[level].eq(~field[len(field) - step :].any())
            field = Mux(count[level], Cat(Const(0, step), field)[: len(field)], field)
            shifted = Mux(count[level], Cat(Const(0, step), shifted)[: len(shifted)], shifted)
        m.d.comb += [
            special.eq(~body.any()),
            large.eq(first ^ sign),
            self.nar.eq(special & sign),
        ]
        if self._registered:
            sign, special, large = (middle[name] for name in ("sign", "special", "large"))
            count = Cat(count[:2], middle["high"])
        m.d.comb += [
            self.significand.eq(Cat(shifted[:12], ~(sign | special), sign)),
            self.scale.eq(Cat(shifted[12] ^ sign, count ^ ~large.replicate(4), ~large)),
        ]
        return m


class NibbleDecoder(wiring.Component):
    """FP4 and P(4,1): value = (-1)**sign * significand * 2**(shift - 1) or, of a posit, 2**(shift - 4).

    Significands are 0, 1 or 3: two numbers differ in their shifts instead wherever they can, because products of such
    significands are 0, 1, 3 or 9. A zero may have a sign.

    Parameters
    ----------
    has_float, has_posit : what is built

    Members
    -------
    posit : the code is a P(4,1)
    some, three : the significand is not 0; it is 3
    """

    def __init__(self, *, has_float: bool, has_posit: bool):
        self._has_float, self._has_posit = has_float, has_posit
        members = {name: Out(1) for name in ("sign", "some", "three", "nar")}
        super().__init__({"code": In(4), "posit": In(1), "shift": Out(4), **members})

    def elaborate(self, platform):
        m = Module()
        low = self.code[:3]
        posit, shift, nar = Const(0, 1), Const(0, 4), Const(0, 1)
        if self._has_float:
            # 0, 1/2, 1, 3/2, 2, 3, 4, 6: odd codes are shifted by 0, 0, 1, 2, even ones by 0, 1, 2, 3.
            shift = Mux(low[0], Cat(low[2] & ~low[1], low[2] & low[1]), low[1:3])
        if self._has_posit:
            posit = self.posit if self._has_float else Const(1, 1)
            magnitude = Signal(3)
            # Of a negative code the bits above the lowest one that is set are complemented.
            flipped = Cat(Const(0, 1), low[0], low[:2].any()) & self.code[3].replicate(3)
            m.d.comb += magnitude.eq(low ^ flipped)
            # 0, 1/16, 1/4, 1/2, 1, 2, 4, 16: regime and exponent count up with the code, but for the ends.
            counted = Mux(magnitude == 7, 8, Mux(magnitude == 1, 0, magnitude))
            shift = Mux(posit, counted, shift) if self._has_float else counted
            nar = posit & self.code[3] & ~low.any()
        m.d.comb += [
            self.sign.eq(self.code[3]),
            self.some.eq(low.any()),
            self.three.eq(low[0] & low[1:3].any() & ~posit),
            self.shift.eq(shift),
            self.nar.eq(nar),
        ]
        return m


def nibble_product(a: Value, b: Value) -> Value:
    """Of two of `NibbleDecoder`'s numbers, each Cat(some, three, sign), the significands' product: two's complement, 5
    bits."""
    some = a[0] & b[0]
    threes, nine, negative = some & (a[1] ^ b[1]), a[1] & b[1], some & (a[2] ^ b[2])
    # It is odd or zero: to negate it, all bits but the last are complemented.
    return Cat(some, threes ^ negative, negative, nine ^ negative, negative)


class FloatDecoder(wiring.Component):
    """A small float: value = significand * 2**(shift + 1 - bias - mantissa_bits)."""

    def __init__(self, fmt: FloatFormat):
        self._format = fmt
        super().__init__(
            {
                "code": In(fmt.bits),
                "significand": Out(signed(fmt.mantissa_bits + 2)),
                "shift": Out(fmt.exponent_bits),
                "nan": Out(1),
                "infinite": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        fmt = self._format
        mantissa, field = self.code[: fmt.mantissa_bits], self.code[fmt.mantissa_bits : fmt.bits - 1]
        normal = field.any()
        ones = field.all()
        m.d.comb += [
            self.significand.eq(negate_if(self.code[-1], Cat(mantissa, normal))),
            # A subnormal weighs as the smallest exponent does.
            self.shift.eq(field - normal),
        ]
        if fmt.specials == "nan":
            m.d.comb += self.nan.eq(ones & mantissa.all())
        elif fmt.specials == "ieee":
            m.d.comb += [self.nan.eq(ones & mantissa.any()), self.infinite.eq(ones & ~mantissa.any())]
        return m


class SmallFloatDecoder(wiring.Component):
    """E2M3, E3M2, E4M3 and E5M2: value = (-1)**sign * magnitude * 2**(shift + 1 - bias - mantissa_bits).

    Members
    -------
    three : the mantissa has three bits, not two
    six : the code has six bits; those above are not looked at, and there are no infinities and NaNs
    """

    def __init__(self):
        super().__init__(
            {
                **{name: In(1) for name in ("three", "six")},
                "code": In(8),
                "sign": Out(1),
                "magnitude": Out(4),
                "shift": Out(5),
                "nan": Out(1),
                "infinite": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        code, three = self.code, self.three
        upper, field, normal, top = Signal(2), Signal(5), Signal(), Signal()
        m.d.comb += [
            upper.eq(code[5:7] & ~self.six.replicate(2)),
            field.eq(Mux(three, Cat(code[3:5], upper), Cat(code[2:5], upper))),
            normal.eq(field.any()),
            top.eq(upper.all() & code[2:5].all()),
            self.sign.eq(Mux(self.six, code[5], code[7])),
            self.magnitude.eq(Cat(code[:2], Mux(three, code[2], normal), normal & three)),
            # A subnormal weighs as the smallest exponent does.
            self.shift.eq(field - normal),
            self.nan.eq(top & Mux(three, code[:2].all(), code[:2].any())),
            self.infinite.eq(top & ~three & ~code[:2].any()),
        ]
        return m
