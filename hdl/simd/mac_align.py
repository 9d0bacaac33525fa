"""The second and third stage of `simd.mac`: products are shifted to a common last place, summed, and moved to where the
sum lies within the accumulator's segments. With 8-bit floats the third stage is also the accumulator's."""

from __future__ import annotations

from functools import reduce
from operator import add

from amaranth.hdl import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.common.arithmetic import Columns, extended, register, shift_left, wire
from hdl.simd.config import RUNNING_VALUE_BITS, EngineConfig
from hdl.simd.mac_ports import LANES, has_odd_lanes, product_members
from hdl.simd.product_widths import reach

ODD_BITS = 18
"""An odd nibble's product in its place, with its sign: at most 2**16."""

SEGMENTS_BELOW = 2
"""The place of a P(16,1) product counts from so many segments below the accumulator's last bit: its significand has 24
bits that are zero whenever they would lie there."""

EARLY_BITS = 17
"""Low bits of the sum, added before the register between the two stages, which saves registers for their carries."""


def lane_reach(config: EngineConfig) -> list[int]:
    """Bits of a byte lane's product, of gates, after each level of its shifter."""
    lanes = ["int4_pair" if decoder == "int4" else decoder for decoder in config.decoders]
    return reach(lanes, config.lane_shift_bits)


class Aligner(wiring.Component):
    """The sum of a beat's products in its place.

    Latency: 2 cycles, with 8-bit floats 1, on FPGAs 3.

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
            **product_members(config, In),
        }
        if config.block_modes:
            members["running"] = In(signed(RUNNING_VALUE_BITS))
        super().__init__(members)

    @staticmethod
    def place_of(config: EngineConfig, mode: str) -> int:
        """What `place` must be in a mode."""
        return 0 if mode == "p16_1" else config.place(mode) + SEGMENTS_BELOW * config.segment_bits

    def elaborate(self, platform):
        m = Module()
        config = self._config
        total, place = self._in_chains(m) if config.technology == "fpga" else self._in_columns(m)
        if config.block_modes:
            total = wire(m, total | self.running, "total_or_running")

        fine_bits = (config.segment_bits - 1).bit_length()
        term, segment = self._moved(m, total, place[:fine_bits]), (1 << place[fine_bits:])[: len(self.segment)]
        if not config.has_long_lanes:
            term, segment = register(m, term, "term_held"), register(m, segment, "segment_held")
        m.d.comb += [self.term.eq(term.as_signed()), self.segment.eq(segment)]
        return m

    def _moved(self, m, total, fine):
        """The sum, its lower part shifted left; what lies above is no more than copies of the sign if it is."""
        config = self._config
        value = wire(m, extended(total, config.term_bits), "fine_0")
        moved_from = RUNNING_VALUE_BITS if config.block_modes else config.sum_bits
        for level, bit in enumerate(fine):
            step = 1 << level
            moved_bits = min(config.moved_bits, moved_from + 2 * step - 1)
            moved = Mux(bit, Cat(Const(0, step), value)[:moved_bits], value[:moved_bits])
            value = wire(m, Cat(moved, value[moved_bits:]), f"fine_{step}")
        return value

    def _in_columns(self, m):
        """The sum and its place: all bits are compressed together, then added. The register behind the first step
        lies between the two, but with 8-bit floats, whose second step is the longer one, behind both."""
        config = self._config
        width = config.sum_bits
        columns = Columns(m, width, "sum")
        for k in range(LANES):
            columns.add_signed(self._shifted_lane(m, k), arrival=6)
        if has_odd_lanes(config):
            for k in range(LANES):
                columns.add_signed(self._shifted_odd(m, k), arrival=7)
        first, second = columns.rows()
        place = wire(m, register(m, self.wide_place, "held_place") | self.place, "place")
        if config.has_long_lanes:
            return register(m, (first + second)[:width], "held_sum").as_signed(), place

        low = Signal(EARLY_BITS + 1)
        held_sum, held_carries = Signal(width, reset_less=True), Signal(width - EARLY_BITS, reset_less=True)
        held_carry = Signal(reset_less=True)
        m.d.comb += low.eq(first[:EARLY_BITS] + second[:EARLY_BITS])
        m.d.sync += [
            held_sum.eq(Cat(low[:EARLY_BITS], first[EARLY_BITS:])),
            held_carries.eq(second[EARLY_BITS:]),
            held_carry.eq(low[EARLY_BITS]),
        ]
        total = Signal(signed(width))
        high = held_sum[EARLY_BITS:] + held_carries + held_carry
        m.d.comb += total.eq(Cat(held_sum[:EARLY_BITS], high[: width - EARLY_BITS]))
        return total, place

    def _in_chains(self, m):
        """The sum and its place, in the third step: an adder is a carry chain, and stands alone between registers.
        Adders that follow each other would be merged by synthesis tools into columns of gates."""
        config = self._config
        groups = {"lanes": [self._shifted_lane(m, k) for k in range(LANES)]}
        if has_odd_lanes(config):
            groups["odds"] = [self._placed_odd(m, k) for k in range(LANES)]
        sums = []
        for name, terms in groups.items():
            pairs = [
                register(m, terms[k].as_signed() + terms[k + 1].as_signed(), f"{name}_{k}_{k + 1}")
                for k in range(0, LANES, 2)
            ]
            sums.append(register(m, pairs[0] + pairs[1], name))
        total = reduce(add, sums)[: config.sum_bits].as_signed()
        wide_place = register(m, self.wide_place, "place_of_pairs")
        return total, register(m, wide_place | self.place, "place_of_sums")

    def _shifted_lane(self, m, k):
        """A byte lane's product in its place: the last one's of P(16,1) reaches 28 bits, any other its own width."""
        config = self._config
        bits = config.sum_bits if k == LANES - 1 else config.lane_bits
        widths = lane_reach(config) if config.technology == "asic" else None
        return shift_left(m, getattr(self, f"product_{k}"), getattr(self, f"shift_{k}"), bits, f"lane_{k}", widths)

    def _shifted_odd(self, m, k):
        """An odd nibble's product in its place."""
        product = Cat(getattr(self, f"odd_magnitude_{k}"), getattr(self, f"odd_sign_{k}"))
        amount = getattr(self, f"odd_shift_{k}")
        return shift_left(m, product, amount, ODD_BITS, f"odd_{k}", self._odd_reach(len(amount)))

    def _odd_reach(self, levels):
        """Bits of an odd nibble's product after each level of its shifter."""
        return reach([name for name in ("fp4", "p4_1", "int4") if name in self._config.decoders], levels)

    def _placed_odd(self, m, k):
        """The same a cycle later. Only 1 or -1 goes 16 places up, the square of P(4,1)'s largest number: a step of the
        shifter that is but a reset."""
        product = Cat(getattr(self, f"odd_magnitude_{k}"), getattr(self, f"odd_sign_{k}"))
        *near, far = getattr(self, f"odd_shift_{k}")
        placed = Signal(signed(ODD_BITS), name=f"placed_odd_{k}", reset_less=True)
        m.d.sync += placed.eq(shift_left(m, product, Cat(near), ODD_BITS, f"odd_{k}", self._odd_reach(len(near))))
        with m.If(far):
            m.d.sync += placed[:-1].eq(1 << (1 << len(near)))
        return placed
