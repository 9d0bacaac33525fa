"""Two sources of bursts on one memory port."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.common.arithmetic import wire
from hdl.common.axi import packet_stream


class WritePort(wiring.Component):
    """A burst at a time: its words end before the next one is asked for. The first source goes before the second.

    Parameters
    ----------
    burst : of both sources and of the port
    bus_bits : of a word

    Members
    -------
    bursts_0, words_0, bursts_1, words_1 : of the sources, which give a burst's words after it was taken
    bursts, words : to memory; a burst that is offered stays until it is taken
    """

    def __init__(self, burst: data.StructLayout, bus_bits: int):
        bursts, words = stream.Signature(burst), packet_stream(bus_bits)
        sources = {f"bursts_{index}": In(bursts) for index in range(2)}
        sources |= {f"words_{index}": In(words) for index in range(2)}
        super().__init__({**sources, "bursts": Out(bursts), "words": Out(words)})

    def elaborate(self, platform):
        m = Module()
        held, second_held, sending, second_sends = Signal(), Signal(), Signal(), Signal()
        second = wire(m, Mux(held, second_held, ~self.bursts_0.valid), "second")
        asked = wire(m, self.bursts.valid & self.bursts.ready, "asked")
        sent = wire(m, self.words.valid & self.words.ready, "sent")
        m.d.sync += [held.eq(self.bursts.valid & ~self.bursts.ready), second_held.eq(second)]
        with m.If(asked):
            m.d.sync += [sending.eq(1), second_sends.eq(second)]
        with m.Elif(sent & self.words.payload.last):
            m.d.sync += sending.eq(0)
        m.d.comb += [
            self.bursts.payload.eq(Mux(second, self.bursts_1.payload, self.bursts_0.payload)),
            self.bursts.valid.eq(~sending & Mux(second, self.bursts_1.valid, self.bursts_0.valid)),
            self.bursts_0.ready.eq(~sending & ~second & self.bursts.ready),
            self.bursts_1.ready.eq(~sending & second & self.bursts.ready),
            self.words.payload.eq(Mux(second_sends, self.words_1.payload, self.words_0.payload)),
            self.words.valid.eq(sending & Mux(second_sends, self.words_1.valid, self.words_0.valid)),
            self.words_0.ready.eq(sending & ~second_sends & self.words.ready),
            self.words_1.ready.eq(sending & second_sends & self.words.ready),
        ]
        return m
