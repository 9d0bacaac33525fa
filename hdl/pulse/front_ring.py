"""The ring: windows one after the other, and what is known of each."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.common.arithmetic import register, wire
from hdl.common.ram import Ram
from hdl.pulse.front_config import FrontConfig


class Ring(wiring.Component):
    """A row of words, some of them of several windows, and a queue of events that say where each window begins.

    There are words for as many windows as events; so an event's place is all that a trigger needs.

    Members
    -------
    run : else windows that have not ended are dropped
    decided, hit, lane, time, number, close, expired : of the trigger
    baseline, settled : of its frame
    opens : the trigger has a window; full : it would not have one
    record, word, ends, window_saturated : of the recorder
    lost : triggers without a window, and windows dropped, in this cycle
    waiting : the first event can go out
    start, start_lane, event_time, event_number, event_baseline, pile_up, saturated, unsettled : of it
    release : it is out
    busy : there are events
    read, read_word : a word, a cycle after its place
    """

    def __init__(self, config: FrontConfig):
        self._config = config
        lane, word = range(max(2, config.lanes)), config.sample_bits * config.lanes
        self._entry = {
            "start": range(config.ring_words),
            "start_lane": lane,
            "event_time": config.time_bits,
            "event_number": config.number_bits,
            "event_baseline": signed(config.baseline_bits),
            "unsettled": 1,
        }
        super().__init__(
            {
                "run": In(1),
                "hit": In(1),
                "lane": In(lane),
                "time": In(config.time_bits),
                "number": In(config.number_bits),
                "close": In(1),
                "expired": In(1),
                "baseline": In(signed(config.baseline_bits)),
                "settled": In(1),
                "opens": Out(1),
                "full": Out(1),
                "record": In(1),
                "word": In(word),
                "ends": In(1),
                "window_saturated": In(1),
                "lost": Out(range(config.events + 1)),
                "waiting": Out(1),
                "pile_up": Out(1),
                "saturated": Out(1),
                "release": In(1),
                "busy": Out(1),
                "read": In(range(config.ring_words)),
                "read_word": Out(word),
            }
            | {name: Out(shape) for name, shape in self._entry.items()}
        )

    def elaborate(self, platform):
        m = Module()
        config = self._config
        index_bits = config.events.bit_length() - 1
        m.submodules.memory = memory = Ram(len(self.word), config.ring_words)
        m.submodules.entries = entries = Ram(sum(len(getattr(self, name)) for name in self._entry), config.events)
        # Numbers of events: the next one, the first that has not ended, the first that is not out. One bit more than an
        # index, so that a full queue is no empty one.
        head, ended, tail = (Signal(index_bits + 1, name=name) for name in ("head", "ended", "tail"))
        unended = wire(m, (head - ended)[: index_bits + 1], "unended")
        place, end = Signal(range(config.ring_words)), Signal(range(config.ring_words))
        m.d.comb += [
            self.full.eq((head ^ tail) == config.events),
            self.opens.eq(self.hit & ~self.full),
            self.lost.eq(Mux(self.run, self.hit & self.full, unended)),
            self.busy.eq(head != tail),
            memory.write.eq(self.record),
            memory.write_address.eq(place),
            memory.write_data.eq(self.word),
            memory.read_address.eq(self.read),
            self.read_word.eq(memory.read_data),
            entries.write.eq(self.opens),
            entries.write_address.eq(head),
            entries.write_data.eq(Cat(place, self.lane, self.time, self.number, self.baseline, ~self.settled)),
            entries.read_address.eq(tail),
            Cat(getattr(self, name) for name in self._entry).eq(register(m, entries.read_data, "entry")),
        ]
        with m.If(self.record):
            m.d.sync += place.eq(place + 1)
        with m.If(self.opens):
            m.d.sync += head.eq(head + 1)
        with m.If(self.ends):
            m.d.sync += [ended.eq(ended + 1), end.eq(place + 1)]
        with m.If(self.release):
            m.d.sync += tail.eq(tail + 1)
        with m.If(~self.run):
            m.d.sync += [head.eq(ended), place.eq(end)]

        # Of the last trigger's event it is not known yet whether another trigger follows.
        pile_up, saturated = Signal(config.events), Signal(config.events)
        undecided, last = Signal(), Signal(index_bits)
        with m.If(self.hit):
            m.d.sync += [undecided.eq(self.opens), last.eq(head)]
            with m.If(self.close & undecided):
                m.d.sync += pile_up.bit_select(last, 1).eq(1)
            with m.If(self.opens):
                m.d.sync += pile_up.bit_select(head[:index_bits], 1).eq(self.close)
        with m.Elif(self.expired):
            m.d.sync += undecided.eq(0)
        with m.If(self.ends):
            m.d.sync += saturated.bit_select(ended[:index_bits], 1).eq(self.window_saturated)
        first = tail[:index_bits]
        is_undecided = wire(m, undecided & ~self.expired & (last == first), "is_undecided")
        m.d.comb += [
            self.waiting.eq((tail != ended) & ~is_undecided),
            self.pile_up.eq(pile_up.bit_select(first, 1)),
            self.saturated.eq(saturated.bit_select(first, 1)),
        ]
        return m
