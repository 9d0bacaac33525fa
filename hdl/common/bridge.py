"""Host bridge: frames of commands from a byte line become bus accesses and stream traffic.

The protocol is on `docs/host-link.md`. This is its device side, between byte streams and the rest of a design.
"""

from __future__ import annotations

from amaranth.hdl import Module, Signal
from amaranth.lib import memory, stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.common.axi import AXI4LiteSignature, packet_stream
from hdl.common.executor import Executor
from hdl.common.framing import FrameReceiver, FrameSender
from hdl.common.host_protocol import PROTOCOL_VERSION, Status

FCS_BYTES = 2


class Bridge(wiring.Component):
    """Executes the host's frames, each exactly once.

    A frame is received whole into a buffer and executed when its FCS is right; its response is built in a second
    buffer, where it stays for the case that the host asks again. While a frame is executed or answered, `rx` waits.

    Throughput: 1 octet every 2 cycles to and from the streams and the line.

    Parameters
    ----------
    identity : bytes
        8 bytes that PING returns, to tell designs apart.
    inputs, outputs : int
        Channels to and from the design, up to 255 each.
    channel_bytes : int
        Bytes that each channel's queue holds, behind this component; only reported to the host.
    buffer_bytes : int
        Longest frame body, a power of two in 64..32768: request and response each take a memory of that size.
    bus_timeout_cycles : int
        After which a bus access is given up. Its VALID stays until it is taken; a late response is taken and dropped.
    stream_timeout_cycles : int
        After which a SEND that no channel takes, or a RECV that nothing comes for, ends.
    frame_timeout_cycles : int
        Gap between two bytes after which a partial frame is dropped, and bytes are skipped up to the next flag.

    Members
    -------
    rx : In(stream.Signature(8)), tx : Out(stream.Signature(8))
        Bytes from and to the line.
    bus : Out(AXI4LiteSignature(32))
        One access at a time; an address stays until its response.
    inputs : Out(packet_stream(8)).array(inputs), outputs : In(packet_stream(8)).array(outputs)
        Bytes to and from the design. Each of `inputs` has one register, which counts as accepted.

    Raises
    ------
    ValueError
        For a parameter out of its range.
    """

    def __init__(
        self,
        *,
        identity: bytes,
        inputs: int,
        outputs: int,
        bus_timeout_cycles: int,
        stream_timeout_cycles: int,
        frame_timeout_cycles: int,
        channel_bytes: int = 512,
        buffer_bytes: int = 1024,
    ):
        if len(identity) != 8:
            raise ValueError(f"identity must be 8 bytes, not {len(identity)}")
        if not 64 <= buffer_bytes <= 32768 or buffer_bytes & (buffer_bytes - 1):
            raise ValueError(f"buffer_bytes must be a power of two in 64..32768, not {buffer_bytes}")
        cycles = {"bus": bus_timeout_cycles, "stream": stream_timeout_cycles, "frame": frame_timeout_cycles}
        limits = {"inputs": (inputs, 0, 255), "outputs": (outputs, 0, 255), "channel_bytes": (channel_bytes, 1, 65535)}
        limits |= {f"{name}_timeout_cycles": (value, 4, 2**32 - 1) for name, value in cycles.items()}
        for name, (value, low, high) in limits.items():
            if not low <= value <= high:
                raise ValueError(f"{name} must be in {low}..{high}, not {value}")
        ping = bytes([Status.OK.value, PROTOCOL_VERSION]) + identity + buffer_bytes.to_bytes(2, "little")
        ping += bytes([inputs, outputs]) + channel_bytes.to_bytes(2, "little")
        self._buffer_bytes = buffer_bytes
        self._frame_timeout_cycles = frame_timeout_cycles
        self._executor = Executor(
            ping=ping,
            inputs=inputs,
            outputs=outputs,
            buffer_bytes=buffer_bytes,
            bus_timeout_cycles=bus_timeout_cycles,
            stream_timeout_cycles=stream_timeout_cycles,
        )
        super().__init__(
            {
                "rx": In(stream.Signature(8)),
                "tx": Out(stream.Signature(8)),
                "bus": Out(AXI4LiteSignature(32)),
                "inputs": Out(packet_stream(8)).array(inputs),
                "outputs": In(packet_stream(8)).array(outputs),
            }
        )
        self._receiver = FrameReceiver()
        self._sender = FrameSender()
        # One index walks through the request, while it comes and while it is executed, and through the response while
        # it goes. Both memories are read at it; `fetched` says that their outputs are of this index.
        self._index = Signal(range(buffer_bytes + FCS_BYTES + 1))
        self._fetched = Signal()
        self._keep = Signal()  # the octet that comes has its place in the request
        self._left = Signal(range(buffer_bytes + 1))  # octets of the request from the index on
        self._timer = Signal(range(frame_timeout_cycles + 1))
        self._spoilt = Signal()  # the frame is longer than any good one
        self._executed = Signal()  # the response is the last frame's; its first octet is that frame's sequence number
        self._repeated = Signal()

    def elaborate(self, platform):
        m = Module()
        m.submodules.receiver = receiver = self._receiver
        m.submodules.sender = sender = self._sender
        m.submodules.executor = executor = self._executor
        wiring.connect(m, wiring.flipped(self.rx), receiver.i)
        wiring.connect(m, sender.o, wiring.flipped(self.tx))
        wiring.connect(m, executor.bus, wiring.flipped(self.bus))
        for mine, its in zip(self.inputs, executor.inputs, strict=True):
            wiring.connect(m, its, wiring.flipped(mine))
        for mine, its in zip(self.outputs, executor.outputs, strict=True):
            wiring.connect(m, wiring.flipped(mine), its)
        self._connect_memories(m)
        m.d.sync += self._fetched.eq(1)
        with m.FSM():
            self._receive(m)
            self._execute(m)
            self._reply(m)
        return m

    def _connect_memories(self, m):
        m.submodules.request = request = memory.Memory(shape=8, depth=self._buffer_bytes, init=[])
        m.submodules.response = response = memory.Memory(shape=8, depth=self._buffer_bytes, init=[])
        request_in, request_out = request.write_port(), request.read_port()
        response_in, response_out = response.write_port(), response.read_port()
        executor = self._executor
        m.d.comb += [
            request_in.addr.eq(self._index),
            request_in.data.eq(self._receiver.o.payload.octet),
            request_in.en.eq(self._keep),
            request_out.addr.eq(self._index),
            executor.request.payload.eq(request_out.data),
            executor.request_left.eq(self._left),
            response_in.addr.eq(executor.place),
            response_in.data.eq(executor.octet),
            response_in.en.eq(executor.store),
            response_out.addr.eq(self._index),
            self._sender.i.payload.data.eq(response_out.data),
        ]
        sequence = request_out.data
        m.d.comb += self._repeated.eq(self._executed & (sequence == response_out.data) & (sequence != 0))

    def _advance(self, m):
        m.d.sync += [self._index.eq(self._index + 1), self._fetched.eq(0)]

    def _rewind(self, m):
        m.d.sync += [self._index.eq(0), self._fetched.eq(0)]

    def _receive(self, m):
        index, item, spoilt = self._index, self._receiver.o.payload, self._spoilt
        arrives = self._receiver.o.valid
        with m.State("RECEIVE"):
            m.d.comb += self._receiver.o.ready.eq(1)
            with m.If(self.rx.valid):
                m.d.sync += self._timer.eq(self._frame_timeout_cycles)
            with m.Elif(self._timer != 0):
                m.d.sync += self._timer.eq(self._timer - 1)
            with m.Else():
                m.d.comb += self._receiver.drop.eq(1)
                m.d.sync += spoilt.eq(0)
                self._rewind(m)
            with m.If(arrives & item.end):
                m.d.sync += [self._left.eq(index - FCS_BYTES), spoilt.eq(0)]
                self._rewind(m)
                with m.If(item.good & ~spoilt & (index > FCS_BYTES)):
                    m.next = "COMPARE"
            with m.Elif(arrives & (index == self._buffer_bytes + FCS_BYTES)):
                m.d.sync += spoilt.eq(1)
            with m.Elif(arrives):
                m.d.comb += self._keep.eq(index < self._buffer_bytes)  # the longest frame's FCS has no place
                self._advance(m)

    def _execute(self, m):
        request = self._executor.request
        with m.State("COMPARE"), m.If(self._fetched):
            m.next = "REPLY"
            with m.If(~self._repeated):
                m.d.comb += self._executor.start.eq(1)
                m.d.sync += self._executed.eq(1)
                m.next = "EXECUTE"
        with m.State("EXECUTE"):
            m.d.comb += request.valid.eq(self._fetched & (self._left != 0))
            with m.If(request.valid & request.ready):
                m.d.sync += self._left.eq(self._left - 1)
                self._advance(m)
            with m.If(~self._executor.busy):
                self._rewind(m)
                m.next = "REPLY"

    def _reply(self, m):
        body = self._sender.i
        with m.State("REPLY"):
            m.d.comb += body.valid.eq(self._fetched)
            m.d.comb += body.payload.last.eq(self._index + 1 == self._executor.response_bytes)
            with m.If(body.valid & body.ready):
                self._advance(m)
                with m.If(body.payload.last):
                    self._rewind(m)
                    m.d.sync += self._timer.eq(self._frame_timeout_cycles)
                    m.next = "RECEIVE"
