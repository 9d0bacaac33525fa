"""A row's lanes with two stationary operands each, for wide jobs: two products a lane, or one of four choices."""

from __future__ import annotations

from amaranth.hdl import Array, Module, Mux, Signal, Value, signed

from hdl.attention.lanes import PLACE_BITS, SECOND_BITS, Lanes
from hdl.common.arithmetic import register, tree, wire


class WideLanes(Lanes):
    """`Lanes`, of which each has a second stationary operand.

    Latency: 1 + log2(C) cycles, one more with `sparse`, one more with `dual_issue`. A beat a cycle.

    Members
    -------
    load, load_second : lanes that take `stationary` into the shadow of their first or second operand
    stationary, swap, streamed, sum : of `Lanes`
    seconds : with `dual_issue`: operands of 4 bits that second ones are multiplied by; 0 where there is none
    places : with `sparse`: which of the four stationary operands of its pair, lane by lane, a lane multiplies by; its
        first one is place 0 of an even lane, 2 of an odd one
    """

    def elaborate(self, platform):
        m = Module()
        config = self._config
        held = [operand for lane in range(config.lanes) for operand in self._held(m, lane)]
        products = []
        for lane in range(config.lanes):
            first, second = held[2 * lane], held[2 * lane + 1]
            streamed: Value = self.streamed.word_select(lane, config.streamed_bits)
            other: Value = self.seconds.word_select(lane, SECOND_BITS) if config.dual_issue else streamed
            if config.sparse:
                group = 4 * (lane // 2)
                choice = self.places.word_select(lane, PLACE_BITS)
                first = register(m, Array(held[group : group + 4])[choice], f"chosen_{lane}").as_signed()
                streamed = register(m, streamed, f"streamed_{lane}")
                if config.dual_issue:
                    second = register(m, second, f"second_{lane}").as_signed()
                    other = register(m, other, f"other_{lane}")
            product = Signal(signed(config.product_bits), name=f"product_{lane}", reset_less=True)
            m.d.sync += product.eq(first * streamed.as_signed())
            if config.dual_issue:
                product = self._both(m, lane, product, second, other)
            products.append(product)
        m.d.comb += self.sum.eq(tree(m, products))
        return m

    def _held(self, m, lane):
        """A lane's stationary operands."""
        bits = signed(self._config.stationary_bits)
        for name, load in (("first", self.load), ("second", self.load_second)):
            shadow = Signal(bits, name=f"shadow_{name}_{lane}", reset_less=True)
            active = Signal(bits, name=f"active_{name}_{lane}", reset_less=True)
            with m.If(load[lane]):
                m.d.sync += shadow.eq(self.stationary)
            with m.If(self.swap):
                m.d.sync += active.eq(shadow)
            yield active

    def _both(self, m, lane, product, second, other):
        """A product and the one of a lane's second operands, which adders make: half of it each, then their sum.

        Two of 4 bits are no more than one of 8, so that the sum needs no bit more.
        """
        twice = second << 1
        low = Mux(other[0], second, 0) + Mux(other[1], twice, 0)
        high = Mux(other[2], second, 0) - Mux(other[3], twice, 0)
        low, high = (
            register(m, wire(m, x, f"{n}_{lane}"), f"{n}_held_{lane}") for n, x in (("low", low), ("high", high))
        )
        both = product + low.as_signed() + (high.as_signed() << 2)
        return register(m, both[: self._config.product_bits], f"both_{lane}").as_signed()
