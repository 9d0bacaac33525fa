"""Sums of outputs over sums of probabilities: multiplied by reciprocals, rounded, and packed into memory words."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.attention.config import ArrayConfig
from hdl.attention.job_words import FIELDS, OUTPUT_BITS
from hdl.attention.reciprocal import RECIPROCAL_BITS, SUM_BITS, least_shift, shift_bits
from hdl.attention.row import power_bits
from hdl.common.arithmetic import delayed, register, wire

LEAST_FRACTION = FIELDS["fraction"].least
MOST_FRACTION = FIELDS["fraction"].most

NORMALISE_CYCLES = 9
"""From a column's address to its output."""


def group_bits(config: ArrayConfig) -> int:
    """Of a group of rows that are divided at once."""
    return max(1, power_bits(config.rows // config.dividers))


def mean_bits(config: ArrayConfig) -> int:
    """Of a sum of outputs, normalised as its sum of probabilities: at most the largest value times that, two's
    complement, and a bit for what was rounded."""
    return SUM_BITS + config.streamed_bits + 1


def product_bits(config: ArrayConfig) -> int:
    """Of a mean times r <= 2**33 / sum: the largest value times 2**33, two's complement, and a bit for what was
    rounded."""
    return 33 + config.streamed_bits + 1


class Divider(wiring.Component):
    """o = sat((rs(O, x) * r + 2**(32 - F)) >> (33 - F)), a column a cycle, of one row in each group.

    Members
    -------
    take, group : a column of this group's row is asked for
    negative_r, shift, fraction, o_format : of the row; the format is 16 bits or 8
    sums : of its rows in the groups of the first half of rows, or those of the second, a cycle after `take`
    word, word_valid : outputs, packed
    saturated : a pulse
    """

    def __init__(self, config: ArrayConfig):
        self._config = config
        super().__init__(
            {
                "take": In(1),
                "group": In(group_bits(config)),
                "negative_r": In(signed(RECIPROCAL_BITS)),
                "shift": In(shift_bits(config)),
                "fraction": In(FIELDS["fraction"].bits),
                "o_format": In(FIELDS["o_format"].bits),
                "sums": In(config.rows // 2 // config.dividers * config.o_bits),
                "word": Out(config.bus_bits),
                "word_valid": Out(1),
                "saturated": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self._config
        group = register(m, self.group, "group_1")
        total = register(m, self._chosen(m, group), "total").as_signed()
        fraction, shift = (
            delayed(m, getattr(self, name), 2, f"{name}_2", reset_less=True) for name in ("fraction", "shift")
        )
        factor = delayed(m, self.negative_r, 4, "factor", reset_less=True)
        reached = total[least_shift(config) - 1 :].as_signed()
        for bit in range(len(shift)):
            reached = wire(m, Mux(shift[bit], reached >> (1 << bit), reached), f"reached_{bit}").as_signed()
        bits = mean_bits(config)
        double = register(m, reached[: bits + 1], "double").as_signed()
        # As r is negative, so is its factor: -floor((x + 1) / 2) = floor(-x / 2).
        mean = register(m, -double >> 1, "negative_mean")[:bits].as_signed()

        # Two blocks of 18 bits multiply 26 bits, or 32, by 18.
        low_bits = 16
        low_product = register(m, Cat(mean[:low_bits], Const(0, 1)).as_signed() * factor, "low_product").as_signed()
        high_product = register(m, mean[low_bits:].as_signed() * factor, "high_product").as_signed()
        upper = high_product + low_product[low_bits:].as_signed()
        product = register(m, Cat(low_product[:low_bits], upper)[: product_bits(config)], "product").as_signed()

        # 33 - F is at least 17.
        base = 33 - MOST_FRACTION - 1
        doubled = product[base:].as_signed()
        amount = wire(m, MOST_FRACTION - delayed(m, fraction, 4, "fraction_late", reset_less=True), "amount")
        for bit in range((MOST_FRACTION - LEAST_FRACTION).bit_length()):
            doubled = wire(m, Mux(amount[bit], doubled >> (1 << bit), doubled), f"doubled_{bit}").as_signed()
        doubled = register(m, doubled, "doubled").as_signed()
        rounded = register(m, (doubled + 1) >> 1, "rounded").as_signed()
        short = delayed(m, self.o_format[0], NORMALISE_CYCLES - 1, "short", reset_less=True)
        whole_bits, short_bits = OUTPUT_BITS[:2]
        top = rounded[whole_bits - 1 :]
        middle = rounded[short_bits - 1 : whole_bits - 1]
        beyond = top.any() & ~top.all() | (short & (middle != rounded[-1].replicate(len(middle))))
        over = wire(m, beyond, "over")
        limit = Cat((~rounded[-1]).replicate(whole_bits - 1), rounded[-1])
        limit = Mux(short, Cat(limit[: short_bits - 1], rounded[-1]), limit)
        output = register(m, Mux(over, limit, rounded[:whole_bits]), "output")
        valid = delayed(m, self.take, NORMALISE_CYCLES - 1, "valid")
        m.d.sync += self.saturated.eq(over & valid)
        self._pack(m, output, register(m, short, "short_output"), delayed(m, valid, 1, "output_valid"))
        return m

    def _chosen(self, m, row):
        """The sum of a row, by a tree of choices between two."""
        bits = self._config.o_bits
        level = [self.sums.word_select(index, bits) for index in range(len(self.sums) // bits)]
        for place, bit in enumerate(row[: power_bits(len(level))]):
            pairs = zip(level[::2], level[1::2], strict=True)
            level = [wire(m, Mux(bit, odd, even), f"choice_{place}_{k}") for k, (even, odd) in enumerate(pairs)]
        return level[0]

    def _pack(self, m, output, short, valid):
        """Outputs fill a word from its lowest byte on; a row fills whole words."""
        whole_bits, short_bits = OUTPUT_BITS[:2]
        place = Signal(range(self._config.bus_bits // short_bits))
        held = Signal(self._config.bus_bits, reset_less=True)
        full = wire(m, Mux(short, place.all(), place[:-1].all()), "full")
        m.d.sync += self.word_valid.eq(valid & full)
        with m.If(valid):
            m.d.sync += [
                held.eq(Mux(short, Cat(held, output[:short_bits])[short_bits:], Cat(held, output)[whole_bits:])),
                place.eq(Mux(full, 0, place + 1)),
            ]
        m.d.comb += self.word.eq(held)
