"""A channel's data: beats to columns and words that commands take, answers to beats."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from hdl.common.arithmetic import delayed, wire
from hdl.common.axi import packet, packet_stream
from hdl.common.stream import Downsizer, Fifo, RegisterSlice
from hdl.pim.channel_config import ChannelConfig


class Window(wiring.Component):
    """The next beats of a stream, so that one can be taken or all together.

    Throughput: a beat a cycle. What was taken is gone in the next cycle.

    Parameters
    ----------
    width, beats : of a beat in bits, and how many it holds

    Members
    -------
    i : In(stream.Signature(width))
    beats : Out(width * beats)
        The first in the least significant bits.
    some, all : Out(1)
        Whether there is one, and whether it is full.
    take_one, take_all : In(1)
    """

    def __init__(self, width: int, beats: int):
        self._width, self._count = width, beats
        super().__init__(
            {
                "i": In(stream.Signature(width)),
                "beats": Out(width * beats),
                "some": Out(1),
                "all": Out(1),
                "take_one": In(1),
                "take_all": In(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        places = [Signal(self._width, name=f"place_{place}", reset_less=True) for place in range(self._count)]
        full = Signal(self._count)
        m.d.comb += [self.beats.eq(Cat(places)), self.some.eq(full[0]), self.all.eq(full[-1])]
        m.d.comb += self.i.ready.eq(~full[-1] | self.take_one | self.take_all)
        taken = wire(m, self.i.valid & self.i.ready, "taken")
        left = wire(m, Mux(self.take_all, 0, Mux(self.take_one, full >> 1, full)), "left")
        m.d.sync += full.eq(Mux(taken, left << 1 | 1, left))
        for place, held in enumerate(places):
            above = places[place + 1] if place + 1 < self._count else held
            # The first place that is empty gets the new beat.
            first_free = ~left[place] & (left[place - 1] if place else 1)
            with m.If(taken & first_free):
                m.d.sync += held.eq(self.i.payload)
            with m.Elif(self.take_one):
                m.d.sync += held.eq(above)
        return m


class Answers(wiring.Component):
    """What a device answers, as packets; it cannot be stopped, so a command is issued only where there is room.

    Parameters
    ----------
    width, beat_bits : of an answer and of a beat; an answer is as many beats as it needs
    latency_cycles : from the command at the device's port to its answer

    Members
    -------
    asks, last : In(1)
        A command that will be answered is at the device's port; its last beat ends a packet.
    issues : In(1)
        The same, a cycle before.
    valid, answer : In
        From the device.
    room : Out(1)
        Whether one more may be issued.
    o : Out(packet_stream(beat_bits))
    """

    def __init__(self, width: int, beat_bits: int, latency_cycles: int):
        self._width, self._beat_bits, self._latency = width, beat_bits, latency_cycles
        super().__init__(
            {
                "asks": In(1),
                "last": In(1),
                "issues": In(1),
                "valid": In(1),
                "answer": In(width),
                "room": Out(1),
                "o": Out(packet_stream(beat_bits)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        beats = -(-self._width // self._beat_bits)
        wide = packet(beats * self._beat_bits)
        # As many as are under way when one comes in each cycle in which its beats can leave.
        depth = -(-(self._latency + 1) // beats) + 8
        m.submodules.queue = queue = Fifo(wide, depth)
        m.submodules.exit = out = RegisterSlice(self.o.payload.shape())
        under_way = Signal(range(depth + 1))
        leaves = wire(m, queue.o.valid & queue.o.ready, "leaves")
        with m.If(self.issues != leaves):
            m.d.sync += under_way.eq(Mux(leaves, under_way - 1, under_way + 1))
        m.d.comb += [
            self.room.eq(under_way != depth),
            queue.i.valid.eq(self.valid),
            queue.i.payload.data.eq(Cat(self.answer, Const(0, beats * self._beat_bits - self._width))),
            queue.i.payload.last.eq(delayed(m, self.asks & self.last, self._latency, "last")),
        ]
        if beats == 1:
            connect(m, queue.o, out.i)
        else:
            m.submodules.cut = cut = Downsizer(beats * self._beat_bits // 8, self._beat_bits // 8)
            connect(m, queue.o, cut.i)
            connect(m, cut.o, out.i)
        connect(m, out.o, flipped(self.o))
        return m


def device_data(m: Module, config: ChannelConfig, write: Value, window: Window, is_write: Value) -> tuple[Value, Value]:
    """The column and the word of biases that come with a command, a cycle after it is issued."""
    data = Signal(config.column_bits, name="command_data", reset_less=True)
    bias = Signal(config.bias_bits, name="command_bias", reset_less=True)
    m.d.sync += [data.eq(Mux(is_write, write, window.beats[: config.column_bits])), bias.eq(window.beats)]
    return data, bias
