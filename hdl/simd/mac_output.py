"""How an exact value becomes a code: the steps of normalising, rounding once and encoding, without registers.

Posits, floats and integers share one right shifter and one rounding:

    posit    body {~kneg, kneg, exponent, fraction} >> run of regime bits, filled with ~kneg
    float    body {exponent field, fraction} >> 0; of a subnormal, field 1, >> what its exponent lacks
    integer  body {~sign, fraction} >> places to the last integer place

All in two's complement, where a float's body is that of its negative number, complemented: rounding to even and
complementing commute, so the complement waits until after the rounding and shares its increment.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import reduce
from operator import or_

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed

from hdl.common.arithmetic import wire
from hdl.common.format_table import ELEMENTS, FloatFormat, IntFormat, PositFormat
from hdl.simd.config import EngineConfig
from hdl.simd.modes import OUTPUT_FORMATS


def fraction_bits(config: EngineConfig) -> int:
    """Bits behind the leading digit that rounding into the widest output needs, its first lost bit included."""
    needed = [config.result_bits - 3]
    for name in config.encodings:
        match ELEMENTS[name]:
            case PositFormat(bits, exponent_bits):
                needed.append(bits - 2 - exponent_bits)
            case FloatFormat() as fmt:
                needed.append(fmt.mantissa_bits + 1)
            case IntFormat() as fmt:
                needed.append(fmt.bits)
    return max(needed)


def either(pairs: list[tuple[Value, Value | int]], width: int) -> Value:
    """The value whose condition holds; conditions exclude each other."""
    terms = [Cat(value if isinstance(value, Value) else Const(value % (1 << width), width), Const(0, width))[:width]
             & condition.replicate(width) for condition, value in pairs]  # fmt: skip
    return reduce(or_, terms) if terms else Const(0, width)


def at_least(value: Value, bound: int) -> Value:
    """Whether an unsigned number is as large as a constant above 0, without a carry chain of its whole width."""
    low = bound.bit_length()
    return value[low:].any() | (value[:low] >= bound)


def normalise(m: Module, window: Value, sticky: Value, steps: tuple[int, ...]) -> tuple[Value, Value, Value]:
    """Drops `step` sign copies from the top where there are so many to spare, else as many bits at the bottom.

    Returns the window that is left, the sticky bit with what was dropped below, and the steps taken, largest topmost.
    """
    counts = []
    for step in steps:
        top = window[len(window) - step - 1 :]
        spare = Signal(name=f"spare_{step}")
        m.d.comb += spare.eq(~top.any() | top.all())
        sticky = wire(m, sticky | (~spare & window[:step].any()), f"sticky_{step}")
        window = wire(m, Mux(spare, window[: len(window) - step], window[step:]), f"window_{step}")
        counts.append(spare)
    return window, sticky, Cat(reversed(counts))


@dataclass(frozen=True)
class Special:
    """What the operands held: NaR; NaN, or what makes one; infinities."""

    nar: Value
    nan: Value
    plus: Value
    minus: Value


Hold = Callable[[Value, str], Value]
"""Makes of a value, and its name, what the rest goes on with: a register."""


@dataclass(frozen=True)
class Body:
    """A result before it is rounded.

    Attributes
    ----------
    bits : those of the output format and one more behind them
    sticky : something was lost below
    negative, zero : of the exact value
    beyond, beneath : it is out of range whatever rounding does
    """

    bits: Value
    sticky: Value
    negative: Value
    zero: Value
    beyond: Value
    beneath: Value

    def held(self, hold: Hold) -> Body:
        """All of it behind registers."""
        return Body(**{field.name: hold(getattr(self, field.name), field.name) for field in fields(self)})


class ResultEncoder:
    """Encodes into the output formats of a config.

    Parameters
    ----------
    m : where the logic goes
    output : index into `OUTPUT_FORMATS`
    exponent_bits : of the leading digit's exponent, signed
    """

    def __init__(self, m: Module, config: EngineConfig, output: Value, exponent_bits: int):
        self._module, self._bits, self._exponent_bits = m, config.result_bits, exponent_bits
        self._formats = [
            (wire(m, output == OUTPUT_FORMATS.index(name), f"is_{name}"), ELEMENTS[name]) for name in config.encodings
        ]

    def _of(self, kind) -> list:
        return [(selected, fmt) for selected, fmt in self._formats if isinstance(fmt, kind)]

    def _is(self, kind) -> Value:
        return reduce(or_, (selected for selected, _ in self._of(kind)), Const(0, 1))

    @property
    def is_float(self) -> Value:
        """Whether the output is a float."""
        return self._is(FloatFormat)

    def shifted(self, significand: Value, sticky: Value, exponent: Value, hold: Hold = lambda value, _: value) -> Body:
        """Brings a normalised value to where the output format's last bit is.

        Parameters
        ----------
        significand : of `fraction_bits(config)` + 2 bits, {s, ~s, fraction}; with no sign change on top it is a zero
        sticky : more was lost below
        exponent : of the leading digit, signed
        hold : registers for values in the middle of the way
        """
        m, bits = self._module, self._bits
        fraction, sign = significand[:-2], significand[-1]
        zero = ~significand.any() & ~sticky
        posit, is_float = wire(m, self._is(PositFormat), "posit"), wire(m, self._is(FloatFormat), "float")
        whole_exponent = reduce(or_, (sel for sel, fmt in self._of(PositFormat) if not fmt.exponent_bits), Const(0, 1))
        whole_exponent = wire(m, whole_exponent, "whole_exponent")
        regime = Signal(signed(self._exponent_bits))
        m.d.comb += regime.eq(Mux(whole_exponent, exponent, exponent >> 1))
        large = ~regime[-1]
        run = wire(m, (regime ^ regime[-1].replicate(self._exponent_bits))[: self._exponent_bits], "run")
        regime_negative = wire(m, regime[-1] ^ sign, "regime_negative")
        posit_exponent = wire(m, exponent[0] ^ sign, "posit_exponent")

        # A float's exponent field; an integer's exponent, less that of the topmost bit there is.
        biases = [(sel, fmt.bias) for sel, fmt in self._of(FloatFormat)]
        biases += [(sel, 1 - bits) for sel, _ in self._of(IntFormat)]
        biased = Signal(signed(self._exponent_bits + 1))
        m.d.comb += biased.eq(exponent + either(biases, self._exponent_bits).as_signed())
        subnormal = wire(m, is_float & (biased[-1] | ~biased.any()), "subnormal")
        variable = Mux(posit, run, Mux(is_float & ~subnormal, 0, ~biased))
        amount = Signal(self._exponent_bits + 1)
        m.d.comb += amount.eq(variable.as_signed() + Cat(Const(0, 1), subnormal))
        # A posit that needs more regime bits than there are is the largest or the smallest one.
        posits = self._of(PositFormat)
        limit = reduce(or_, (sel & at_least(run, fmt.bits - 2) for sel, fmt in posits), Const(0, 1))
        further = reduce(or_, (sel & at_least(run, fmt.bits - 1) for sel, fmt in posits), Const(0, 1))

        field = wire(m, Mux(subnormal, 1, biased[:8]), "field")
        fill = wire(m, Mux(posit, ~regime_negative, sign), "fill")
        exponents = {PositFormat: posit_exponent, FloatFormat: field}
        body, lost = self._bodies(exponents, regime_negative, fraction, sign, sticky, fill)
        beyond = self._beyond(biased, exponent, sign, fraction)
        rest = fraction.any() | sticky | (posit & ~whole_exponent & posit_exponent)
        uneven = wire(m, further | rest, "uneven")
        # As wide as the body itself, an integer just below the smallest leaves no room for its sign: its bits are 0.
        widest = [sel for sel, fmt in self._of(IntFormat) if fmt.bits == bits]
        lowest = reduce(or_, (sel & sign & (exponent == bits - 1) for sel in widest), Const(0, 1))
        fill = wire(m, fill & ~lowest, "fill_or_0")
        # What is shifted out of the body's width leaves nothing but `fill`, but for the last bit.
        levels = (bits - 1).bit_length()
        far = wire(m, amount[levels:].any(), "far")
        middle = {
            "lowest": lowest,
            "amount": amount[:levels],
            "far": far,
            "saturated": far | limit,
            "body": body,
            "lost": lost,
            "limit": limit,
            "uneven": uneven,
            "fill": fill,
            "sign": sign,
            "zero": zero,
            "beyond": beyond,
        }
        middle |= {"regime_negative": regime_negative, "large": large}
        lowest, amount, far, saturated, body, lost, limit, uneven, fill, sign, zero, beyond, regime_negative, large = (
            hold(value, name) for name, value in middle.items()
        )
        amount = wire(m, amount | saturated.replicate(levels), "places")
        for level in range(levels):
            step = 1 << level
            lost = wire(m, lost | (amount[level] & body[:step].any()), f"lost_{step}")
            body = wire(m, Mux(amount[level], Cat(body[step:], fill.replicate(step)), body), f"body_{step}")

        return Body(
            # The largest and the smallest posit end in a one, and nothing behind it.
            bits=Cat(~limit & Mux(far, fill, body[0]), body[1] | limit, body[2:]),
            sticky=~limit & (lost | far) & ~lowest,
            negative=sign,
            zero=zero,
            beyond=(limit & large & (sign | uneven)) | beyond,
            beneath=limit & ~large & (~sign | uneven),
        )

    def _bodies(self, exponents, regime_negative, fraction, sign, sticky, fill):
        """The body of the output format before it is shifted, and whether something was lost below it. All end at the
        bottom but integers, which end at the top."""
        m, bits = self._module, self._bits
        bodies, cuts = [], []
        for selected, fmt in self._formats:
            width = bits if isinstance(fmt, IntFormat) else fmt.bits
            if isinstance(fmt, PositFormat):
                high = Cat([exponents[PositFormat]] * fmt.exponent_bits, regime_negative, ~regime_negative)
            elif isinstance(fmt, FloatFormat):
                high = exponents[FloatFormat][: fmt.exponent_bits] ^ sign.replicate(fmt.exponent_bits)
            else:
                high = ~sign
            # The fraction under it, cut or filled up at the bottom.
            room = width - len(high)
            cut = max(0, len(fraction) - room)
            low = Cat(Const(0, room - len(fraction) + cut), fraction[cut:], high)
            bodies.append((selected, Cat(low, fill.replicate(bits - width))))
            cuts.append((cut, selected))
        lost, below, done = sticky, Const(0, 1), 0
        for cut, selected in sorted(cuts, key=lambda item: item[0]):
            if cut > done:
                below, done = wire(m, below | fraction[done:cut].any(), f"below_{cut}"), cut
            lost = lost | (selected & below)
        return wire(m, either(bodies, bits), "body"), wire(m, lost, "lost")

    def _beyond(self, biased, exponent, sign, fraction):
        """A float's exponent has no field so large, or an integer has not so many bits."""
        beyond = Const(0, 1)
        for selected, fmt in self._of(FloatFormat):
            beyond = beyond | (selected & ~biased[-1] & biased[fmt.exponent_bits : -1].any())
        for selected, fmt in self._of(IntFormat):
            # Just below the smallest integer a negative number is still rounded up to it.
            rounds_up = sign & (exponent == fmt.bits - 1) & fraction[len(fraction) - fmt.bits :].all()
            beyond = beyond | (selected & (exponent >= fmt.bits - 1) & ~rounds_up)
        return beyond

    def rounded(self, body: Body, special: Special, infinity: Value) -> tuple[Value, Value, Value]:
        """Code, overflow and underflow; `infinity` says that overflow gives infinity where there is one."""
        m, bits = self._module, self._bits
        negative, zero, beyond = body.negative, body.zero, body.beyond
        is_float, is_integer = wire(m, self._is(FloatFormat), "a_float"), wire(m, self._is(IntFormat), "an_integer")
        up = wire(m, body.bits[0] & (body.bits[1] | body.sticky), "up")
        complement = wire(m, is_float & negative, "complement")
        rounded = Signal(bits)
        m.d.comb += rounded.eq((body.bits[1:] ^ complement.replicate(bits - 1)) + (up ^ complement))
        too_large = beyond & ~self._is(PositFormat)
        vanished = Const(0, 1)
        for selected, fmt in self._formats:
            top = fmt.bits - 1
            if isinstance(fmt, FloatFormat):
                over = rounded[top]
                if fmt.specials == "ieee":
                    over = over | rounded[fmt.mantissa_bits : top].all()
                elif fmt.specials == "nan":
                    over = over | rounded[:top].all()
                too_large = too_large | (selected & over)
                vanished = vanished | (selected & ~rounded[:top].any())
            elif isinstance(fmt, IntFormat):
                too_large = too_large | (selected & ~negative & rounded[top])

        too_large = wire(m, too_large, "too_large")
        bad = wire(m, special.nar | special.nan | (special.plus & special.minus), "bad")
        infinite = wire(m, special.plus | special.minus, "infinite")
        sign = Mux(infinite, special.minus, negative & ~(is_integer & rounded[-1] & ~beyond))
        sign, over = wire(m, sign, "sign"), wire(m, too_large | infinite, "over")
        constants: list[tuple[Value, Value | int]] = []
        for selected, fmt in self._formats:
            top = fmt.bits - 1
            if isinstance(fmt, PositFormat):
                constants.append((selected & (bad | infinite), 1 << top))
            elif isinstance(fmt, IntFormat):
                constants.append((selected & ~bad & over, Cat((~sign).replicate(top), sign)))
            else:
                to_infinity = (infinite | infinity) if fmt.specials == "ieee" else Const(0, 1)
                if fmt.nan_code is not None:
                    constants.append((selected & bad, fmt.nan_code))
                constants.append((selected & ~bad & over & ~to_infinity, Cat(Const(fmt.max_code, top), sign)))
                constants.append((selected & ~bad & over & to_infinity, Cat(Const(fmt.infinity_code, top), sign)))
        use_constant = wire(m, bad | infinite | (~zero & too_large), "use_constant")
        usual = []
        for place in range(bits):
            wider = [sel for sel, fmt in self._formats if fmt.bits - 1 > place]
            ends = [sel for sel, fmt in self._formats if fmt.bits - 1 == place]
            usual.append((rounded[place] & reduce(or_, wider, Const(0, 1))) | (sign & reduce(or_, ends, Const(0, 1))))
        live = wire(m, ~zero & ~use_constant, "live")
        has_infinity = reduce(or_, (sel for sel, fmt in self._of(FloatFormat) if fmt.specials == "ieee"), Const(0, 1))
        lost_infinity = infinite & ~has_infinity & ~self._is(PositFormat)
        code = (Cat(usual) & live.replicate(bits)) | (either(constants, bits) & use_constant.replicate(bits))
        overflow = ~bad & Mux(infinite, lost_infinity, ~zero & (too_large | beyond))
        return code, overflow, ~bad & ~infinite & ~zero & ~too_large & (body.beneath | vanished)
