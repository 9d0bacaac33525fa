"""From exact numbers back to codes: normalising and rounding, combinationally.

What the codes mean is in `hdl.common.format_table`; the way to significand and exponent is in `hdl.common.formats`.
"""

from __future__ import annotations

from amaranth.hdl import C, Cat, Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.common.config import ConfigError
from hdl.common.format_table import FloatFormat, IntFormat, NumberFormat, PositFormat
from hdl.common.formats import flipped_if


def least_fraction_bits(fmt: IntFormat | FloatFormat | PositFormat) -> int:
    """Bits of an encoder's fraction that it needs to round to `fmt`: all that the format keeps, and one."""
    match fmt:
        case IntFormat(bits=bits):
            return bits
        case FloatFormat(mantissa_bits=mantissa_bits):
            return mantissa_bits + 1
        case PositFormat(bits=bits, exponent_bits=exponent_bits):
            return max(bits - 3 - exponent_bits, 0) + 1


class Encoder(wiring.Component):
    """Rounds an exact number into a format, once: to nearest, ties to even.

    The number is significand * 2**exponent, the significand in two's complement {s, not s, fraction}, which is in
    [1, 2) or in [-2, -1); and where `sticky` is set, larger than this by less than one unit of the significand's last
    place: truncated towards minus infinity, for negative numbers too.

    Numerics, beside the rounding:

    - floats: beyond the largest finite number, after rounding with an unbounded exponent, that number with the sign,
      or infinity if `overflow_to_infinity` is set and the format has one. Infinity where there is none is the largest
      finite number. NaN is the format's canonical NaN, 0 where there is none. Exact zero is +0; a negative number that
      is rounded to zero is -0.
    - posits: rounded as bit strings; what is not zero becomes neither 0 nor NaR but the nearest number there is. NaN
      and infinity are NaR.
    - integers: beyond the range after rounding, and infinity, its end; NaN is 0.

    Formats of the other kinds, bipolar numbers and powers of two, are only read by gateware: they have a decoder alone.

    Parameters
    ----------
    fmt : IntFormat, FloatFormat or PositFormat
        Of `hdl.common.format_table`.
    fraction_bits : int
        Bits of the significand after {s, not s}, at least `least_fraction_bits(fmt)`.
    exponent_bits : int
        Width of the exponent, at least 1. All of its range is encoded rightly.

    Members
    -------
    zero, nan, infinite : In(1)
        What the number is; with none of them set, it is what the others say. Of several, NaN goes before infinity and
        infinity before zero.
    sign : In(1)
        Of infinity; all other signs are the significand's.
    significand : In(signed(fraction_bits + 2))
    sticky : In(1)
    exponent : In(signed(exponent_bits))
    overflow_to_infinity : In(1)
    code : Out(fmt.bits)
    overflow : Out(1)
        A finite number is beyond the largest finite one (floats and integers: after rounding; posits: before), or an
        infinity came to floats or integers that have none.
    underflow : Out(1)
        Floats: a number that is not zero became zero. Posits: its magnitude is below the least one. Integers: never.

    Raises
    ------
    ConfigError
        If there is no encoder for the format, or a width is too small.
    """

    def __init__(self, fmt: NumberFormat, *, fraction_bits: int, exponent_bits: int):
        if not isinstance(fmt, IntFormat | FloatFormat | PositFormat):
            raise ConfigError(f"{fmt.name} has no encoder in gateware; integers, floats and posits have")
        if fraction_bits < least_fraction_bits(fmt):
            least = least_fraction_bits(fmt)
            raise ConfigError(f"fraction_bits must be at least {least} to round to {fmt.name}, not {fraction_bits}")
        if exponent_bits < 1:
            raise ConfigError(f"exponent_bits must be at least 1, not {exponent_bits}")
        self._fmt = fmt
        super().__init__(
            {
                "zero": In(1),
                "nan": In(1),
                "infinite": In(1),
                "sign": In(1),
                "significand": In(signed(fraction_bits + 2)),
                "sticky": In(1),
                "exponent": In(signed(exponent_bits)),
                "overflow_to_infinity": In(1),
                "code": Out(fmt.bits),
                "overflow": Out(1),
                "underflow": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        match self._fmt:
            case IntFormat() as fmt:
                self._int(m, fmt)
            case FloatFormat() as fmt:
                self._float(m, fmt)
            case PositFormat() as fmt:
                self._posit(m, fmt)
        return m

    def _shifted(self, m, bits, kept_bits, amount, limit):
        """The upper `kept_bits` of `bits`, shifted right arithmetically by `amount`: (kept, round bit, sticky).

        A negative `amount` counts as 0. From `limit` on, the amount may be taken for any larger one.
        """
        high, low = bits[-kept_bits - 1 :], bits[: -kept_bits - 1]
        sticky = self.sticky | _any(low)
        stages = limit.bit_length()
        beyond = _any(amount[min(stages, len(amount) - 1) : -1])
        for stage in range(min(stages, len(amount) - 1)):
            step = 1 << stage
            select = Signal(name=f"select_{stage}")
            shifted = Signal(len(high), name=f"shifted_{stage}")
            lost = Signal(name=f"lost_{stage}")
            m.d.comb += [
                select.eq((amount[stage] | beyond) & ~amount[-1]),
                shifted.eq(Mux(select, high.as_signed() >> step, high)),
                lost.eq(sticky | (select & high[:step].any())),
            ]
            high, sticky = shifted, lost
        return high[1:], high[0], sticky

    def _int(self, m, fmt):
        negative = self.significand[-1]
        # At shift 0 the integer has one bit more than the format: of numbers that large, the only one that can still
        # fit is just below the least integer, and rounds up to it.
        amount = _signal(m, "amount", fmt.bits - 1 + fmt.lsb_exponent - self.exponent)
        kept, round_bit, sticky = self._shifted(m, self.significand, fmt.bits + 1, amount, fmt.bits + 1)
        rounded = _signal(m, "rounded", kept + (round_bit & (sticky | kept[0])))[: fmt.bits + 1]
        beyond = amount[-1] | (rounded[-1] ^ rounded[-2])
        end_sign = Mux(self.infinite, self.sign, negative)
        end = Cat((~end_sign).replicate(fmt.bits - 1), end_sign)
        with m.If(self.nan | (self.zero & ~self.infinite)):
            m.d.comb += self.code.eq(0)
        with m.Elif(self.infinite | beyond):
            m.d.comb += [self.code.eq(end), self.overflow.eq(1)]
        with m.Else():
            m.d.comb += self.code.eq(rounded)

    def _float(self, m, fmt):
        negative = self.significand[-1]
        # A number under the smallest normal one is shifted until its exponent is that one's.
        amount = _signal(m, "amount", 1 - fmt.bias - self.exponent)
        normal = amount[-1] | ~amount.any()
        kept, round_bit, sticky = self._shifted(
            m, self.significand, fmt.mantissa_bits + 2, amount, fmt.mantissa_bits + 2
        )
        mantissa = kept[: fmt.mantissa_bits]
        # Of exponents past all of the format's, even before rounding, the low bits are not looked at.
        huge = amount[-1] & ~amount[fmt.exponent_bits :].all()
        exponent = Signal(fmt.exponent_bits + 1, name="low_exponent")
        m.d.comb += exponent.eq(Mux(normal, self.exponent, 0))
        # The magnitude of a negative number rounded: -(x + up) = ~x + not up. Hidden bit and sign need no place in the
        # sum: a normal number's hidden bit is 1 either way, and a carry out of the mantissa belongs to the exponent.
        up = round_bit & (sticky | mantissa[0])
        fields = Cat(flipped_if(negative, mantissa), exponent)
        bias = Cat(up ^ negative, C(0, fmt.mantissa_bits - 1), normal.replicate(fmt.exponent_bits) & fmt.bias)
        packed = Signal(len(fields))
        m.d.comb += packed.eq(fields + bias)

        magnitude, has_infinity = packed[:-1], fmt.specials == "ieee"
        beyond = huge | packed[-1]
        if has_infinity:
            beyond |= magnitude[fmt.mantissa_bits :].all()
        elif fmt.specials == "nan":
            beyond |= magnitude.all()
        finite = ~(self.nan | self.infinite | self.zero)
        m.d.comb += [
            self.overflow.eq((finite & beyond) | (~self.nan & self.infinite & (not has_infinity))),
            self.underflow.eq(finite & ~normal & ~packed.any()),
        ]
        sign = Mux(self.infinite, self.sign, negative)
        with m.If(self.nan):
            m.d.comb += self.code.eq(fmt.nan_code or 0)
        with m.Elif(self.infinite | (finite & beyond)):
            m.d.comb += self.code.eq(Cat(C(fmt.max_code, fmt.bits - 1), sign))
            if has_infinity:
                with m.If(self.infinite | self.overflow_to_infinity):
                    m.d.comb += self.code.eq(Cat(C(fmt.infinity_code, fmt.bits - 1), sign))
        with m.Elif(finite):
            m.d.comb += self.code.eq(Cat(magnitude, sign))

    def _posit(self, m, fmt):
        negative = self.significand[-1]
        fraction = self.significand[:-2]
        # {k, exponent} = scale XOR sign. {not kneg, kneg, exponent, fraction} shifted by k XOR kneg is the body.
        exponent = Signal(signed(max(len(self.exponent), fmt.exponent_bits + 1)), name="wide_exponent")
        m.d.comb += exponent.eq(self.exponent)
        low = flipped_if(negative, exponent[: fmt.exponent_bits])
        k_negative = exponent[-1] ^ negative
        amount = Cat(flipped_if(exponent[-1], exponent[fmt.exponent_bits : -1]), C(0, 1))
        string = Cat(fraction, low, k_negative, ~k_negative)
        body, round_bit, sticky = self._shifted(m, string, fmt.bits - 1, amount, fmt.bits - 1)

        # From this shift on, all of the body is regime.
        extreme = _at_least(amount, fmt.bits - 2)
        ones, none = extreme & ~k_negative, extreme & k_negative
        up = none | (~ones & round_bit & (sticky | body[0]))
        outside = ones & (round_bit | sticky)
        finite = ~(self.nan | self.infinite | self.zero)
        m.d.comb += [
            self.overflow.eq(finite & Mux(negative, none, outside)),
            self.underflow.eq(finite & Mux(negative, outside, none)),
        ]
        with m.If(self.nan | self.infinite):
            m.d.comb += self.code.eq(1 << (fmt.bits - 1))
        with m.Elif(~self.zero):
            m.d.comb += self.code.eq(Cat((body + up)[: fmt.bits - 1], negative))


class Normaliser(wiring.Component):
    """Finds the leading bit of a signed integer and brings it to the top: what an `Encoder` takes.

    value = significand * 2**exponent, exactly where `fraction_bits` suffice; else the significand is truncated towards
    minus infinity, and `sticky` says so. Works on the signed value, largest shift first, without an absolute value;
    bits that no later shift can bring up join `sticky` as early as they can.

    `sticky_in` set, the number is larger than the value by a part of its last bit, and `sticky` is set too. What an
    encoder makes of it is the correct rounding as long as the value has `fraction_bits` + 2 bits or more that are not
    copies of its sign (that one counted once); of fewer, it is that of a number just above the value.

    Parameters
    ----------
    width : int
        Bits of the value, at least 2.
    fraction_bits : int
        Bits of the significand after {s, not s}, at least 0.
    lsb_exponent : int
        The weight of the value's last bit is 2**lsb_exponent.

    Members
    -------
    value : In(signed(width))
    sticky_in : In(1)
    zero : Out(1)
        The value is 0, whatever `sticky_in` says; then the significand and exponent have no meaning.
    significand : Out(signed(fraction_bits + 2))
        {s, not s, fraction}: in [1, 2) or in [-2, -1).
    sticky : Out(1)
    exponent : Out(signed(exponent_bits))
        Weight of the significand's 1: from lsb_exponent - 1, for -1, to lsb_exponent + width - 2.
    shift : Out(range(width))
        What the value was shifted left: lsb_exponent + width - 2 - exponent. Comes without an adder.

    Attributes
    ----------
    exponent_bits : int

    Raises
    ------
    ConfigError
        If a width is too small.
    """

    def __init__(self, width: int, *, fraction_bits: int, lsb_exponent: int = 0):
        if width < 2:
            raise ConfigError(f"width must be at least 2, not {width}")
        if fraction_bits < 0:
            raise ConfigError(f"fraction_bits must be at least 0, not {fraction_bits}")
        self._top_exponent = lsb_exponent + width - 2
        ends = (lsb_exponent - 1, self._top_exponent)
        self.exponent_bits = max((end if end >= 0 else ~end).bit_length() for end in ends) + 1
        super().__init__(
            {
                "value": In(signed(width)),
                "sticky_in": In(1),
                "zero": Out(1),
                "significand": Out(signed(fraction_bits + 2)),
                "sticky": Out(1),
                "exponent": Out(signed(self.exponent_bits)),
                "shift": Out(range(width)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        negative = self.value[-1]
        bits, sticky = self.value, self.sticky_in
        for stage in reversed(range(len(self.shift))):
            step = 1 << stage
            # The stages after this one shift by step - 1 at most.
            kept_bits = min(len(bits), step - 1 + len(self.significand))
            shifted = Signal(len(bits), name=f"shifted_{stage}")
            below = Signal(name=f"below_{stage}")
            m.d.comb += [
                self.shift[stage].eq(bits[-step - 1 :] == negative.replicate(step + 1)),
                shifted.eq(Mux(self.shift[stage], bits << step, bits)),
                below.eq(sticky | _any(shifted[: len(bits) - kept_bits])),
            ]
            bits, sticky = shifted[len(bits) - kept_bits :], below
        m.d.comb += [
            self.zero.eq(~bits[-1] & ~bits[-2]),
            self.significand.eq(Cat(C(0, len(self.significand) - len(bits)), bits)),
            self.sticky.eq(sticky),
            self.exponent.eq(self._top_exponent - self.shift),
        ]
        return m


def _any(bits):
    """Whether one of the bits is set; there may be none."""
    return bits.any() if len(bits) else C(0, 1)


def _at_least(bits, constant):
    """Whether an unsigned number is a constant or more, without a carry chain, which costs more than so few gates."""
    if constant >> len(bits):
        return C(0, 1)
    reached = C(1, 1)
    for index, bit in enumerate(bits):
        reached = bit & reached if constant >> index & 1 else bit | reached
    return reached


def _signal(m, name, value):
    """A signal with the value of an expression, of its shape."""
    named = Signal(value.shape(), name=name)
    m.d.comb += named.eq(value)
    return named
