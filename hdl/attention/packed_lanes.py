"""Multipliers of two rows, which share each, and the trees that add their products."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.attention.config import ArrayConfig
from hdl.common.arithmetic import register, wire


class PackedLanes(wiring.Component):
    """Two rows' sums of C products: a multiplier of 27 x 18 bits does a lane of both.

    A product is second * 2**16 + first: the first row's in its low half, two's complement; the upper half lacks what
    that half borrows, its sign. Each adder of the second row's tree takes one sign in; they are one less than signs,
    so that the last waits for a stage of its own.

    Latency: 2 + log2(C) cycles, from `streamed` to the sums. A beat a cycle.

    Members
    -------
    load, swap, streamed : of `Lanes`
    stationary_first, stationary_second : of a lane, each row's
    sum_first, sum_second : exact
    """

    def __init__(self, config: ArrayConfig):
        self._config = config
        super().__init__(
            {
                "load": In(config.lanes),
                "stationary_first": In(signed(config.stationary_bits)),
                "stationary_second": In(signed(config.stationary_bits)),
                "swap": In(1),
                "streamed": In(config.streamed_bits * config.lanes),
                "sum_first": Out(signed(config.partial_bits)),
                "sum_second": Out(signed(config.partial_bits)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self._config
        own, half = config.stationary_bits, config.product_bits
        first = self.stationary_first
        upper = wire(m, (self.stationary_second + first[-1].replicate(own).as_signed())[:own], "upper")
        both = wire(m, Cat(first, upper), "both")  # its middle, copies of the first one's sign, need no registers
        firsts, seconds, signs = [], [], []
        for lane in range(config.lanes):
            shadow = Signal(2 * own, name=f"shadow_{lane}", reset_less=True)
            active = Signal(2 * own, name=f"active_{lane}", reset_less=True)
            with m.If(self.load[lane]):
                m.d.sync += shadow.eq(both)
            with m.If(self.swap):
                m.d.sync += active.eq(shadow)
            operand = Cat(active[:own], active[own - 1].replicate(half - own), active[own:]).as_signed()
            streamed = self.streamed.word_select(lane, config.streamed_bits).as_signed()
            product = register(m, (operand * streamed)[: 2 * half + 1], f"product_{lane}")
            firsts.append(product[:half].as_signed())
            seconds.append(product[half:].as_signed())
            signs.append(product[half - 1])

        height = 0
        while len(firsts) > 1:
            height += 1
            pairs = range(len(firsts) // 2)
            firsts = [register(m, firsts[2 * k] + firsts[2 * k + 1], f"first_{height}_{k}").as_signed() for k in pairs]
            sums = [
                (Cat(signs[k], seconds[2 * k]).as_signed() + Cat(Const(1, 1), seconds[2 * k + 1]).as_signed()) >> 1
                for k in pairs
            ]
            seconds = [register(m, one, f"second_{height}_{k}").as_signed() for k, one in enumerate(sums)]
            signs = list(register(m, Cat(signs[len(pairs) :]), f"signs_{height}"))
        m.d.sync += [self.sum_first.eq(firsts[0]), self.sum_second.eq(seconds[0] + signs[0])]
        return m
