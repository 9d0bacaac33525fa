"""What a fit leaves of the samples."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.common.arithmetic import register, saturated, wire
from hdl.pulse.config import FilterConfig

_KEPT_BITS = 21


class Residual(wiring.Component):
    """chi = sum of d**2 over the taps, saturated, where d = rs(2**8 * code - fit, 4).

    A residual whose square saturates the sum is marked so, and only bits of smaller ones are multiplied; that is the
    paper's, which saturates d to 24 bits.

    Latency: 4 cycles from `rounded` to the sum: difference, square, sum; `code` and `baseline` come a cycle earlier.

    Members
    -------
    code, baseline : a sample, and x_Z with what a second pulse adds to it
    rounded : a cycle later: the fit at the sample's tap without x_Z
    clear, add : the sum becomes 0, or takes the square of the residual whose `rounded` came two cycles before
    chi : Out(40)
    left : Out(signed(24))
        d, two cycles after its `rounded`; for two pulses.
    """

    def __init__(self, config: FilterConfig):
        self._config = config
        super().__init__(
            {
                "code": In(signed(config.code_bits)),
                "baseline": In(signed(config.fit_bits + config.pairs)),
                "rounded": In(signed(config.model_bits)),
                "clear": In(1),
                "add": In(1),
                "chi": Out(config.chi_bits),
                "left": Out(signed(config.residual_bits)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        chi_bits = self._config.chi_bits
        # 2**8 * code, and the half that rounds the difference.
        scaled = Cat(Const(0b1000, 8), self.code).as_signed()
        above = register(m, scaled - self.baseline, "above")
        difference = register(m, (above - self.rounded) >> 4, "difference")
        if self._config.pairs:
            m.d.sync += self.left.eq(saturated(difference, self._config.residual_bits))
        kept = wire(m, difference[:_KEPT_BITS].as_signed(), "kept")
        square = register(m, kept * kept, "square")
        beyond = register(m, difference != kept, "beyond")
        total = wire(m, self.chi + square[: chi_bits + 1].as_unsigned(), "total")
        with m.If(self.clear):
            m.d.sync += self.chi.eq(0)
        with m.Elif(self.add):
            m.d.sync += self.chi.eq(Mux(beyond | total[chi_bits:].any(), (1 << chi_bits) - 1, total))
        return m
