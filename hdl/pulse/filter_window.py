"""Windows as they come in: two are kept, one of them to be fitted."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.common.arithmetic import wire
from hdl.common.axi import packet_stream
from hdl.common.ram import Ram
from hdl.pulse.config import FilterConfig


class WindowBuffer(wiring.Component):
    """A memory of two halves: a window comes into one while that in the other is read.

    Members
    -------
    window : In(packet_stream(16))
        A packet of another length than the config's samples is dropped.
    code_least, code_most : codes that count as saturated
    full : a window waits, or is read
    saturated : it has such a code
    release : it was read
    index, code : a sample, a cycle after its number
    dropped : a pulse
    """

    def __init__(self, config: FilterConfig):
        self._config = config
        code = signed(config.code_bits)
        super().__init__(
            {
                "window": In(packet_stream(config.code_bits)),
                "code_least": In(code),
                "code_most": In(code),
                "full": Out(1),
                "saturated": Out(1),
                "release": In(1),
                "index": In(range(config.samples)),
                "code": Out(code),
                "dropped": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        samples = self._config.samples
        index_bits = len(self.index)
        m.submodules.halves = halves = Ram(self._config.code_bits, 2 << index_bits)
        filled, read = Signal(), Signal()  # the half that is filled, and the one that is read
        full, saturated = Signal(2), Signal(2)
        place, too_long, beyond = Signal(range(samples)), Signal(), Signal()

        code = wire(m, self.window.payload.data.as_signed(), "given_code")
        taken = wire(m, self.window.valid & self.window.ready, "taken")
        ends = wire(m, taken & self.window.payload.last, "ends")
        at_end = wire(m, place == samples - 1, "at_end")
        complete = wire(m, ends & at_end & ~too_long, "complete")
        beyond_now = wire(m, beyond | (code <= self.code_least) | (code >= self.code_most), "beyond_now")
        m.d.comb += [
            self.window.ready.eq(~full.bit_select(filled, 1)),
            halves.write.eq(taken),
            halves.write_address.eq(Cat(place, filled)),
            halves.write_data.eq(code),
            halves.read_address.eq(Cat(self.index, read)),
            self.code.eq(halves.read_data),
            self.full.eq(full.bit_select(read, 1)),
            self.saturated.eq(saturated.bit_select(read, 1)),
            self.dropped.eq(ends & ~complete),
        ]
        with m.If(taken):
            m.d.sync += [
                place.eq(Mux(ends, 0, Mux(at_end, place, place + 1))),
                too_long.eq(~ends & at_end),
                beyond.eq(~ends & beyond_now),
            ]
        with m.If(complete):
            m.d.sync += [
                full.bit_select(filled, 1).eq(1),
                saturated.bit_select(filled, 1).eq(beyond_now),
                filled.eq(~filled),
            ]
        with m.If(self.release):
            m.d.sync += [full.bit_select(read, 1).eq(0), read.eq(~read)]
        return m
