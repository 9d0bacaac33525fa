"""The first stage of `simd.mac`: operand codes become products of significands.

Four multiplier blocks serve every mode:

    8-bit modes   block k multiplies lane k, byte k of either operand
    FP4, P(4,1)   block k multiplies the even nibble of byte k; odd nibbles, whose significands have two bits, have
                  small multipliers of their own
    INT4          block k multiplies both nibbles of byte k and adds up their products: `multiply_or_dot`
    P(16,1)       the blocks are the quarters of one 14 x 14 multiplier: significands are split 7 + 7

An operand reaches only the decoders of the mode at work: all others, and what stands behind them, see zeros.
"""

from __future__ import annotations

from functools import reduce
from operator import or_

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import wiring

from hdl.common.arithmetic import extended, multiply, multiply_or_dot, register, wire
from hdl.simd.config import EngineConfig
from hdl.simd.mac_decode import (
    NibbleDecoder,
    PositByteDecoder,
    PositHalfDecoder,
    SmallFloatDecoder,
    negate_if,
    nibble_product,
)
from hdl.simd.mac_dsp_lanes import DspLanes
from hdl.simd.mac_ports import LANES, WIDE_BIAS, lane_members

SMALL_FLOATS = ("e2m3", "e3m2", "e4m3", "e5m2")
NIBBLES = ("fp4", "p4_1")

HALF = 7
"""Bits of each half of a P(16,1)'s significand."""

WIDE_SHIFTS = (0, HALF, HALF, 2 * HALF)
"""Where the quarters of a P(16,1) product lie."""


