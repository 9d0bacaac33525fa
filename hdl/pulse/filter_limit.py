"""What a pulse's residual may be."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.common.arithmetic import wire
from hdl.pulse.config import FilterConfig

CODE_BITS = 23
"""Of a positive amplitude in whole codes."""

SHARE_BITS = 32
SHARE_FRACTION_BITS = 16


class Limit(wiring.Component):
    """base + ((amplitude >> 8)**2 * share >> 16), an amplitude of 0 or less taken for 0.

    One adder makes both products, a bit of a factor a cycle.

    Latency: `FilterConfig.limit_cycles`, from `start` to the first cycle with the result, which stays until the next.

    Members
    -------
    start : In(1)
    amplitude : In(signed(32))
        With `start`.
    base, share : In(32)
    limit : Out(63)
    """

    def __init__(self, config: FilterConfig):
        self._config = config
        super().__init__(
            {
                "start": In(1),
                "amplitude": In(signed(config.fit_bits)),
                "base": In(SHARE_BITS),
                "share": In(SHARE_BITS),
                "limit": Out(2 * CODE_BITS + SHARE_BITS - SHARE_FRACTION_BITS + 1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        square_bits = 2 * CODE_BITS
        steps = CODE_BITS + SHARE_BITS
        step = Signal(range(steps + 3))
        # A factor leaves `low` at its lower end while the product comes in at the upper.
        factor, high = Signal(square_bits, reset_less=True), Signal(square_bits, reset_less=True)
        low = Signal(SHARE_BITS, reset_less=True)

        codes = wire(m, Mux(self.amplitude[-1], 0, self.amplitude[8:-1]), "codes")
        total = wire(m, high + (factor & low[0].replicate(square_bits)), "total")
        square = Cat(low[SHARE_BITS - CODE_BITS :], high)[:square_bits]
        with m.If(self.start):
            m.d.sync += [step.eq(1), factor.eq(codes), low.eq(codes), high.eq(0)]
        with m.Elif(step == CODE_BITS + 1):
            m.d.sync += [step.eq(step + 1), factor.eq(square), low.eq(self.share), high.eq(0)]
        with m.Elif(step == steps + 2):
            m.d.sync += [step.eq(0), self.limit.eq(Cat(low[SHARE_FRACTION_BITS:], high) + self.base)]
        with m.Elif(step != 0):
            m.d.sync += [step.eq(step + 1), Cat(low, high).eq(Cat(low[1:], total))]
        return m
