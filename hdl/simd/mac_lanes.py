"""The first stage of `simd.mac`: operand codes become products of significands.

Four multiplier blocks serve every mode:

    8-bit modes   block k multiplies lane k, byte k of either operand
    4-bit modes   block k multiplies the even nibble of byte k; odd nibbles, whose significands have two bits (four in
                  INT4), have small multipliers of their own
    P(16,1)       the blocks are the quarters of one 14 x 14 multiplier: significands are split 7 + 7

An operand reaches only the decoders of the mode at work: all others, and what stands behind them, see zeros.
"""

from __future__ import annotations

from functools import reduce
from operator import or_

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import wiring

from hdl.common.arithmetic import extended, multiply, wire
from hdl.common.format_table import ELEMENTS
from hdl.simd.config import EngineConfig
from hdl.simd.mac_decode import FloatDecoder, NibbleDecoder, PositByteDecoder, PositHalfDecoder, nibble_product
from hdl.simd.mac_dsp_lanes import DspLanes
from hdl.simd.mac_ports import LANES, WIDE_BIAS, lane_members
from hdl.simd.modes import MODES

HALF = 7
"""Bits of each half of a P(16,1)'s significand."""

WIDE_SHIFTS = (0, HALF, HALF, 2 * HALF)
"""Where the quarters of a P(16,1) product lie."""


