"""Results become memory words, and AXI4 bursts that write them."""

from __future__ import annotations

from functools import reduce
from operator import or_

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.common.arithmetic import wire
from hdl.common.axi import packet
from hdl.common.bursts import BOUNDARY_BYTES_LOG2, Bursts, burst_layout
from hdl.simd.config import MatmulConfig
from hdl.simd.matmul_chunks import log2, word_address_bits
from hdl.simd.matmul_drain import result_layout
from hdl.simd.matmul_job import COUNT_BITS, job_signature, slot_nibbles_log2
from hdl.simd.matmul_panels import INDEX_BITS, Panels, RowAddresses
from hdl.simd.modes import STATUS

NIBBLE_BITS = 4
PENDING_BITS = 6
"""Of the number of bursts that are not answered."""

ROW = data.StructLayout({"address": 32, "exists": 1, "last_index": INDEX_BITS, "ends_job": 1})
"""A row of a tile: its first result's byte address; whether C has such a row; its last column that C has, counted from
the tile's first; whether it is the job's last."""


def slot_case(config: MatmulConfig, slot, values):
    """Of four values the one at `slot`, a result's size; those of sizes that no output has are left out."""
    built = {slot_nibbles_log2(name) for name in config.outputs}
    return reduce(or_, (Mux(slot == size, values[size], 0) for size in sorted(built)))


