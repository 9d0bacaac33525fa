"""The order of work of `simd.matmul`: which rows of A and B are read when, and the steps that they make up."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.common.arithmetic import wire
from hdl.simd.config import MatmulConfig
from hdl.simd.matmul_chunks import (
    BIAS_SLOTS,
    MOST_SLOTS,
    STEP,
    Chunks,
    Kind,
    bias_panels,
    bias_words,
    fill_layout,
    log2,
    read_layout,
)
from hdl.simd.matmul_job import COUNT_BITS, job_signature
from hdl.simd.matmul_panels import INDEX_BITS, Panels, RowAddresses


class Loader(wiring.Component):
    """Gives the commands to read, in the order of work: row panels of C, in each the column panels, in each the chunks
    of K. What the buffers hold already is not read again: A if only the column panel moved and there is one chunk, B if
    there is one column panel and one chunk.

    A part of a buffer is given to a command only when the steps that used it are done, so that what is read always has
    a place, whatever the array waits for.

    Throughput: a command a cycle, and two cycles a step.

    Members
    -------
    job, go : of `Job`; `go` starts the work
    read, fill : every command twice: where from, and where to
    step_done, step : a pulse, the array took a step to its end; what it was
    tile_done : a pulse, the last of a tile's biases was used
    """

    def __init__(self, config: MatmulConfig):
        self._config = config
        super().__init__(
            {
                "job": In(job_signature(config)),
                "go": In(1),
                "read": Out(stream.Signature(read_layout(config))),
                "fill": Out(stream.Signature(fill_layout())),
                "step_done": In(1),
                "step": In(STEP),
                "tile_done": In(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config, job = self._config, self.job
        chunks = Chunks(config, job.last_bit)
        m.submodules.rows = rows = Panels(config.rows, COUNT_BITS)
        m.submodules.columns = columns = Panels(config.columns, COUNT_BITS)
        chunk = Signal(len(chunks.last), reset_less=True)
        offset = chunks.first_word(chunk)
        m.submodules.a = a = RowAddresses(len(job.a_address), len(offset))
        m.submodules.b = b = RowAddresses(len(job.b_address), len(offset))
        m.d.comb += [rows.count.eq(job.m), columns.count.eq(job.n), rows.restart.eq(self.go)]
        for walker, start, stride in ((a, job.a_address, job.a_stride), (b, job.b_address, job.b_stride)):
            m.d.comb += [walker.start.eq(start), walker.stride.eq(stride), walker.offset.eq(offset)]

        # What this step needs, and what no later one does.
        fresh, row_start = Signal(), Signal()  # nothing is loaded yet; nothing of this row panel is
        single = wire(m, ~chunks.last.any(), "single")
        narrow = wire(m, job.n <= config.columns, "narrow")
        step = Signal(STEP)
        load_a, load_b = wire(m, ~single | row_start, "load_a"), wire(m, ~(single & narrow) | fresh, "load_b")
        m.d.comb += [
            step.first.eq(~chunk.any()),
            step.last.eq(chunk == chunks.last),
            step.frees_a.eq(~single | columns.last),
            step.frees_b.eq(~(single & narrow)),
        ]

        bias_at, bias_index = self._bias(m, columns)
        index = Signal(INDEX_BITS)
        give, taken, kind = Signal(), Signal(), Signal(2)
        last_row = wire(m, index == Mux(kind == Kind.A, rows.last_index, columns.last_index), "last_row")
        with m.If(taken):
            m.d.sync += index.eq(index + 1)
            with m.If(last_row | (kind == Kind.BIAS)):
                m.d.sync += index.eq(0)
        given = [wire(m, taken & last_row & (kind == one), f"given_{one}") for one in (Kind.A, Kind.B)]
        a_room = self._room(m, "a", chunks.slots, given[0], self.step_done & self.step.frees_a)
        b_room = self._room(m, "b", chunks.slots, given[1], self.step_done & self.step.frees_b)
        bias_room = self._room(m, "bias", BIAS_SLOTS, taken & (kind == Kind.BIAS), self.tile_done & job.has_bias)
        m.d.comb += [a.step.eq(taken & (kind == Kind.A)), b.step.eq(taken & (kind == Kind.B))]

        with m.FSM():
            with m.State("IDLE"), m.If(self.go):
                m.d.comb += [a.restart.eq(1), b.restart.eq(1), columns.restart.eq(1)]
                m.d.sync += [chunk.eq(0), fresh.eq(1), row_start.eq(1), index.eq(0)]
                m.next = "BEGIN"
            with m.State("BEGIN"):
                m.d.comb += [a.begin.eq(load_a), b.begin.eq(load_b)]
                with m.If(step.first & job.has_bias):
                    m.next = "BIAS"
                with m.Elif(load_a):
                    m.next = "A"
                with m.Else():
                    m.next = "B"
            with m.State("BIAS"):
                m.d.comb += [give.eq(bias_room), kind.eq(Kind.BIAS)]
                with m.If(taken & load_a):
                    m.next = "A"
                with m.Elif(taken):
                    m.next = "B"
            with m.State("A"):
                m.d.comb += [give.eq(index.any() | a_room), kind.eq(Kind.A)]
                with m.If(taken & last_row & load_b):
                    m.next = "B"
                with m.Elif(taken & last_row):
                    m.next = "NEXT"
            with m.State("B"):
                m.d.comb += [give.eq(index.any() | b_room), kind.eq(Kind.B)]
                with m.If(taken & last_row):
                    m.next = "NEXT"
            with m.State("NEXT"):
                m.d.sync += [fresh.eq(0), chunk.eq(Mux(step.last, 0, chunk + 1))]
                m.d.comb += columns.step.eq(step.last)
                m.d.comb += b.close.eq(step.last)
                m.next = "BEGIN"
                with m.If(step.last):
                    m.d.sync += row_start.eq(columns.last)
                    with m.If(columns.last):
                        m.d.comb += [b.restart.eq(1), columns.restart.eq(1), a.close.eq(1), rows.step.eq(1)]
                        with m.If(rows.last):
                            m.next = "IDLE"

        # A register, from which the two sides take the command when they can.
        read, fill = self.read.payload, self.fill.payload
        free = (~self.read.valid | self.read.ready) & (~self.fill.valid | self.fill.ready)
        m.d.comb += taken.eq(give & free)
        with m.If(self.read.ready):
            m.d.sync += self.read.valid.eq(0)
        with m.If(self.fill.ready):
            m.d.sync += self.fill.valid.eq(0)
        with m.If(taken):
            m.d.sync += [
                self.read.valid.eq(1),
                self.fill.valid.eq(1),
                read.address.eq(Mux(kind == Kind.A, a.address, Mux(kind == Kind.B, b.address, bias_at))),
                fill.kind.eq(kind),
                fill.index.eq(Mux(kind == Kind.BIAS, bias_index, index)),
                fill.short.eq(step.last),
                fill.ends_operand.eq(last_row),
                fill.ends_step.eq(last_row & ((kind == Kind.B) | ((kind == Kind.A) & ~load_b))),
                fill.step.eq(step),
            ]
            m.d.sync += read.words.eq(chunks.words(kind, step.last, bias_index))
        return m

    def _room(self, m, name, slots, given, freed):
        """Whether one of the slots is free."""
        used = Signal(range(max(MOST_SLOTS, BIAS_SLOTS) + 1), name=f"used_{name}")
        with m.If(self.go):
            m.d.sync += used.eq(0)
        with m.Else():
            m.d.sync += used.eq(used + given - freed)
        return wire(m, used < slots, f"room_{name}")

    def _bias(self, m, columns):
        """Of a panel's biases: the address, `index` of the command, and whether there is room."""
        config, job = self._config, self.job
        sharing = log2(bias_panels(config))
        place = Signal(len(job.bias_address) + sharing, reset_less=True)  # in panels, or in words if they are larger
        with m.If(columns.restart):
            m.d.sync += place.eq(Cat(Const(0, sharing), job.bias_address))
        with m.Elif(columns.step):
            m.d.sync += place.eq(place + bias_words(config))
        index = place[:sharing] if bias_words(config) == 1 else columns.last_index[log2(config.bus_bits // 32) :]
        return place[sharing:], index
