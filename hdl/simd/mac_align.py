"""The second and third stage of `simd.mac`: products are shifted to a common last place, summed, and moved to where the
sum lies within the accumulator's segments."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.common.arithmetic import Columns, shift_left, wire
from hdl.simd.config import RUNNING_VALUE_BITS, EngineConfig
from hdl.simd.mac_lanes import LANES, odd_magnitude_bits
from hdl.simd.modes import MODES

ODD_BITS = 17
"""An odd nibble's product in its place, without sign: at most 2**16."""

SEGMENTS_BELOW = 2
"""The place of a P(16,1) product counts from so many segments below the accumulator's last bit: its significand has 24
bits that are zero whenever they would lie there."""

EARLY_BITS = 13
"""Low bits of the sum, added before the register between the two stages, which saves registers for their carries."""


class Aligner(wiring.Component):
    """The sum of a beat's products in its place.

    Latency: 2 cycles.

    Members
    -------
    product_<k>, shift_<k>, odd_..., wide_place : of `Lanes`
    place : of the mode at work: the last place of its sums, counted as `wide_place`; 0 in P(16,1). Constant while a dot
        product is in flight; with `running` the last place of that.
    running : with block formats only: a number that is added to the sum in its second stage, while that is 0
    term : signed; times 2**(16 * segment) it is the sum, counted from `SEGMENTS_BELOW` below the accumulator
    segment : one bit for each, one of them set
    """

    def __init__(self, config: EngineConfig):
        self._config = config
        members = {
            "wide_place": In(7),
            "place": In(7),
            "term": Out(signed(config.term_bits)),
            "segment": Out(8),
        }
        if config.block_modes:
            members["running"] = In(signed(RUNNING_VALUE_BITS))
        for k in range(LANES):
            members[f"product_{k}"] = In(signed(2 * config.significand_bits + 1))
            members[f"shift_{k}"] = In(config.lane_shift_bits)
            members[f"odd_sign_{k}"] = In(1)
            members[f"odd_magnitude_{k}"] = In(odd_magnitude_bits(config))
            members[f"odd_shift_{k}"] = In(5)
        super().__init__(members)

    @staticmethod
    def place_of(config: EngineConfig, mode: str) -> int:
        """What `place` must be in a mode."""
        return 0 if mode == "p16_1" else config.place(mode) + SEGMENTS_BELOW * config.segment_bits

    def elaborate(self, platform):
        m = Module()
        config = self._config
        width = config.sum_bits
        columns = Columns(m, width, "sum")
        for k in range(LANES):
            # The highest quarter of a P(16,1) product reaches 28 bits, any other lane its own width.
            bits = width if k == LANES - 1 else config.lane_bits
            shifted = shift_left(m, getattr(self, f"product_{k}"), getattr(self, f"shift_{k}"), bits, f"lane_{k}")
            columns.add_signed(shifted, arrival=6)
        if any(MODES[mode].slot_bits == 4 for mode in config.modes):
            for k in range(LANES):
                self._add_odd(m, columns, k)
        first, second = columns.rows()

        low = Signal(EARLY_BITS + 1)
        held_sum, held_carries = Signal(width, reset_less=True), Signal(width - EARLY_BITS, reset_less=True)
        held_carry, wide_place = Signal(reset_less=True), Signal(7, reset_less=True)
        m.d.comb += low.eq(first[:EARLY_BITS] + second[:EARLY_BITS])
        m.d.sync += [
            held_sum.eq(Cat(low[:EARLY_BITS], first[EARLY_BITS:])),
            held_carries.eq(second[EARLY_BITS:]),
            held_carry.eq(low[EARLY_BITS]),
            wide_place.eq(self.wide_place),
        ]
        total = Signal(signed(width))
        high = held_sum[EARLY_BITS:] + held_carries + held_carry
        m.d.comb += total.eq(Cat(held_sum[:EARLY_BITS], high[: width - EARLY_BITS]))

        if config.block_modes:
            total = wire(m, total | self.running, "total_or_running")

        place = Signal(7)
        fine_bits = (config.segment_bits - 1).bit_length()
        term, segment = Signal.like(self.term, reset_less=True), Signal.like(self.segment, reset_less=True)
        m.d.comb += [place.eq(wide_place | self.place), self.term.eq(term), self.segment.eq(segment)]
        m.d.sync += [
            term.eq(shift_left(m, total, place[:fine_bits], config.term_bits, "fine").as_signed()),
            segment.eq(1 << place[fine_bits:]),
        ]
        return m

    def _add_odd(self, m, columns, k):
        """An odd nibble's product: its magnitude's bits, each where the shift puts it; negated as ~x + 1."""
        sign, magnitude = getattr(self, f"odd_sign_{k}"), getattr(self, f"odd_magnitude_{k}")
        one_hot, shifted = Signal(ODD_BITS, name=f"odd_one_hot_{k}"), Signal(ODD_BITS, name=f"odd_shifted_{k}")
        m.d.comb += one_hot.eq(1 << getattr(self, f"odd_shift_{k}"))
        value = one_hot & magnitude[0].replicate(ODD_BITS)
        for place in range(1, len(magnitude)):
            # Shifted by more than 8, in P(4,1), a magnitude is one bit.
            moved = Cat(Const(0, place), one_hot[:9] & magnitude[place].replicate(9))
            value = value | moved
        m.d.comb += shifted.eq(value)
        for place in range(ODD_BITS):
            columns.add_bit(place, shifted[place] ^ sign, arrival=5)
        columns.add_bit(ODD_BITS, ~sign)
        columns.add_constant(-(1 << ODD_BITS))
        columns.add_bit(0, sign)