class TileRows(wiring.Component):
    """The rows of all tiles in the order in which the array gives them.

    Throughput: a row a cycle, and one cycle a tile, two at the end of a row panel, in which the row before can still be
    taken.

    Members
    -------
    job, go : of `Job`
    rows : `ROW`, `config.rows` of them for every tile
    """

    def __init__(self, config: MatmulConfig):
        self._config = config
        super().__init__({"job": In(job_signature(config)), "go": In(1), "rows": Out(stream.Signature(ROW))})

    def elaborate(self, platform):
        m = Module()
        config, job = self._config, self.job
        m.submodules.row_panels = rows = Panels(config.rows, COUNT_BITS)
        m.submodules.column_panels = columns = Panels(config.columns, COUNT_BITS)
        # Of a row: less than 2**16 results of 4 bytes.
        offset = Signal(COUNT_BITS + 2, reset_less=True)
        m.submodules.addresses = addresses = RowAddresses(len(job.c_address), len(offset))
        index = Signal(INDEX_BITS, reset_less=True)
        m.d.comb += [
            rows.count.eq(job.m),
            columns.count.eq(job.n),
            rows.restart.eq(self.go),
            addresses.start.eq(job.c_address),
            addresses.stride.eq(job.c_stride),
            addresses.offset.eq(offset),
            addresses.restart.eq(self.go),
        ]
        end = wire(m, index == config.rows - 1, "end")
        payload = self.rows.payload
        give = Signal()
        free = wire(m, ~self.rows.valid | self.rows.ready, "free")
        with m.If(free):
            m.d.sync += self.rows.valid.eq(give)
            m.d.sync += [
                payload.address.eq(addresses.address),
                payload.exists.eq(index <= rows.last_index),
                payload.last_index.eq(columns.last_index),
                payload.ends_job.eq(end & rows.last & columns.last),
            ]
        panel_bytes = slot_case(config, job.slot, [(config.columns << size) // 2 for size in range(4)])
        with m.FSM():
            with m.State("IDLE"):
                m.d.sync += offset.eq(0)
                with m.If(self.go):
                    m.d.comb += columns.restart.eq(1)
                    m.next = "BEGIN"
            with m.State("BEGIN"):
                m.d.comb += addresses.begin.eq(1)
                m.d.sync += index.eq(0)
                m.next = "ROWS"
            with m.State("ROWS"):
                m.d.comb += give.eq(1)
                with m.If(free):
                    m.d.sync += index.eq(index + 1)
                    m.d.comb += addresses.step.eq(1)
                    with m.If(end & columns.last):
                        m.next = "NEXT"
                    with m.Elif(end):
                        m.d.comb += columns.step.eq(1)
                        m.d.sync += offset.eq(offset + panel_bytes)
                        m.next = "BEGIN"
            with m.State("NEXT"):
                m.d.sync += offset.eq(0)
                m.d.comb += [columns.restart.eq(1), addresses.close.eq(1), rows.step.eq(1)]
                m.next = "BEGIN"
                with m.If(rows.last):
                    m.next = "IDLE"
        return m


class Writer(wiring.Component):
    """Packs each row's results into memory words and writes them: a burst for a row of a tile (two where it goes over a
    4 KiB boundary), with strobes for the results that C has; the others of the array are dropped, with their status.

    Throughput: a result a cycle, as long as the memory takes a word for each, and a burst for each row.

    Members
    -------
    job, go : of `Job`
    results : of the drain, row by row
    bursts : of `Bursts`
    words : memory words with strobes, in the order of the bursts; `last` is that of a burst
    answered : a pulse for every burst that the memory has done
    status : pulses, in the order of `STATUS`
    done : a pulse, everything is written
    """

    def __init__(self, config: MatmulConfig):
        self._config = config
        largest = NIBBLE_BITS << max(slot_nibbles_log2(name) for name in config.outputs)
        self._row_words = max(1, config.columns * largest // config.bus_bits)
        self._command = data.StructLayout(
            {"address": word_address_bits(config), "words": max(1, log2(self._row_words))}
        )
        word = data.StructLayout({"data": config.bus_bits, "strobes": config.bus_bytes})
        super().__init__(
            {
                "job": In(job_signature(config)),
                "go": In(1),
                "results": In(stream.Signature(result_layout(config))),
                "bursts": Out(stream.Signature(burst_layout(self._command))),
                "words": Out(stream.Signature(packet(word))),
                "answered": In(1),
                "status": Out(len(STATUS)),
                "done": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config, slot = self._config, self.job.slot
        m.submodules.tile_rows = tile_rows = TileRows(config)
        wiring.connect(m, wiring.flipped(self.job), tile_rows.job)
        m.d.comb += tile_rows.go.eq(self.go)
        row, words = tile_rows.rows.payload, self.words
        place_bits, bytes_bits = log2(config.bus_bits // NIBBLE_BITS), log2(config.bus_bytes)

        # A result is taken when its word can be, and a row's first one when its burst can be, too.
        column = Signal(range(max(2, config.columns)))
        pending = Signal(PENDING_BITS)  # bursts without an answer
        begins = wire(m, ~column.any(), "begins")
        open_ = wire(m, tile_rows.rows.valid & (~words.valid | words.ready), "open")
        new_burst = Signal()
        burst_ready = self._bursts(m, new_burst, row)
        burst_free = wire(m, burst_ready & ~pending[-1], "burst_free")
        m.d.comb += self.results.ready.eq(open_ & (~begins | burst_free))
        taken = wire(m, self.results.valid & self.results.ready, "taken")
        end = wire(m, column == config.columns - 1, "end")
        with m.If(taken):
            m.d.sync += column.eq(Mux(end, 0, column + 1))
        m.d.comb += tile_rows.rows.ready.eq(taken & end)

        kept = wire(m, taken & row.exists & (column <= row.last_index), "kept")
        m.d.sync += self.status.eq(self.results.payload.status & kept.replicate(len(STATUS)))
        m.d.comb += new_burst.eq(kept & begins)
        last = wire(m, column == row.last_index, "last")
        place = Signal(place_bits, reset_less=True)
        here = wire(m, Mux(begins, Cat(Const(0, 1), row.address)[:place_bits], place), "here")
        after = wire(m, here + slot_case(config, slot, [1 << size for size in range(4)]), "after")
        page_end = Const(0, 1)
        if self._row_words > 1:
            page_end = self._page_end(m, wire(m, kept & after[place_bits], "full"), begins, row.address[bytes_bits:])
        m.d.sync += pending.eq(pending + new_burst + (page_end & kept & after[place_bits] & ~last) - self.answered)
        with m.If(words.ready):
            m.d.sync += words.valid.eq(0)
        with m.If(kept):
            m.d.sync += [
                place.eq(after),
                words.valid.eq(last | after[place_bits]),
                words.payload.last.eq(last | page_end),
            ]
            self._pack(m, here, begins | ~place.any())

        finished = Signal()
        with m.If(taken & end & row.ends_job):
            m.d.sync += finished.eq(1)
        m.d.comb += self.done.eq(finished & ~words.valid & ~pending.any())
        with m.If(self.done):
            m.d.sync += finished.eq(0)
        return m

    def _bursts(self, m, new, row):
        """Gives the bursts of rows; returns whether one can be taken. A row of one word is a burst as it is."""
        address = row.address[log2(self._config.bus_bytes) :]
        if self._row_words == 1:
            free = wire(m, ~self.bursts.valid | self.bursts.ready, "no_burst")
            with m.If(free):
                m.d.sync += [self.bursts.valid.eq(new), self.bursts.payload.address.eq(address)]
            return free
        m.submodules.cut = cut = Bursts(self._command, self._config.bus_bytes)
        wiring.connect(m, cut.o, wiring.flipped(self.bursts))
        last_nibble = [Cat(Const(0, size), row.last_index) for size in range(4)]
        last_word = slot_case(self._config, self.job.slot, last_nibble)[log2(self._config.bus_bits // NIBBLE_BITS) :]
        m.d.comb += [cut.i.valid.eq(new), cut.i.payload.address.eq(address), cut.i.payload.words.eq(last_word)]
        return cut.i.ready

    def _page_end(self, m, full, begins, address):
        """Whether the word at hand is the last before a 4 KiB boundary; `full` ends it, `address` is a row's first."""
        in_page = BOUNDARY_BYTES_LOG2 - log2(self._config.bus_bytes)
        page_word = Signal(in_page, reset_less=True)
        here = wire(m, Mux(begins, address[:in_page], page_word), "page_here")
        m.d.sync += page_word.eq(here + full)
        return wire(m, here.all(), "page_end")

    def _pack(self, m, here, begins):
        """The result at hand goes to the nibbles from `here` on, and what was there stays unless a word begins."""
        config, slot, word = self._config, self.job.slot, self.words.payload.data
        code = Cat(self.results.payload.code, Const(0, 32))[:32]
        # A larger result covers more nibbles: low bits of the place are any.
        any_ = [slot > bit if bit < 3 else Const(0, 1) for bit in range(len(here))]
        is_one = [wire(m, any_[bit] | here[bit], f"one_{bit}") for bit in range(len(here))]
        is_zero = [wire(m, any_[bit] | ~here[bit], f"zero_{bit}") for bit in range(len(here))]
        stays = wire(m, ~begins, "stays")
        hits = []
        for nibble in range(1 << len(here)):
            hit = Cat((is_one if nibble >> bit & 1 else is_zero)[bit] for bit in range(len(here))).all()
            hits.append(wire(m, hit, f"hit_{nibble}"))
            new = slot_case(config, slot, [code.word_select(nibble % (1 << size), NIBBLE_BITS) for size in range(4)])
            old = word.data.word_select(nibble, NIBBLE_BITS)
            m.d.sync += old.eq(Mux(hits[-1], new, old & stays.replicate(NIBBLE_BITS)))
        for byte in range(config.bus_bytes):
            strobe = word.strobes[byte]
            m.d.sync += strobe.eq(hits[2 * byte] | hits[2 * byte + 1] | (strobe & stays))
