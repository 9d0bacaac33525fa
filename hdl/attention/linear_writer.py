"""Outputs of linear layers to memory: of each tile a burst a row, row after row."""

from __future__ import annotations

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.attention.commands import log2, word_address_bits
from hdl.attention.config import ArrayConfig
from hdl.attention.counter import Counter
from hdl.attention.job_words import FIELDS, OUTPUT_BITS
from hdl.attention.linear_outputs import HALVES, most_tile_words, word_address
from hdl.common.arithmetic import register, wire
from hdl.common.axi import packet_stream
from hdl.common.bursts import Bursts, burst_layout
from hdl.common.stream import Fifo

QUEUED_JOBS = 5
"""Layers whose outputs have not been asked for."""

QUEUED_WORDS = 9


def layer_layout() -> data.StructLayout:
    """A linear layer for the writer."""
    tiles, o_format = FIELDS["tiles"].bits, FIELDS["o_format"].bits
    return data.StructLayout({"rows": 16, "tiles": tiles, "o_format": o_format, "wide": 1, "address": 32, "stride": 32})


class LinearWriter(wiring.Component):
    """Members
    -------
    job : `layer_layout`, in order
    complete : a pulse: a half of the outputs' buffer is
    half_free : a pulse: it is read
    read, words : of the buffer
    bursts, out : to memory
    answered : a burst is written
    owes : bursts have not been answered
    window_words : the end of memory; what lies behind is dropped
    outside : a pulse: something was
    idle : all is written
    """

    def __init__(self, config: ArrayConfig):
        self._config = config
        word_bits = word_address_bits(config)
        self._words_bits = (most_tile_words(config) - 1).bit_length()
        self._command = data.StructLayout({"address": word_bits, "words": self._words_bits})
        super().__init__(
            {
                "job": In(stream.Signature(layer_layout())),
                "complete": In(1),
                "half_free": Out(1),
                "read": Out(word_address(config)),
                "words": In(config.units * config.bus_bits),
                "bursts": Out(stream.Signature(burst_layout(self._command))),
                "out": Out(packet_stream(config.bus_bits)),
                "answered": In(1),
                "owes": Out(1),
                "window_words": In(word_bits),
                "outside": Out(1),
                "idle": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self._config
        m.submodules.jobs = self._jobs = jobs = Fifo(layer_layout(), QUEUED_JOBS)
        m.submodules.queue = self._queue = queue = Fifo(config.bus_bits, QUEUED_WORDS)
        m.submodules.cut = self._cut = Bursts(self._command, config.bus_bytes)
        m.submodules.blocks = self._blocks = Counter(HALVES)
        wiring.connect(m, wiring.flipped(self.job), jobs.i)
        m.d.comb += self._blocks.more.eq(self.complete)
        self._row = Signal(self._command, reset_less=True)
        self._reading = Signal()
        self._row_index = self._index(m)
        with m.FSM() as machine:
            self._rows(m)
        coming = self._gather(m)
        owed = self._bursts(m)
        m.d.comb += [
            self.owes.eq(owed.any()),
            self.idle.eq(machine.ongoing("REST") & ~jobs.level.any() & ~coming & ~queue.level.any() & ~self.owes),
        ]
        return m

    def _rows(self, m):
        """States: no job; a block's tile is waited for; where a row's outputs go; the burst is asked for; its words
        are read; the next row."""
        config, job, row = self._config, self._jobs.o.payload, self._row
        low = log2(config.bus_bytes)
        kept = Signal(layer_layout(), reset_less=True)
        tiles, rows = Signal.like(kept.tiles, name="tiles", reset_less=True), Signal(16, reset_less=True)
        tile_address = Signal.like(row.address, name="tile_address", reset_less=True)
        half, index = Signal(), self._row_index
        word, inside = Signal(self._words_bits, reset_less=True), Signal(reset_less=True)
        end = wire(m, row.address + row.words, "end")
        next_tile = wire(m, tile_address + row.words + 1, "next_tile")
        m.d.comb += [
            self.read.word.eq(word),
            self.read.place.eq(self._place),
            self.read.half.eq(half),
        ]
        with m.State("REST"):
            m.d.comb += self._jobs.o.ready.eq(1)
            sizes = [max(1, config.lanes * bits // config.bus_bits) for bits in (*OUTPUT_BITS, 0)]
            words = [size << wide for wide in range(1 + config.wide) for size in sizes]
            chosen = Cat(job.o_format, job.wide) if config.wide else job.o_format
            m.d.sync += [
                kept.eq(job),
                tiles.eq(job.tiles),
                rows.eq(job.rows),
                row.address.eq(job.address[low:]),
                row.words.eq(Array(Const(each - 1, self._words_bits) for each in words)[chosen]),
                tile_address.eq(job.address[low:]),
            ]
            with m.If(self._jobs.o.valid):
                m.next = "WAIT"
        with m.State("WAIT"):
            m.d.comb += self._anew.eq(1)
            with m.If(self._blocks.any):
                m.next = "WHERE"
        with m.State("WHERE"):
            m.d.sync += [inside.eq(end < self.window_words), word.eq(0)]
            m.next = "ASK"
        with m.State("ASK"):
            m.d.comb += [self._cut.i.valid.eq(inside), self.outside.eq(~inside)]
            with m.If(~inside):
                m.next = "NEXT"
            with m.Elif(self._cut.i.ready):
                m.next = "READ"
        with m.State("READ"), m.If(self._queue.level <= QUEUED_WORDS // 2):
            m.d.comb += self._reading.eq(1)
            m.d.sync += word.eq(word + 1)
            with m.If(word == row.words):
                m.next = "NEXT"
        last_row = wire(m, rows == 1, "last_row")
        with m.State("NEXT"):
            block_end = wire(m, last_row | index.all(), "block_end")
            m.d.comb += [self._blocks.less.eq(block_end), self.half_free.eq(block_end), self._moves.eq(1)]
            m.d.sync += [
                rows.eq(Mux(last_row, kept.rows, rows - 1)),
                row.address.eq(Mux(last_row, next_tile, row.address + kept.stride[low:])),
                half.eq(half ^ block_end),
            ]
            m.next = "WHERE"
            with m.If(block_end):
                m.next = "WAIT"
            with m.If(last_row):
                m.d.sync += [tile_address.eq(next_tile), tiles.eq(tiles - 1)]
                with m.If(tiles == 1):
                    m.next = "REST"
        m.d.comb += self._cut.i.payload.eq(row)

    def _index(self, m):
        """The row of the block, as such, and as whose unit's which it is."""
        config = self._config
        self._anew, self._moves = Signal(), Signal()
        index = Signal((config.rows - 1).bit_length(), name="row_index", reset_less=True)
        self._unit = Signal(range(max(2, config.units)), name="unit", reset_less=True)
        self._place = Signal(range(max(2, config.rows_per_unit)), name="place", reset_less=True)
        last_unit = wire(m, self._unit == config.units - 1, "last_unit")
        with m.If(self._anew):
            m.d.sync += [index.eq(0), self._unit.eq(0), self._place.eq(0)]
        with m.Elif(self._moves):
            m.d.sync += [
                index.eq(index + 1),
                self._unit.eq(Mux(last_unit, 0, self._unit + 1)),
                self._place.eq(self._place + last_unit),
            ]
        return index

    def _gather(self, m):
        """Words that were read, of the row's unit, to the queue; whether one is on its way."""
        config = self._config
        reading_1, reading_2 = Signal(), Signal()
        m.d.sync += [reading_1.eq(self._reading), reading_2.eq(reading_1)]
        chosen = self.words
        if config.units > 1:
            chosen = self.words.word_select(register(m, self._unit, "unit_read"), config.bus_bits)
        m.d.comb += [
            self._queue.i.payload.eq(register(m, chosen, "word_read")),
            self._queue.i.valid.eq(reading_2),
        ]
        return wire(m, reading_1 | reading_2, "coming")

    def _bursts(self, m):
        """A burst is asked for, then its words go; how many of them are not answered."""
        cut, queue = self._cut, self._queue
        left, sending, owed = Signal(8, reset_less=True), Signal(), Signal(8)
        room = ~owed[-1]
        asked = wire(m, self.bursts.valid & self.bursts.ready, "asked")
        sent = wire(m, self.out.valid & self.out.ready, "sent")
        m.d.comb += [
            self.bursts.payload.eq(cut.o.payload),
            self.bursts.valid.eq(cut.o.valid & room & ~sending),
            cut.o.ready.eq(self.bursts.ready & room & ~sending),
            self.out.payload.data.eq(queue.o.payload),
            self.out.payload.last.eq(~left.any()),
            self.out.valid.eq(queue.o.valid & sending),
            queue.o.ready.eq(self.out.ready & sending),
        ]
        m.d.sync += owed.eq(owed + asked - self.answered)
        with m.If(asked):
            m.d.sync += [left.eq(cut.o.payload.beats), sending.eq(1)]
        with m.Elif(sent):
            m.d.sync += [left.eq(left - 1), sending.eq(left.any())]
        return owed
