"""What a trigger looks at: a level, or a trapezoid of moving sums."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.common.arithmetic import delayed, register, wire
from hdl.pulse.front_config import SOURCES, FrontConfig
from hdl.pulse.front_lanes import LaneDelay, lanes_of

LEVEL, ZERO_CROSSING = SOURCES.index("level"), SOURCES.index("zero_crossing")
WIDTH_BITS = 5
"""Of `rise` and `flat`."""

THRESHOLD_BITS = 24


class Discriminator(wiring.Component):
    """Which samples set the trigger, and which fire it.

    A moving sum is a difference of the sum of all samples, which may wrap; a trapezoid is a difference of moving sums.
    A level is a moving sum of one sample, less the baseline.

    Latency: `DISCRIMINATOR_CYCLES`.

    Members
    -------
    valid, beat : samples
    source, rise, flat, threshold, hysteresis : registers
    baseline : of the beat that `passes` in this cycle, in codes
    nearly, judged : a beat's lanes are judged, in the next cycle and now
    sets, fires : a bit a lane
    """

    def __init__(self, config: FrontConfig):
        self._config = config
        super().__init__(
            {
                "valid": In(1),
                "beat": In(config.sample_bits * config.lanes),
                "source": In(2),
                "rise": In(WIDTH_BITS),
                "flat": In(WIDTH_BITS),
                "threshold": In(signed(THRESHOLD_BITS)),
                "hysteresis": In(THRESHOLD_BITS),
                "passes": Out(1),
                "baseline": In(signed(config.sample_bits)),
                "nearly": Out(1),
                "judged": Out(1),
                "sets": Out(config.lanes),
                "fires": Out(config.lanes),
            }
        )

    def elaborate(self, platform):
        m = Module()
        lanes, bits = self._config.lanes, self._config.sample_bits
        most = (1 << WIDTH_BITS) - 1
        moving_bits = bits + WIDTH_BITS
        sum_bits = moving_bits + 1
        m.submodules.rises = rises = LaneDelay(sum_bits, lanes, most)
        m.submodules.flats = flats = LaneDelay(moving_bits, lanes, 2 * most)
        is_level = register(m, self.source == LEVEL, "is_level")
        rise = register(m, Mux(is_level | (self.rise == 0), 1, self.rise), "rise_samples")

        total = Signal(signed(sum_bits), reset_less=True)  # only differences count, modulo 2**sum_bits
        part, totals = 0, []
        for lane, sample in enumerate(lanes_of(self.beat, lanes)):
            part = wire(m, part + sample, f"part_{lane}")
            totals.append(wire(m, (total + register(m, part, f"part_{lane}_held"))[:sum_bits], f"total_{lane}"))
        summed = delayed(m, self.valid, 1, "summed")
        with m.If(summed):
            m.d.sync += total.eq(totals[-1])
        m.d.comb += [
            rises.valid.eq(delayed(m, summed, 1, "total")),
            rises.beat.eq(register(m, Cat(totals), "totals")),
            rises.amount.eq(rise),
            flats.valid.eq(delayed(m, rises.valid, 4, "moving")),
            flats.beat.eq(self._differences(m, rises, moving_bits)),
            flats.amount.eq(register(m, rise + self.flat, "rise_and_flat")),
            self.passes.eq(delayed(m, flats.valid, 3, "flat")),
            self.nearly.eq(delayed(m, self.passes, 1, "nearly")),
            self.judged.eq(delayed(m, self.nearly, 1, "judged")),
        ]
        low = register(m, self.threshold - self.hysteresis, "low")
        sets, fires = [], []
        pairs = zip(lanes_of(flats.present, lanes), lanes_of(flats.past, lanes), strict=True)
        for lane, (present, past) in enumerate(pairs):
            subtracted = wire(m, Mux(is_level, self.baseline, past), f"subtracted_{lane}")
            value = register(m, present - subtracted, f"value_{lane}")
            over = wire(m, value >= self.threshold, f"over_{lane}")
            crossing = wire(m, self.source == ZERO_CROSSING, f"crossing_{lane}")
            sets.append(Mux(crossing, over, value < low))
            fires.append(Mux(crossing, value <= 0, over) & (self.source != 0))
        m.d.sync += [self.sets.eq(Cat(sets)), self.fires.eq(Cat(fires))]
        return m

    def _differences(self, m, delay, bits):
        """Present samples less past ones, a cycle later."""
        lanes = self._config.lanes
        pairs = zip(lanes_of(delay.present, lanes), lanes_of(delay.past, lanes), strict=True)
        return register(m, Cat((present - past)[:bits] for present, past in pairs), "differences")
