"""Windows as they come in: two are kept, one of them to be worked on."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.common.arithmetic import wire
from hdl.common.axi import packet_stream
from hdl.common.ram import Ram


class WindowBuffer(wiring.Component):
    """A memory of two halves: a window comes into one while that in the other is read.

    Parameters
    ----------
    samples : of a window
    code_bits : of a sample
    note_bits : of what is noted of a window

    Members
    -------
    window : In(packet_stream(code_bits))
        A packet of another length than `samples` is dropped.
    accept : complete windows are kept; else refused
    taken, ends : a code is taken, the last of a packet
    note : with that one: what is noted
    full : a window waits, or is read
    noted : of that one
    release : it was read
    index, code : a sample, a cycle after its number
    dropped, refused : pulses
    """

    def __init__(self, samples: int, code_bits: int, note_bits: int):
        self._samples, self._code_bits = samples, code_bits
        super().__init__(
            {
                "window": In(packet_stream(code_bits)),
                "accept": In(1),
                "taken": Out(1),
                "ends": Out(1),
                "note": In(note_bits),
                "full": Out(1),
                "noted": Out(note_bits),
                "release": In(1),
                "index": In(range(samples)),
                "code": Out(signed(code_bits)),
                "dropped": Out(1),
                "refused": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        samples = self._samples
        index_bits = len(self.index)
        m.submodules.halves = halves = Ram(self._code_bits, 2 << index_bits)
        filled, read = Signal(), Signal()  # the half that is filled, and the one that is read
        full = Signal(2)
        notes = [Signal.like(self.note, name=f"note_{half}", reset_less=True) for half in range(2)]
        place, too_long = Signal(range(samples)), Signal()

        at_end = wire(m, place == samples - 1, "at_end")
        complete = wire(m, self.ends & at_end & ~too_long, "complete")
        kept = wire(m, complete & self.accept, "kept")
        m.d.comb += [
            self.window.ready.eq(~full.bit_select(filled, 1)),
            self.taken.eq(self.window.valid & self.window.ready),
            self.ends.eq(self.taken & self.window.payload.last),
            halves.write.eq(self.taken),
            halves.write_address.eq(Cat(place, filled)),
            halves.write_data.eq(self.window.payload.data),
            halves.read_address.eq(Cat(self.index, read)),
            self.code.eq(halves.read_data),
            self.full.eq(full.bit_select(read, 1)),
            self.noted.eq(Mux(read, notes[1], notes[0])),
            self.dropped.eq(self.ends & ~complete),
            self.refused.eq(complete & ~self.accept),
        ]
        with m.If(self.taken):
            m.d.sync += [
                place.eq(Mux(self.ends, 0, Mux(at_end, place, place + 1))),
                too_long.eq(~self.ends & at_end),
            ]
        with m.If(kept):
            m.d.sync += [full.bit_select(filled, 1).eq(1), filled.eq(~filled)]
            for half, note in enumerate(notes):
                with m.If(filled == half):
                    m.d.sync += note.eq(self.note)
        with m.If(self.release):
            m.d.sync += [full.bit_select(read, 1).eq(0), read.eq(~read)]
        return m
