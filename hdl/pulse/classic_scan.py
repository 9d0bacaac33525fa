"""A window, sample by sample, through the classic estimators."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hdl.common.arithmetic import delayed, register, wire
from hdl.common.ram import Ram
from hdl.pulse.classic_config import ClassicConfig

SAMPLE_BITS = 25
SIGNAL_BITS = 26
SUM_BITS = 32
BASELINE_BITS = 24
DELAY_CYCLES = 2


def crossing_layout(config: ClassicConfig) -> data.StructLayout:
    """Where a signal crosses: that it does, the sample after, minus the value before, and how much it rises there."""
    return data.StructLayout(
        {"found": 1, "after": range(config.samples), "before": SIGNAL_BITS, "rise": SIGNAL_BITS + 1}
    )


def scanned_layout(config: ClassicConfig) -> data.StructLayout:
    """What a scan finds in a window."""
    return data.StructLayout(
        {
            "edge": crossing_layout(config),
            "fraction": crossing_layout(config),
            "peak": signed(SAMPLE_BITS),
            "trapezoid": signed(SUM_BITS),
            "long": signed(config.charge_bits),
            "short": signed(config.charge_bits),
        }
    )


class PastSamples(wiring.Component):
    """What was given some samples ago; 0 for what was before the window.

    Latency: `DELAY_CYCLES`.

    Parameters
    ----------
    bits : of a value, two's complement
    samples : of a window
    most : the longest delay

    Members
    -------
    index, value : of a sample, one a cycle
    amount : samples
    past : value of the sample so many before
    """

    def __init__(self, bits: int, samples: int, most: int):
        self._bits, self._most = bits, most
        super().__init__(
            {
                "index": In(range(samples)),
                "value": In(signed(bits)),
                "amount": In(range(most + 1)),
                "past": Out(signed(bits)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        # A value is read a cycle after it was written at the earliest.
        m.submodules.kept = kept = Ram(self._bits, 1 << (self._most + 1).bit_length())
        place = register(m, self.index, "place")
        there = wire(m, place >= self.amount, "there")
        m.d.comb += [
            kept.write.eq(1),
            kept.write_address.eq(self.index),
            kept.write_data.eq(self.value),
            kept.read_address.eq(place - self.amount),
            self.past.eq(Mux(register(m, there, "was_there"), kept.read_data, 0)),
        ]
        return m


class Crossing(wiring.Component):
    """The first sample at which a signal is above 0 that was not at the one before.

    Members
    -------
    begin : no crossing until now; the value of this cycle is not of the window
    give, armed, index, value : a sample; armed: a crossing counts
    crossing : `crossing_layout`, from the cycle after on
    """

    def __init__(self, config: ClassicConfig):
        self._config = config
        super().__init__(
            {
                "begin": In(1),
                "give": In(1),
                "armed": In(1),
                "index": In(range(config.samples)),
                "value": In(signed(SIGNAL_BITS)),
                "crossing": Out(crossing_layout(config)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        before = Signal(signed(SIGNAL_BITS), reset_less=True)
        above = wire(m, self.value > 0, "above")
        below = Signal()  # the sample before was not above; of a window's first there is none
        with m.If(self.give):
            m.d.sync += [before.eq(self.value), below.eq(~above)]
        with m.If(self.begin):
            m.d.sync += [self.crossing.found.eq(0), below.eq(0)]
        with m.Elif(self.give & self.armed & above & below & ~self.crossing.found):
            m.d.sync += [
                self.crossing.found.eq(1),
                self.crossing.after.eq(self.index),
                self.crossing.before.eq(-before),
                self.crossing.rise.eq(self.value - before),
            ]
        return m


class Scan(wiring.Component):
    """The estimators; a sample a cycle.

    Latency: `config.scan_stages`, from the first index to `done`, and as many cycles more as there are samples.

    Members
    -------
    begin : a window's codes begin in the cycle after
    index, code : a sample, a cycle after its number
    baseline : of the window
    threshold, delay, fraction, rise, flat, gate_start, gate_long, gate_short : registers
    done : a pulse
    scanned : `scanned_layout`, with `done` and until the next `begin`
    """

    def __init__(self, config: ClassicConfig):
        self._config = config
        super().__init__(
            {
                "begin": In(1),
                "index": Out(range(config.samples)),
                "code": In(signed(config.code_bits)),
                "baseline": In(signed(BASELINE_BITS)),
                "threshold": In(signed(SAMPLE_BITS)),
                "delay": In(6),
                "fraction": In(8),
                "rise": In(6),
                "flat": In(6),
                "gate_start": In(8),
                "gate_long": In(8),
                "gate_short": In(8),
                "done": Out(1),
                "scanned": Out(scanned_layout(config)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self._config
        goes = Signal()
        at_end = wire(m, self.index == config.samples - 1, "at_end")
        with m.If(self.begin):
            m.d.sync += goes.eq(1)
        with m.Elif(at_end):
            m.d.sync += goes.eq(0)
        with m.If(goes):
            m.d.sync += self.index.eq(Mux(at_end, 0, self.index + 1))

        # From here on, _n is n cycles after the index.
        sample = register(m, Cat(Const(0, 8), self.code).as_signed() - self.baseline, "sample_2")
        index = [delayed(m, self.index, n, f"index_at_{n}", reset_less=True) for n in range(8)]
        give = [delayed(m, goes, n, f"give_at_{n}") for n in range(9)]
        begin = [delayed(m, self.begin, n, f"begin_at_{n}") for n in range(9)]
        self._edge(m, sample, index, give, begin)
        self._constant_fraction(m, sample, index, give, begin)
        self._peak_and_gates(m, sample, index, give, begin)
        self._trapezoid(m, sample, index, give, begin)
        m.d.comb += self.done.eq(delayed(m, goes & at_end, config.scan_stages - 1, "ended"))
        return m

    def _edge(self, m, sample, index, give, begin):
        m.submodules.edge = edge = Crossing(self._config)
        m.d.comb += [
            edge.begin.eq(begin[3]),
            edge.give.eq(give[3]),
            edge.armed.eq(1),
            edge.index.eq(index[3]),
            edge.value.eq(register(m, sample - self.threshold, "over_threshold")),
            self.scanned.edge.eq(edge.crossing),
        ]

    def _constant_fraction(self, m, sample, index, give, begin):
        """A sample's fraction is there three cycles after it; so is the delayed one."""
        config = self._config
        m.submodules.delayed = past = PastSamples(SAMPLE_BITS, config.samples, 63)
        m.submodules.fraction_crossing = crossing = Crossing(config)
        product = register(m, sample * self.fraction, "product")  # 3
        part = register(m, (product + 128) >> 8, "part")  # 4
        m.d.comb += [
            past.index.eq(index[2]),
            past.value.eq(sample),
            past.amount.eq(self.delay),
            crossing.value.eq(register(m, past.past - part, "difference")),  # 5
            crossing.begin.eq(begin[5]),
            crossing.give.eq(give[5]),
            crossing.armed.eq(register(m, self.scanned.edge.found, "armed")),  # an edge at this sample was known at 4
            crossing.index.eq(index[5]),
            self.scanned.fraction.eq(crossing.crossing),
        ]

    def _peak_and_gates(self, m, sample, index, give, begin):
        held = register(m, sample, "sample_3")
        peak = Signal(signed(SAMPLE_BITS), reset_less=True)
        with m.If(give[3] & ((index[3] == 0) | (held > peak))):
            m.d.sync += peak.eq(held)
        m.d.comb += self.scanned.peak.eq(peak)
        since = register(m, index[2] - self.gate_start, "since_gate")
        for name in ("long", "short"):
            inside = (since >= 0) & (since < getattr(self, f"gate_{name}"))
            total = Signal(signed(self._config.charge_bits), name=f"charge_{name}", reset_less=True)
            m.d.comb += getattr(self.scanned, name).eq(total)
            with m.If(begin[3]):
                m.d.sync += total.eq(0)
            with m.Elif(give[3] & inside):
                m.d.sync += total.eq(total + held)

    def _trapezoid(self, m, sample, index, give, begin):
        """A sum over the rise, and the same some samples ago."""
        config = self._config
        m.submodules.risen = risen = PastSamples(SAMPLE_BITS, config.samples, 63)
        m.submodules.before = before = PastSamples(SUM_BITS, config.samples, 126)
        rise = wire(m, Mux(self.rise == 0, 1, self.rise), "rise_samples")
        here = delayed(m, sample, DELAY_CYCLES, "sample_here", reset_less=True)  # 4
        step = register(m, here - risen.past, "step")  # 5
        total = Signal(signed(SUM_BITS), reset_less=True)  # 6
        with m.If(give[5]):
            m.d.sync += total.eq(Mux(index[5] == 0, 0, total) + step)
        there = delayed(m, total, DELAY_CYCLES, "total_there", reset_less=True)  # 8
        height = register(m, there - before.past, "height")  # 9
        m.d.comb += [
            risen.index.eq(index[2]),
            risen.value.eq(sample),
            risen.amount.eq(rise),
            before.index.eq(index[6]),
            before.value.eq(total),
            before.amount.eq(rise + self.flat),
        ]
        first = delayed(m, index[7] == 0, 2, "first_height", reset_less=True)
        given = delayed(m, give[8], 1, "height_given")
        highest = Signal(signed(SUM_BITS), reset_less=True)
        with m.If(given & (first | (height > highest))):
            m.d.sync += highest.eq(height)
        m.d.comb += self.scanned.trapezoid.eq(highest)
