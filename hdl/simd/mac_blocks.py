"""Block formats in `simd.mac`: the scales of a beat, and the fp32 sum of the blocks so far.

A block's products are added up in the accumulator as those of a single format are, from one place on in all modes
(`BLOCK_PLACE`): what the accumulator's bits weigh, the mode and the scales say. Behind the block's last beat the sum so
far comes in as one more term, moved by the difference of the weights; then the accumulator is rounded to fp32, once.
After the last block the sum comes in alone, and what leaves is rounded into the output format.

Counted in accumulator places, a block's sum is 0 or at least 2**32, and below 2**101. The sum so far, a significand of
24 bits, goes to places from -24 to 103:

    exact         from 0 on. 2**127 is not reached: (2**24 - 1) * 2**103 + 2**101 is less.
    sticky        below 0, what falls off is not there but `lost`: the accumulator is too small by less than a unit.
    at the end    below -24, it is put at -24 instead: in the accumulator 0 or -1 either way. The places where fp32
                  changes its rounding are at least 2**(32 - 25) units from a sum of 2**32 or more, or on it.
    kept          above 103, a block's sum is less than a quarter of its last place: so far a rounding gives it back.

Where a block's sum is 0, the sum so far must come back as it was, from any place. Below place 8 it is less than 2**31,
and of 2**32 or more it leaves at least that: the accumulator's way up tells them apart, and what is below is kept, too.
A sum so far of 0 is never kept: with a block's sum of 0 it becomes +0, and any other takes its place.
"""

from __future__ import annotations

from functools import reduce
from operator import or_

from amaranth.hdl import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.common.arithmetic import wire
from hdl.common.format_table import ELEMENTS, FloatFormat, PowerFormat
from hdl.simd.config import RUNNING_VALUE_BITS, EngineConfig
from hdl.simd.mac_drain import BLOCK_EXPONENT_BITS
from hdl.simd.modes import MODES

SCALE_BITS = 8
FP32 = ELEMENTS["fp32"]
assert isinstance(FP32, FloatFormat)

RECALL_PLACE = 64
"""Where a sum is put that is alone in the accumulator, counted as `Aligner.place`."""


