"""Sums of chunks of keys, shifted to the exponent that a job's scores have."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.attention.aligner import AMOUNT_BITS, shifted
from hdl.attention.config import ArrayConfig
from hdl.common.arithmetic import register


class ChunkShifter(wiring.Component):
    """rs(sum * 2**guard_bits, amount) before its last addition: the result is (shifted + 1) >> 1.

    Latency: 3 cycles.

    Members
    -------
    sum, amount : of a chunk
    shifted : three cycles later
    """

    def __init__(self, config: ArrayConfig):
        self._config = config
        bits = config.partial_bits + config.guard_bits + 1
        super().__init__(
            {"sum": In(signed(config.partial_bits)), "amount": In(AMOUNT_BITS), "shifted": Out(signed(bits))}
        )

    def elaborate(self, platform):
        m = Module()
        guarded = Cat(Const(0, self._config.guard_bits), self.sum).as_signed()
        moved = Signal(guarded.shape(), reset_less=True)
        m.d.sync += moved.eq(guarded)
        m.d.comb += self.shifted.eq(shifted(m, moved, register(m, self.amount, "amount_1"), "chunk", 3))
        return m
