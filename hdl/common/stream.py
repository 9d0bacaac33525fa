"""Pieces that stand between streams: register slice, queue, width converters.

All of them are full handshakes, keep the order of what passes, lose and repeat nothing under any stalls, and have
no combinational path from any input to any output: each can stand at a block's edge and cuts both ways' timing.
Reset empties them; the payload registers themselves are not reset.
"""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, ShapeLike, Signal, Value
from amaranth.lib import fifo, stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.common.axi import packet_stream


class RegisterSlice(wiring.Component):
    """Registers a stream in both directions (a skid buffer of two entries).

    Latency: 1 cycle, from a beat's handshake at `i` to the first cycle that offers it at `o`.

    Throughput: 1 beat a cycle.

    Parameters
    ----------
    shape : ShapeLike
        Payload of both streams.

    Members
    -------
    i : In(stream.Signature(shape))
    o : Out(stream.Signature(shape))
    """

    def __init__(self, shape: ShapeLike):
        super().__init__({"i": In(stream.Signature(shape)), "o": Out(stream.Signature(shape))})

    def elaborate(self, platform):
        m = Module()
        given = Value.cast(self.o.payload)
        taken = Value.cast(self.i.payload)
        out = Signal(len(given), reset_less=True)
        skid = Signal(len(given), reset_less=True)
        skid_full = Signal()

        m.d.comb += [self.i.ready.eq(~skid_full), given.eq(out)]
        with m.If(~skid_full):
            m.d.sync += skid.eq(taken)
        with m.If(self.o.ready | ~self.o.valid):
            m.d.sync += [
                out.eq(Mux(skid_full, skid, taken)),
                self.o.valid.eq(self.i.valid | skid_full),
                skid_full.eq(0),
            ]
        with m.Elif(self.i.valid):
            m.d.sync += skid_full.eq(1)
        return m