class BlockScales(wiring.Component):
    """What the scales of a beat do, and where a block ends.

    E8M0 has nothing but an exponent. The significands of two E4M3 scales, 4 bits each, multiply the beat's sum bit by
    bit: it is added as often as there are pairs of ones in them, each time shifted by the places of the two. All 16
    pairs have their cycle, in which the beat stays where it is.

    Members
    -------
    beat, last : a beat is there that can be worked on; it is the packet's last
    select : its mode, one bit for each of `config.block_modes`; none in single formats
    scale_a, scale_b : of its block
    done : a beat in this cycle is done with it
    end : the dot product or the block ends with this cycle
    add : the beat counts in this cycle
    offset : and so many places higher; a cycle later than the rest
    negative : the beat's sum must be negated
    exponent : sum of both scales' exponent fields; 0 in single formats
    nan : a scale is NaN; not in single formats
    """

    def __init__(self, config: EngineConfig):
        self._config = config
        super().__init__(
            {
                "beat": In(1),
                "last": In(1),
                "select": In(len(config.block_modes)),
                "scale_a": In(SCALE_BITS),
                "scale_b": In(SCALE_BITS),
                "done": Out(1),
                "end": Out(1),
                "add": Out(1),
                "offset": Out(3),
                "negative": Out(1),
                "exponent": Out(SCALE_BITS + 1),
                "nan": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        power, small = self._any(m, PowerFormat, "power"), self._any(m, FloatFormat, "small")
        fields, nans, significands = [], [], []
        for scale in (self.scale_a, self.scale_b):
            normal = scale[3:7].any()
            field = Cat(scale[3] | ~normal, scale[4:7])
            fields.append((scale & power.replicate(SCALE_BITS)) | (field & small.replicate(4)))
            nans.append(scale[:7].all() & (small | (power & scale[7])))
            significands.append(Cat(scale[:3], normal))
        step, offset = Signal(4), Signal(3, reset_less=True)
        digits = [significand.bit_select(step[2 * k :][:2], 1) for k, significand in enumerate(significands)]
        m.d.sync += [step.eq(step + (self.beat & small)), offset.eq(step[:2] + step[2:])]
        m.d.comb += [
            self.done.eq(step.all() | ~small),
            self.add.eq((digits[0] & digits[1]) | ~small),
            self.offset.eq(offset),
            self.negative.eq(small & (self.scale_a[7] ^ self.scale_b[7])),
            self.exponent.eq(fields[0] + fields[1]),
            self.nan.eq(nans[0] | nans[1]),
        ]
        self._count(m)
        return m

    def _any(self, m, kind, name):
        """Whether the mode's scales are of this kind of number."""
        found = [bit for bit, mode in self._selected() if isinstance(MODES[mode].block.scale, kind)]
        return wire(m, reduce(or_, found, Const(0, 1)), name)

    def _selected(self):
        return zip(self.select, self._config.block_modes, strict=True)

    def _count(self, m):
        """Beats of the block at work, and whether this one fills it."""
        index, full = Signal(3), Const(0, 1)
        for bit, mode in self._selected():
            full = full | (bit & index[: (MODES[mode].beats_per_block - 1).bit_length()].all())
        take = wire(m, self.beat & self.done, "take")
        m.d.comb += self.end.eq(take & (self.last | full))
        with m.If(take):
            m.d.sync += index.eq(Mux(self.end, 0, index + 1))


class BlockSum(wiring.Component):
    """The sum of the blocks so far.

    Members
    -------
    clear : it becomes +0, and nothing has been out of range
    update, recall, exponent, leading : the weight of the accumulator's topmost bit under the sign becomes `leading` +
        `exponent`; of `recall`, + the sum's own exponent field
    top_exponent : that weight
    inject : the sum goes into the accumulator
    value, place : for that: a number, 0 without `inject`, and where its last place goes, as `Aligner.place` counts it
    term, segment : what the accumulator gets in this cycle
    drop : the accumulator is cleared
    lost : it is too small, by less than its last place
    store, code, overflow, underflow, segments_up : of the accumulator, rounded to fp32: the new sum
    stored : it is taken
    minus_zero : the sum leaves for a format that has a negative zero
    any_overflow, any_underflow : of a rounding that was stored
    """

    def __init__(self, config: EngineConfig):
        self._config = config
        super().__init__(
            {
                "clear": In(1),
                "update": In(1),
                "recall": In(1),
                "exponent": In(SCALE_BITS + 1),
                "leading": In(signed(BLOCK_EXPONENT_BITS)),
                "top_exponent": Out(signed(BLOCK_EXPONENT_BITS)),
                "inject": In(1),
                "value": Out(signed(RUNNING_VALUE_BITS)),
                "place": Out(7),
                "term": In(signed(config.term_bits)),
                "segment": In(8),
                "drop": In(1),
                "lost": Out(1),
                "store": In(1),
                "code": In(FP32.bits),
                "overflow": In(1),
                "underflow": In(1),
                "segments_up": In(3),
                "stored": Out(1),
                "minus_zero": In(1),
                "any_overflow": Out(1),
                "any_underflow": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        code = Signal(FP32.bits, reset_less=True)
        mantissa, sign = code[: FP32.mantissa_bits], code[-1]
        normal = wire(m, code[FP32.mantissa_bits : -1].any(), "normal")
        some = wire(m, normal | mantissa.any(), "some")
        field = wire(m, Cat(code[FP32.mantissa_bits] | ~normal, code[FP32.mantissa_bits + 1 : -1]), "field")

        top_exponent = Signal(signed(BLOCK_EXPONENT_BITS), reset_less=True)
        with m.If(self.update | self.recall):
            m.d.sync += top_exponent.eq(Mux(self.recall, field, self.exponent) + self.leading)
        # One bit more than the significand: of minus zero, half of the smallest number is rounded to minus zero.
        magnitude = wire(m, Cat(self.minus_zero & sign & ~some, mantissa, normal), "magnitude")
        value = Mux(sign, -magnitude, magnitude)[: len(magnitude) + 1] & self.inject.replicate(len(magnitude) + 1)
        place = Signal(signed(BLOCK_EXPONENT_BITS))
        m.d.comb += [
            self.top_exponent.eq(top_exponent),
            self.value.eq(Cat(Const(0, RUNNING_VALUE_BITS - len(magnitude) - 1), value).as_signed()),
            place.eq(field - top_exponent),
            self.place.eq(place[:7] & ~place[-1].replicate(7)),
        ]

        # What the lower two segments, which are not there, would hold.
        off = (self.segment[:2].any() & self.term[:16].any()) | (self.segment[0] & self.term[16:32].any())
        lost = Signal(reset_less=True)
        m.d.sync += lost.eq((lost | off) & ~self.drop)
        m.d.comb += self.lost.eq(lost)

        high = ~place[-1] & place[7:-1].any()
        low = (place[-1] | ~place[5:-1].any()) & self.segments_up[1:].all()
        flags = Signal(2, reset_less=True)
        fresh = Cat(self.overflow, self.underflow) & self.stored.replicate(2)
        m.d.comb += self.stored.eq(self.store & ~(some & (high | low)))
        m.d.sync += flags.eq((flags | fresh) & ~self.clear.replicate(2))
        with m.If(self.clear):
            m.d.sync += code.eq(0)
        with m.Elif(self.stored):
            m.d.sync += code.eq(self.code)
        m.d.comb += Cat(self.any_overflow, self.any_underflow).eq(flags)
        return m
