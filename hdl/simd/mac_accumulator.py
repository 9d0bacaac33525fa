"""The fourth stage of `simd.mac`: one fixed-point accumulator that holds any sum of products exactly."""

from __future__ import annotations

from functools import reduce
from operator import or_

from amaranth.hdl import Cat, Const, Module, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.common.arithmetic import extended, wire
from hdl.simd.config import BLOCK_PLACE, EngineConfig
from hdl.simd.mac_align import SEGMENTS_BELOW
from hdl.simd.modes import ACCUMULATOR_BITS

HOME = SEGMENTS_BELOW + BLOCK_PLACE // EngineConfig.segment_bits
"""With block formats, the lowest segment of all terms but those that are moved; only a term that starts here has more
bits than `EngineConfig.moved_bits`."""

FROZEN_SEGMENTS = 2
"""Topmost segments that stand still in modes whose sums stay below them."""


def is_tall(config: EngineConfig, mode: str) -> bool:
    """Whether sums of a mode need the topmost segments."""
    return mode in ("p16_1", "e5m2", *config.block_modes)


class Accumulator(wiring.Component):
    """A sum of terms, in segments of 16 bits whose carries wait a cycle: a term a cycle at the speed of a 16-bit adder.

    After the last term, as many cycles without one as there are segments above the lowest bring every carry home. In
    modes that do not need them (`wide` low) the topmost segments stand still; then the sign stands below them.

    Parameters
    ----------
    segments : those that are built, by their places in the whole accumulator; all of them if None. What a term has
        elsewhere is left out: zeros below, copies of the sign above.
    alone : no term that comes with `clear` is wanted: the segments are reset, which FPGAs do without gates

    Members
    -------
    clear : what was added so far is forgotten, carries too; a term that comes with it is the first of a new sum
    term, segment : of `Aligner`; 0 where there is none
    wide : the topmost segments take part
    shift_up : every segment moves one up, zeros follow; only when no carries are left
    value : the segments that are built
    carries : what is still to be added to the segment above each; that of the topmost is dropped
    """

    def __init__(self, config: EngineConfig, segments: range | None = None, *, alone: bool = False):
        self._config, self._alone = config, alone
        self._segments = range(ACCUMULATOR_BITS // config.segment_bits) if segments is None else segments
        super().__init__(
            {
                "clear": In(1),
                "term": In(signed(config.term_bits)),
                "segment": In(8),
                "wide": In(1),
                "shift_up": In(1),
                "value": Out(config.segment_bits * len(self._segments)),
                "carries": Out(len(self._segments)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        bits = self._config.segment_bits
        count, moved = ACCUMULATOR_BITS // bits, -(-self._config.moved_bits // bits)
        slices = [self.term[low : low + bits] for low in range(0, len(self.term), bits)]
        slices[-1] = extended(slices[-1], bits)
        sign = self.term[-1]
        segments = {k: Signal(bits, name=f"segment_{k}", reset_less=True) for k in self._segments}
        carries = {k: Signal(name=f"carry_{k}", reset_less=True) for k in self._segments}
        # Of a term by its lowest segment, the first one above it, counted as `segment`.
        tops = [lowest + (len(slices) if lowest == HOME else moved) for lowest in range(len(self.segment))]
        above = Const(0, 1)  # this segment lies above the whole term: it gets copies of the sign
        keep = ~((Const(0, 1) if self._alone else self.clear) | self.shift_up)
        waiting = set(range(len(tops)))  # lowest segments of terms that this one does not lie above
        gates = self._config.technology == "asic"
        # The topmost segments are a module of their own: of gates, what comes into them stands still when they must.
        high = Module() if gates and self._segments[-1] >= count - FROZEN_SEGMENTS else m
        # Of a low sum's term, its upper copies of the sign may lie that high.
        low = [self._config.place(mode) // bits for mode in self._config.modes if not is_tall(self._config, mode)]
        stopped = gates and any(place + len(slices) > count - FROZEN_SEGMENTS for place in low)
        reached = self.segment & self.wide.replicate(len(self.segment)) if stopped else self.segment
        for k in self._segments:
            frozen = k >= count - FROZEN_SEGMENTS
            where = high if frozen else m
            segment = reached if frozen else self.segment
            terms = []
            for index, part in enumerate(slices):
                lowest = k - index + SEGMENTS_BELOW
                if 0 <= lowest < len(tops) and k + SEGMENTS_BELOW < tops[lowest]:
                    terms.append(part & segment[lowest].replicate(bits))
            passed = {lowest for lowest in waiting if tops[lowest] <= k + SEGMENTS_BELOW}
            if passed:
                waiting -= passed
                above = wire(m, above | Cat(self.segment[lowest] for lowest in sorted(passed)).any(), f"above_{k}")
            terms.append((sign & above & (self.wide if frozen else Const(1, 1))).replicate(bits))
            below = segments.get(k - 1, Const(0, bits))
            rising = wire(m, below & self.shift_up.replicate(bits), f"rising_{k}")
            addend = wire(m, reduce(or_, terms), f"addend_{k}")
            carry = carries[k - 1] if k - 1 in carries else Const(0, 1)
            if not self._alone and k - 1 in carries:
                carry = carry & ~self.clear
            if k == count - FROZEN_SEGMENTS:
                carry = wire(m, carry & self.wide, f"carry_into_{k}")
            kept = Signal(bits, name=f"kept_{k}")
            where.d.comb += kept.eq((segments[k] & keep.replicate(bits)) | rising)
            total = kept + addend + carry
            if not gates:
                # The carry comes in by a bit below. Of a carry chain's operands Yosys gives one nets of its own, beside
                # their XOR: the one that ends in a constant. It is the segment, which has nets; the addend's gates can
                # share look-up tables with the XOR.
                total = (Cat(Const(1, 1), kept) + Cat(carry, addend))[1:]
            where.d.sync += Cat(segments[k], carries[k]).eq(total)
            if self._alone:
                with where.If(self.clear):
                    where.d.sync += [segments[k].eq(0), carries[k].eq(0)]
        if high is not m:
            m.submodules.high = high
        m.d.comb += [self.value.eq(Cat(segments.values())), self.carries.eq(Cat(carries.values()))]
        return m
