"""Finished rows, block by block: which are divided by their sums of probabilities when."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.attention.config import ArrayConfig
from hdl.attention.counter import Counter
from hdl.attention.divider import Divider, group_bits
from hdl.attention.reciprocal import reciprocal_layout
from hdl.attention.row import power_bits
from hdl.attention.work import drain_layout
from hdl.common.arithmetic import register, wire
from hdl.common.repeated import Pattern


class Normaliser(wiring.Component):
    """Divides a group of neighbouring rows at once, a row in each divider, group after group.

    Members
    -------
    drain : blocks, in order; `drained` when the next is complete, `drain_free` when it is read
    reciprocal : of each row
    drain_address, drain_data : column, slot, and which row of each aligner's two; of all aligners a cycle later
    words, word_valid : of each divider; there is room for those of a row when one is begun
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
                "drain_address": Out(power_bits(config.dim) + power_bits(config.subtiles) + 1),
                "drain_data": In(config.rows // 2 * config.o_bits),
                "words": Out(config.dividers * config.bus_bits),
                "word_valid": Out(config.dividers),
                "room": In(1),
                "saturated": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config, drain = self._config, self.drain.payload
        divider_bits = power_bits(config.dividers)
        m.submodules.complete = complete = Counter(config.subtiles)
        group, next_group = Signal(group_bits(config), reset_less=True), Signal(group_bits(config))
        column, slot = Signal(range(config.dim), reset_less=True), Signal(power_bits(config.subtiles))
        busy, last = Signal(), Signal()
        groups = config.rows // config.dividers
        next_is_last = wire(
            m, (next_group == drain.last_row[divider_bits:]) if groups > 1 else Const(1), "next_is_last"
        )
        needed, waiting = self._reciprocals(m, drain.last_row[:divider_bits], next_is_last)
        there = wire(m, ~(needed & ~waiting).any() & complete.any & self.drain.valid & self.room, "there")
        row_end = wire(m, busy & (column == drain.last_column), "row_end")
        block_end = wire(m, row_end & last, "block_end")
        begins = wire(m, (~busy | (row_end & ~last)) & there, "begins")
        m.d.comb += [
            complete.more.eq(self.drained),
            complete.less.eq(block_end),
            self.drain.ready.eq(block_end),
            self.drain_free.eq(register(m, block_end, "block_left")),
            self.drain_address.eq(Cat(column, slot, group[-1])),
        ]
        exist = Signal(config.dividers, reset_less=True)
        with m.If(begins):
            m.d.sync += [busy.eq(1), column.eq(0), group.eq(next_group), last.eq(next_is_last), exist.eq(needed)]
            m.d.sync += next_group.eq(Mux(next_is_last, 0, next_group + 1))
        with m.Elif(busy):
            m.d.sync += [busy.eq(~row_end), column.eq(column + 1)]
        with m.If(block_end):
            m.d.sync += slot.eq(slot + 1)

        saturated = []
        dividers = Pattern(Divider, config)
        for index in range(config.dividers):
            m.submodules[f"divider_{index}"] = divider = dividers.another()
            given = Signal(reciprocal_layout(config), name=f"given_{index}", reset_less=True)
            with m.If(begins):
                m.d.sync += given.eq(self._held[index])
            rows = range(index, config.rows // 2, config.dividers)
            m.d.comb += [
                divider.take.eq(busy & exist[index]),
                divider.group.eq(group),
                divider.negative_r.eq(given.negative_r),
                divider.shift.eq(given.shift),
                divider.fraction.eq(drain.fraction),
                divider.o_format.eq(drain.o_format),
                divider.sums.eq(Cat(self.drain_data.word_select(row, config.o_bits) for row in rows)),
                self.words.word_select(index, config.bus_bits).eq(divider.word),
                self.word_valid[index].eq(divider.word_valid),
            ]
            saturated.append(divider.saturated)
            with m.If(begins & needed[index]):
                m.d.sync += self._waiting[index].eq(0)
        m.d.comb += self.saturated.eq(Cat(saturated).any())
        return m

    def _reciprocals(self, m, last_divider, last):
        """One for each divider, ahead of its row: which the next group needs, and which are there."""
        config = self._config
        given = self.reciprocal.payload
        self._held = [
            Signal(reciprocal_layout(config), name=f"held_{index}", reset_less=True) for index in range(config.dividers)
        ]
        self._waiting = Signal(config.dividers)
        m.d.comb += self.reciprocal.ready.eq(~self._waiting.bit_select(given.divider, 1))
        for index, held in enumerate(self._held):
            mine = wire(m, self.reciprocal.valid & ~self._waiting[index] & (given.divider == index), f"takes_{index}")
            with m.If(mine):
                m.d.sync += [held.eq(given), self._waiting[index].eq(1)]
        beyond = [Const(0), *(last & (last_divider < index) for index in range(1, config.dividers))]
        return wire(m, ~Cat(beyond), "needed"), self._waiting