class Fifo(wiring.Component):
    """A queue in block RAM with stream interfaces.

    Latency: 2 cycles, from a beat's handshake at `i` to the first cycle that offers it at `o`.

    Throughput: 1 beat a cycle.

    Parameters
    ----------
    shape : ShapeLike
        Payload of both streams.
    depth : int
        Beats that it holds, at least 3. One of them sits in the output register of the RAM, so a depth of
        2**k + 1 fills a RAM of 2**k entries.

    Members
    -------
    i : In(stream.Signature(shape))
    o : Out(stream.Signature(shape))
    level : Out(range(depth + 1))
        Beats held.

    Raises
    ------
    ValueError
        If `depth` is less than 3.
    """

    def __init__(self, shape: ShapeLike, depth: int):
        if depth < 3:
            raise ValueError(f"depth must be at least 3, not {depth}")
        self._depth = depth
        super().__init__(
            {
                "i": In(stream.Signature(shape)),
                "o": Out(stream.Signature(shape)),
                "level": Out(range(depth + 1)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        given = Value.cast(self.o.payload)
        m.submodules.queue = queue = fifo.SyncFIFOBuffered(width=len(given), depth=self._depth)
        m.d.comb += [
            queue.w_data.eq(Value.cast(self.i.payload)),
            queue.w_en.eq(self.i.valid),
            self.i.ready.eq(queue.w_rdy),
            given.eq(queue.r_data),
            self.o.valid.eq(queue.r_rdy),
            queue.r_en.eq(self.o.ready),
            self.level.eq(queue.level),
        ]
        return m


class Upsizer(wiring.Component):
    """Gathers narrow beats of a packet into wide ones; the first narrow beat goes to the least significant bytes.

    A packet that ends in the middle of a wide beat leaves the rest of that beat zero.

    Latency: 2 cycles, from the handshake of the narrow beat that completes a wide beat, or ends the packet, to the
    first cycle that offers the wide beat.

    Throughput: 1 narrow beat a cycle, as long as `o` is ready and packets fill two narrow beats or more; a packet of
    a single narrow beat costs 2 cycles.

    Parameters
    ----------
    from_bytes, to_bytes : int
        Bytes of a beat at `i` and at `o`; `to_bytes` is a multiple of `from_bytes`, at least twice it.

    Members
    -------
    i : In(packet_stream(8 * from_bytes))
    o : Out(packet_stream(8 * to_bytes))

    Raises
    ------
    ValueError
        If `to_bytes` is not such a multiple.
    """

    def __init__(self, from_bytes: int, to_bytes: int):
        self._ratio = _ratio("to_bytes", to_bytes, "from_bytes", from_bytes)
        super().__init__({"i": In(packet_stream(8 * from_bytes)), "o": Out(packet_stream(8 * to_bytes))})

    def elaborate(self, platform):
        m = Module()
        narrow_bits = len(self.i.payload.data)
        parts = [Signal(narrow_bits, name=f"part_{index}", reset_less=True) for index in range(self._ratio)]
        last = Signal(reset_less=True)
        position = Signal(range(self._ratio))
        full = Signal()

        # The gathered beat leaves as soon as the output register is empty, and in that cycle the next one may begin.
        leave = Signal()
        m.d.comb += [leave.eq(full & ~self.o.valid), self.i.ready.eq(~full | ~self.o.valid)]
        with m.If(self.o.valid & self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        with m.If(leave):
            m.d.sync += [self.o.payload.data.eq(Cat(*parts)), self.o.payload.last.eq(last)]
            m.d.sync += [self.o.valid.eq(1), full.eq(0)]

        with m.If(self.i.valid & self.i.ready):
            with m.Switch(position):
                for index, part in enumerate(parts):
                    with m.Case(index):
                        m.d.sync += part.eq(self.i.payload.data)
                        # Each clears what lies above it, so a packet may end anywhere.
                        m.d.sync += [above.eq(0) for above in parts[index + 1 :]]
            ends = self.i.payload.last | (position == self._ratio - 1)
            m.d.sync += [last.eq(self.i.payload.last), position.eq(Mux(ends, 0, position + 1)), full.eq(ends)]
        return m


class Downsizer(wiring.Component):
    """Cuts wide beats into narrow ones, least significant bytes first; `last` comes with the last narrow beat of a
    wide beat that had it.

    Latency: 2 cycles, from a wide beat's handshake to the first cycle that offers its first narrow beat.

    Throughput: 1 narrow beat a cycle.

    Parameters
    ----------
    from_bytes, to_bytes : int
        Bytes of a beat at `i` and at `o`; `from_bytes` is a multiple of `to_bytes`, at least twice it.

    Members
    -------
    i : In(packet_stream(8 * from_bytes))
    o : Out(packet_stream(8 * to_bytes))

    Raises
    ------
    ValueError
        If `from_bytes` is not such a multiple.
    """

    def __init__(self, from_bytes: int, to_bytes: int):
        self._ratio = _ratio("from_bytes", from_bytes, "to_bytes", to_bytes)
        super().__init__({"i": In(packet_stream(8 * from_bytes)), "o": Out(packet_stream(8 * to_bytes))})

    def elaborate(self, platform):
        m = Module()
        wide_bits, narrow_bits = len(self.i.payload.data), len(self.o.payload.data)
        held = Signal(wide_bits, reset_less=True)
        held_last = Signal(reset_less=True)
        held_full = Signal()
        shift = Signal(wide_bits, reset_less=True)
        shift_last = Signal(reset_less=True)
        position = Signal(range(self._ratio))
        final = position == self._ratio - 1

        m.d.comb += [
            self.i.ready.eq(~held_full),
            self.o.payload.data.eq(shift[:narrow_bits]),
            self.o.payload.last.eq(shift_last & final),
        ]
        with m.If(~held_full):
            m.d.sync += [held.eq(self.i.payload.data), held_last.eq(self.i.payload.last), held_full.eq(self.i.valid)]

        with m.If(~self.o.valid | (self.o.ready & final)):
            m.d.sync += [shift.eq(held), shift_last.eq(held_last), self.o.valid.eq(held_full), position.eq(0)]
            with m.If(held_full):
                m.d.sync += held_full.eq(0)
        with m.Elif(self.o.ready):
            m.d.sync += [shift.eq(shift >> narrow_bits), position.eq(position + 1)]
        return m


def _ratio(wide_name: str, wide_bytes: int, narrow_name: str, narrow_bytes: int) -> int:
    if narrow_bytes < 1 or wide_bytes % narrow_bytes or wide_bytes < 2 * narrow_bytes:
        raise ValueError(
            f"{wide_name} must be a multiple of {narrow_name}, twice it or more, not {wide_bytes} to {narrow_bytes}"
        )
    return wide_bytes // narrow_bytes
