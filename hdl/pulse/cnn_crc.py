"""The checksum of an image, word by word."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.common.arithmetic import wire

CRC_BITS = 32
POLYNOMIAL = 0xEDB88320
"""Of IEEE 802.3, bits reversed."""


def _after_word(remainder: int) -> int:
    """A remainder 32 bits later."""
    for _ in range(CRC_BITS):
        remainder = remainder >> 1 ^ (POLYNOMIAL if remainder & 1 else 0)
    return remainder


class Crc32(wiring.Component):
    """CRC-32 as of IEEE 802.3 of words of 32 bits, each four bytes, the lowest first.

    Latency: 1 cycle. A word a cycle.

    Members
    -------
    clear : the checksum becomes that of nothing; a word of the same cycle is the first
    add, word : a word is added
    crc : of the words until now
    """

    def __init__(self) -> None:
        super().__init__({"clear": In(1), "add": In(1), "word": In(CRC_BITS), "crc": Out(CRC_BITS)})

    def elaborate(self, platform):
        m = Module()
        ones = (1 << CRC_BITS) - 1
        remainder = Signal(CRC_BITS, init=ones)
        before = wire(m, Mux(self.clear, ones, remainder), "before")
        mixed = wire(m, before ^ self.word, "mixed")
        # The remainder after a word is linear in the bits of the mixture: each gives what it alone would leave.
        left = [_after_word(1 << bit) for bit in range(CRC_BITS)]
        after = Cat(
            Cat(mixed[bit] for bit in range(CRC_BITS) if left[bit] >> place & 1).xor() for place in range(CRC_BITS)
        )
        m.d.sync += remainder.eq(Mux(self.add, after, before))
        m.d.comb += self.crc.eq(~remainder)
        return m
