"""`Lanes` on FPGAs: operand codes become fixed-point numbers, and DSP blocks multiply them.

    8-bit modes   block k multiplies lane k, byte k of either operand
    4-bit modes   block k multiplies the even nibble of byte k; odd nibbles have small multipliers of gates
    P(16,1)       the last block multiplies the significands

A number is put in its place before it is multiplied: DSP blocks are wide enough for that, and their products need no
shift any more. Only 8-bit floats, whose range is too large, are shifted behind them. Decoding, placing and multiplying
have a cycle each, so that all modes of a lane share one shifter. Values are gated rather than codes, where they go into
a register that has a reset anyway.
"""

from __future__ import annotations

from functools import reduce
from operator import or_

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import wiring

from hdl.common.arithmetic import multiply, register, shift_left, wire
from hdl.common.format_table import ELEMENTS
from hdl.simd.config import EngineConfig
from hdl.simd.mac_decode import FloatDecoder, NibbleDecoder, PositByteDecoder, PositHalfDecoder, nibble_product
from hdl.simd.mac_ports import LANES, WIDE_BIAS, has_odd_lanes, lane_members
from hdl.simd.product_widths import number_reach

FLOAT_NIBBLES = ("fp4", "p4_1")


def gated(m: Module, condition: Value, value: Value, name: str) -> Signal:
    """`value` a cycle later, 0 without the condition."""
    held = Signal(value.shape(), name=name, reset_less=True)
    with m.If(condition):
        m.d.sync += held.eq(value)
    with m.Else():
        m.d.sync += held.eq(0)
    return held