class Lanes(wiring.Component):
    """Decodes and multiplies one beat.

    Latency: 1 cycle; 2 in P(16,1), whose decoder has a stage of its own. On FPGAs see `DspLanes`.

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
            a, b = (self._lane(m, name, operand, k) for name, operand in (("a", self.a), ("b", self.b)))
            self._multiply(m, k, a, b, wide)
            if any(MODES[mode].slot_bits == 4 for mode in config.modes):
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

    def _any(self, *modes: str) -> Value | None:
        """Whether one of these modes is at work, or None if none is built."""
        built = [self._selected[mode] for mode in modes if mode in self._selected]
        return reduce(or_, built) if built else None

    def _wide(self, m):
        """P(16,1): both significands, registered, and whether there are any; None if the mode is not built."""
        selected = self._any("p16_1")
        if selected is None:
            return None
        significands, scales = [], []
        for name, operand in (("a", self.a), ("b", self.b)):
            m.submodules[f"half_{name}"] = decoder = PositHalfDecoder()
            m.d.comb += decoder.code.eq(operand[:16] & selected.replicate(16))
            significand = Signal(signed(2 * HALF), name=f"wide_{name}", reset_less=True)
            m.d.sync += significand.eq(decoder.significand)
            significands.append(significand)
            scales.append(decoder.scale)
            self._nan.append(decoder.nar)
        place, valid = Signal(7, reset_less=True), Signal(name="wide_valid")
        m.d.sync += [
            place.eq((scales[0] + scales[1] + WIDE_BIAS)[:7] & selected.replicate(7)),
            valid.eq(selected),
        ]
        self._register(m, self.wide_place, place)
        return significands[0], significands[1], valid

    def _nibble(self, m, name, operand, index):
        """Nibble `index`: its significand, two's complement; the parts of a float or posit; its shift."""
        modes = self._config.decoders
        code = operand.word_select(index, 4)
        significand, parts, shift = Const(0, 3), Const(0, 3), Const(0, 4)
        if "fp4" in modes or "p4_1" in modes:
            decoder = NibbleDecoder(has_float="fp4" in modes, has_posit="p4_1" in modes)
            m.submodules[f"nibble_{name}{index}"] = decoder
            m.d.comb += [
                decoder.code.eq(code & self._any("fp4", "p4_1").replicate(4)),
                decoder.posit.eq(self._selected.get("p4_1", 0)),
            ]
            self._nan.append(decoder.nar)
            negative = decoder.sign & decoder.some
            significand, shift = Cat(decoder.some, decoder.three ^ negative, negative), decoder.shift
            parts = Cat(decoder.some, decoder.three, decoder.sign)
        if "int4" in modes:
            significand = extended(significand, 4) | (code & self._selected["int4"].replicate(4))
        tag = f"nibble_{name}{index}"
        return wire(m, significand, f"{tag}_significand"), parts, wire(m, shift, f"{tag}_shift")

    def _lane(self, m, name, operand, k):
        """Byte lane k of one operand: significand, shift, and whether it is infinite and zero."""
        config = self._config
        significands, shifts, infinite = [], [], Const(0, 1)

        def gated(mode, bits=8):
            return operand.word_select(k, 8) & self._selected[mode].replicate(bits)

        if "p8_0" in config.decoders:
            m.submodules[f"p8_0_{name}{k}"] = decoder = PositByteDecoder()
            m.d.comb += decoder.code.eq(gated("p8_0"))
            significands.append(decoder.significand)
            shifts.append(decoder.shift)
            self._nan.append(decoder.nar)
        if "int8" in config.decoders:
            significands.append(gated("int8"))
        for mode in ("e2m3", "e3m2", "e4m3", "e5m2"):
            if mode in config.decoders:
                m.submodules[f"{mode}_{name}{k}"] = decoder = FloatDecoder(ELEMENTS[mode])
                m.d.comb += decoder.code.eq(gated(mode))
                significands.append(decoder.significand)
                shifts.append(decoder.shift)
                self._nan.append(decoder.nan)
                if mode == "e5m2":
                    infinite = decoder.infinite
        if self._any("fp4", "p4_1", "int4") is not None:
            significand, _, shift = self._nibble(m, name, operand, 2 * k)
            significands.append(significand)
            shifts.append(shift)
        width = config.significand_bits
        significand = Signal(signed(width), name=f"significand_{name}{k}")
        m.d.comb += significand.eq(reduce(or_, (extended(one, width) for one in significands), Const(0, width)))
        return significand, wire(m, reduce(or_, shifts, Const(0, 4)), f"shift_{name}{k}"), infinite

    def _multiply(self, m, k, a, b, wide):
        config = self._config
        m.submodules[f"block_{k}"] = block = Module()
        (a_significand, a_shift, a_infinite), (b_significand, b_shift, b_infinite) = a, b
        shift = (a_shift + b_shift)[: config.lane_shift_bits]
        if "e5m2" in config.decoders:
            infinite = a_infinite | b_infinite
            zero = ~a_significand.any() | ~b_significand.any()
            negative = a_significand[-1] ^ b_significand[-1]
            self._nan.append(infinite & zero)
            self._plus.append(infinite & ~zero & ~negative)
            self._minus.append(infinite & ~zero & negative)
        width = config.significand_bits
        if wide is None:
            product = multiply(block, a_significand, b_significand, f"block_{k}")
        else:
            (wide_a, wide_b, valid), halves = wide, (k >> 1, k & 1)
            # A lower half has no sign. Where blocks have a bit to spare for that, it is zero; else the block is told.
            parts = [
                extended(operand[HALF:], width) if half else Cat(operand[:HALF], Const(0, width - HALF))
                for operand, half in zip((wide_a, wide_b), halves, strict=True)
            ]
            a_signed, b_signed = (1 if half or width > HALF else ~valid for half in halves)
            left, right = (
                (own | part)[:width] for own, part in zip((a_significand, b_significand), parts, strict=True)
            )
            product = multiply(block, left, right, f"block_{k}", a_signed=a_signed, b_signed=b_signed)
            unsigned = valid if not any(halves) and width == HALF else Const(0, 1)
            product = Cat(product, product[-1] & ~unsigned)
            shift = shift | Mux(valid, WIDE_SHIFTS[k], 0)
        self._register(block, getattr(self, f"product_{k}"), product.as_signed())
        self._register(block, getattr(self, f"shift_{k}"), shift)

    def _odd(self, m, k):
        nibbles = (self._nibble(m, name, operand, 2 * k + 1) for name, operand in (("a", self.a), ("b", self.b)))
        (a, a_parts, a_shift), (b, b_parts, b_shift) = nibbles
        magnitude, sign = getattr(self, f"odd_magnitude_{k}"), getattr(self, f"odd_sign_{k}")
        m.submodules[f"odd_{k}"] = odd = Module()
        int4 = "int4" in self._config.decoders
        product = multiply(odd, a, b, f"odd_{k}") if int4 else nibble_product(a_parts, b_parts)
        self._register(odd, magnitude, product[: len(magnitude)])
        self._register(odd, sign, product[len(magnitude)])
        self._register(odd, getattr(self, f"odd_shift_{k}"), a_shift + b_shift)
