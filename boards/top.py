"""The board top: any block behind a serial line.

Addresses on the host's bus (bytes):

    0x0000_0000   the block's registers (`csr`)
    0x4000_0000   the board top's own (`link.rdl`)
    0x8000_0000   the memory of a block with a memory port (`mem`), which sees it from address 0 on

All else answers DECERR.
"""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module, ResetInserter, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from boards.link import LINK_BASE, link_registers
from hdl.common.axi import AXI4LiteSignature, AXI4Signature, is_packet, packet
from hdl.common.axi_memory import AxiMemory
from hdl.common.bridge import Bridge
from hdl.common.csr_bank import CSRBank
from hdl.common.decoder import AddressDecoder
from hdl.common.stream import Downsizer, Fifo, Upsizer
from hdl.common.uart import UartReceiver, UartTransmitter

REGISTERS_BASE = 0x0000_0000
MEMORY_BASE = 0x8000_0000

EXTERNAL = "external"
"""An input that a block does without."""

BUS_TIMEOUT_S = 200e-6
STREAM_TIMEOUT_S = 100e-6
FRAME_TIMEOUT_S = 50e-3
"""Longer than the gaps that an operating system and a USB adapter leave between the bytes of one write."""
ACTIVITY_S = 50e-3
"""How long the light shows a byte."""


class BoardTop(wiring.Component):
    """A block, and what makes it usable over a serial line: UART, host bridge, queues and width converters.

    Each stream of the block is a channel of the bridge: inputs and outputs are numbered on their own, in the order of
    the block's signature. Bytes go to a beat in order, the first to the least significant byte; a packet that ends in
    the middle of a beat leaves the rest of it zero. A stream without packets takes no notice of where packets end
    beyond that, and gives none.

    Parameters
    ----------
    block : wiring.Component
        Streams of whole bytes in any number, at most one AXI4-Lite `csr` of at most 30 address bits, at most one AXI4
        manager `mem`; other outputs, as `irq`, are left open; an input `external`, for a trigger from a pin, stays 0.
    clock_hz : float
        Clock of domain `sync`.
    baud : int
        Bit rate of the line.
    identity : bytes
        8 bytes that tell the host which design this is.
    memory_bytes : int
        Size of the memory that a block with a port `mem` gets, a power of two; others get none.
    channel_bytes, buffer_bytes : int
        Bytes that each channel's queue holds, and longest frame body.

    Members
    -------
    uart_rx : In(1), uart_tx : Out(1)
        The line; `uart_rx` is asynchronous.
    activity : Out(1)
        High while bytes come or go, and for 50 ms after, for a light.

    Raises
    ------
    TypeError
        If the block has a member that has no place here.
    ValueError
        If the baud rate cannot be had from this clock, or a size is out of range.
    """

    def __init__(
        self,
        block: wiring.Component,
        *,
        clock_hz: float,
        baud: int,
        identity: bytes,
        memory_bytes: int = 4096,
        channel_bytes: int = 512,
        buffer_bytes: int = 1024,
    ):
        self._block = block
        self._inputs, self._outputs, self._csr_bits, memory_bits = _interfaces(block)
        self._memory_address_bits = (memory_bytes - 1).bit_length()
        self._memory = AxiMemory(self._memory_address_bits, memory_bits) if memory_bits else None
        self._channel_bytes = channel_bytes
        self._activity_cycles = round(clock_hz * ACTIVITY_S)
        self._receiver = UartReceiver(clock_hz, baud)
        self._transmitter = UartTransmitter(clock_hz, baud)
        self._bridge = Bridge(
            identity=identity,
            inputs=len(self._inputs),
            outputs=len(self._outputs),
            bus_timeout_cycles=max(64, round(clock_hz * BUS_TIMEOUT_S)),
            stream_timeout_cycles=max(64, round(clock_hz * STREAM_TIMEOUT_S)),
            frame_timeout_cycles=max(64, round(clock_hz * FRAME_TIMEOUT_S)),
            channel_bytes=channel_bytes,
            buffer_bytes=buffer_bytes,
        )
        queues = [9] * len(self._inputs)  # an octet and whether it ends a packet
        queues += [9 if _has_packets(getattr(block, name)) else 8 for name in self._outputs]
        self.memories_bits = (buffer_bytes * 8, buffer_bytes * 8, *(bits * channel_bytes for bits in queues))
        self.memories_bits += (memory_bytes * 8,) if self._memory else ()
        """Size of each memory around the block: the bridge's two buffers, a queue for each stream, the block's own."""
        super().__init__({"uart_rx": In(1), "uart_tx": Out(1), "activity": Out(1)})

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.submodules.link = link = CSRBank(link_registers())
        # Bridge and UART go on; all that data of an earlier host could be left in is reset.
        reset = ResetInserter(link.control.reset_design.value)
        block = self._block
        m.submodules.block = reset(block)
        m.submodules.receiver = receiver = self._receiver
        m.submodules.transmitter = transmitter = self._transmitter
        m.submodules.bridge = bridge = self._bridge
        wiring.connect(m, receiver.o, bridge.rx)
        wiring.connect(m, bridge.tx, transmitter.i)
        m.d.comb += [receiver.rx.eq(self.uart_rx), self.uart_tx.eq(transmitter.tx)]

        windows = [(LINK_BASE, len(link.bus.awaddr))]
        subordinates = [link.bus]
        if self._csr_bits is not None:
            windows.append((REGISTERS_BASE, self._csr_bits))
            subordinates.append(block.csr)
        if self._memory is not None:
            m.submodules.memory = reset(self._memory)
            windows.append((MEMORY_BASE, self._memory_address_bits))
            subordinates.append(self._memory.window)
            wiring.connect(m, block.mem, self._memory.mem)
        m.submodules.decoder = decoder = AddressDecoder(windows)
        wiring.connect(m, bridge.bus, decoder.bus)
        for window, subordinate in zip(decoder.windows, subordinates, strict=True):
            wiring.connect(m, window, subordinate)
        for number, name in enumerate(self._inputs):
            self._connect_input(m, name, bridge.inputs[number], getattr(block, name), reset)
        for number, name in enumerate(self._outputs):
            self._connect_output(m, name, getattr(block, name), bridge.outputs[number], reset)

        linger = Signal(range(self._activity_cycles + 1))
        with m.If(receiver.o.valid | bridge.tx.valid):
            m.d.sync += linger.eq(self._activity_cycles)
        with m.Elif(linger != 0):
            m.d.sync += linger.eq(linger - 1)
        m.d.comb += self.activity.eq(linger != 0)
        return m

    def _connect_input(self, m: Module, name: str, source: Any, port: Any, reset: Any) -> None:
        fifo = Fifo(packet(8), self._channel_bytes)
        m.submodules[f"fifo_{name}"] = reset(fifo)
        wiring.connect(m, source, fifo.i)
        wide: Any = fifo.o
        data_bytes = len(_tdata(port)) // 8
        if data_bytes > 1:
            upsizer = Upsizer(1, data_bytes)
            m.submodules[f"upsizer_{name}"] = reset(upsizer)
            wiring.connect(m, fifo.o, upsizer.i)
            wide = upsizer.o
        m.d.comb += [_tdata(port).eq(wide.payload.data), port.valid.eq(wide.valid), wide.ready.eq(port.ready)]
        if _has_packets(port):
            m.d.comb += port.payload.last.eq(wide.payload.last)

    def _connect_output(self, m: Module, name: str, port: Any, sink: Any, reset: Any) -> None:
        packets = _has_packets(port)
        data_bytes = len(_tdata(port)) // 8
        narrow: Any = stream.Signature(packet(8 * data_bytes)).create()
        m.d.comb += [narrow.payload.data.eq(_tdata(port)), narrow.valid.eq(port.valid), port.ready.eq(narrow.ready)]
        if packets:
            m.d.comb += narrow.payload.last.eq(port.payload.last)
        if data_bytes > 1:
            downsizer = Downsizer(data_bytes, 1)
            m.submodules[f"downsizer_{name}"] = reset(downsizer)
            wiring.connect(m, narrow, downsizer.i)
            narrow = downsizer.o
        fifo = Fifo(packet(8) if packets else 8, self._channel_bytes)
        m.submodules[f"fifo_{name}"] = reset(fifo)
        m.d.comb += [fifo.i.valid.eq(narrow.valid), narrow.ready.eq(fifo.i.ready)]
        m.d.comb += [sink.valid.eq(fifo.o.valid), fifo.o.ready.eq(sink.ready)]
        if packets:
            m.d.comb += [fifo.i.payload.eq(narrow.payload), sink.payload.eq(fifo.o.payload)]
        else:
            m.d.comb += [fifo.i.payload.eq(narrow.payload.data), sink.payload.data.eq(fifo.o.payload)]


