"""A row's multipliers and the tree that adds their products."""

from __future__ import annotations

from amaranth.hdl import Module, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.attention.config import ArrayConfig
from hdl.common.arithmetic import tree

SECOND_BITS = 4
"""Of a lane's second streamed operand, two's complement."""

PLACE_BITS = 2
"""Of a kept weight's place among the four of its group."""


def beat_members(config: ArrayConfig) -> dict[str, int]:
    """Bits of what comes to the lanes of all rows alike; with wide jobs, to those of `WideLanes`."""
    members = {"load": config.lanes, "swap": 1, "streamed": config.streamed_bits * config.lanes}
    if config.wide:
        members |= {"load_second": config.lanes}
    if config.dual_issue:
        members |= {"seconds": SECOND_BITS * config.lanes}
    if config.sparse:
        members |= {"places": PLACE_BITS * config.lanes}
    return members


class Lanes(wiring.Component):
    """Sums of C products: a stationary operand in each lane times the operand that comes by.

    Latency: 1 + log2(C) cycles, from `streamed` to `sum`. A beat a cycle.

    Members
    -------
    load : lanes that take `stationary` into their shadow
    stationary : of one lane
    swap : shadows become what the next beat is multiplied by
    streamed : C operands, the beat
    sum : exact
    """

    def __init__(self, config: ArrayConfig):
        self._config = config
        super().__init__(
            {
                **{name: In(bits) for name, bits in beat_members(config).items()},
                "stationary": In(signed(config.stationary_bits)),
                "sum": Out(signed(config.partial_bits)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self._config
        level = []
        for lane in range(config.lanes):
            shadow = Signal(signed(config.stationary_bits), name=f"shadow_{lane}", reset_less=True)
            active = Signal(signed(config.stationary_bits), name=f"active_{lane}", reset_less=True)
            with m.If(self.load[lane]):
                m.d.sync += shadow.eq(self.stationary)
            with m.If(self.swap):
                m.d.sync += active.eq(shadow)
            streamed = self.streamed.word_select(lane, config.streamed_bits).as_signed()
            product = Signal(signed(config.product_bits), name=f"product_{lane}", reset_less=True)
            m.d.sync += product.eq(active * streamed)  # |product| <= 2**p_bits * 2**(streamed_bits - 1)
            level.append(product)
        m.d.comb += self.sum.eq(tree(m, level))
        return m
