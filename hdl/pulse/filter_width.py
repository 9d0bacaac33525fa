"""How much wider a pulse is than the bank's, and which stretch that leads to."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.common.arithmetic import register, saturated, wire
from hdl.pulse.config import FilterConfig
from hdl.pulse.filter_ratio import Ratio

SHAPE_BITS = 16
STEP_BITS = 16


class Width(wiring.Component):
    """The change of width, change / amplitude, from the middle stretch's; and the stretch nearest to it.

    Latency: `RATIO_CYCLES` from `start` to the ratio, one more to `shape`, two to the stretch that `again` goes to.

    Members
    -------
    start : In(1)
    change, amplitude, none : with `start` and from then on: of a fit, and whether it has no pulse
    shape : Out(signed(16))
        In 2^-15.
    step : In(16)
        Between stretches, in 2^-16.
    begin, again : the stretch becomes the middle one, or the nearest
    stretch : its number
    """

    def __init__(self, config: FilterConfig):
        self._config = config
        part = signed(config.fit_bits)
        members = {"start": In(1), "change": In(part), "amplitude": In(part), "none": In(1)}
        members |= {"shape": Out(signed(SHAPE_BITS))}
        if config.stretches > 1:
            members |= {"step": In(STEP_BITS), "begin": In(1), "again": In(1), "stretch": Out(range(config.stretches))}
        super().__init__(members)

    def elaborate(self, platform):
        m = Module()
        m.submodules.divider = divider = Ratio(self._config.fit_bits)
        m.d.comb += [
            divider.start.eq(self.start),
            divider.numerator.eq(self.change),
            divider.denominator.eq(self.amplitude),
        ]
        whole = divider.ratio
        if self._config.stretches > 1:
            whole = wire(m, whole + self._choose(m, divider.ratio), "whole")
        given = register(m, saturated(whole >> 1, SHAPE_BITS), "given")
        m.d.comb += self.shape.eq(Mux(self.none, 0, given))
        return m

    def _choose(self, m: Module, ratio: Value) -> Value:
        """The stretch, and how much wider it is than the middle one."""
        most = self._config.stretches - 1
        middle = most // 2
        # What software writes is steady: a register keeps its additions out of the comparisons' path.
        wanted = {*range(middle + 1), *range(1, 2 * most, 2)}
        multiples = {count: register(m, _times(self.step, count), f"steps_{count}") for count in sorted(wanted)}
        magnitude = wire(m, Mux(ratio[-1], -ratio, ratio), "magnitude")
        twice = Cat(Const(0, 1), magnitude[:-1])
        beyond = [register(m, twice >= multiples[count], f"beyond_{count}") for count in range(1, 2 * most, 2)]
        jump = wire(m, sum(beyond[1:], beyond[0]), "jump")
        down = wire(m, Mux(jump > self.stretch, 0, self.stretch - jump), "down")
        up = wire(m, Mux(jump > most - self.stretch, most, self.stretch + jump), "up")
        nearest = register(m, Mux(self.none, self.stretch, Mux(ratio[-1], down, up)), "nearest")
        with m.If(self.begin):
            m.d.sync += self.stretch.eq(middle)
        with m.Elif(self.again):
            m.d.sync += self.stretch.eq(nearest)

        apart = Signal(signed(STEP_BITS + 3), reset_less=True)
        with m.Switch(self.stretch):
            for number in range(most + 1):
                size = multiples[abs(number - middle)]
                with m.Case(number):
                    m.d.sync += apart.eq(-size if number < middle else size)
        return apart


def _times(value: Value, count: int) -> Value:
    """The product, by additions of a few shifted values."""
    shifted = [Cat(Const(0, bit), value) for bit in range(count.bit_length()) if count >> bit & 1]
    return sum(shifted[1:], shifted[0]) if shifted else Const(0, 1)
