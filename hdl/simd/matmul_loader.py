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
        self._chunks = chunks = Chunks(config, job.last_bit)
        m.submodules.rows = self._rows = Panels(config.rows, COUNT_BITS)
        m.submodules.columns = self._columns = Panels(config.columns, COUNT_BITS)
        self._chunk = chunk = Signal(len(chunks.last), name="chunk", reset_less=True)
        offset = chunks.first_word(chunk)
        m.submodules.a = self._a = RowAddresses(len(job.a_address), len(offset))
        m.submodules.b = self._b = RowAddresses(len(job.b_address), len(offset))
        m.d.comb += [self._rows.count.eq(job.m), self._columns.count.eq(job.n), self._rows.restart.eq(self.go)]
        for walker, start, stride in ((self._a, job.a_address, job.a_stride), (self._b, job.b_address, job.b_stride)):
            m.d.comb += [walker.start.eq(start), walker.stride.eq(stride), walker.offset.eq(offset)]

        # What this step needs, and what no later one does.
        self._fresh, self._row_start = Signal(name="fresh"), Signal(name="row_start")
        single, narrow = Signal(reset_less=True), Signal(reset_less=True)  # one chunk of K; one panel of columns
        m.d.sync += [single.eq(~chunks.last.any()), narrow.eq(job.n <= config.columns)]
        self._load_a = wire(m, ~single | self._row_start, "load_a")
        self._load_b = wire(m, ~(single & narrow) | self._fresh, "load_b")
        self._step = step = Signal(STEP, name="this_step")
        m.d.comb += [
            step.first.eq(~chunk.any()),
            step.last.eq(chunk == chunks.last),
            step.frees_a.eq(~single | self._columns.last),
            step.frees_b.eq(~(single & narrow)),
        ]
        self._commands(m)
        self._order(m)
        return m

    def _order(self, m):
        """The states: a step is begun, has its commands given, and leads to the next one."""
        step, last_row, taken = self._step, self._last_row, self._taken
        with m.FSM():
            with m.State("IDLE"), m.If(self.go):
                m.d.comb += [self._a.restart.eq(1), self._b.restart.eq(1), self._columns.restart.eq(1)]
                m.d.sync += [self._chunk.eq(0), self._fresh.eq(1), self._row_start.eq(1)]
                m.next = "BEGIN"
            with m.State("BEGIN"):
                m.d.comb += [self._a.begin.eq(self._load_a), self._b.begin.eq(self._load_b)]
                m.next = "B"
                with m.If(step.first & self.job.has_bias):
                    m.next = "BIAS"
                with m.Elif(self._load_a):
                    m.next = "A"
            with m.State("BIAS"):
                m.d.comb += [self._give.eq(1), self._kind.eq(Kind.BIAS)]
                with m.If(taken & self._load_a):
                    m.next = "A"
                with m.Elif(taken):
                    m.next = "B"
            with m.State("A"):
                m.d.comb += [self._give.eq(1), self._kind.eq(Kind.A)]
                with m.If(taken & last_row & self._load_b):
                    m.next = "B"
                with m.Elif(taken & last_row):
                    m.next = "NEXT"
            with m.State("B"):
                m.d.comb += [self._give.eq(1), self._kind.eq(Kind.B)]
                with m.If(taken & last_row):
                    m.next = "NEXT"
            with m.State("NEXT"):
                m.d.sync += [self._fresh.eq(0), self._chunk.eq(self._chunk + 1)]
                m.next = "BEGIN"
                with m.If(step.last):
                    m.d.sync += [self._chunk.eq(0), self._row_start.eq(self._columns.last)]
                    m.d.comb += [self._columns.step.eq(1), self._b.close.eq(1)]
                    with m.If(self._columns.last):
                        m.d.comb += [self._columns.restart.eq(1), self._rows.step.eq(1)]
                        m.d.comb += [self._b.restart.eq(1), self._a.close.eq(1)]
                        with m.If(self._rows.last):
                            m.next = "IDLE"

    def _commands(self, m):
        """Of the kind that is asked for, row after row; a register, from which both sides take each when they can."""
        step, load_b = self._step, self._load_b
        self._give, self._taken = Signal(name="give"), Signal(name="taken")
        self._kind = kind = Signal(2, name="kind")
        index = Signal(INDEX_BITS)
        bias_at, bias_index = self._bias(m)
        is_a, is_b, is_bias = (
            wire(m, kind == one, name) for one, name in ((Kind.A, "is_a"), (Kind.B, "is_b"), (Kind.BIAS, "is_bias"))
        )
        end = Mux(is_a, self._rows.last_index, self._columns.last_index)
        self._last_row = last_row = wire(m, is_bias | (index == end), "last_row")
        given, freed = wire(m, self._taken & last_row, "given"), self.step
        room = [
            self._room(m, "a", self._chunks.slots, given & is_a, self.step_done & freed.frees_a),
            self._room(m, "b", self._chunks.slots, given & is_b, self.step_done & freed.frees_b),
            self._room(m, "bias", BIAS_SLOTS, given & is_bias, self.tile_done & self.job.has_bias),
        ]
        has_room = index.any() | (Cat(room) & Cat(is_a, is_b, is_bias)).any()
        with m.If(self._taken):
            m.d.sync += index.eq(Mux(last_row, 0, index + 1))

        read, fill = self.read.payload, self.fill.payload
        free = (~self.read.valid | self.read.ready) & (~self.fill.valid | self.fill.ready)
        m.d.comb += [
            self._taken.eq(self._give & has_room & free),
            self._a.step.eq(self._taken & is_a),
            self._b.step.eq(self._taken & is_b),
        ]
        for side in (self.read, self.fill):
            with m.If(side.ready):
                m.d.sync += side.valid.eq(0)
        with m.If(self._taken):
            m.d.sync += [
                self.read.valid.eq(1),
                self.fill.valid.eq(1),
                read.address.eq(Mux(is_a, self._a.address, Mux(is_b, self._b.address, bias_at))),
                read.words.eq(self._chunks.words(kind, step.last, bias_index)),
                fill.kind.eq(kind),
                fill.index.eq(Mux(is_bias, bias_index, index)),
                fill.short.eq(step.last),
                fill.ends_operand.eq(last_row),
                fill.ends_step.eq(last_row & (is_b | (is_a & ~load_b))),
                fill.step.eq(step),
            ]

    def _room(self, m, name, slots, given, freed):
        """Whether one of the slots is free."""
        used = Signal(range(max(MOST_SLOTS, BIAS_SLOTS) + 1), name=f"used_{name}")
        with m.If(self.go):
            m.d.sync += used.eq(0)
        with m.Else():
            m.d.sync += used.eq(used + given - freed)
        return wire(m, used < slots, f"room_{name}")

    def _bias(self, m):
        """Of a panel's biases: the address, and `index` of the command."""
        config, job, columns = self._config, self.job, self._columns
        sharing = log2(bias_panels(config))
        place = Signal(len(job.bias_address) + sharing, reset_less=True)  # in panels, or in words if they are larger
        with m.If(columns.restart):
            m.d.sync += place.eq(Cat(Const(0, sharing), job.bias_address))
        with m.Elif(columns.step):
            m.d.sync += place.eq(place + bias_words(config))
        index = place[:sharing] if bias_words(config) == 1 else columns.last_index[log2(config.bus_bits // 32) :]
        return place[sharing:], index
