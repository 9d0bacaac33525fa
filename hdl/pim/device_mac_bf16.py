"""The multipliers and accumulators of one bank, in bf16."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.common.arithmetic import register, wire
from hdl.common.float32 import FLOAT32_BITS, FloatAdd, FloatMultiply, from_bfloat16, to_bfloat16
from hdl.pim.channel_config import ChannelConfig
from hdl.pim.device_latency import BF16_LEVEL_CYCLES, BF16_PRODUCT_CYCLES, loop_cycles

ELEMENT_BITS = 16


class MacBf16(wiring.Component):
    """accumulator += sum of products, lanes in a tree with neighbours first, each addition rounded to fp32.

    `hdl.common.float32` says how: products exact, no subnormal numbers, one NaN. An accumulator is +0 after a reset and
    when it was read.

    Latency: `column` and `buffer` are of the MAC whose `mac` comes `sum_cycles - COLUMN_CYCLES` cycles later; `result`
    comes `loop_cycles` cycles after `clear`. A MAC may come every `loop_cycles` cycles, what sets or reads an
    accumulator in any, and all of them work in the order in which they come.

    Members
    -------
    column, buffer : of the bank and of the global buffer
    mac, set, clear : add to the accumulator, set it to `bias`, give and clear it; at most one of them
    acc : which accumulator
    bias : bf16
    result : bf16, rounded to nearest even; 0 where nothing was read
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
                "bias": In(ELEMENT_BITS),
                "result": Out(ELEMENT_BITS),
            }
        )

    def elaborate(self, platform):
        m = Module()
        terms = []
        for lane in range(self._config.lanes):
            m.submodules[f"multiply_{lane}"] = multiply = FloatMultiply(8, BF16_PRODUCT_CYCLES - 1)
            m.d.comb += multiply.a.eq(self.column.word_select(lane, ELEMENT_BITS))
            m.d.comb += multiply.b.eq(self.buffer.word_select(lane, ELEMENT_BITS))
            terms.append(register(m, multiply.product, f"product_{lane}"))
        while len(terms) > 1:
            sums = []
            for left, right in zip(terms[::2], terms[1::2], strict=True):
                name = f"add_{len(terms)}_{len(sums)}"
                m.submodules[name] = add = FloatAdd(BF16_LEVEL_CYCLES - 1)
                m.d.comb += [add.a.eq(left), add.b.eq(right)]
                sums.append(register(m, add.sum, f"{name}_sum"))
            terms = sums
        self._accumulate(m, terms[0])
        return m

    def _accumulate(self, m, term):
        """The loop. Whatever changes an accumulator does so in the loop's last cycle, so that order is kept."""
        cycles = loop_cycles("bf16", self._config.timing.tCCD_cycles)
        m.submodules.loop = loop = FloatAdd(cycles - 1)
        bias = wire(m, from_bfloat16(m, self.bias, "wide_bias"), "start")
        changes = (self.mac, self.set, self.clear)
        acc, start = self.acc, bias
        if cycles == 2:
            held = []
            for name, change in zip(("mac", "set", "clear"), changes, strict=True):
                later = Signal(name=f"{name}_later")
                m.d.sync += later.eq(change)
                held.append(later)
            changes, acc, start = tuple(held), register(m, acc, "acc_later"), register(m, bias, "bias_later")
        mac, sets, clears = changes

        totals = []
        for index in range(self._config.accumulators):
            total = Signal(FLOAT32_BITS, name=f"accumulator_{index}")
            with m.If((acc == index) & (mac | sets | clears)):
                m.d.sync += total.eq(Mux(mac, loop.sum, Mux(sets, start, 0)))
            totals.append(total)

        current = totals[0] if len(totals) == 1 else wire(m, Mux(self.acc, totals[1], totals[0]), "current")
        if cycles == 2:  # a MAC right behind what sets or clears its accumulator must see that
            just = wire(m, (sets | clears) & (acc == self.acc), "just_changed")
            current = Mux(just, Mux(sets, start, 0), current)
        m.d.comb += [loop.a.eq(current), loop.b.eq(term)]

        read = totals[0] if len(totals) == 1 else Mux(acc, totals[1], totals[0])
        rounded = to_bfloat16(m, wire(m, read, "read"), "rounded")
        m.d.comb += self.result.eq(register(m, rounded & clears.replicate(ELEMENT_BITS), "given"))
