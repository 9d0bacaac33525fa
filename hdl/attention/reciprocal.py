"""Reciprocals of the rows' sums of probabilities, bit by bit."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.attention.config import ArrayConfig
from hdl.attention.row_state import divider_bits, state_event
from hdl.common.arithmetic import wire

SUM_BITS = 17
"""Of a normalised sum."""

RECIPROCAL_BITS = 18
"""Of -floor(2**33 / sum), at least -2**17: what is negative fits a multiplier's operand, two's complement."""


def least_shift(config: ArrayConfig) -> int:
    """Of a sum that is not 0: its tile's top probability is at least 2**(PB - 1)."""
    return config.p_bits + config.guard_bits - SUM_BITS


def shift_bits(config: ArrayConfig) -> int:
    """Of the shift beyond the least."""
    return (config.l_bits - 1 - SUM_BITS - least_shift(config)).bit_length()


def reciprocal_layout(config: ArrayConfig) -> data.StructLayout:
    """-r = -floor(2**33 / (l >> x)), 0 for a row without keys; the shift x less the least there is; which divider's."""
    shapes = {"negative_r": signed(RECIPROCAL_BITS), "shift": shift_bits(config), "divider": divider_bits(config)}
    return data.StructLayout(shapes)


class Reciprocal(wiring.Component):
    """One after the other, in about `RECIPROCAL_BITS` + 4 cycles each.

    Members
    -------
    i : sums
    o : reciprocals
    """

    def __init__(self, config: ArrayConfig):
        self._config = config
        super().__init__(
            {
                "i": In(stream.Signature(state_event(config))),
                "o": Out(stream.Signature(reciprocal_layout(config))),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self._config
        l_bits, least = config.l_bits, least_shift(config)
        sum_, shift = Signal(l_bits, reset_less=True), Signal(shift_bits(config), reset_less=True)
        rest, quotient = Signal(SUM_BITS + 1, reset_less=True), Signal(RECIPROCAL_BITS, reset_less=True)
        count = Signal(range(RECIPROCAL_BITS + 1))
        empty, divider = Signal(reset_less=True), Signal(divider_bits(config), reset_less=True)
        top = least + SUM_BITS  # l < 2**top: the least shift is right
        high = wire(m, sum_[top:].any(), "high")
        divisor = sum_[least : least + SUM_BITS]
        with m.FSM():
            with m.State("TAKE"):
                m.d.comb += self.i.ready.eq(1)
                m.d.sync += [sum_.eq(self.i.payload.l), shift.eq(0), count.eq(0), quotient.eq(0)]
                m.d.sync += divider.eq(self.i.payload.divider)
                with m.If(self.i.valid):
                    m.next = "NORMALISE"
            with m.State("NORMALISE"):
                m.d.sync += [empty.eq(~sum_.any()), rest.eq(1 << (SUM_BITS - 1))]
                with m.If(high):
                    m.d.sync += [sum_.eq(sum_ >> 1), shift.eq(shift + 1)]
                with m.Else():
                    m.next = "DIVIDE"
            with m.State("DIVIDE"):  # the rest is 2**16 <= divisor at first: 2**33 / 2**17 is to come, 17 bits and one
                fits = wire(m, rest >= divisor, "fits")
                left = wire(m, (rest - Mux(fits, divisor, 0))[: SUM_BITS + 1], "left")
                m.d.sync += [
                    quotient.eq(Cat(fits, quotient)),
                    rest.eq(Cat(Const(0, 1), left)),
                    count.eq(count + 1),
                ]
                with m.If(count == RECIPROCAL_BITS - 1):
                    m.next = "GIVE"
            with m.State("GIVE"):
                m.d.comb += [
                    self.o.valid.eq(1),
                    self.o.payload.negative_r.eq(-Mux(empty, 0, quotient)),
                    self.o.payload.shift.eq(shift),
                    self.o.payload.divider.eq(divider),
                ]
                with m.If(self.o.ready):
                    m.next = "TAKE"
        return m
