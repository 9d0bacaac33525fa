"""Data between the vector unit and a channel: beats of the one to beats of the other, and room for them."""

from __future__ import annotations

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from hdl.common.axi import packet, packet_stream
from hdl.common.stream import Downsizer, Fifo, Upsizer


class Link(wiring.Component):
    """A stream of packets that becomes wider, narrower or neither, with a queue on the channel's side.

    Wider: beats are gathered, the first in the least significant bits; one that ends a packet ends the gathered beat,
    too, whose rest is zero. Narrower: beats are cut, least significant bits first.

    Throughput: a beat of the narrower side a cycle.

    Parameters
    ----------
    from_bits, to_bits : of a beat at `i` and at `o`; one is a multiple of the other
    depth : int
        Beats that the queue holds.
    queue_first : bool
        Whether the queue is before the converter, or behind it.

    Members
    -------
    i : In(packet_stream(from_bits))
    o : Out(packet_stream(to_bits))
    """

    def __init__(self, from_bits: int, to_bits: int, depth: int, *, queue_first: bool):
        self._from, self._to, self._depth, self._queue_first = from_bits, to_bits, depth, queue_first
        super().__init__({"i": In(packet_stream(from_bits)), "o": Out(packet_stream(to_bits))})

    def elaborate(self, platform):
        m = Module()
        queue = Fifo(packet(self._from if self._queue_first else self._to), self._depth + 1)
        pieces = [("queue", queue)]
        if self._from != self._to:
            converter = (Upsizer if self._from < self._to else Downsizer)(self._from // 8, self._to // 8)
            pieces.insert(len(pieces) if self._queue_first else 0, ("converter", converter))
        given = flipped(self.i)
        for name, piece in pieces:
            m.submodules[name] = piece
            connect(m, given, piece.i)
            given = piece.o
        connect(m, given, flipped(self.o))
        return m
