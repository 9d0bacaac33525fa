"""Weighted means of values out of their sums: a division a channel."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.common.arithmetic import wire
from hdl.common.axi import packet_stream
from hdl.pim.kv_config import OUTPUT_BITS, KvConfig
from hdl.pim.kv_sum import sum_bits

QUOTIENT_BITS = 16
OFFSET_BITS = 7
"""Sums are divided as if all values were greater by 128, so that none is negative."""


class KvMean(wiring.Component):
    """Divides the sum of every channel by the sum of weights, to the nearest 1/256, halves up; a bit a cycle.

    Time: 19 cycles a channel where the output does not stall, the first is offered 19 cycles after `start`.

    Members
    -------
    start : In(1), total : In(config.weight_sum_bits)
    look : Out, looked : In(signed)
        A channel, and a cycle later its sum.
    y : Out(packet_stream(16))
    done : Out(1)
        A pulse: the last is taken.
    """

    def __init__(self, config: KvConfig):
        self._config = config
        super().__init__(
            {
                "start": In(1),
                "total": In(config.weight_sum_bits),
                "look": Out(range(config.head_dim)),
                "looked": In(signed(sum_bits(config))),
                "y": Out(packet_stream(QUOTIENT_BITS)),
                "done": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self._config
        width = config.weight_sum_bits + OFFSET_BITS + 1 + OUTPUT_BITS
        raised = wire(m, (self.looked + (self.total << OFFSET_BITS))[: width - OUTPUT_BITS], "raised")
        dividend = wire(m, (Cat(Const(0, OUTPUT_BITS), raised) + (self.total >> 1))[:width], "dividend")
        rest = Signal(config.weight_sum_bits, reset_less=True)
        low = Signal(QUOTIENT_BITS, reset_less=True)  # bits of the dividend go out at the top, of the quotient come in
        left = Signal(range(QUOTIENT_BITS))
        tried = wire(m, Cat(low[-1], rest), "tried")
        goes = wire(m, tried >= self.total, "goes")
        m.d.comb += [
            self.y.payload.data.eq(low ^ (1 << QUOTIENT_BITS - 1)),
            self.y.payload.last.eq(self.look == config.head_dim - 1),
        ]
        with m.FSM():
            with m.State("idle"):
                m.d.sync += self.look.eq(0)
                with m.If(self.start):
                    m.next = "look"
            with m.State("look"):
                m.next = "load"
            with m.State("load"):
                m.d.sync += [
                    rest.eq(dividend[QUOTIENT_BITS:]),
                    low.eq(dividend[:QUOTIENT_BITS]),
                    left.eq(QUOTIENT_BITS - 1),
                ]
                m.next = "divide"
            with m.State("divide"):
                m.d.sync += [
                    rest.eq(tried - Mux(goes, self.total, 0)),
                    low.eq(Cat(goes, low)),
                    left.eq(left - 1),
                ]
                with m.If(~left.any()):
                    m.next = "give"
            with m.State("give"):
                m.d.comb += self.y.valid.eq(1)
                with m.If(self.y.ready):
                    m.d.sync += self.look.eq(self.look + 1)
                    m.next = "look"
                    with m.If(self.y.payload.last):
                        m.d.comb += self.done.eq(1)
                        m.next = "idle"
        return m
