"""The multipliers and accumulators of one bank, in int8."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.common.arithmetic import register
from hdl.pim.channel_config import ChannelConfig

ELEMENT_BITS = 8
ACCUMULATOR_BITS = 32


class MacInt8(wiring.Component):
    """accumulator += sum of products, modulo 2**32; products and their sum are exact.

    An accumulator is 0 after a reset and when it was read. Latency and order as `MacBf16`; a MAC may come every cycle.

    Members
    -------
    column, buffer : of the bank and of the global buffer
    mac, set, clear : add to the accumulator, set it to `bias`, give and clear it; at most one of them
    acc : which accumulator
    bias : int32
    result : int32; 0 where nothing was read
    before : int32, a cycle later as `result`: what the accumulator held, whatever was done with it
    overflow : a cycle later: the sum left int32 and wrapped
    """

    def __init__(self, config: ChannelConfig):
        self._config = config
        super().__init__(
            {
                "column": In(config.column_bits),
                "buffer": In(config.column_bits),
                "mac": In(1),
                "set": In(1),
                "clear": In(1),
                "acc": In(1),
                "bias": In(ACCUMULATOR_BITS),
                "result": Out(ACCUMULATOR_BITS),
                "before": Out(signed(ACCUMULATOR_BITS)),
                "overflow": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        products = []
        for lane in range(self._config.lanes):
            a, b = (one.word_select(lane, ELEMENT_BITS).as_signed() for one in (self.column, self.buffer))
            products.append(register(m, a * b, f"product_{lane}"))
        term = register(m, tree(products), "term")

        totals = [
            Signal(signed(ACCUMULATOR_BITS), name=f"accumulator_{index}") for index in range(self._config.accumulators)
        ]
        current = Signal(signed(ACCUMULATOR_BITS))
        exact = Signal(signed(ACCUMULATOR_BITS + 1))
        m.d.comb += [
            current.eq(totals[0] if len(totals) == 1 else Mux(self.acc, totals[1], totals[0])),
            exact.eq(current + term),
        ]
        for index, total in enumerate(totals):
            with m.If((self.acc == index) & (self.mac | self.set | self.clear)):
                m.d.sync += total.eq(Mux(self.mac, exact, Mux(self.set, self.bias, 0)))
        m.d.sync += self.overflow.eq(self.mac & (exact[-1] ^ exact[-2]))
        given = register(m, current & self.clear.replicate(ACCUMULATOR_BITS), "given")
        m.d.comb += [self.result.eq(given), self.before.eq(register(m, current, "held"))]
        return m


def tree(terms):
    """The sum of values, neighbours first, as wide as it can become."""
    terms = list(terms)
    while len(terms) > 1:
        pairs = [left + right for left, right in zip(terms[::2], terms[1::2], strict=False)]
        terms = pairs + terms[len(pairs) * 2 :]
    return terms[0]
