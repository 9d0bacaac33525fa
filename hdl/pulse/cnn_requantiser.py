"""Sums become elements again."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hdl.common.arithmetic import delayed, register, saturated, wire
from hdl.pulse.cnn_config import CnnConfig
from hdl.pulse.cnn_words import FACTOR_BITS, SHIFT_BITS, Activation
from hdl.pulse.rounder import Rounder

NARROW_BITS, MOST_BITS, LEAK_BITS = 8, 16, 4

STYLE = data.StructLayout(
    {"activation": 2, "leak": LEAK_BITS, "zero": signed(MOST_BITS), "wide": 1, "raw": 1},
)
"""What a layer says of it, but for factors and shifts."""


class Requantiser(wiring.Component):
    """Factor, shift, what is added, activation, zero, clamp; of a raw layer the sum as it is.

    Latency: 8 cycles. A sum a cycle.

    Members
    -------
    sum, factor, shift : of an output
    style : In(STYLE), while a layer's sums are in it
    added : In(signed(activation_bits + 1)), five cycles later: what the rounded product is increased by
    result : Out(signed(32))
    """

    def __init__(self, config: CnnConfig):
        self._config = config
        super().__init__(
            {
                "sum": In(signed(config.sum_bits)),
                "factor": In(signed(FACTOR_BITS)),
                "shift": In(SHIFT_BITS),
                "style": In(STYLE),
                "added": In(signed(config.activation_bits + 1)),
                "result": Out(signed(config.result_bits)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        style = self.style
        half = self._config.sum_bits // 2  # a half and its sign fit a multiplier of 18 bits
        factor = wire(m, Mux(style.raw, 1, self.factor), "factor_now")
        low = register(m, factor * self.sum[:half], "low")
        high = register(m, factor * self.sum[half:].as_signed(), "high")
        product = Signal(signed(self._config.sum_bits + FACTOR_BITS), reset_less=True)
        m.d.sync += product.eq((high << half) + low)

        m.submodules.rounder = rounder = Rounder(len(product), SHIFT_BITS)
        shift = delayed(m, self.shift, 2, "shift", reset_less=True)
        m.d.comb += [rounder.value.eq(product), rounder.amount.eq(Mux(style.raw, 0, shift))]

        # Still beyond every element after the largest leak, and no raw sum is.
        bits = self._config.activation_bits
        clamped = max(self._config.sum_bits, bits + 20)
        increased = register(m, saturated(rounder.rounded, clamped) + self.added, "increased")
        negative = increased[-1] & ~style.raw
        leaked = increased
        for bit in range(LEAK_BITS):
            leaked = wire(m, Mux(style.leak[bit], leaked >> (1 << bit), leaked), f"leaked_{bit}")
        active = Signal.like(increased, name="active", reset_less=True)
        m.d.sync += active.eq(increased)
        with m.If(negative & (style.activation == Activation.RELU)):
            m.d.sync += active.eq(0)
        with m.If(negative & (style.activation == Activation.LEAKY)):
            m.d.sync += active.eq(leaked)

        moved = wire(m, active + style.zero, "moved")
        made = saturated(moved, NARROW_BITS)
        if bits > NARROW_BITS:
            made = Mux(style.wide, saturated(moved, bits), made)
        m.d.sync += self.result.eq(wire(m, made, "clamped"))
        with m.If(style.raw):
            m.d.sync += self.result.eq(active)
        return m
