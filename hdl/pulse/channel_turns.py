"""Windows and events of several front ends, one window after the other."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.common.axi import packet_stream
from hdl.pulse.channel_config import ChannelConfig


class Turns(wiring.Component):
    """Gives on a channel's window and its event; then it is the turn of the next channel that has one.

    Latency: 1 cycle from the offer of an event to that of its window, where no other goes on. A window in `samples` + 1
    cycles.

    Parameters
    ----------
    config : ChannelConfig

    Members
    -------
    windows : In(packet_stream(16)).array(channels), events : In(stream.Signature(128)).array(channels)
        Of each front end: an event is offered with its window's first code.
    window : Out(packet_stream(16)), event : Out(stream.Signature(128 + index_bits))
        Of all; above an event is its channel's place among them.
    """

    def __init__(self, config: ChannelConfig):
        self._config = config
        window, event_bits = packet_stream(config.front.sample_bits), config.front.event_bits
        super().__init__(
            {
                "windows": In(window).array(config.channels),
                "events": In(stream.Signature(event_bits)).array(config.channels),
                "window": Out(window),
                "event": Out(stream.Signature(event_bits + config.index_bits)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        channels = self._config.channels
        turn = Signal(range(channels))
        window_due, event_due = Signal(), Signal()  # of the channel whose turn it is: not given on whole, not given on

        with m.If(~window_due & ~event_due), m.Switch(turn):
            for last in range(channels):
                with m.Case(last):
                    for place in range(channels):  # the last assignment wins: the channel after the last one is first
                        channel = (last - place) % channels
                        with m.If(self.events[channel].valid):
                            m.d.sync += [turn.eq(channel), window_due.eq(1), event_due.eq(1)]
        with m.Switch(turn):
            for channel, (window, event) in enumerate(zip(self.windows, self.events, strict=True)):
                with m.Case(channel):
                    m.d.comb += [
                        self.window.payload.eq(window.payload),
                        self.window.valid.eq(window.valid & window_due),
                        window.ready.eq(self.window.ready & window_due),
                        self.event.payload.eq(Cat(event.payload, turn)),
                        self.event.valid.eq(event.valid & event_due),
                        event.ready.eq(self.event.ready & event_due),
                    ]
        with m.If(self.window.valid & self.window.ready & self.window.payload.last):
            m.d.sync += window_due.eq(0)
        with m.If(self.event.valid & self.event.ready):
            m.d.sync += event_due.eq(0)
        return m
