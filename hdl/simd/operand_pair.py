"""Two operand streams whose packets belong together, beat by beat."""

from __future__ import annotations

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.common.axi import packet_stream


class OperandPair(wiring.Component):
    """A buffer of one beat for each operand, and the pairing of their beats.

    Latency: 1 cycle. An operand's `ready` depends on registers alone, so the buffer cuts the timing both ways, yet it
    refills in the cycle that empties it.

    Parameters
    ----------
    operand_bits : int
        Width of a beat of either operand.

    Members
    -------
    advance : the stage behind takes what it is offered.
    offer : a pair of beats is there.
    take : it leaves.
    a_data, b_data : the beats.
    last : the pair ends its vector.
    padding : one of the two had ended before; the pair counts as zero whatever the buffers hold.
    open : a beat was taken of a vector that has not left to the end.
    mismatch : a pulse, the operands of a vector were found to differ in length.
    """

    def __init__(self, operand_bits: int):
        super().__init__(
            {
                "a": In(packet_stream(operand_bits)),
                "b": In(packet_stream(operand_bits)),
                "advance": In(1),
                "offer": Out(1),
                "take": Out(1),
                "a_data": Out(operand_bits),
                "b_data": Out(operand_bits),
                "last": Out(1),
                "padding": Out(1),
                "open": Out(1),
                "mismatch": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        operands = []
        for name, port, held in (("a", self.a, self.a_data), ("b", self.b, self.b_data)):
            buffer = Signal(port.payload.shape(), name=f"{name}_buffer", reset_less=True)
            full = Signal(name=f"{name}_full")
            ended = Signal(name=f"{name}_ended")  # its packet has ended, the other operand's goes on
            m.d.comb += [port.ready.eq(~full | (self.take & ~ended)), held.eq(buffer.data)]
            with m.If(port.ready):
                m.d.sync += [full.eq(port.valid), buffer.eq(port.payload)]
            operands.append((buffer, full, ended))
        (a, a_full, a_ended), (b, b_full, b_ended) = operands

        a_ends, b_ends = a_ended | a.last, b_ended | b.last
        m.d.comb += [
            self.offer.eq((a_full | a_ended) & (b_full | b_ended)),
            self.take.eq(self.advance & self.offer),
            self.last.eq(a_ends & b_ends),
            self.padding.eq(a_ended | b_ended),
        ]
        inside = Signal()  # between the first and the last pair of a vector
        m.d.comb += self.open.eq(inside | a_full | b_full)
        m.d.sync += self.mismatch.eq(self.take & ~self.padding & (a.last ^ b.last))
        with m.If(self.take):
            m.d.sync += [inside.eq(~self.last), a_ended.eq(a_ends & ~b_ends), b_ended.eq(b_ends & ~a_ends)]
        return m
