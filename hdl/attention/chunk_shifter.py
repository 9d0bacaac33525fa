"""Sums of chunks of keys, shifted to the exponent that a job's scores have."""

from __future__ import annotations

from amaranth.hdl import Module, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.attention.aligner import shifted
from hdl.attention.config import ArrayConfig
from hdl.common.arithmetic import register

SHIFT_BITS = 5
"""31 places, and more, leave nothing of a chunk's sum."""


class ChunkShifter(wiring.Component):
    """rs(sum, amount) before its last addition: the result is (shifted + 1) >> 1.

    Latency: 3 cycles.

    Members
    -------
    sum, amount : of a chunk
    shifted : three cycles later
    """

    def __init__(self, config: ArrayConfig):
        bits = config.chunk_bits
        super().__init__({"sum": In(signed(bits)), "amount": In(SHIFT_BITS), "shifted": Out(signed(bits + 1))})

    def elaborate(self, platform):
        m = Module()
        moved, amount = register(m, self.sum, "moved"), register(m, self.amount, "amount_1")
        m.d.comb += self.shifted.eq(shifted(m, moved, amount, "chunk", 3))
        return m
