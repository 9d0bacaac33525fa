"""The last stages of `simd.mac`: the accumulator's value is normalised, rounded once and encoded.

One register is used three times: it holds the value half normalised, then normalised, then, until the result is taken,
as the bits of the output format with one more and a sticky bit behind them, of which rounding makes the code. Posits,
floats and integers share one right shifter and one rounding:

    posit    body {~kneg, kneg, exponent, fraction} >> run of regime bits, filled with ~kneg
    float    body {exponent field, fraction} >> 0; of a subnormal, field 1, >> what its exponent lacks
    integer  body {~sign, fraction} >> places to the last integer place

All in two's complement, where a float's body is that of its negative number, complemented: rounding to even and
complementing commute, so the complement waits until after the rounding and shares its increment.
"""

from __future__ import annotations

from functools import reduce
from operator import or_

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.common.arithmetic import wire
from hdl.common.format_table import ELEMENTS, FloatFormat, IntFormat, PositFormat
from hdl.simd.config import EngineConfig
from hdl.simd.modes import ACCUMULATOR_BITS, ACCUMULATOR_EXPONENT, OUTPUT_FORMATS

EXPONENT_BITS = 8
"""Of an accumulator's leading digit: 2**-57 (all redundant) to 2**70."""


def fraction_bits(config: EngineConfig) -> int:
    """Bits behind the leading digit that rounding into the widest output needs, its first lost bit included."""
    needed = [config.result_bits - 3]
    for name in config.outputs:
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


