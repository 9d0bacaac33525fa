"""Outputs to memory: a row's words, in bursts."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.attention.commands import log2, word_address_bits
from hdl.attention.config import ArrayConfig
from hdl.attention.loader import writer_layout
from hdl.attention.row import power_bits
from hdl.common.arithmetic import wire
from hdl.common.axi import packet_stream
from hdl.common.bursts import Bursts, burst_layout
from hdl.common.stream import Fifo

QUEUED_JOBS = 17
"""Jobs whose outputs have not been asked for."""


QUEUED_ROWS = 32
"""Of each divider: what a memory that is busy with reads leaves waiting."""


def most_words(config: ArrayConfig) -> int:
    """Of a row of outputs."""
    return 2 * config.dim // config.bus_bytes


class Writer(wiring.Component):
    """Members
    -------
    job : `writer_layout`, of jobs with outputs, in order
    given, given_valid : words of each divider's rows; taken always, if there was `room` when a row was begun
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
                "given": In(config.dividers * config.bus_bits),
                "given_valid": In(config.dividers),
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
        m.submodules.jobs = jobs = Fifo(writer_layout(), QUEUED_JOBS)
        m.submodules.cut = cut = Bursts(self._command, config.bus_bytes)
        wiring.connect(m, wiring.flipped(self.job), jobs.i)
        turn_bits = power_bits(config.dividers) or 1
        self._asked_turn, self._turn = Signal(turn_bits), Signal(turn_bits)
        self._sending = Signal()
        begun, queue = self._queues(m)

        # What was asked for and is next to go: words less one; whether they end a row, a job; whether they go nowhere.
        planned = Signal()
        plan = Signal(data.StructLayout({"words": 8, "row_end": 1, "job_end": 1, "drop": 1}), reset_less=True)
        taken = self._send(m, planned, plan, queue)
        self._row = Signal(self._command, reset_less=True)
        answers = Signal(8)  # that have not come
        asked = wire(m, self.bursts.valid & self.bursts.ready, "asked")
        m.d.sync += answers.eq(answers + asked - self.answered)
        m.d.comb += [cut.i.payload.eq(self._row), self.bursts.payload.eq(cut.o.payload)]
        with m.If(taken):
            m.d.sync += planned.eq(0)
        with m.FSM() as machine:
            self._rows(m, jobs.o, begun & ~planned, cut)
            self._bursts(m, cut, ~answers[-1], asked, planned, plan)
        rest = machine.ongoing("REST") & ~jobs.level.any() & ~answers.any()
        m.d.comb += self.idle.eq(rest & ~planned & ~self._sending)
        return m

    def _queues(self, m):
        """A queue for each divider; their rows leave in turn. Whether the row to be asked for has begun to come, and
        the stream of the row that goes."""
        config = self._config
        most = most_words(config)
        word = stream.Signature(config.bus_bits).create()
        rooms, begun = [], []
        for index in range(config.dividers):
            m.submodules[f"queue_{index}"] = queue = Fifo(config.bus_bits, QUEUED_ROWS * most + 1)
            mine = wire(m, self._turn == index, f"turn_of_{index}")
            m.d.comb += [
                queue.i.payload.eq(self.given.word_select(index, config.bus_bits)),
                queue.i.valid.eq(self.given_valid[index]),
                queue.o.ready.eq(word.ready & mine),
            ]
            with m.If(mine):
                m.d.comb += [word.payload.eq(queue.o.payload), word.valid.eq(queue.o.valid)]
            rooms.append(queue.level <= (QUEUED_ROWS - 2) * most)
            # The row before is in another queue, but for a single one.
            more = queue.o.valid if config.dividers > 1 else Mux(self._sending, queue.level > most, queue.o.valid)
            begun.append(more & (self._asked_turn == index))
        m.d.sync += self.room.eq(Cat(rooms).all())
        return wire(m, Cat(begun).any(), "begun"), word

    def _rows(self, m, jobs, begun, cut):
        """States: no job; a row of it, as soon as it has begun to come; it is asked for; the next one."""
        config, job = self._config, jobs.payload
        low = log2(config.bus_bytes)
        rows, stride = Signal(16), Signal.like(self._row.address, name="stride", reset_less=True)
        self._left = Signal.like(self._row.words, name="left", reset_less=True)
        inside, first_row = Signal(reset_less=True), Signal(reset_less=True)
        # The last row of the job before may be in the queue of a job's first one.
        comes = begun & ~(first_row & self._sending) if config.dividers > 1 else begun
        end = wire(m, self._row.address + self._row.words, "end")
        with m.State("REST"):
            m.d.comb += jobs.ready.eq(1)
            m.d.sync += [
                rows.eq(job.rows),
                first_row.eq(1),
                stride.eq(job.stride[low:]),
                self._row.address.eq(job.address[low:]),
                self._row.words.eq(
                    Mux(
                        job.o_format[0],
                        job.chunks << log2(config.lanes // config.bus_bytes),
                        job.chunks << log2(2 * config.lanes // config.bus_bytes),
                    )
                    - 1
                ),
            ]
            with m.If(jobs.valid):
                m.next = "ROW"
        with m.State("ROW"):
            m.d.sync += [self._left.eq(self._row.words), inside.eq(end < self.window_words)]
            with m.If(comes):
                m.next = "ASK"
        with m.State("ASK"):
            m.d.comb += [cut.i.valid.eq(inside), self.outside.eq(~inside)]
            with m.If(~inside):
                m.next = "DROP"
            with m.Elif(cut.i.ready):
                m.next = "BURST"
        with m.State("NEXT"):
            m.d.sync += [
                rows.eq(rows - 1),
                first_row.eq(0),
                self._row.address.eq(self._row.address + stride),
                self._asked_turn.eq(Mux(rows == 1, 0, self._asked_turn + 1) & (config.dividers - 1)),
            ]
            m.next = "ROW"
            with m.If(rows == 1):
                m.next = "REST"
        self._last_row = wire(m, rows == 1, "last_row")

    def _bursts(self, m, cut, room, asked, planned, plan):
        """States: bursts of a row are asked for; a row's words are to go nowhere."""
        beats = cut.o.payload.beats
        with m.State("BURST"):
            free = wire(m, room & ~planned, "free")
            m.d.comb += [self.bursts.valid.eq(cut.o.valid & free), cut.o.ready.eq(self.bursts.ready & free)]
            with m.If(asked):
                last = beats == self._left
                m.d.sync += [
                    self._left.eq(self._left - beats - 1),
                    planned.eq(1),
                    plan.words.eq(beats),
                    plan.row_end.eq(last),
                    plan.job_end.eq(self._last_row),
                    plan.drop.eq(0),
                ]
                with m.If(last):
                    m.next = "NEXT"
        with m.State("DROP"):
            m.d.sync += [planned.eq(1), plan.words.eq(self._left), plan.row_end.eq(1), plan.drop.eq(1)]
            m.d.sync += plan.job_end.eq(self._last_row)
            m.next = "NEXT"

    def _send(self, m, planned, plan, queue):
        """Words of what was asked for, one plan after the other; when a plan is taken."""
        now = Signal(plan.shape(), reset_less=True)
        sending = self._sending
        m.d.comb += [
            self.words.payload.data.eq(queue.payload),
            self.words.payload.last.eq(~now.words.any()),
            self.words.valid.eq(sending & queue.valid & ~now.drop),
            queue.ready.eq(sending & (self.words.ready | now.drop)),
        ]
        goes = wire(m, queue.valid & queue.ready, "goes")
        ends = wire(m, goes & ~now.words.any(), "ends")
        taken = wire(m, planned & (~sending | ends), "taken")
        with m.If(goes):
            m.d.sync += now.words.eq(now.words - 1)
        with m.If(ends):
            m.d.sync += sending.eq(0)
            with m.If(now.row_end):
                m.d.sync += self._turn.eq(Mux(now.job_end, 0, self._turn + 1) & (self._config.dividers - 1))
        with m.If(taken):
            m.d.sync += [now.eq(plan), sending.eq(1)]
        return taken
