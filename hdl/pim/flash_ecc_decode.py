"""A page's code, then the page, become the repaired page."""

from __future__ import annotations

from functools import reduce
from operator import xor

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from hdl.common.arithmetic import wire
from hdl.common.axi import packet_stream
from hdl.pim.flash_ecc_config import FlashEccConfig


def check_of(config: FlashEccConfig, address):
    """Hamming bits of an address: for each the exclusive or of the bits in whose numbers it is."""
    numbers = config.address_positions
    return Cat(
        reduce(xor, (address[bit] for bit, number in enumerate(numbers) if number >> place & 1))
        for place in range(config.check_bits)
    )


class FlashEccDecode(wiring.Component):
    """First the code: its threshold by majority, its entries into a memory, those that count. Then the page, a byte a
    cycle: where the next entry's address is reached, the majority of the byte and the entry's copies, else the byte, or
    0 if its magnitude is above the threshold.

    Members
    -------
    d : In(stream.Signature(8))
    q : Out(packet_stream(8))
    corrected, dropped, repaired, zeroed : Out(1)
        Pulses: an address of which a bit was wrong; an entry that does not count, as its address has more wrong bits or
        is not above that of the last one that does; a protected weight that was wrong; a weight that became 0.
    page_done : Out(1)
        A pulse: the page's last byte was taken.
    active : Out(1)
    """

    def __init__(self, config: FlashEccConfig):
        self._config = config
        names = ("corrected", "dropped", "repaired", "zeroed", "page_done", "active")
        super().__init__({"d": In(stream.Signature(8)), "q": Out(packet_stream(8))} | {name: Out(1) for name in names})

    def elaborate(self, platform):
        m = Module()
        config = self._config
        address_bits = config.address_bits
        m.submodules.entries = entries = Memory(shape=address_bits + 16, depth=config.protected, init=[])
        read, write = entries.read_port(), entries.write_port()

        self._step = Signal()  # a byte of the page is taken
        threshold = Signal(8)
        taken = Signal(range(config.page_bytes))
        filled, used = Signal(range(config.protected + 1)), Signal(range(config.protected + 1))
        with m.FSM() as fsm:
            with m.State("threshold"):
                m.d.comb += self.d.ready.eq(1)
                self._threshold(m, threshold, taken)
                m.d.sync += [filled.eq(0), used.eq(0)]
            with m.State("entries"):
                self._entries(m, taken, filled, write)
            with m.State("fetch"):  # the first entry
                m.next = "page"
            with m.State("page"):
                self._page(m, threshold, taken, filled, used, read)
        with m.If(self.q.ready):
            m.d.sync += self.q.valid.eq(0)
        with m.If(self._step):
            m.d.sync += self.q.valid.eq(1)
        m.d.comb += self.active.eq(~fsm.ongoing("threshold") | taken.any() | self.q.valid)
        return m

    def _threshold(self, m, threshold, taken):
        """The majority of its copies, bit by bit."""
        copies = self._config.threshold_copies
        ones = [Signal(range(copies + 1), name=f"ones_{bit}") for bit in range(8)]
        with m.If(self.d.valid):
            m.d.sync += taken.eq(taken + 1)
            for bit, count in enumerate(ones):
                total = wire(m, count + self.d.payload[bit], f"total_{bit}")
                m.d.sync += count.eq(total)
                with m.If(taken == copies - 1):
                    m.d.sync += [count.eq(0), threshold[bit].eq(total > copies // 2)]
            with m.If(taken == copies - 1):
                m.d.sync += taken.eq(0)
                m.next = "entries"

    def _entries(self, m, taken, filled, write):
        """Bits are gathered until an entry is whole; then it takes a cycle, in which no byte is taken."""
        config = self._config
        width, address_bits, check_bits = config.entry_bits, config.address_bits, config.check_bits
        gathered, count = Signal(width + 7), Signal(range(width + 8))
        newest, seen = Signal(address_bits), Signal()
        left = Signal(range(config.protected + 1), init=config.protected)
        whole = wire(m, count >= width, "whole")
        stored = wire(m, gathered[:address_bits], "stored")
        wrong = wire(m, check_of(config, stored) ^ gathered[address_bits : address_bits + check_bits], "wrong")
        flips = Cat(wrong == number for number in config.address_positions)
        address = wire(m, stored ^ flips, "address")
        known = wire(m, flips.any() | ~(wrong & (wrong - 1)[:check_bits]).any(), "known")
        counts = wire(m, known & (~seen | (address > newest)), "counts")
        m.d.comb += [
            self.d.ready.eq(~whole),
            write.addr.eq(filled),
            write.data.eq(Cat(address, gathered[address_bits + check_bits : width])),
            write.en.eq(whole & counts),
            self.corrected.eq(whole & known & wrong.any()),
            self.dropped.eq(whole & ~counts),
        ]
        with m.If(whole):
            m.d.sync += [gathered.eq(gathered >> width), count.eq(count - width), left.eq(left - 1)]
            with m.If(counts):
                m.d.sync += [filled.eq(filled + 1), newest.eq(address), seen.eq(1)]
            with m.If(left == 1):
                m.d.sync += [left.eq(config.protected), gathered.eq(0), count.eq(0), seen.eq(0), taken.eq(0)]
                m.next = "fetch"
        with m.Elif(self.d.valid):
            m.d.sync += [gathered.eq(gathered | (self.d.payload << count)), count.eq(count + 8)]

    def _page(self, m, threshold, taken, filled, used, read):
        config = self._config
        address, first, second = (
            read.data[: config.address_bits],
            read.data[config.address_bits :][:8],
            read.data[config.address_bits + 8 :],
        )
        byte = self.d.payload
        moves, step = Signal(), self._step
        meets = wire(m, (used != filled) & (address == taken), "meets")
        majority = wire(m, (byte & first) | (byte & second) | (first & second), "majority")
        magnitude = wire(m, Mux(byte[7], (~byte + 1)[:8], byte), "magnitude")
        outlier = wire(m, magnitude > threshold, "outlier")
        m.d.comb += [
            moves.eq(self.q.ready | ~self.q.valid),
            self.d.ready.eq(moves),
            step.eq(moves & self.d.valid),
            # The entry after the one that is met is there in the next cycle.
            read.addr.eq(Mux(step & meets, used + 1, used)),
            self.repaired.eq(step & meets & (majority != byte)),
            self.zeroed.eq(step & ~meets & outlier),
            self.page_done.eq(step & taken.all()),
        ]
        with m.If(step):
            m.d.sync += [
                self.q.payload.data.eq(Mux(meets, majority, Mux(outlier, 0, byte))),
                self.q.payload.last.eq(taken.all()),
                taken.eq(taken + 1),
                used.eq(used + meets),
            ]
            with m.If(taken.all()):
                m.next = "threshold"
