"""What `pim.lut_gemv` does when: jobs, groups, index vectors, bit planes."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.common.arithmetic import wire
from hdl.common.axi import packet_stream
from hdl.pim.lut_gemv_config import HEADER_COUNT, HEADER_FORMAT, HEADER_INDEX_BITS, LutGemvConfig

PLANES = 8


class LutGemvSequence(wiring.Component):
    """Takes a header, then for each group the table's elements and the group's index vectors, plane by plane.

    Every cycle with `step` set one plane of one vector is looked up in all tables. Planes that are all zeros are left
    out; a vector without any other takes one step, whose pattern is 0. `fill` makes sums: with a pattern cache in every
    cycle that has a vector, without it before the group's first one.

    Members
    -------
    advance : In(1)
        What follows moves; without it nothing changes here.
    table : In(packet_stream(config.beat_bits))
    index : In(stream.Signature(config.beat_bits))
    hit : In(1)
        All tables have the entry of their part of `pattern`.
    load, fill : Out(1)
        To the tables; the elements are the data of `table`.
    pattern : Out(config.elements)
        Of table t the bits from t * group on.
    step : Out(1)
    looked_up : Out(1)
        The step's pattern is not 0.
    waits : Out(1)
        Sums are made while nothing can be looked up.
    shift : Out(3), negative : Out(1)
        What the step's sum weighs: 2**shift, or -2**shift.
    first, last : Out(1)
        The vector's first or last step.
    place : Out(range(config.depth))
        The vector's.
    opens, closes : Out(1)
        The step belongs to the job's first group, to its last.
    final : Out(1)
        It belongs to the last vector.
    kind : Out(2)
        The job's result format.
    bad : Out(1)
        A pulse: a header that was not right.
    busy : Out(1)
    """

    def __init__(self, config: LutGemvConfig):
        self._config = config
        super().__init__(
            {
                "advance": In(1),
                "table": In(packet_stream(config.beat_bits)),
                "index": In(stream.Signature(config.beat_bits)),
                "hit": In(1),
                "load": Out(1),
                "fill": Out(1),
                "pattern": Out(config.elements),
                "step": Out(1),
                "looked_up": Out(1),
                "waits": Out(1),
                "shift": Out(3),
                "negative": Out(1),
                "first": Out(1),
                "last": Out(1),
                "place": Out(range(config.depth)),
                "opens": Out(1),
                "closes": Out(1),
                "final": Out(1),
                "kind": Out(2),
                "bad": Out(1),
                "busy": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self._config
        index_bits = Signal(4, init=8)
        last_place = Signal(range(config.depth))
        ended = Signal()  # the vector's last step is done, in this cycle
        group_ended = Signal()
        m.d.comb += [
            self.final.eq(self.place == last_place),
            ended.eq(self.advance & self.step & self.last),
            group_ended.eq(ended & self.final),
        ]

        with m.FSM() as fsm:
            with m.State("header"), m.If(self.advance & self.table.valid):
                m.d.comb += self.table.ready.eq(1)
                self._header(m, index_bits, last_place)
                m.d.sync += self.opens.eq(1)
                with m.If(~self.table.payload.last):
                    m.next = "load"
            with m.State("load"):
                m.d.comb += [self.load.eq(self.advance & self.table.valid), self.table.ready.eq(self.advance)]
                with m.If(self.load):
                    m.d.sync += self.closes.eq(self.table.payload.last)
                    m.next = "walk" if config.pattern_cache else "fill"
            if not config.pattern_cache:
                filled = Signal(config.group, init=3)
                with m.State("fill"), m.If(self.advance):
                    m.d.comb += self.fill.eq(1)
                    following = wire(m, (filled + 1)[: config.group], "following")
                    power = ~(following & filled).any()
                    m.d.sync += filled.eq(following | power)
                    with m.If(filled.all()):
                        m.d.sync += filled.eq(3)
                        m.next = "walk"
            with m.State("walk"):
                m.d.comb += self.step.eq(self.index.valid & self.hit)
                if config.pattern_cache:
                    m.d.comb += self.fill.eq(self.advance & self.index.valid)
                with m.If(group_ended):
                    m.d.sync += self.opens.eq(0)
                    with m.If(self.closes):
                        m.next = "header"
                    with m.Else():
                        m.next = "load"
            walking = fsm.ongoing("walk")
            m.d.comb += self.busy.eq(~fsm.ongoing("header"))

        self._planes(m, index_bits, ended, walking)
        if not config.pattern_cache:
            with m.If(~walking):
                m.d.comb += self.pattern.eq(filled.replicate(config.tables))
        with m.If(ended):
            m.d.sync += self.place.eq(Mux(self.final, 0, self.place + 1))
        return m

    def _header(self, m, index_bits, last_place):
        """A field out of its range is taken for the nearest in it."""
        config, word = self._config, self.table.payload.data
        bits, kind, count = word[HEADER_INDEX_BITS], word[HEADER_FORMAT], word[HEADER_COUNT]
        narrow, wide, none, many = bits < 2, bits > PLANES, count == 0, count > config.depth
        m.d.comb += self.bad.eq(narrow | wide | none | many | (kind == 3) | self.table.payload.last)
        m.d.sync += [
            index_bits.eq(Mux(narrow, 2, Mux(wide, PLANES, bits))),
            last_place.eq(Mux(none, 0, Mux(many, config.depth, count) - 1)),
            self.kind.eq(Mux(kind == 3, 2, kind)),
        ]

    def _planes(self, m, index_bits, ended, walking):
        """Which plane of the index beat is next. A vector's planes stand from `base` on, its sign's last."""
        width = self._config.elements
        planes = [self.index.payload.word_select(plane, width) for plane in range(PLANES)]
        base = Signal(3)
        done = Signal(PLANES)  # planes of the beat that nobody needs any more
        end = wire(m, base + index_bits, "end")  # 2..8: the next vector's base, if there is place for it
        within = wire(m, Cat(plane < end for plane in range(PLANES)), "within")
        pending = wire(m, Cat(plane.any() for plane in planes) & within & ~done, "pending")
        chosen = wire(m, pending & (~pending + 1)[:PLANES], "chosen")
        pattern = Const(0, width)
        number = Const(0, 3)
        for plane in range(PLANES):
            pattern |= Mux(chosen[plane], planes[plane], 0)
            number |= Mux(chosen[plane], plane, 0)
        number = wire(m, number, "number")
        with m.If(walking):
            m.d.comb += self.pattern.eq(pattern)
        fresh = Signal(init=1)
        beat_ends = self.final | (end + index_bits > PLANES)
        m.d.comb += [
            self.waits.eq(self.fill & ~self.step),
            self.looked_up.eq(self.step & self.advance & chosen.any()),
            self.shift.eq(number - base),
            self.negative.eq(number == end - 1),
            self.first.eq(fresh),
            self.last.eq(~(pending & ~chosen).any()),
            self.index.ready.eq(ended & beat_ends),
        ]
        with m.If(self.advance & self.step):
            m.d.sync += [done.eq(done | chosen), fresh.eq(self.last)]
        with m.If(ended):
            m.d.sync += [done.eq(Mux(beat_ends, 0, within)), base.eq(Mux(beat_ends, 0, end))]
        return m
