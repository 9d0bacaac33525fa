"""A second pulse out of two equations, and what it takes of the first."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.common.arithmetic import register, saturated, wire
from hdl.pulse.config import ENERGY_BITS, FRACTION_BITS, FilterConfig
from hdl.pulse.filter_ratio import Ratio

ROWS = ("a", "b", "z")
SOURCES = ("a", "b", "y")
"""Of which products and shares are told: the second pulse's templates, and the window."""

_PRODUCT_CYCLES = 3
"""From the choice of two factors to the cycle that has their product."""

_HEIGHT_BITS = 23


class PairSolver(wiring.Component):
    """Height A = F / D * 2**(unit + 8) and delay G / F of the second pulse, and A * m_A + A * delay * m_B for each row.

    D, F, G are determinants of the products; A and the delay are 0 where D or F is not above 0. One multiplier serves
    all of it.

    Members
    -------
    start : pulse; from then on all inputs stay
    left_<q>_<u> : sum of template q times what the first pulse leaves of u
    share_<u>_<row> : of the first pulse's rows, in the second's template u
    unit : fraction bits of a template
    height, change, late : A, A * delay, the delay in 2**-16 samples
    taken_<row>, choose_<row> : the sum, and the cycle in which it is to be rounded
    done : the last of these cycles
    """

    def __init__(self, config: FilterConfig):
        self._bits = bits = config.pair_bits
        super().__init__(
            {"start": In(1), "unit": In(5), "done": Out(1)}
            | {f"left_{q}_{u}": In(signed(bits)) for q in "ab" for u in SOURCES}
            | {f"share_{u}_{row}": In(signed(bits)) for u in "ab" for row in ROWS}
            | {"height": Out(signed(bits)), "change": Out(signed(bits)), "late": Out(signed(FRACTION_BITS + 2))}
            | {f"taken_{row}": Out(signed(2 * bits)) for row in ROWS}
            | {f"choose_{row}": Out(1) for row in ROWS}
        )

    def elaborate(self, platform):
        m = Module()
        bits = self._bits
        m.submodules.delay = delay = Ratio(2 * bits)
        factors = [Signal(signed(bits), name=f"factor_{side}") for side in "xy"]
        held = [register(m, factor, f"held_{side}") for factor, side in zip(factors, "xy", strict=True)]
        product = register(m, register(m, held[0] * held[1], "product_early"), "product")
        determinant, high, low = (
            Signal(signed(2 * bits), name=name, reset_less=True) for name in ("determinant", "high", "low")
        )
        step = Signal(range(16))
        m.d.sync += step.eq(step + 1)
        there = register(m, (determinant > 0) & (high > 0), "there")
        m.d.comb += [delay.numerator.eq(low), delay.denominator.eq(high)]
        divide, divided = self._divide(m, determinant, high, there)

        with m.FSM():
            with m.State("REST"):
                m.d.sync += step.eq(0)
                with m.If(self.start):
                    m.next = "DETERMINANTS"
            with m.State("DETERMINANTS"):
                pairs = (("a_a", "b_b"), ("a_b", "b_a"), ("b_b", "a_y"), ("a_b", "b_y"), ("a_a", "b_y"), ("b_a", "a_y"))
                for number, names in enumerate(pairs):
                    into = (determinant, high, low)[number // 2]
                    with m.If(step == number):
                        m.d.comb += [
                            factor.eq(getattr(self, f"left_{name}"))
                            for factor, name in zip(factors, names, strict=True)
                        ]
                    with m.If(step == number + _PRODUCT_CYCLES):
                        m.d.sync += into.eq(wire(m, into - product, f"less_{number}") if number % 2 else product)
                with m.If(step == len(pairs) + _PRODUCT_CYCLES + 1):
                    m.d.comb += [divide.eq(1), delay.start.eq(1)]
                    m.next = "DIVIDE"
            with m.State("DIVIDE"):
                m.d.sync += step.eq(0)
                with m.If(divided):
                    m.d.sync += self.late.eq(Mux(there, delay.ratio, 0))
                    m.next = "TAKE"
            with m.State("TAKE"):
                self._take(m, step, factors, product)
                with m.If(self.done):
                    m.next = "REST"
        return m

    def _divide(self, m, determinant, high, there):
        """A quotient of as many bits as a height has, and whether it is beyond; bit by bit, F's first, then zeros."""
        bits = 2 * self._bits - 1
        start, done = Signal(name="divide_start"), Signal(name="divide_done")
        count = Signal(range(bits + ENERGY_BITS + 33))
        waiting, rest = Signal(bits, reset_less=True), Signal(bits + 1, reset_less=True)
        quotient, beyond = Signal(_HEIGHT_BITS, reset_less=True), Signal(reset_less=True)
        difference = wire(m, rest - determinant[:bits], "difference")
        fits = wire(m, ~difference[-1], "fits")
        shifted = Cat(waiting[-1], Mux(fits, difference[:bits], rest[:bits]))
        with m.If(start):
            m.d.sync += [
                count.eq(self.unit + (bits + ENERGY_BITS)),
                waiting.eq(high[: bits - 1] << 1),
                rest.eq(high[bits - 1]),
                quotient.eq(0),
                beyond.eq(0),
            ]
        with m.Elif(count != 0):
            m.d.sync += [
                count.eq(count - 1),
                waiting.eq(waiting << 1),
                rest.eq(shifted),
                quotient.eq(Cat(fits, quotient)),
                beyond.eq(beyond | quotient[-1]),
            ]
        most = Const((1 << _HEIGHT_BITS) - 1)
        ended = register(m, count == 1, "ended")
        with m.If(ended):
            m.d.sync += [self.height.eq(Mux(there, Mux(beyond, most, quotient), 0)), done.eq(1)]
        with m.Else():
            m.d.sync += done.eq(0)
        return start, done

    def _take(self, m, step, factors, product):
        """The change, then both products of each row."""
        choices = [(self.height, self.late)]
        choices += [(getattr(self, f"share_a_{row}"), self.height) for row in ROWS]
        choices += [(getattr(self, f"share_b_{row}"), self.change) for row in ROWS]
        for number, pair in enumerate(choices):
            with m.If(step == number):
                m.d.comb += [factor.eq(value) for factor, value in zip(factors, pair, strict=True)]
        with m.If(step == _PRODUCT_CYCLES):
            m.d.sync += self.change.eq(saturated(product >> FRACTION_BITS, self._bits))
        for number, row in enumerate(ROWS):
            taken, first = getattr(self, f"taken_{row}"), 1 + number + _PRODUCT_CYCLES
            with m.If(step == first):
                m.d.sync += taken.eq(product)
            with m.If(step == first + len(ROWS)):
                m.d.sync += taken.eq(taken + product)
            m.d.comb += getattr(self, f"choose_{row}").eq(step == first + len(ROWS) + 1)
        m.d.comb += self.done.eq(step == 2 * len(ROWS) + _PRODUCT_CYCLES + 1)
