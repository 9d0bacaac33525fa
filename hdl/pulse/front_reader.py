"""Events and their windows, out of the ring."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.common.arithmetic import extended, saturated, wire
from hdl.common.axi import packet_stream
from hdl.pulse.front_config import FrontConfig


class Reader(wiring.Component):
    """Offers the first event and its window, code by code, less the event's baseline.

    Latency: 6 cycles, from the first one in which an event waits to the first that offers it.

    Members
    -------
    waiting : the first event can go out
    start, start_lane, event_time, event_number, event_baseline, pile_up, saturated, unsettled : of it
    release : it is out
    read, read_word : of the ring
    window : Out(packet_stream(16))
    event : Out(stream.Signature(128))
    """

    def __init__(self, config: FrontConfig):
        self._config = config
        super().__init__(
            {
                "waiting": In(1),
                "start": In(range(config.ring_words)),
                "start_lane": In(range(max(2, config.lanes))),
                "event_time": In(config.time_bits),
                "event_number": In(config.number_bits),
                "event_baseline": In(signed(config.baseline_bits)),
                "pile_up": In(1),
                "saturated": In(1),
                "unsettled": In(1),
                "release": Out(1),
                "read": Out(range(config.ring_words)),
                "read_word": In(config.sample_bits * config.lanes),
                "window": Out(packet_stream(config.sample_bits)),
                "event": Out(stream.Signature(config.event_bits)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self._config
        bits, lane_bits, fraction_bits = config.sample_bits, config.lane_bits, config.baseline_fraction_bits
        baseline = Signal(signed(bits), reset_less=True)
        # The sample that is fetched next, and the one whose word the memory gives, which is then held.
        fetch, here = (Signal(len(self.start) + lane_bits, name=name, reset_less=True) for name in ("fetch", "here"))
        left = Signal(range(config.samples), reset_less=True)
        sample = Signal(signed(bits), reset_less=True)
        fetching, full, first, last = Signal(), Signal(), Signal(), Signal()
        held, held_first, held_last = Signal(), Signal(), Signal()
        code = self.window.payload
        moves = wire(m, ~self.window.valid | self.window.ready, "moves")
        lane = here[:lane_bits] if lane_bits else Const(0, 1)
        less = wire(m, sample - baseline, "less")
        flags = Cat(self.pile_up, self.saturated, Const(0, 1), self.unsettled, Const(0, 12))
        m.d.comb += [
            self.read.eq(Mux(moves, fetch, here) >> lane_bits),
            self.event.payload.eq(Cat(self.event_time, flags, self.event_number, extended(self.event_baseline, 32))),
        ]
        with m.If(self.event.ready):
            m.d.sync += self.event.valid.eq(0)
        with m.If(moves):
            m.d.sync += [
                here.eq(fetch),
                fetch.eq(fetch + 1),
                left.eq(left - 1),
                full.eq(fetching),
                last.eq(left == 0),
                first.eq(0),
                sample.eq(self.read_word.word_select(lane, bits)),
                held.eq(full),
                held_first.eq(full & first),
                held_last.eq(last),
                self.window.valid.eq(held),
                code.data.eq(saturated(less, bits)),
                code.last.eq(held_last),
            ]
            with m.If(left == 0):
                m.d.sync += fetching.eq(0)
            with m.If(held_first):
                m.d.sync += self.event.valid.eq(1)

        with m.FSM():
            with m.State("WAIT"), m.If(self.waiting):
                m.next = "READ"
            with m.State("READ"):
                m.next = "BEGIN"
            with m.State("BEGIN"):
                # Nothing is under way: all moves.
                m.d.sync += [
                    fetch.eq(Cat(self.start_lane[:lane_bits], self.start)),
                    left.eq(config.samples - 1),
                    fetching.eq(1),
                    baseline.eq((self.event_baseline + (1 << (fraction_bits - 1))) >> fraction_bits),
                ]
                m.next = "GIVE"
            with m.State("GIVE"):
                with m.If(moves & fetching & (left == config.samples - 1)):
                    m.d.sync += first.eq(1)
                with m.If(~fetching & ~full & ~held & ~self.window.valid & ~self.event.valid):
                    m.d.comb += self.release.eq(1)
                    m.next = "WAIT"
        return m
