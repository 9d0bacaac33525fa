"""A page becomes its code."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from hdl.common.arithmetic import wire
from hdl.common.axi import packet_stream
from hdl.pim.flash_ecc_config import FlashEccConfig
from hdl.pim.flash_ecc_decode import check_of


class FlashEccEncode(wiring.Component):
    """The page is kept; eight times it is gone through to find the threshold, a bit at a time from the highest on, and
    once more to give the entries.

    The threshold is the least magnitude that at most `protected` weights exceed. Protected are those above it, and of
    those at it the first ones, so that they are `protected` in all.

    Members
    -------
    d : In(stream.Signature(8))
    q : Out(packet_stream(8))
    page_done : Out(1)
        A pulse: the page's last byte was taken.
    active : Out(1)
    """

    def __init__(self, config: FlashEccConfig):
        self._config = config
        super().__init__(
            {"d": In(stream.Signature(8)), "q": Out(packet_stream(8)), "page_done": Out(1), "active": Out(1)}
        )

    def elaborate(self, platform):
        m = Module()
        config = self._config
        m.submodules.page = page = Memory(shape=8, depth=config.page_bytes, init=[])
        read, write = page.read_port(), page.write_port()
        place = Signal(range(config.page_bytes + 1))
        threshold, spare = Signal(8), Signal(range(config.protected + 1))
        gathered, bits = Signal(config.entry_bits + 7), Signal(range(config.entry_bits + 8))
        given = Signal(range(config.code_bytes))
        free = wire(m, self.q.ready | ~self.q.valid, "free")
        magnitude = wire(m, Mux(read.data[7], (~read.data + 1)[:8], read.data), "magnitude")
        m.d.comb += [write.addr.eq(place), write.data.eq(self.d.payload), read.addr.eq(place)]
        with m.If(self.q.ready):
            m.d.sync += self.q.valid.eq(0)

        def offer(byte):
            """The next byte of the code, in a cycle with `free` set."""
            m.d.sync += [
                self.q.valid.eq(1),
                self.q.payload.data.eq(byte),
                self.q.payload.last.eq(given == config.code_bytes - 1),
                given.eq(given + 1),
            ]

        with m.FSM() as fsm:
            with m.State("take"):
                m.d.comb += [self.d.ready.eq(1), write.en.eq(self.d.valid)]
                m.d.sync += [threshold.eq(0), given.eq(0), gathered.eq(0), bits.eq(0)]
                with m.If(self.d.valid):
                    m.d.sync += place.eq(place + 1)
                    with m.If(place == config.page_bytes - 1):
                        m.d.comb += self.page_done.eq(1)
                        m.d.sync += place.eq(0)
                        m.next = "search"
            with m.State("search"):
                self._search(m, place, magnitude, threshold, spare)
            with m.State("threshold"), m.If(free):
                offer(threshold)
                with m.If(given == config.threshold_copies - 1):
                    m.next = "look"
            with m.State("look"):
                m.next = "test"
            with m.State("test"):
                self._test(m, place, magnitude, threshold, spare, gathered, bits, read.data)
            with m.State("give"):
                final = wire(m, given == config.code_bytes - 1, "final")
                with m.If((bits < 8) & ~(final & bits.any())):
                    m.next = "look"
                with m.Elif(free):
                    offer(gathered[:8])
                    m.d.sync += [gathered.eq(gathered >> 8), bits.eq(Mux(bits < 8, 0, bits - 8))]
                    with m.If(final):
                        m.d.sync += place.eq(0)
                        m.next = "take"
        m.d.comb += self.active.eq(~fsm.ongoing("take") | place.any() | self.q.valid)
        return m

    def _test(self, m, place, magnitude, threshold, spare, gathered, bits, weight):
        """Whether the weight at `place`, which the memory gives, is protected: its entry, then."""
        config = self._config
        above, at = magnitude > threshold, (magnitude == threshold) & spare.any()
        address = place[: config.address_bits]
        entry = Cat(address, check_of(config, address), weight, weight)
        m.d.sync += place.eq(place + 1)
        m.next = "look"
        with m.If(above | at):
            m.d.sync += [gathered.eq(gathered | (entry << bits)), bits.eq(bits + config.entry_bits)]
            m.next = "give"
        with m.If(~above & at):
            m.d.sync += spare.eq(spare - 1)

    def _search(self, m, place, magnitude, threshold, spare):
        """Of each bit of the threshold, from the highest on: it is set if too many weights exceed the largest threshold
        that has it clear."""
        config = self._config
        bit, seen = Signal(8, init=1 << 7), Signal()
        exceed = Signal(range(config.page_bytes + 1))
        trial = wire(m, threshold | (bit - 1)[:8], "trial")
        reading = wire(m, ~place[-1], "reading")
        m.d.sync += seen.eq(reading)
        with m.If(reading):
            m.d.sync += place.eq(place + 1)
        with m.If(seen & (magnitude > trial)):
            m.d.sync += exceed.eq(exceed + 1)
        with m.If(~reading & ~seen):
            m.d.sync += [place.eq(0), exceed.eq(0), bit.eq(bit >> 1)]
            with m.If(exceed > config.protected):
                m.d.sync += threshold.eq(threshold | bit)
            with m.Else():
                m.d.sync += spare.eq(config.protected - exceed)  # the last of these was the threshold itself
            with m.If(bit[0]):
                m.d.sync += bit.eq(1 << 7)
                m.next = "threshold"
