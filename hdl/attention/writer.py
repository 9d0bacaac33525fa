"""Outputs to memory: a row's words, in bursts."""

from __future__ import annotations

from amaranth.hdl import Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.attention.commands import log2, word_address_bits
from hdl.attention.config import ArrayConfig
from hdl.attention.loader import writer_layout
from hdl.common.arithmetic import wire
from hdl.common.axi import packet_stream
from hdl.common.bursts import Bursts, burst_layout
from hdl.common.stream import Fifo

QUEUED_JOBS = 17
"""Jobs whose outputs have not been asked for."""


def most_words(config: ArrayConfig) -> int:
    """Of a row of outputs."""
    return 2 * config.dim // config.bus_bytes


class Writer(wiring.Component):
    """Members
    -------
    job : `writer_layout`, of jobs with outputs, in order
    word, word_valid : of a row after the other; taken always, if there was `room` when a row was begun
    bursts, words : to memory
    answered : a burst is written
    window_words : the end of memory; what lies behind is dropped
    outside : a pulse: something was
    idle : all is written
    """

    def __init__(self, config: ArrayConfig):
        self._config = config
        word_bits = word_address_bits(config)
        self._command = data.StructLayout({"address": word_bits, "words": (most_words(config) - 1).bit_length()})
        super().__init__(
            {
                "job": In(stream.Signature(writer_layout())),
                "word": In(config.bus_bits),
                "word_valid": In(1),
                "room": Out(1),
                "bursts": Out(stream.Signature(burst_layout(self._command))),
                "words": Out(packet_stream(config.bus_bits)),
                "answered": In(1),
                "window_words": In(word_bits),
                "outside": Out(1),
                "idle": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self._config
        most = most_words(config)
        m.submodules.jobs = jobs = Fifo(writer_layout(), QUEUED_JOBS)
        m.submodules.queue = queue = Fifo(config.bus_bits, 4 * most + 1)
        m.submodules.cut = cut = Bursts(self._command, config.bus_bytes)
        wiring.connect(m, wiring.flipped(self.job), jobs.i)
        m.d.comb += [queue.i.payload.eq(self.word), queue.i.valid.eq(self.word_valid)]
        m.d.sync += self.room.eq(queue.level <= 2 * most)

        self._row = Signal(self._command, reset_less=True)
        self._left = Signal.like(self._row.words, name="left", reset_less=True)
        self._burst_left = Signal(8, reset_less=True)
        answers = Signal(8)  # that have not come
        asked = wire(m, self.bursts.valid & self.bursts.ready, "asked")
        m.d.sync += answers.eq(answers + asked - self.answered)
        m.d.comb += [
            cut.i.payload.eq(self._row),
            self.bursts.payload.eq(cut.o.payload),
            self.words.payload.data.eq(queue.o.payload),
            self.words.payload.last.eq(~self._burst_left.any()),
        ]
        with m.FSM() as machine:
            self._rows(m, jobs.o, queue, cut)
            self._bursts(m, queue, cut, ~answers[-1], asked)
        m.d.comb += self.idle.eq(machine.ongoing("REST") & ~jobs.level.any() & ~answers.any())
        return m

    def _rows(self, m, jobs, queue, cut):
        """States: no job; a row of it, as soon as it has begun to come; it is asked for; the next one."""
        config, job = self._config, jobs.payload
        low = log2(config.bus_bytes)
        rows, stride = Signal(16), Signal.like(self._row.address, name="stride", reset_less=True)
        inside = Signal(reset_less=True)
        end = wire(m, self._row.address + self._row.words, "end")
        with m.State("REST"):
            m.d.comb += jobs.ready.eq(1)
            m.d.sync += [
                rows.eq(job.rows),
                stride.eq(job.stride[low:]),
                self._row.address.eq(job.address[low:]),
                self._row.words.eq((job.chunks << log2(2 * config.lanes // config.bus_bytes)) - 1),
            ]
            with m.If(jobs.valid):
                m.next = "ROW"
        with m.State("ROW"):
            m.d.sync += [self._left.eq(self._row.words), inside.eq(end < self.window_words)]
            with m.If(queue.o.valid):
                m.next = "ASK"
        with m.State("ASK"):
            m.d.comb += [cut.i.valid.eq(inside), self.outside.eq(~inside)]
            with m.If(~inside):
                m.next = "DROP"
            with m.Elif(cut.i.ready):
                m.next = "BURST"
        with m.State("NEXT"):
            m.d.sync += [rows.eq(rows - 1), self._row.address.eq(self._row.address + stride)]
            m.next = "ROW"
            with m.If(rows == 1):
                m.next = "REST"

    def _bursts(self, m, queue, cut, room, asked):
        """States: a burst is asked for; its words go; words go nowhere."""
        with m.State("BURST"):
            m.d.comb += [self.bursts.valid.eq(cut.o.valid & room), cut.o.ready.eq(self.bursts.ready & room)]
            m.d.sync += self._burst_left.eq(cut.o.payload.beats)
            with m.If(asked):
                m.next = "WORDS"
        with m.State("WORDS"):
            m.d.comb += [self.words.valid.eq(queue.o.valid), queue.o.ready.eq(self.words.ready)]
            with m.If(queue.o.valid & self.words.ready):
                m.d.sync += [self._left.eq(self._left - 1), self._burst_left.eq(self._burst_left - 1)]
                with m.If(~self._left.any()):
                    m.next = "NEXT"
                with m.Elif(~self._burst_left.any()):
                    m.next = "BURST"
        with m.State("DROP"):
            m.d.comb += queue.o.ready.eq(1)
            with m.If(queue.o.valid):
                m.d.sync += self._left.eq(self._left - 1)
                with m.If(~self._left.any()):
                    m.next = "NEXT"