class Lanes(wiring.Component):
    """Decodes and multiplies one beat.

    Latency: 1 cycle; 2 in P(16,1), whose decoder has a stage of its own unless there are 8-bit floats. On FPGAs see
    `DspLanes`.

    Members
    -------
    a, b : operand beats
    select : one bit for each of `config.decoders`, none where there is no beat
    product_<k>, shift_<k> : block k's product, and how far it must be shifted left
    odd_sign_<k>, odd_magnitude_<k>, odd_shift_<k> : of odd nibble k
    wide_valid, wide_place : a product of P(16,1) is here, and its scale
    special : Cat(nan, plus infinity, minus infinity) among this beat's products; NaR is a nan. 1 cycle in every mode.
    """

    def __init__(self, config: EngineConfig):
        self._config = config
        super().__init__(lane_members(config))

    def elaborate(self, platform):
        m = Module()
        config = self._config
        if config.technology == "fpga":
            m.submodules.dsp = dsp = DspLanes(config)
            wiring.connect(m, wiring.flipped(self), dsp)
            return m
        self._selected = {mode: self.select[index] for index, mode in enumerate(config.decoders)}
        self._nan, self._plus, self._minus = [], [], []
        wide = self._wide(m)
        for k in range(LANES):
            self._multiply(m, k, wide)
            if self._built(*NIBBLES):
                self._odd(m, k)
        for bit, found in enumerate((self._nan, self._plus, self._minus)):
            if found:
                self._register(m, self.special[bit], Cat(found).any(), f"special_{bit}")
        return m

    @staticmethod
    def _register(m, port, value, name=None):
        """Data registers need no reset: while no beat is in flight they hold zeros."""
        register = Signal(port.shape(), name=name or f"{port.name}_register", reset_less=True)
        m.d.sync += register.eq(value)
        m.d.comb += port.eq(register)

    def _built(self, *decoders: str) -> list[str]:
        return [name for name in decoders if name in self._selected]

    def _any(self, *decoders: str) -> Value:
        """Whether one of these decoders is at work."""
        built = [self._selected[name] for name in self._built(*decoders)]
        return reduce(or_, built) if built else Const(0, 1)

    def _wide(self, m):
        """P(16,1): both significands, and whether there are any; None if the mode is not built."""
        if not self._built("p16_1"):
            return None
        selected = self._selected["p16_1"]
        # With 8-bit floats the aligner takes so long that decoder and multiplier fit into one cycle.
        stage = wire if self._config.has_long_lanes else register
        significands, scales = [], []
        for name, operand in (("a", self.a), ("b", self.b)):
            m.submodules[f"half_{name}"] = decoder = PositHalfDecoder()
            m.d.comb += decoder.code.eq(operand[:16] & selected.replicate(16))
            significands.append(stage(m, decoder.significand, f"wide_{name}"))
            scales.append(decoder.scale)
            self._nan.append(decoder.nar)
        place = (scales[0] + scales[1] + WIDE_BIAS)[:7] & selected.replicate(7)
        self._register(m, self.wide_place, stage(m, place, "place"))
        return significands[0], significands[1], stage(m, selected, "wide_valid")

    def _nibbles(self, m, index):
        """Nibble `index` of both operands: significands, two's complement; what `nibble_product` takes; shifts."""
        built, selected = self._config.decoders, wire(m, self._any(*NIBBLES), f"nibbles_{index}")
        significands, parts, shifts = [], [], []
        for name, operand in (("a", self.a), ("b", self.b)):
            decoder = NibbleDecoder(has_float="fp4" in built, has_posit="p4_1" in built)
            m.submodules[f"nibble_{name}{index}"] = decoder
            m.d.comb += [
                decoder.code.eq(operand.word_select(index, 4) & selected.replicate(4)),
                decoder.posit.eq(self._any("p4_1")),
            ]
            self._nan.append(decoder.nar)
            negative = decoder.sign & decoder.some
            significand = Cat(decoder.some, decoder.three ^ negative, negative)
            parts.append(Cat(decoder.some, decoder.three, decoder.sign))
            tag = f"nibble_{name}{index}"
            significands.append(wire(m, significand, f"{tag}_significand"))
            shifts.append(wire(m, decoder.shift, f"{tag}_shift"))
        return significands, parts, shifts

    def _floats(self, m, k):
        """Byte lane k of both operands in modes of small floats: significands, two's complement, and shifts. The sign
        of their product is given to the first."""
        decoders, selected = [], wire(m, self._any(*SMALL_FLOATS), f"floats_{k}")
        for name, operand in (("a", self.a), ("b", self.b)):
            m.submodules[f"float_{name}{k}"] = decoder = SmallFloatDecoder()
            m.d.comb += [
                decoder.code.eq(operand.word_select(k, 8) & selected.replicate(8)),
                decoder.three.eq(self._any("e2m3", "e4m3")),
                decoder.six.eq(self._any("e2m3", "e3m2")),
            ]
            self._nan.append(decoder.nan)
            decoders.append(decoder)
        a, b = decoders
        negative = wire(m, a.sign ^ b.sign, f"negative_{k}")
        if "e5m2" in self._config.decoders:
            infinite, zero = a.infinite | b.infinite, ~a.magnitude.any() | ~b.magnitude.any()
            self._nan.append(infinite & zero)
            self._plus.append(infinite & ~zero & ~negative)
            self._minus.append(infinite & ~zero & negative)
        return [negate_if(negative, a.magnitude), Cat(b.magnitude, Const(0, 1))], [a.shift, b.shift]

    def _lane(self, m, k):
        """Byte lane k: significands of both operands, two's complement, and their shifts."""
        built, width = self._config.decoders, self._config.significand_bits
        significands, shifts = [], []  # pairs, of modes that exclude each other

        def gated(operand, mode):
            return operand.word_select(k, 8) & self._selected[mode].replicate(8)

        if "p8_0" in built:
            decoders = []
            for name, operand in (("a", self.a), ("b", self.b)):
                m.submodules[f"p8_0_{name}{k}"] = decoder = PositByteDecoder()
                m.d.comb += decoder.code.eq(gated(operand, "p8_0"))
                self._nan.append(decoder.nar)
                decoders.append(decoder)
            significands.append([decoder.significand for decoder in decoders])
            shifts.append([decoder.shift for decoder in decoders])
        if "int8" in built:
            significands.append([gated(operand, "int8") for operand in (self.a, self.b)])
        if "int4" in built:
            a, b = (gated(operand, "int4") for operand in (self.a, self.b))
            significands.append([a, Cat(b[4:], b[:4])])
        if self._built(*SMALL_FLOATS):
            pair, pair_shifts = self._floats(m, k)
            significands.append(pair)
            shifts.append(pair_shifts)
        if self._built(*NIBBLES):
            pair, _, pair_shifts = self._nibbles(m, 2 * k)
            significands.append(pair)
            shifts.append(pair_shifts)

        def joined(pairs, none, what):
            return [
                wire(m, reduce(or_, (pair[index] for pair in pairs), none), f"{what}_{name}{k}")
                for index, name in enumerate("ab")
            ]

        wide = [[extended(one, width) for one in pair] for pair in significands]
        return joined(wide, Const(0, width), "significand"), joined(shifts, Const(0, 4), "shift")

    def _multiply(self, m, k, wide):
        config = self._config
        m.submodules[f"block_{k}"] = block = Module()
        (a_significand, b_significand), (a_shift, b_shift) = self._lane(m, k)
        shift = (a_shift + b_shift)[: config.lane_shift_bits]
        width = config.significand_bits
        left, right = a_significand, b_significand
        a_signed = b_signed = 1
        unsigned = Const(0, 1)
        if wide is not None:
            (wide_a, wide_b, valid), halves = wide, (k >> 1, k & 1)
            # A lower half has no sign. Where blocks have a bit to spare for that, it is zero; else the block is told.
            parts = [
                extended(operand[HALF:], width) if half else Cat(operand[:HALF], Const(0, width - HALF))
                for operand, half in zip((wide_a, wide_b), halves, strict=True)
            ]
            a_signed, b_signed = (1 if half or width > HALF else ~valid for half in halves)
            left, right = ((own | part)[:width] for own, part in zip((left, right), parts, strict=True))
            unsigned = valid if not any(halves) and width == HALF else unsigned
            shift = shift | Mux(valid, WIDE_SHIFTS[k], 0)
        if self._built("int4"):
            product = multiply_or_dot(block, left, right, self._selected["int4"], f"block_{k}")
        else:
            product = multiply(block, left, right, f"block_{k}", a_signed=a_signed, b_signed=b_signed)
        product = Cat(product, product[-1] & ~unsigned)
        self._register(block, getattr(self, f"product_{k}"), product.as_signed())
        self._register(block, getattr(self, f"shift_{k}"), shift)

    def _odd(self, m, k):
        _, parts, (a_shift, b_shift) = self._nibbles(m, 2 * k + 1)
        magnitude, sign = getattr(self, f"odd_magnitude_{k}"), getattr(self, f"odd_sign_{k}")
        m.submodules[f"odd_{k}"] = odd = Module()
        product = nibble_product(*parts)
        self._register(odd, magnitude, product[: len(magnitude)])
        self._register(odd, sign, product[len(magnitude)])
        self._register(odd, getattr(self, f"odd_shift_{k}"), a_shift + b_shift)
