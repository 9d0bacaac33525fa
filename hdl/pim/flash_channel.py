"""The controller of a flash channel: which plane gets the bus, for what."""

from __future__ import annotations

from enum import IntEnum

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import fifo, stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.common.arithmetic import wire
from hdl.common.axi import packet_stream
from hdl.pim.flash_config import (
    COMMAND_BITS,
    COMMAND_COUNT,
    COMMAND_CYCLES,
    COMMAND_OFFSET,
    COMMAND_OP,
    COMMAND_PAGE,
    COMMAND_PLANE,
    FlashConfig,
    FlashOp,
)


class BusUse(IntEnum):
    """What the bus does in a cycle."""

    IDLE = 0
    CODE = 1
    ADDRESS = 2
    DATA_IN = 3
    CONFIRM = 4
    DATA_OUT = 5


class FlashChannel(wiring.Component):
    """Gives commands to planes that are not busy, and gives out what they read, in the order of the commands.

    Whenever the bus is free it is given to the next command, if its plane is not busy, or to the oldest read's data, if
    its plane has them in its cache register; where both could go, one command goes first, which keeps the arrays at
    work. A command that waits holds back those behind it. So a plane has up to two reads, one in its array and one in
    its cache register, and all planes work at the same time.

    A command is a code, five bytes of address, the data (a page for PROGRAM, a vector for READ_COMPUTE), and a
    confirmation that starts the plane: a byte a cycle. What cannot be done is not given to a plane: an unknown code, a
    plane, a page or a slice that there is not, PROGRAM of a page that is not its block's next. Its data are taken and
    thrown away, and it gives nothing.

    Members
    -------
    command : In(stream.Signature(64))
    data : In(stream.Signature(8))
    q : Out(packet_stream(8))
        A packet a read.
    start, release : Out(planes)
    busy, full, in_order : In(planes)
    op, page, open, data_valid, byte, vector, get, place : as `FlashPlane` has them, of the plane `plane`
    reader : Out(config.plane_bits)
        The plane that `get` and `place` are meant for.
    given : In(8)
        Of the plane `given_plane`, which is the reader of the cycle before.
    use : Out(3), bus_byte : Out(8)
        What the bus does, a `BusUse`.
    bad : Out(1)
        A pulse: a command that cannot be done.
    done : Out(1)
        A pulse: a command was given to its plane.
    active : Out(1)
    """

    def __init__(self, config: FlashConfig):
        self._config = config
        planes = config.plane_count
        super().__init__(
            {
                "command": In(stream.Signature(COMMAND_BITS)),
                "data": In(stream.Signature(8)),
                "q": Out(packet_stream(8)),
                "start": Out(planes),
                "release": Out(planes),
                "busy": In(planes),
                "full": In(planes),
                "in_order": In(planes),
                "op": Out(4),
                "page": Out(range(config.pages)),
                "plane": Out(config.plane_bits),
                "open": Out(1),
                "data_valid": Out(1),
                "byte": Out(8),
                "vector": Out(1),
                "get": Out(1),
                "place": Out(range(config.page_bytes)),
                "reader": Out(config.plane_bits),
                "given_plane": Out(config.plane_bits),
                "given": In(8),
                "use": Out(3),
                "bus_byte": Out(8),
                "bad": Out(1),
                "done": Out(1),
                "active": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self._config
        self._left = Signal(range(max(config.page_bytes, config.columns) + 1))  # bytes of the data that travel
        self._rest = Signal(COMMAND_BITS - COMMAND_PLANE.start, reset_less=True)  # of the address
        self._programs = wire(m, self.op == FlashOp.PROGRAM, "programs")
        # Of reads that are given to planes: where their data begin, how many there are, whose.
        place_bits = len(self.place)
        m.submodules.order = order = fifo.SyncFIFO(
            width=2 * place_bits + 1 + config.plane_bits, depth=2 * config.plane_count
        )
        self._span_held = Signal(2 * place_bits + 1, reset_less=True)
        first, count = order.r_data[:place_bits], order.r_data[place_bits : 2 * place_bits + 1]
        m.d.comb += [
            order.w_data.eq(Cat(self._span_held, self.plane)),
            self.reader.eq(order.r_data[2 * place_bits + 1 :]),
            self.byte.eq(self.data.payload),
            self.vector.eq(self.op == FlashOp.READ_COMPUTE),
        ]

        fetched, last, moves = Signal(), Signal(), Signal()
        m.d.comb += [
            moves.eq(self.q.ready | ~fetched),
            self.q.valid.eq(fetched),
            self.q.payload.data.eq(self.given),
            self.q.payload.last.eq(last),
        ]
        with m.If(moves):
            m.d.sync += fetched.eq(0)

        ready = wire(m, order.r_rdy & self.full.bit_select(self.reader, 1), "ready")
        with m.FSM() as fsm:
            with m.State("choose"):
                self._choose(m, ready, first, count)
            with m.State("address"):
                self._address(m)
            with m.State("data"):
                m.d.comb += self.data.ready.eq(1)
                with m.If(self.data.valid):
                    m.d.comb += [self.data_valid.eq(1), self.use.eq(BusUse.DATA_IN), self.bus_byte.eq(self.byte)]
                    m.d.sync += self._left.eq(self._left - 1)
                    with m.If(self._left == 1):
                        m.next = "confirm"
            with m.State("confirm"):
                m.d.comb += [
                    self.use.eq(BusUse.CONFIRM),
                    self.bus_byte.eq(self.op),
                    self.start.bit_select(self.plane, 1).eq(1),
                    order.w_en.eq(~self._programs & (self.op != FlashOp.ERASE)),
                    self.done.eq(1),
                ]
                m.next = "choose"
            with m.State("drain"):
                m.d.comb += self.data.ready.eq(self._left.any())
                with m.If(self.data.valid & self._left.any()):
                    m.d.sync += self._left.eq(self._left - 1)
                with m.If(~self._left.any() | (self.data.valid & (self._left == 1))):
                    m.next = "choose"
            with m.State("give"), m.If(moves):
                m.d.comb += [self.get.eq(1), self.use.eq(BusUse.DATA_OUT)]
                m.d.sync += [
                    fetched.eq(1),
                    last.eq(self._left == 1),
                    self.given_plane.eq(self.reader),
                    self.place.eq(self.place + 1),
                    self._left.eq(self._left - 1),
                ]
                with m.If(self._left == 1):
                    m.d.comb += [self.release.bit_select(self.reader, 1).eq(1), order.r_en.eq(1)]
                    m.next = "choose"
        m.d.comb += self.active.eq(~fsm.ongoing("choose") | order.r_rdy | self.busy.any() | fetched)
        return m

    def _choose(self, m, ready, first, count):
        """The bus is free: data that are there, or the next command."""
        config, word = self._config, self.command.payload
        op, plane, page = word[COMMAND_OP], word[COMMAND_PLANE], word[COMMAND_PAGE]
        known = self._legal(m, op, plane, page, word)
        free = ~self.busy.bit_select(plane[: config.plane_bits], 1)
        possible = wire(m, self.command.valid & (~known | free), "possible")
        passed_over = Signal()  # a command got the bus though data were ready
        wanted_first, wanted_count = self._span(m, op, word)
        takes = Mux(op == FlashOp.PROGRAM, config.page_bytes, Mux(op == FlashOp.READ_COMPUTE, config.columns, 0))
        with m.If(ready & (passed_over | ~possible)):
            m.d.sync += [self.place.eq(first), self._left.eq(count), passed_over.eq(0)]
            m.next = "give"
        with m.Elif(possible):
            m.d.comb += [self.command.ready.eq(1), self.bad.eq(~known)]
            m.d.sync += [
                passed_over.eq(ready),
                self.op.eq(op),
                self.page.eq(page),
                self.plane.eq(plane),
                self._rest.eq(word[COMMAND_PLANE.start :]),
                self._span_held.eq(Cat(wanted_first, wanted_count)),
                self._left.eq(takes),
            ]
            with m.If(known):
                m.next = "address"
            with m.Else():
                m.next = "drain"

    def _address(self, m):
        """The code and the bytes of address; a page that is not its block's next gets no code."""
        step = Signal(range(COMMAND_CYCLES))
        late = ~step.any() & self._programs & ~self.in_order.bit_select(self.plane, 1)
        m.d.comb += self.open.eq(1)
        m.d.sync += step.eq(step + 1)
        with m.If(late):
            m.d.comb += self.bad.eq(1)
            m.d.sync += step.eq(0)
            m.next = "drain"
        with m.Elif(step.any()):
            m.d.comb += [self.use.eq(BusUse.ADDRESS), self.bus_byte.eq(self._rest[:8])]
            m.d.sync += self._rest.eq(self._rest >> 8)
        with m.Else():
            m.d.comb += [self.use.eq(BusUse.CODE), self.bus_byte.eq(self.op)]
        with m.If(step == COMMAND_CYCLES - 2):
            m.d.sync += step.eq(0)
            m.next = "confirm"
            with m.If(self._programs | self.vector):
                m.next = "data"

    def _span(self, m, op, word):
        """Where in the cache register the data of a read begin, and how many they are."""
        config = self._config
        place = Signal(range(config.page_bytes), name="wanted_first")
        count = Signal(range(config.page_bytes + 1), name="wanted_count")
        m.d.comb += count.eq(Mux(op == FlashOp.READ_COMPUTE, config.sum_bytes, config.page_bytes))
        with m.If(op == FlashOp.READ_SLICE):
            m.d.comb += [place.eq(word[COMMAND_OFFSET]), count.eq(word[COMMAND_COUNT])]
        return place, count

    def _legal(self, m, op, plane, page, word):
        """Whether there are such an operation, plane, page and slice."""
        config = self._config
        count = wire(m, word[COMMAND_COUNT], "count")
        end = wire(m, word[COMMAND_OFFSET] + count, "slice_end")
        within = (op != FlashOp.READ_SLICE) | (count.any() & (end <= config.page_bytes))
        exists = (op != 0) & (op <= FlashOp.ERASE)
        return wire(m, exists & (plane < config.plane_count) & (page < config.pages) & within, "known")
