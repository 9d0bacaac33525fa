"""Commands to read or write become AXI4 bursts."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.common.arithmetic import wire

MOST_BEATS_LOG2 = 8
"""Of an AXI4 burst of kind INCR."""

BOUNDARY_BYTES_LOG2 = 12
"""No burst goes over a multiple of 4 KiB."""


def burst_layout(command: data.StructLayout) -> data.StructLayout:
    """A burst: the address in memory words, and beats less one."""
    return data.StructLayout({"address": command["address"].shape, "beats": MOST_BEATS_LOG2})


class Bursts(wiring.Component):
    """Cuts commands into bursts, each as long as AXI4 allows: 256 beats, none over a 4 KiB boundary.

    Latency: 2 cycles. Throughput: a burst a cycle.

    Parameters
    ----------
    layout : of a command: `address` in memory words, and `words` less one
    bus_bytes : of a memory word

    Members
    -------
    i : the commands
    o : the bursts
    """

    def __init__(self, layout: data.StructLayout, bus_bytes: int):
        self._in_page = BOUNDARY_BYTES_LOG2 - (bus_bytes.bit_length() - 1)
        super().__init__({"i": In(stream.Signature(layout)), "o": Out(stream.Signature(burst_layout(layout)))})

    def elaborate(self, platform):
        m = Module()
        address = Signal.like(self.i.payload.address, reset_less=True)
        words = Signal.like(self.i.payload.words, reset_less=True)
        busy = Signal()

        # Up to the end of the page or of the command, whichever is nearer, but no more than a burst can have.
        page_left = ~address[: self._in_page]
        beyond = wire(m, page_left < words, "beyond")
        beats = wire(m, Mux(beyond, self._at_most(page_left), self._at_most(words)), "beats")
        final = wire(m, ~beyond & (words < 1 << MOST_BEATS_LOG2), "final")
        advance = wire(m, busy & (~self.o.valid | self.o.ready), "advance")
        m.d.comb += self.i.ready.eq(~busy | (advance & final))
        with m.If(advance):
            m.d.sync += [address.eq(address + beats + 1), words.eq(words - beats - 1), busy.eq(~final)]
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += [address.eq(self.i.payload.address), words.eq(self.i.payload.words), busy.eq(1)]
        with m.If(advance):
            m.d.sync += [self.o.valid.eq(1), self.o.payload.address.eq(address), self.o.payload.beats.eq(beats)]
        with m.Elif(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        return m

    @staticmethod
    def _at_most(value):
        """The value, or the largest number of beats less one."""
        bits = MOST_BEATS_LOG2
        if len(value) <= bits:
            return Cat(value, Const(0, bits - len(value)))
        return value[:bits] | value[bits:].any().replicate(bits)