class Drain(wiring.Component):
    """Encodes the accumulator once its carries are home.

    Latency: 3 cycles: in the first `start` comes with `value`, in the second `fine`, in the third `shift`. The result
    stays until the next `start`, as long as the other inputs stand still.

    Members
    -------
    value : the accumulator, shifted up by whole segments until the topmost holds its leading digit
    segments_up : by how many
    output : index into `OUTPUT_FORMATS`
    infinity : overflow gives infinity where there is one
    nar, nan, plus, minus : what the operands held: NaR; NaN, or what makes one; infinities
    code, overflow, underflow : the result
    """

    def __init__(self, config: EngineConfig):
        self._config = config
        self._fraction_bits = fraction_bits(config)
        super().__init__(
            {
                "start": In(1),
                "fine": In(1),
                "shift": In(1),
                "value": In(ACCUMULATOR_BITS),
                "segments_up": In(3),
                "output": In(config.output_bits),
                "infinity": In(1),
                "nar": In(1),
                "nan": In(1),
                "plus": In(1),
                "minus": In(1),
                "code": Out(config.result_bits),
                "overflow": Out(1),
                "underflow": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self._config
        self._bits = config.result_bits
        self._formats = [
            (wire(m, self.output == OUTPUT_FORMATS.index(name), f"is_{name}"), ELEMENTS[name])
            for name in config.outputs
        ]
        segment = config.segment_bits
        significand_bits = self._fraction_bits + 2
        held, sticky = Signal(significand_bits + 3, reset_less=True), Signal(reset_less=True)
        counts = Signal(4, reset_less=True)
        zero = Signal(reset_less=True)
        window_bits = significand_bits + segment - 1
        window, below = self.value[-window_bits:], self.value[:-window_bits].any()
        coarse, coarse_sticky, coarse_count = self._normalise(m, window, below, (8, 4))
        normal, normal_sticky, fine_count = self._normalise(m, held, sticky, (2, 1))
        exponent = Signal(signed(EXPONENT_BITS))
        leading = ACCUMULATOR_BITS - 2 + ACCUMULATOR_EXPONENT
        m.d.comb += exponent.eq(leading - Cat(counts, self.segments_up))
        significand = held[:significand_bits]
        body = self._shifted(m, significand[:-2], significand[-1], sticky, exponent)
        negative, beyond, beneath = (Signal(name=name, reset_less=True) for name in ("negative", "beyond", "beneath"))
        with m.If(self.start):
            m.d.sync += [held.eq(coarse), sticky.eq(coarse_sticky), counts[2:].eq(coarse_count)]
        with m.Elif(self.fine):
            m.d.sync += [held.eq(normal), sticky.eq(normal_sticky), counts[:2].eq(fine_count)]
            m.d.sync += zero.eq(~held.any() & ~sticky)
        with m.Elif(self.shift):
            m.d.sync += [held.eq(body["bits"]), sticky.eq(body["sticky"])]
            m.d.sync += [negative.eq(significand[-1]), beyond.eq(body["beyond"]), beneath.eq(body["beneath"])]
        self._round(m, held[: self._bits], sticky, negative, beyond, beneath, zero)
        return m

    @staticmethod
    def _normalise(m, window, sticky, steps):
        """Drops `step` sign copies from the top where there are so many to spare, else as many bits at the bottom."""
        counts = []
        for step in steps:
            top = window[len(window) - step - 1 :]
            spare = Signal(name=f"spare_{step}")
            m.d.comb += spare.eq(~top.any() | top.all())
            sticky = wire(m, sticky | (~spare & window[:step].any()), f"sticky_{step}")
            window = wire(m, Mux(spare, window[: len(window) - step], window[step:]), f"window_{step}")
            counts.append(spare)
        return window, sticky, Cat(reversed(counts))

    def _of(self, kind) -> list:
        return [(selected, fmt) for selected, fmt in self._formats if isinstance(fmt, kind)]

    def _is(self, kind) -> Value:
        return reduce(or_, (selected for selected, _ in self._of(kind)), Const(0, 1))

    def _shifted(self, m, fraction, sign, sticky, exponent):
        """The output's bits before rounding, with one more behind them; what was lost; whether it is out of range."""
        bits = self._bits
        posit, is_float = wire(m, self._is(PositFormat), "posit"), wire(m, self._is(FloatFormat), "float")
        whole_exponent = reduce(or_, (sel for sel, fmt in self._of(PositFormat) if not fmt.exponent_bits), Const(0, 1))
        whole_exponent = wire(m, whole_exponent, "whole_exponent")
        regime = Signal(signed(EXPONENT_BITS))
        m.d.comb += regime.eq(Mux(whole_exponent, exponent, exponent >> 1))
        large = ~regime[-1]
        run = wire(m, (regime ^ regime[-1].replicate(EXPONENT_BITS))[:EXPONENT_BITS], "run")
        regime_negative = wire(m, regime[-1] ^ sign, "regime_negative")
        posit_exponent = wire(m, exponent[0] ^ sign, "posit_exponent")

        biased = Signal(signed(EXPONENT_BITS + 1))  # the exponent field; of an integer the exponent
        m.d.comb += biased.eq(exponent + either([(sel, fmt.bias) for sel, fmt in self._of(FloatFormat)], EXPONENT_BITS))
        subnormal = wire(m, is_float & (biased[-1] | ~biased.any()), "subnormal")
        constant = [(sel, bits - fmt.bits) for sel, fmt in self._of(PositFormat)]
        for sel, fmt in self._of(FloatFormat):
            constant += [(sel & ~subnormal, bits - fmt.bits), (sel & subnormal, bits - fmt.bits + 2)]
        constant += [(sel, bits - 1) for sel, _ in self._of(IntFormat)]
        variable = Mux(posit, run, Mux(is_float & ~subnormal, 0, ~biased))
        amount = Signal(EXPONENT_BITS + 1)
        m.d.comb += amount.eq(variable.as_signed() + either(constant, EXPONENT_BITS))

        field = wire(m, Mux(subnormal, 1, biased[:8]), "field")
        bodies, rests = [], []
        for selected, fmt in self._formats:
            if isinstance(fmt, PositFormat):
                high = Cat([posit_exponent] * fmt.exponent_bits, regime_negative, ~regime_negative)
            elif isinstance(fmt, FloatFormat):
                high = field[: fmt.exponent_bits] ^ sign.replicate(fmt.exponent_bits)
            else:
                high = ~sign
            # The fraction under it, cut or filled up at the bottom.
            room = bits - len(high)
            cut = max(0, len(fraction) - room)
            bodies.append((selected, Cat(Const(0, room - len(fraction) + cut), fraction[cut:], high)))
            rests.append((selected, fraction[:cut].any()))
        body, lost = wire(m, either(bodies, bits), "body"), wire(m, sticky | either(rests, 1), "lost")
        fill = wire(m, Mux(posit, ~regime_negative, sign), "fill")
        for level in range((bits - 1).bit_length()):
            step = 1 << level
            lost = wire(m, lost | (amount[level] & body[:step].any()), f"lost_{step}")
            body = wire(m, Mux(amount[level], Cat(body[step:], fill.replicate(step)), body), f"body_{step}")
        far = amount[(bits - 1).bit_length() :].any()

        # A posit that needs more regime bits than there are is the largest or the smallest one. The shift that is one
        # too many is the same for all: they are aligned at their ends.
        limit = wire(m, posit & (amount >= bits - 2), "limit")
        uneven = (amount > bits - 2) | fraction.any() | sticky | (posit & ~whole_exponent & posit_exponent)
        uneven = wire(m, uneven, "uneven")
        extreme = Cat(Const(0, 1), Const(1, 1), (~regime_negative).replicate(bits - 2))
        return {
            "bits": Mux(limit, extreme, Mux(far, fill.replicate(bits), body)),
            "sticky": ~limit & (lost | far),
            "beyond": (limit & large & (sign | uneven)) | self._beyond(biased, sign, fraction),
            "beneath": limit & ~large & (~sign | uneven),
        }

    def _beyond(self, exponent, sign, fraction):
        """A float's exponent has no field so large, or an integer has not so many bits."""
        beyond = Const(0, 1)
        for selected, fmt in self._of(FloatFormat):
            beyond = beyond | (selected & ~exponent[-1] & exponent[fmt.exponent_bits : -1].any())
        for selected, fmt in self._of(IntFormat):
            # Just below the smallest integer a negative number is still rounded up to it.
            rounds_up = sign & (exponent == fmt.bits - 1) & fraction[len(fraction) - fmt.bits :].all()
            beyond = beyond | (selected & (exponent >= fmt.bits - 1) & ~rounds_up)
        return beyond

    def _round(self, m, body, sticky, negative, beyond, beneath, zero):
        bits = self._bits
        is_float, is_integer = wire(m, self._is(FloatFormat), "a_float"), wire(m, self._is(IntFormat), "an_integer")
        up = wire(m, body[0] & (body[1] | sticky), "up")
        complement = wire(m, is_float & negative, "complement")
        rounded = Signal(bits)
        m.d.comb += rounded.eq((body[1:] ^ complement.replicate(bits - 1)) + (up ^ complement))
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
        bad = wire(m, self.nar | self.nan | (self.plus & self.minus), "bad")
        infinite = wire(m, self.plus | self.minus, "infinite")
        sign = Mux(infinite, self.minus, negative & ~(is_integer & rounded[-1] & ~beyond))
        sign, over = wire(m, sign, "sign"), wire(m, too_large | infinite, "over")
        constants: list[tuple[Value, Value | int]] = []
        for selected, fmt in self._formats:
            top = fmt.bits - 1
            if isinstance(fmt, PositFormat):
                constants.append((selected & (bad | infinite), 1 << top))
            elif isinstance(fmt, IntFormat):
                constants.append((selected & ~bad & over, Cat((~sign).replicate(top), sign)))
            else:
                to_infinity = (infinite | self.infinity) if fmt.specials == "ieee" else Const(0, 1)
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
        m.d.comb += [
            self.code.eq(
                (Cat(usual) & live.replicate(bits)) | (either(constants, bits) & use_constant.replicate(bits))
            ),
            self.overflow.eq(~bad & Mux(infinite, lost_infinity, ~zero & (too_large | beyond))),
            self.underflow.eq(~bad & ~infinite & ~zero & ~too_large & (beneath | vanished)),
        ]
