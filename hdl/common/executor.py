"""Executes the commands of the host link: bus accesses and stream traffic."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.common.axi import AXI4LiteSignature, packet, packet_stream
from hdl.common.bus_access import BusAccess
from hdl.common.commands import ARGUMENTS, HEADS
from hdl.common.host_protocol import ANSWER_RESERVE_BYTES, Opcode, Status


class Executor(wiring.Component):
    """Executes one frame's commands in order, up to the end of the request or the first answer that is not OK.

    Throughput: an octet of SEND every 2 cycles, of RECV every cycle, as the channels allow.

    Parameters
    ----------
    ping : bytes
        Answer to PING.
    inputs, outputs : int
        Channels to and from the design; without any SEND, or RECV, is refused as an unknown command.
    buffer_bytes : int
        Size of the response, a power of two.
    bus_timeout_cycles, stream_timeout_cycles : int
        See `hdl.common.bridge.Bridge`.

    Members
    -------
    start : In(1)
        Begins; only while not `busy`.
    busy : Out(1)
        From the cycle after `start` until the response is complete.
    request : In(stream.Signature(8))
        Body of the request. Its first octet, the sequence number, is copied.
    request_left : In(range(buffer_bytes + 1))
        Octets of the request that were not yet taken.
    place : Out, octet : Out(8), store : Out(1)
        Write port of the response's memory.
    response_bytes : Out(range(buffer_bytes + 1))
        Length of the response. Stays until the next `start`.
    bus, inputs, outputs
        As of `hdl.common.bridge.Bridge`.
    """

    def __init__(
        self,
        *,
        ping: bytes,
        inputs: int,
        outputs: int,
        buffer_bytes: int,
        bus_timeout_cycles: int,
        stream_timeout_cycles: int,
    ):
        self._ping = ping
        self._buffer_bytes = buffer_bytes
        self._bus_timeout_cycles = bus_timeout_cycles
        self._stream_timeout_cycles = stream_timeout_cycles
        super().__init__(
            {
                "start": In(1),
                "busy": Out(1),
                "request": In(stream.Signature(8)),
                "request_left": In(range(buffer_bytes + 1)),
                "place": Out(range(buffer_bytes)),
                "octet": Out(8),
                "store": Out(1),
                "response_bytes": Out(range(buffer_bytes + 1)),
                "bus": Out(AXI4LiteSignature(32)),
                "inputs": Out(packet_stream(8)).array(inputs),
                "outputs": In(packet_stream(8)).array(outputs),
            }
        )
        absent = {Opcode.SEND: not inputs, Opcode.RECV: not outputs}
        self._arguments = {code: names for code, names in ARGUMENTS.items() if not absent.get(code)}
        self._access = BusAccess()
        self._timer = Signal(range(max(bus_timeout_cycles, stream_timeout_cycles) + 1))
        self._opcode = Signal(Opcode, init=Opcode.PING)
        self._option = Signal()  # READ, WRITE: the address stays; SEND: the last byte ends a packet
        self._channel = Signal(range(max(2, inputs, outputs)))
        self._address = Signal(32)
        self._word = Signal(32)
        self._left = Signal(16)  # words or bytes still to do
        self._done = Signal(16)
        self._step = Signal(range(len(ping)))  # of what takes several bytes
        self._status = Signal(Status)
        self._ended = Signal()
        self._head = Signal(range(buffer_bytes))
        self._blocked = Signal()  # the bus was busy when the command began: the address on it must stay
        self._slot_free = Signal()
        self._offer = Signal()
        self._moved = Signal()  # a word or a byte was done
        self._source = stream.Signature(packet(8)).create()

    def elaborate(self, platform):
        m = Module()
        m.submodules.access = access = self._access
        wiring.connect(m, access.bus, wiring.flipped(self.bus))
        m.d.comb += [access.address.eq(self._address), access.data.eq(self._word)]
        m.d.comb += access.write.eq(self._opcode == Opcode.WRITE)
        with m.If(self._timer != 0):
            m.d.sync += self._timer.eq(self._timer - 1)
        self._connect_channels(m)
        with m.If(self._moved):
            m.d.sync += [self._left.eq(self._left - 1), self._done.eq(self._done + 1)]
            m.d.sync += self._timer.eq(self._stream_timeout_cycles)
        with m.FSM():
            with m.State("IDLE"), m.If(self.start):
                m.d.sync += [self.busy.eq(1), self.response_bytes.eq(0)]
                m.next = "SEQUENCE"
            self._decode(m)
            self._admit(m)
            self._execute_bus(m)
            self._execute_streams(m)
            self._answer(m)
        return m

    def _connect_channels(self, m):
        # Each channel to the design has a register: what was once offered stays offered, though SEND gives up.
        for number, port in enumerate(self.inputs):
            with m.If(port.ready):
                m.d.sync += port.valid.eq(0)
            with m.If(self._channel == number):
                m.d.comb += self._slot_free.eq(~port.valid)
                with m.If(self._offer):
                    m.d.sync += port.payload.data.eq(self.request.payload)
                    m.d.sync += [port.payload.last.eq(self._option & (self._left == 1)), port.valid.eq(1)]
        for number, port in enumerate(self.outputs):
            with m.If(self._channel == number):
                m.d.comb += [self._source.payload.eq(port.payload), self._source.valid.eq(port.valid)]
                m.d.comb += port.ready.eq(self._source.ready)

    def _append(self, m, octet):
        m.d.comb += [self.place.eq(self.response_bytes), self.octet.eq(octet), self.store.eq(1)]
        m.d.sync += self.response_bytes.eq(self.response_bytes + 1)

    def _refuse(self, m, status: Status):
        """The command is not executed: its answer is the status alone."""
        m.d.sync += self._status.eq(status)
        m.next = "REFUSE"

    def _finish(self, m, status: Status = Status.OK):
        m.d.sync += [self._status.eq(status), self._step.eq(0)]
        m.next = "HEAD"

    def _end(self, m):
        m.d.sync += self.busy.eq(0)
        m.next = "IDLE"

    def _decode(self, m):
        octet = self.request.payload
        with m.State("SEQUENCE"), m.If(self.request.valid):
            m.d.comb += self.request.ready.eq(1)
            self._append(m, octet)
            m.next = "OPCODE"
        with m.State("OPCODE"):
            m.d.sync += [self._done.eq(0), self._left.eq(0), self._step.eq(0), self._ended.eq(0)]
            m.d.sync += [self._blocked.eq(self._access.busy), self._opcode.eq(octet[:3])]
            with m.If(self.request_left == 0):
                self._end(m)
            with m.Elif(self.request.valid):
                m.d.comb += self.request.ready.eq(1)
                with m.Switch(octet):
                    with m.Case(Opcode.PING.value):
                        m.next = "ROOM"
                    with m.Case(*(opcode.value for opcode in self._arguments)):
                        m.next = "ARGUMENTS"
                    with m.Default():
                        self._refuse(m, Status.MALFORMED)
        with m.State("ARGUMENTS"):
            with m.If(self.request_left == 0):
                self._refuse(m, Status.MALFORMED)
            with m.Elif(self.request.valid):
                m.d.comb += self.request.ready.eq(1)
                m.d.sync += self._step.eq(self._step + 1)
                with m.Switch(self._opcode):
                    for opcode, names in self._arguments.items():
                        with m.Case(opcode):
                            self._take_argument(m, opcode, names)

    def _take_argument(self, m, opcode: Opcode, names: tuple[str, ...]):
        octet = self.request.payload
        with m.If(self._step == len(names) - 1):
            m.next = "ROOM"
        with m.Switch(self._step):
            for name in dict.fromkeys(names):
                with m.Case(*(step for step, other in enumerate(names) if other == name)):
                    if name == "option":
                        m.d.sync += self._option.eq(octet[0])
                    elif name == "count_low":
                        m.d.sync += self._left[:8].eq(octet)
                    elif name == "count_high":
                        m.d.sync += self._left[8:].eq(octet)
                    elif name == "address":
                        with m.If(~self._blocked):
                            m.d.sync += self._address.eq(Cat(self._address[8:], octet))
                    else:
                        m.d.sync += self._channel.eq(octet)
                        with m.If(octet >= len(self.inputs if opcode == Opcode.SEND else self.outputs)):
                            self._refuse(m, Status.MALFORMED)

    def _admit(self, m):
        """Two looks through one comparator: does the answer fit the response, is the command's content there?"""
        opcode, in_request = self._opcode, Signal()
        of_words = (opcode == Opcode.READ) | (opcode == Opcode.WRITE)
        from_host = (opcode == Opcode.WRITE) | (opcode == Opcode.SEND)
        to_host = (opcode == Opcode.READ) | (opcode == Opcode.RECV)
        room = Signal(signed(len(self.response_bytes) + 1))
        m.d.comb += room.eq(self._buffer_bytes - 1 - ANSWER_RESERVE_BYTES - self.response_bytes)
        payload = Mux(Mux(in_request, from_host, to_host), Mux(of_words, self._left[:8] << 2, self._left), 0)
        fits = payload <= Mux(in_request, self.request_left, room)
        with m.State("ROOM"):
            m.next = "CONTENT"
            with m.If(~fits):
                self._refuse(m, Status.NO_ROOM)
        with m.State("CONTENT"):
            m.d.comb += in_request.eq(1)
            m.d.sync += [self._head.eq(self.response_bytes), self._step.eq(0)]
            m.d.sync += self._timer.eq(self._stream_timeout_cycles)
            with m.If(~fits):
                self._refuse(m, Status.MALFORMED)
            with m.Elif(of_words & self._blocked):
                self._finish(m, Status.BUS_BUSY)
            with m.Else(), m.Switch(opcode):
                with m.Case(Opcode.PING):
                    self._finish(m)
                for code in (Opcode.SEND, Opcode.RECV):
                    if code in self._arguments:
                        with m.Case(code):
                            m.next = code.name
                with m.Default():
                    m.next = "BUS"
            with m.If(fits), m.Switch(opcode):
                for code, head in self._heads().items():
                    with m.Case(code):
                        m.d.sync += self.response_bytes.eq(self.response_bytes + len(head))

    def _execute_bus(self, m):
        access, word = self._access, self._word
        with m.State("BUS"):
            with m.If(self._left == 0):
                self._finish(m)
            with m.Elif(self._opcode == Opcode.READ):
                m.next = "ACCESS"
            with m.Elif(self.request.valid):
                m.d.comb += self.request.ready.eq(1)
                m.d.sync += [word.eq(Cat(word[8:], self.request.payload)), self._step.eq(self._step + 1)]
                with m.If(self._step == 3):
                    m.next = "ACCESS"
        with m.State("ACCESS"):
            m.d.comb += access.start.eq(1)
            m.d.sync += [self._step.eq(0), self._timer.eq(self._bus_timeout_cycles)]
            m.next = "WAIT"
        with m.State("WAIT"):
            with m.If(access.done & access.failed):
                self._finish(m, Status.BUS_ERROR)
            with m.Elif(access.done):
                m.d.comb += self._moved.eq(1)
                with m.If(~self._option):
                    m.d.sync += self._address.eq(self._address + 4)
                m.next = "BUS"
                with m.If(self._opcode == Opcode.READ):
                    m.d.sync += word.eq(access.read_data)
                    m.next = "STORE"
            with m.Elif(self._timer == 0):
                self._finish(m, Status.TIMEOUT)
        with m.State("STORE"):
            self._append(m, word[:8])
            m.d.sync += [word.eq(word >> 8), self._step.eq(self._step + 1)]
            with m.If(self._step == 3):
                m.next = "BUS"

    def _execute_streams(self, m):
        if Opcode.SEND in self._arguments:
            self._execute_send(m)
        if Opcode.RECV in self._arguments:
            self._execute_recv(m)

    def _execute_send(self, m):
        moved = self._moved
        with m.State("SEND"):
            m.d.comb += self.request.ready.eq(moved)
            with m.If(self._left == 0):
                self._finish(m)
            with m.Elif(self.request.valid & self._slot_free):
                m.d.comb += [self._offer.eq(1), moved.eq(1)]
            with m.Elif(self._timer == 0):
                self._finish(m, Status.TIMEOUT)

    def _execute_recv(self, m):
        moved = self._moved
        with m.State("RECV"):
            with m.If((self._left == 0) | self._ended):
                self._finish(m)
            with m.Elif(self._source.valid):
                m.d.comb += [self._source.ready.eq(1), moved.eq(1)]
                self._append(m, self._source.payload.data)
                m.d.sync += self._ended.eq(self._source.payload.last)
            with m.Elif(self._timer == 0):
                self._finish(m)

    def _heads(self):
        values = {
            "status": self._status,
            "ended": self._ended,
            "count_low": self._done[:8],
            "count_high": self._done[8:],
        }
        return {Opcode.PING: self._ping} | {code: [values[name] for name in names] for code, names in HEADS.items()}

    def _answer(self, m):
        with m.State("HEAD"):
            m.d.comb += [self.place.eq(self._head), self.store.eq(1)]
            m.d.sync += [self._step.eq(self._step + 1), self._head.eq(self._head + 1)]
            with m.Switch(self._opcode):
                for code, head in self._heads().items():
                    with m.Case(code):
                        with m.Switch(self._step):
                            for step, value in enumerate(head):
                                with m.Case(step):
                                    m.d.comb += self.octet.eq(value)
                        with m.If(self._step == len(head) - 1):
                            m.next = "OPCODE"
                            with m.If(self._status != Status.OK):
                                self._end(m)
        with m.State("REFUSE"):
            self._append(m, self._status)
            self._end(m)
