"""Memory that holds the firmware, on Wishbone."""

from __future__ import annotations

from amaranth.hdl import Module, Signal, unsigned
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In

from hdl.common.wishbone import WishboneSignature
from hdl.soc.config import WORD_BYTES, ProcessorConfig


class FirmwareMemory(wiring.Component):
    """Words of which the first are the firmware's, which no write changes: a processor that went astray finds them
    whole after its reset.

    Latency: `ack`, or `err` for a write to the firmware or an address beyond, one cycle after `stb`.

    Members
    -------
    wb : In(WishboneSignature(32))
    """

    def __init__(self, config: ProcessorConfig):
        self._config = config
        super().__init__({"wb": In(WishboneSignature(32))})

    def elaborate(self, platform):
        m = Module()
        wb, image = self.wb, self._config.image
        depth = self._config.ram_bytes // WORD_BYTES
        m.submodules.words = words = memory.Memory(shape=unsigned(32), depth=depth, init=image)
        write, read = words.write_port(granularity=8), words.read_port()
        place, beyond = wb.adr[2 : 2 + (depth - 1).bit_length()], wb.adr[2 + (depth - 1).bit_length() :].any()
        answered, refused = Signal(), Signal()
        asked = wb.cyc & wb.stb & ~answered
        wrong = beyond | (wb.we & (place < len(image)))
        m.d.comb += [
            read.addr.eq(place),
            write.addr.eq(place),
            write.data.eq(wb.dat_w),
            write.en.eq(wb.sel & (asked & wb.we & ~wrong).replicate(WORD_BYTES)),
            wb.dat_r.eq(read.data),
            wb.ack.eq(answered & ~refused),
            wb.err.eq(answered & refused),
        ]
        m.d.sync += [answered.eq(asked), refused.eq(wrong)]
        return m
