"""A quotient, bit by bit."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.common.arithmetic import wire
from hdl.pulse.config import FRACTION_BITS, RATIO_MOST


class Ratio(wiring.Component):
    """floor(numerator * 2**16 / denominator), clamped to +-RATIO_MOST, for a denominator above 0.

    Latency: `RATIO_CYCLES`, from `start` to the first cycle with the result, which stays until the next.

    Parameters
    ----------
    bits : of numerator and denominator

    Members
    -------
    start : In(1)
    numerator, denominator : In(signed(bits))
        The numerator with `start`, the denominator from then on.
    ratio : Out(signed(18))
    clamped : Out(1)
    """

    def __init__(self, bits: int):
        self._bits = bits
        super().__init__(
            {
                "start": In(1),
                "numerator": In(signed(bits)),
                "denominator": In(signed(bits)),
                "ratio": Out(signed(FRACTION_BITS + 2)),
                "clamped": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        bits = self._bits
        # Below twice the denominator there is one bit before the point; anything above is clamped anyway.
        steps = FRACTION_BITS + 1
        step = Signal(range(steps + 3))
        rest = Signal(bits + 1, reset_less=True)
        quotient = Signal(steps, reset_less=True)
        negative, beyond = Signal(reset_less=True), Signal(reset_less=True)
        magnitude = Signal(steps + 1, reset_less=True)

        divisor = self.denominator[:-1]
        difference = wire(m, rest - divisor, "difference")
        fits = wire(m, ~difference[-1], "fits")
        with m.If(self.start):
            m.d.sync += [
                step.eq(1),
                negative.eq(self.numerator[-1]),
                rest.eq(Mux(self.numerator[-1], -self.numerator, self.numerator)),
            ]
        with m.Elif(step != 0):
            m.d.sync += step.eq(Mux(step == steps + 2, 0, step + 1))
        with m.If((step != 0) & (step <= steps)):
            m.d.sync += [
                rest.eq(Mux(fits, difference[:bits], rest[:bits]) << 1),
                quotient.eq(Cat(fits, quotient)),
            ]
        with m.If(step == 1):
            m.d.sync += beyond.eq(rest >= divisor << 1)

        # Floor: a negative ratio goes away from zero.
        clamped = wire(m, beyond | (magnitude > RATIO_MOST), "is_clamped")
        least = wire(m, Mux(clamped, RATIO_MOST, magnitude[:steps]), "least")
        with m.If(step == steps + 1):
            m.d.sync += magnitude.eq(quotient + (negative & rest.any()))
        with m.If(step == steps + 2):
            m.d.sync += [self.ratio.eq(Mux(negative, -least, least)), self.clamped.eq(clamped)]
        return m