def _interfaces(block: wiring.Component) -> tuple[list[str], list[str], int | None, int | None]:
    """Names of the block's input and output streams, the address bits of its registers and the data bits of its memory
    port, None if it has none."""
    inputs: list[str] = []
    outputs: list[str] = []
    csr_bits: int | None = None
    memory_bits: int | None = None
    for name, member in block.signature.members.items():
        if member.is_port and (member.flow == Out or name == EXTERNAL):
            continue
        signature = None if member.is_port else member.signature
        if isinstance(signature, stream.Signature):
            bits = len(_tdata(getattr(block, name)))
            if bits % 8 or not bits:
                raise TypeError(f"stream {name} is {bits} bits wide, not a whole number of bytes")
            (inputs if member.flow == In else outputs).append(name)
        elif name == "csr" and isinstance(signature, AXI4LiteSignature) and member.flow == In:
            csr_bits = signature.address_bits
        elif name == "mem" and isinstance(signature, AXI4Signature) and member.flow == Out:
            memory_bits = signature.data_bits
        else:
            raise TypeError(f"member {name} of {type(block).__name__} has no place on a board top")
    return inputs, outputs, csr_bits, memory_bits


def _has_packets(port: Any) -> bool:
    return is_packet(port.signature.members["payload"].shape)


def _tdata(port: Any) -> Value:
    """The data of a stream, packetised or not, as plain bits."""
    payload = port.payload
    return Value.cast(payload.data if _has_packets(port) else payload)