class DspLanes(wiring.Component):
    """Decodes and multiplies one beat.

    Latency: 3 cycles; of odd nibbles' products 2, of `special` 1.

    Members are those of `Lanes`, but that `odd_sign_<k>` is the topmost bit of a two's complement product whose others
    are `odd_magnitude_<k>`.
    """

    def __init__(self, config: EngineConfig):
        self._config = config
        super().__init__(lane_members(config))

    def elaborate(self, platform):
        m = Module()
        self._selected = {name: self.select[index] for index, name in enumerate(self._config.decoders)}
        operands = {"a": self.a, "b": self.b}
        self._nan = [nar for name, operand in operands.items() for nar in self._not_reals(m, operand, name)]
        self._plus, self._minus = [], []
        wide = self._wide(m, operands)
        for k in range(LANES):
            lanes = [self._lane(m, f"{name}{k}", operand.word_select(k, 8)) for name, operand in operands.items()]
            self._multiply(m, k, lanes, wide if k == LANES - 1 else (None, None))
            if has_odd_lanes(self._config):
                nibbles = [operand.word_select(2 * k + 1, 4) for operand in operands.values()]
                self._multiply_odd(m, k, nibbles)
        for bit, found in enumerate((self._nan, self._plus, self._minus)):
            if found:
                m.d.comb += self.special[bit].eq(register(m, Cat(found).any(), f"special_{bit}"))
        return m

    def _built(self, *names):
        return [name for name in names if name in self._selected]

    def _any(self, *names):
        """Whether the decoder at work is one of these."""
        return reduce(or_, (self._selected[name] for name in self._built(*names)), Const(0, 1))

    def _chosen(self, m, choices, shape, name):
        """Of pairs (decoders, value), a cycle later the value whose decoder is at work; zero if there is none."""
        chosen = Signal(shape, name=f"{name}_chosen")
        *others, (_, value) = choices or [((), Const(0, 1))]
        for names, other in others:
            value = Mux(self._any(*names), other, value)
        m.d.comb += chosen.eq(value)
        return gated(m, self._any(*(name for names, _ in choices for name in names)), chosen, name)

    def _wide(self, m, operands):
        """Of P(16,1), for either operand of the last lane whether it is a cycle later, and its number then."""
        if not self._built("p16_1"):
            return None, None
        numbers, scales = [], []
        selected = register(m, self._selected["p16_1"], "wide")
        for name, operand in operands.items():
            m.submodules[f"half_{name}"] = decoder = PositHalfDecoder(registered=True)
            m.d.comb += decoder.code.eq(operand[:16])
            numbers.append((selected, decoder.significand))
            scales.append(gated(m, selected, decoder.scale[:6] ^ (WIDE_BIAS // 2), f"scale_{name}"))
        m.d.comb += self.wide_place.eq(register(m, scales[0] + scales[1], "place"))
        return numbers

    def _lane(self, m, tag, code):
        """Of a byte lane, choices for its number (decoders, significand, place) and for its product's shift, its code,
        and whether that is an infinite E5M2."""
        numbers, shifts, infinite = [], [], Const(0, 1)
        if self._built("p8_0"):
            m.submodules[f"p8_0_{tag}"] = decoder = PositByteDecoder()
            m.d.comb += decoder.code.eq(code)
            numbers.append((["p8_0"], decoder.significand, decoder.shift))
        if self._built("int8"):
            numbers.append((["int8"], code.as_signed(), 0))
        for name in self._built("e4m3", "e5m2"):
            m.submodules[f"{name}_{tag}"] = decoder = FloatDecoder(ELEMENTS[name])
            m.d.comb += decoder.code.eq(code)
            self._nan.append(decoder.nan & self._selected[name])
            numbers.append(([name], decoder.significand, 0))
            shifts.append(([name], decoder.shift))
            if name == "e5m2":
                infinite = decoder.infinite & self._selected[name]
        if self._built(*FLOAT_NIBBLES):
            nibble = self._nibble(m, f"even_{tag}", code[:4])
            negative = nibble.sign & nibble.some
            significand = Cat(nibble.some, nibble.three ^ negative, negative)
            numbers.append((FLOAT_NIBBLES, significand.as_signed(), nibble.shift))
        if self._built("int4"):
            numbers.append((["int4"], code[:4].as_signed(), 0))
        return numbers, shifts, code, infinite

    def _placed(self, m, numbers, wide, name):
        """Two cycles later, the number whose decoder is at work, in its place."""
        bits = max((len(significand) for _, significand, _ in numbers), default=1)
        chosen = [(names, significand) for names, significand, _ in numbers]
        significand = self._chosen(m, chosen, signed(bits), f"significand_{name}")
        moved = [(names, place) for names, _, place in numbers if isinstance(place, Value)]
        place = self._chosen(m, moved, 4, f"place_{name}") if moved else Const(0, 0)
        widths = number_reach(self._config.decoders, len(place))
        number = shift_left(m, significand, place, self._config.significand_bits, f"placed_{name}", widths).as_signed()
        if wide:
            number = Mux(wide[0], wide[1], number)
        return register(m, number, f"operand_{name}")

    def _nibble(self, m, tag, code):
        """The decoder of a nibble."""
        m.submodules[f"nibble_{tag}"] = decoder = NibbleDecoder(
            has_float=bool(self._built("fp4")), has_posit=bool(self._built("p4_1"))
        )
        m.d.comb += [decoder.code.eq(code), decoder.posit.eq(self._any("p4_1"))]
        return decoder

    def _not_reals(self, m, operand, name):
        """NaRs, in which only the topmost bit is set: whether there is one, for each mode. What is seen of a nibble
        serves all of them."""
        nibbles = [operand.word_select(k, 4) for k in range(len(operand) // 4)]
        topmost = [wire(m, nibble == 8, f"topmost_{name}{k}") for k, nibble in enumerate(nibbles)]
        none = [wire(m, ~nibble.any(), f"none_{name}{k}") for k, nibble in enumerate(nibbles)]
        found = {"p4_1": topmost, "p8_0": [high & low for high, low in zip(topmost[1::2], none[::2], strict=True)]}
        found["p16_1"] = [topmost[3] & none[2] & none[1] & none[0]]
        return [self._selected[mode] & Cat(found[mode]).any() for mode in self._built(*found)]

    def _multiply(self, m, k, lanes, wide):
        (a_numbers, a_shifts, a_code, a_infinite), (b_numbers, b_shifts, b_code, b_infinite) = lanes
        a, b = self._placed(m, a_numbers, wide[0], f"a{k}"), self._placed(m, b_numbers, wide[1], f"b{k}")
        m.d.comb += getattr(self, f"product_{k}").eq(register(m, a * b, f"block_{k}"))
        if a_shifts:
            a_shift, b_shift = (
                self._chosen(m, shifts, 5, f"shift_{name}{k}_held")
                for name, shifts in (("a", a_shifts), ("b", b_shifts))
            )
            shift = register(m, a_shift + b_shift, f"shift_{k}_sum")
            m.d.comb += getattr(self, f"shift_{k}").eq(register(m, shift, f"shift_{k}_held"))
        if self._built("e5m2"):
            infinite, zero = a_infinite | b_infinite, ~a_code[:7].any() | ~b_code[:7].any()
            negative = a_code[7] ^ b_code[7]
            self._nan.append(infinite & zero)
            self._plus.append(infinite & ~zero & ~negative)
            self._minus.append(infinite & ~zero & negative)

    def _multiply_odd(self, m, k, codes):
        magnitude, sign = getattr(self, f"odd_magnitude_{k}"), getattr(self, f"odd_sign_{k}")
        products, shift = [], Const(0, 1)
        if self._built(*FLOAT_NIBBLES):
            numbers, shifts = [], []
            for name, code in zip("ab", codes, strict=True):
                nibble = self._nibble(m, f"odd_{name}{k}", code)
                significand = self._chosen(m, [(FLOAT_NIBBLES, Cat(nibble.some, nibble.three))], 2, f"odd_{name}{k}")
                numbers.append(Cat(significand, register(m, nibble.sign, f"odd_sign_{name}{k}")))
                shifts.append(self._chosen(m, [(FLOAT_NIBBLES, nibble.shift)], 4, f"odd_shift_{name}{k}"))
            shift = shifts[0] + shifts[1]
            products.append(nibble_product(*numbers).as_signed())
        if self._built("int4"):
            a, b = (
                self._chosen(m, [(["int4"], code)], 4, f"odd_int4_{name}{k}")
                for name, code in zip("ab", codes, strict=True)
            )
            products.append(multiply(m, a, b, f"odd_int4_{k}").as_signed())
        product = register(m, reduce(or_, products)[: len(magnitude) + 1], f"odd_product_{k}")
        m.d.comb += [
            Cat(magnitude, sign).eq(product),
            getattr(self, f"odd_shift_{k}").eq(register(m, shift, f"odd_shift_{k}_held")),
        ]
