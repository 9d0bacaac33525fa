"""Finished rows: divided by their sums of probabilities, rounded, and packed into memory words."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.attention.config import ArrayConfig
from hdl.attention.job_words import FIELDS
from hdl.attention.passes import Counter, drain_layout
from hdl.attention.reciprocal import RECIPROCAL_BITS, SUM_BITS, least_shift, reciprocal_layout
from hdl.attention.row import power_bits
from hdl.common.arithmetic import delayed, register, wire

OUTPUT_BITS = 16

MEAN_BITS = SUM_BITS + 9
"""Of a sum of outputs, normalised as its sum of probabilities: at most 127 times that, two's complement, and a bit for
what was rounded."""

LEAST_FRACTION = FIELDS["fraction"].least
MOST_FRACTION = FIELDS["fraction"].most

NORMALISE_CYCLES = 9
"""From a column's address to its output."""


class Normaliser(wiring.Component):
    """o = sat16((rs(O, x) * r + 2**(32 - F)) >> (33 - F)), a column a cycle.

    Members
    -------
    drain : blocks, in order; `drained` when the next is complete, `drain_free` when it is read
    reciprocal : of each row
    drain_address, drain_data : slot and column; of all rows a cycle later
    words : outputs, packed; there is room for those of a row when one is begun
    room : that there is
    saturated : a pulse
    """

    def __init__(self, config: ArrayConfig):
        self._config = config
        super().__init__(
            {
                "drain": In(stream.Signature(drain_layout(config))),
                "drained": In(1),
                "drain_free": Out(1),
                "reciprocal": In(stream.Signature(reciprocal_layout(config))),
                "drain_address": Out(power_bits(config.dim) + power_bits(config.subtiles)),
                "drain_data": In(config.rows * config.o_bits),
                "word": Out(config.bus_bits),
                "word_valid": Out(1),
                "room": In(1),
                "saturated": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config, drain = self._config, self.drain.payload
        m.submodules.complete = complete = Counter(config.subtiles)
        row, column = Signal(range(config.rows)), Signal(range(config.dim))
        slot = Signal(power_bits(config.subtiles))
        busy = Signal()
        given = Signal(reciprocal_layout(config), reset_less=True)
        begins = wire(m, ~busy & complete.any & self.drain.valid & self.reciprocal.valid & self.room, "begins")
        row_end = wire(m, busy & (column == drain.last_column), "row_end")
        block_end = wire(m, row_end & (row == drain.last_row), "block_end")
        m.d.comb += [
            complete.more.eq(self.drained),
            complete.less.eq(block_end),
            self.drain.ready.eq(block_end),
            self.drain_free.eq(register(m, block_end, "block_left")),
            self.reciprocal.ready.eq(begins),
            self.drain_address.eq(Cat(column, slot)),
        ]
        with m.If(begins):
            m.d.sync += [busy.eq(1), column.eq(0)]
        with m.Elif(busy):
            m.d.sync += [busy.eq(~row_end), column.eq(column + 1)]
        with m.If(begins):
            m.d.sync += given.eq(self.reciprocal.payload)
        with m.If(row_end):
            m.d.sync += row.eq(Mux(block_end, 0, row + 1))
        if len(slot):
            with m.If(block_end):
                m.d.sync += slot.eq(slot + 1)

        self._divide(m, row, given, busy)
        return m

    def _divide(self, m, row, given, busy):
        """From sums to outputs."""
        config, drain = self._config, self.drain.payload
        # Rows begin at least so many cycles after one another that what is said of one stays while it is needed.
        row_1 = register(m, row, "row_1")
        total = register(m, self._chosen(m, row_1), "total").as_signed()
        fraction = delayed(m, drain.fraction, 2, "fraction", reset_less=True)
        shift, reciprocal = (delayed(m, getattr(given, name), 2, name, reset_less=True) for name in ("shift", "r"))
        reached = total[least_shift(config) - 1 :].as_signed()
        for bit in range(len(shift)):
            reached = wire(m, Mux(shift[bit], reached >> (1 << bit), reached), f"reached_{bit}").as_signed()
        double = register(m, reached[: MEAN_BITS + 1], "double").as_signed()
        mean = register(m, (double + 1) >> 1, "mean")[:MEAN_BITS].as_signed()

        # Two blocks of 18 bits multiply 26 bits by 18.
        low_bits = 16
        factor = Cat(delayed(m, reciprocal, 2, "factor", reset_less=True)[: RECIPROCAL_BITS - 1], Const(0, 1))
        whole = delayed(m, reciprocal, 2, "whole", reset_less=True)[RECIPROCAL_BITS - 1]
        factor = factor.as_signed()
        low_product = register(m, Cat(mean[:low_bits], Const(0, 1)).as_signed() * factor, "low_product").as_signed()
        high_product = register(m, mean[low_bits:].as_signed() * factor, "high_product").as_signed()
        mean_1 = register(m, mean, "mean_1").as_signed()
        whole_1 = register(m, whole, "whole_1")
        upper = high_product + low_product[low_bits:].as_signed()
        product = Cat(low_product[:low_bits], upper).as_signed()
        power = Cat(Const(0, RECIPROCAL_BITS - 1), mean_1).as_signed()  # r = 2**17 is not in a block's operand
        product = register(m, Mux(whole_1, power, product), "product").as_signed()

        # 33 - F is at least 17.
        base = 33 - MOST_FRACTION - 1
        doubled = product[base:].as_signed()
        amount = wire(m, MOST_FRACTION - delayed(m, fraction, 4, "fraction_late", reset_less=True), "amount")
        for bit in range((MOST_FRACTION - LEAST_FRACTION).bit_length()):
            doubled = wire(m, Mux(amount[bit], doubled >> (1 << bit), doubled), f"doubled_{bit}").as_signed()
        doubled = register(m, doubled, "doubled").as_signed()
        rounded = register(m, (doubled + 1) >> 1, "rounded").as_signed()
        top = rounded[OUTPUT_BITS - 1 :]
        over = wire(m, top.any() & ~top.all(), "over")
        limit = Cat((~rounded[-1]).replicate(OUTPUT_BITS - 1), rounded[-1])
        output = register(m, Mux(over, limit, rounded[:OUTPUT_BITS]), "output")
        valid = delayed(m, busy, NORMALISE_CYCLES - 1, "valid")
        m.d.sync += self.saturated.eq(over & valid)
        self._pack(m, output, delayed(m, valid, 1, "output_valid"))

    def _chosen(self, m, row):
        """The sum of a row, by a tree of choices between two."""
        bits = self._config.o_bits
        level = [self.drain_data.word_select(index, bits) for index in range(self._config.rows)]
        for place, bit in enumerate(row):
            pairs = zip(level[::2], level[1::2], strict=True)
            level = [wire(m, Mux(bit, odd, even), f"choice_{place}_{k}") for k, (even, odd) in enumerate(pairs)]
        return level[0]

    def _pack(self, m, output, valid):
        """Outputs fill a word from its lowest byte on."""
        count = self._config.bus_bits // OUTPUT_BITS
        place = Signal(range(count))
        held = Signal(self._config.bus_bits, reset_less=True)
        m.d.sync += self.word_valid.eq(valid & place.all())
        with m.If(valid):
            m.d.sync += [held.eq(Cat(held, output)[OUTPUT_BITS:]), place.eq(place + 1)]
        m.d.comb += self.word.eq(held)
