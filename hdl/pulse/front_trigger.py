"""From what samples set and fire to triggers."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.common.arithmetic import wire
from hdl.pulse.front_config import FRAME_SAMPLES, LEAST_HOLD_OFF, FrontConfig

COUNT_BITS = 16
"""Of `hold_off` and `inspect`, in samples."""

PERIOD_BITS = 24
STEP_BITS = 2
"""Of a period, taken for 0: its triggers are all in lane 0."""


class Trigger(wiring.Component):
    """Arms, fires, holds off; one trigger a beat at most.

    Latency: 1 cycle.

    Members
    -------
    judged, sets, fires, external : a beat, a bit a lane
    external_on, period, hold_off, inspect : registers
    valid : a beat's triggers are known, as long as the outputs below hold
    hit, lane, time, number : its trigger
    close : it has another in the samples of the inspection before it
    ready : samples at which there could have been a trigger
    expired : the inspection after the last trigger is over
    """

    def __init__(self, config: FrontConfig):
        self._config = config
        lanes = config.lanes
        super().__init__(
            {
                "judged": In(1),
                "sets": In(lanes),
                "fires": In(lanes),
                "external": In(lanes),
                "external_on": In(1),
                "period": In(PERIOD_BITS),
                "hold_off": In(COUNT_BITS),
                "inspect": In(COUNT_BITS),
                "valid": Out(1),
                "hit": Out(1),
                "lane": Out(range(max(2, lanes))),
                "time": Out(config.time_bits),
                "number": Out(config.number_bits),
                "close": Out(1),
                "ready": Out(range(lanes + 1)),
                "expired": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self._config
        lanes, lane_bits = config.lanes, config.lane_bits
        beat = Signal(config.time_bits - lane_bits)
        armed, begun = Signal(), Signal()  # `begun`: the first frame is over
        # From the last trigger to the beat's first sample; all that is further, or no trigger at all, is the same.
        far = 1 << COUNT_BITS
        since = Signal(COUNT_BITS + 1, init=far)
        hold_off = Signal(COUNT_BITS)
        m.d.sync += hold_off.eq(Mux(self.hold_off < LEAST_HOLD_OFF, LEAST_HOLD_OFF, self.hold_off))

        before = Signal()  # the external trigger at the last sample of the beat before
        levels = wire(m, Cat(before, self.external), "levels")
        until, period = Signal(PERIOD_BITS), Signal(PERIOD_BITS)  # the next trigger of the period; samples
        m.d.sync += period.eq(Cat(Const(0, STEP_BITS), self.period[STEP_BITS:]))
        is_due = wire(m, (until == 0) & (period != 0), "is_due")
        edges = wire(m, levels[1:] & ~levels[:-1] & self.external_on.replicate(lanes) | is_due, "edges")

        state, hit, found, close, ready = armed, Const(0, 1), Const(0, 2), Const(0, 1), Const(0, 3)
        for lane in range(lanes):
            fires, edge = self.fires[lane] & state, edges[lane]
            past = wire(m, since + lane, f"past_{lane}")
            free = wire(m, (past > hold_off) & begun & ~hit, f"free_{lane}")
            here = wire(m, free & (fires | edge), f"here_{lane}")
            state = wire(m, begun & ~fires & (state | self.sets[lane]), f"armed_after_{lane}")
            ready = wire(m, (ready + free)[:3], f"ready_after_{lane}")
            found = Mux(here, lane, found)
            close = Mux(here, past <= self.inspect, close)
            hit = wire(m, hit | here, f"hit_after_{lane}")
        found = wire(m, found, "found")
        later = wire(m, since + lanes, "later")

        m.d.sync += [self.valid.eq(self.judged), self.hit.eq(self.judged & hit)]
        m.d.comb += self.expired.eq(since > self.inspect)
        with m.If(self.judged):
            m.d.sync += [
                beat.eq(beat + 1),
                armed.eq(state),
                before.eq(levels[-1]),
                since.eq(Mux(hit, lanes - found, Mux(later >= far, far, later))),
                self.lane.eq(found),
                self.time.eq(Cat(found[:lane_bits], beat)),
                self.close.eq(close),
                self.ready.eq(ready),
            ]
            with m.If(begun):
                m.d.sync += until.eq(Mux(until == 0, period, until) - lanes)
            with m.If((beat & (FRAME_SAMPLES // lanes - 1)) == FRAME_SAMPLES // lanes - 1):
                m.d.sync += begun.eq(1)
        with m.If(self.hit):
            m.d.sync += self.number.eq(self.number + 1)
        return m
