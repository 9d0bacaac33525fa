"""Events and fits, put together to records."""

from __future__ import annotations

from amaranth.hdl import Array, Cat, Const, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.common.arithmetic import saturated, wire
from hdl.pulse.channel_config import ChannelConfig
from hdl.pulse.config import FRACTION_BITS


class Records(wiring.Component):
    """A record for each event and its fit, which come in the same order.

    Latency: 1 cycle, from the later of the two. A record a cycle.

    Members
    -------
    channel : the first channel's number
    event : In(stream.Signature(128 + index_bits)), fit : In(stream.Signature(128))
        Of the front ends, with a channel's place among them, and of the filter.
    record : Out(stream.Signature(128))
    """

    def __init__(self, config: ChannelConfig):
        self._config = config
        super().__init__(
            {
                "channel": In(config.channel_bits),
                "event": In(stream.Signature(config.front.event_bits + config.index_bits)),
                "fit": In(stream.Signature(config.filter.record_bits)),
                "record": Out(stream.Signature(config.record_bits)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self._config
        event, fit = self.event.payload, self.fit.payload
        trigger_time, event_flags, trigger = event[:48], event[48:56], event[64:96]
        fit_time, height, shape, fit_flags = fit[:32].as_signed(), fit[32:64].as_signed(), fit[64:80], fit[80:88]
        index = event[config.front.event_bits :]
        expected = [Signal(config.front.number_bits, name=f"expected{place}") for place in range(config.channels)]
        mine = expected[0] if config.channels == 1 else wire(m, Array(expected)[index], "mine")
        missing = wire(m, (trigger != mine) & trigger.any(), "missing")
        number = wire(m, (self.channel + index)[: config.channel_bits], "number")

        moves = wire(m, ~self.record.valid | self.record.ready, "moves")
        joined = wire(m, self.event.valid & self.fit.valid & moves, "joined")
        window_start = wire(m, Cat(Const(0, FRACTION_BITS), trigger_time), "trigger_start") - (
            config.front.pre << FRACTION_BITS
        )
        time = wire(m, (window_start + fit_time)[:64], "time")
        flags = wire(m, event_flags[:7] | fit_flags[:7], "flags")
        energy = saturated(height, config.energy_bits)
        m.d.comb += [self.event.ready.eq(joined), self.fit.ready.eq(joined)]
        with m.If(moves):
            m.d.sync += [
                self.record.valid.eq(joined),
                self.record.payload.eq(
                    Cat(number, flags, missing, time, energy, shape, trigger[: config.sequence_bits])
                ),
            ]
        for place, trigger_next in enumerate(expected):
            with m.If(joined & (index == place if config.channels > 1 else 1)):
                m.d.sync += trigger_next.eq(trigger + 1)
        return m
