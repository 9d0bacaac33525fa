"""The counts of a histogram: one more in a bin, all of them to zero, and the one that software looks at."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.common.arithmetic import wire
from hdl.common.ram import Ram
from hdl.pulse.histogram_config import HistogramConfig


class Bins(wiring.Component):
    """Counts in block RAM, whose one read port software comes before.

    Latency: a bin that is `read` is held a cycle later, and may be `counted` the cycle after that.

    Parameters
    ----------
    config : HistogramConfig

    Members
    -------
    place, read, counted : In(bin_bits), In(1), In(1)
        A bin, which is read where `free`, and then, still at `place`, counted.
    free : Out(1)
        The read port is.
    full : Out(1)
        What was read is the largest count there is.
    clear : In(1), clearing : Out(1)
        Sets all counts to zero, a bin a cycle. Nothing may be counted meanwhile.
    shown, look : In(bin_bits), In(1)
        Software's bin, and that it is another one from this cycle on.
    count : Out(count_bits)
        Its count, from the cycle after `look` on as it is in each cycle.
    """

    def __init__(self, config: HistogramConfig):
        self._config = config
        super().__init__(
            {
                "place": In(config.bin_bits),
                "read": In(1),
                "counted": In(1),
                "free": Out(1),
                "full": Out(1),
                "clear": In(1),
                "clearing": Out(1),
                "shown": In(config.bin_bits),
                "look": In(1),
                "count": Out(config.count_bits),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self._config
        m.submodules.counts = counts = Ram(config.count_bits, config.bins)
        walk = Signal(config.bin_bits)
        before = Signal(config.count_bits, reset_less=True)
        has_read = Signal()
        m.d.comb += [
            self.free.eq(~self.look),
            self.full.eq(before.all()),
            counts.read_address.eq(Mux(self.look, self.shown, self.place)),
        ]
        m.d.sync += has_read.eq(self.read & self.free)
        with m.If(has_read):
            m.d.sync += before.eq(counts.read_data)

        with m.If(self.clear):
            m.d.sync += [self.clearing.eq(1), walk.eq(0)]
        with m.Elif(self.clearing):
            m.d.sync += [walk.eq(walk + 1), self.clearing.eq(~walk.all())]
        more = wire(m, (before + ~before.all())[: config.count_bits], "more")
        written = wire(m, more & (~self.clearing).replicate(config.count_bits), "written")
        m.d.comb += [
            counts.write.eq(self.counted | self.clearing),
            counts.write_address.eq(Mux(self.clearing, walk, self.place)),
            counts.write_data.eq(written),
        ]

        # What is written of software's bin it sees at once: the memory's answer would be late, or any.
        held, answers = Signal(config.count_bits, reset_less=True), Signal()
        touches = wire(m, counts.write & (counts.write_address == self.shown), "touches")
        m.d.sync += answers.eq(self.look & ~touches)
        m.d.comb += self.count.eq(Mux(answers, counts.read_data, held))
        with m.If(touches):
            m.d.sync += held.eq(written)
        with m.Elif(answers):
            m.d.sync += held.eq(counts.read_data)
        return m
