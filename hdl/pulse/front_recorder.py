"""Samples a while later, and which of them are recorded."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.common.arithmetic import register, wire
from hdl.common.ram import Ram
from hdl.pulse.front_config import DISCRIMINATOR_CYCLES, FrontConfig


class Recorder(wiring.Component):
    """Holds samples back until it is known whether there is a trigger `pre` samples later, and the marks of triggers
    until their windows end.

    Members
    -------
    valid, beat, saturated : samples
    nearly : a beat whose trigger is known two cycles later
    decided, opens, lane : it is known; it has one, at this lane, whose window is kept
    record, word : a word of the ring
    ends, window_saturated : a window ends in it; it has a saturated sample
    """

    def __init__(self, config: FrontConfig):
        self._config = config
        lanes = config.lanes
        super().__init__(
            {
                "valid": In(1),
                "beat": In(config.sample_bits * lanes),
                "saturated": In(lanes),
                "nearly": In(1),
                "decided": In(1),
                "opens": In(1),
                "lane": In(range(max(2, lanes))),
                "record": Out(1),
                "word": Out(config.sample_bits * lanes),
                "ends": Out(1),
                "window_saturated": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self._config
        lanes, samples = config.lanes, config.samples
        pre_beats = config.pre // lanes
        depth = 1 << (pre_beats + DISCRIMINATOR_CYCLES + 1).bit_length()
        m.submodules.past = past = Ram((config.sample_bits + 1) * lanes, depth)
        written, read = Signal(range(depth)), Signal(range(depth))
        with m.If(self.valid):
            m.d.sync += written.eq(written + 1)
        with m.If(self.nearly):
            m.d.sync += read.eq(read + 1)
        m.d.comb += [
            past.write.eq(self.valid),
            past.write_address.eq(written),
            past.write_data.eq(Cat(self.beat, self.saturated)),
            past.read_address.eq(read - pre_beats),
        ]
        word = register(m, past.read_data, "past_word")
        saturated = word[len(self.word) :]
        m.d.comb += self.word.eq(word)

        left = Signal(range(config.window_words))
        m.d.comb += self.record.eq(self.decided & (self.opens | (left != 0)))
        with m.If(self.decided):
            m.d.sync += left.eq(Mux(self.opens, config.window_words - 1, Mux(left == 0, 0, left - 1)))

        # A mark comes to the front with the last sample of its window.
        marks = Signal(samples - 1)
        series = wire(m, Cat(marks, (self.opens << self.lane)[:lanes]), "series")
        # From the last saturated sample to the word's first; `samples` or more is the same.
        since = Signal(range(samples + 1), init=samples)
        with m.If(self.decided):
            m.d.sync += marks.eq(series[lanes:])
            for lane in range(lanes):
                inside = (since < samples - lane) | saturated[: lane + 1].any()
                with m.If(series[lane]):
                    m.d.comb += [self.ends.eq(1), self.window_saturated.eq(inside)]
            later = wire(m, since + lanes, "later")
            since_after = Mux(later >= samples, samples, later)
            for lane in range(lanes):
                since_after = Mux(saturated[lane], lanes - lane, since_after)
            m.d.sync += since.eq(since_after)
        return m
