"""A channel of NAND flash that computes: its controller, and dies that stand for flash."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from hdl.common.arithmetic import wire
from hdl.common.axi import AXI4LiteSignature, packet, packet_stream
from hdl.common.csr_bank import CSRBank
from hdl.common.csr_wiring import count_events, interrupt
from hdl.common.repeated import Pattern
from hdl.common.stream import RegisterSlice
from hdl.pim.flash_channel import BusUse, FlashChannel
from hdl.pim.flash_config import COMMAND_BITS, FlashConfig
from hdl.pim.flash_plane import FlashPlane


class Flash(wiring.Component):
    """Commands to the planes of a channel; what they read, in the commands' order. See `FlashChannel`, `FlashPlane`.

    A command is 64 bits: operation (3:0, a `FlashOp`), plane (11:4), page (31:12), and of READ_SLICE the first byte
    (47:32) and the number of bytes (63:48). `data` has the page of every PROGRAM and the vector of every READ_COMPUTE
    (int8, `columns`), in order. READ and READ_SLICE give bytes, READ_COMPUTE an int32 for each row, exact: the sum of
    the row's int8 weights times the vector.

    What the bus does is told beside it, so that a bench can hold every cycle to the rules of flash.

    Parameters
    ----------
    config : FlashConfig

    Members
    -------
    command : In(stream.Signature(64))
    data : In(stream.Signature(8))
    q : Out(packet_stream(8))
        A packet a read.
    bus_use : Out(3), bus_plane : Out(8), bus_byte : Out(8)
        A `BusUse`, whose it is, and its byte; a byte that is given out comes a cycle later, on `q`'s side.
    plane_busy : Out(config.plane_count)
    csr : In(AXI4LiteSignature(config.registers.address_bits))
        Registers of `flash.rdl`.
    irq : Out(1)
        High while an enabled status bit is set.
    """

    def __init__(self, config: FlashConfig):
        self._config = config
        super().__init__(
            {
                "command": In(stream.Signature(COMMAND_BITS)),
                "data": In(stream.Signature(8)),
                "q": Out(packet_stream(8)),
                "bus_use": Out(3),
                "bus_plane": Out(8),
                "bus_byte": Out(8),
                "plane_busy": Out(config.plane_count),
                "csr": In(AXI4LiteSignature(config.registers.address_bits)),
                "irq": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self._config
        m.submodules.command_slice = command = RegisterSlice(COMMAND_BITS)
        m.submodules.data_slice = data = RegisterSlice(8)
        m.submodules.slice = out = RegisterSlice(packet(8))
        m.submodules.channel = channel = FlashChannel(config)
        connect(m, flipped(self.command), command.i)
        connect(m, flipped(self.data), data.i)
        connect(m, out.o, flipped(self.q))
        connect(m, command.o, channel.command)
        connect(m, data.o, channel.data)
        connect(m, channel.q, out.i)

        planes, given = Pattern(FlashPlane, config), []
        for number in range(config.plane_count):
            m.submodules[f"plane_{number}"] = plane = planes.another()
            mine = wire(m, channel.plane == number, f"mine_{number}")
            m.d.comb += [
                plane.start.eq(channel.start[number]),
                plane.op.eq(channel.op),
                plane.page.eq(channel.page),
                plane.open.eq(channel.open & mine),
                plane.data_valid.eq(channel.data_valid & mine),
                plane.data.eq(channel.byte),
                plane.vector.eq(channel.vector),
                plane.release.eq(channel.release[number]),
                plane.get.eq(channel.get),
                plane.place.eq(channel.place),
                channel.busy[number].eq(plane.busy),
                channel.full[number].eq(plane.full),
                channel.in_order[number].eq(plane.in_order),
            ]
            given.append(plane.given)
        giving = wire(m, channel.use == BusUse.DATA_OUT, "giving")
        m.d.comb += [
            channel.given.eq(Cat(given).word_select(channel.given_plane, 8)),
            self.bus_use.eq(channel.use),
            self.bus_byte.eq(channel.bus_byte),
            self.plane_busy.eq(channel.busy),
            self.bus_plane.eq(channel.plane),
        ]
        with m.If(giving):
            m.d.comb += self.bus_plane.eq(channel.reader)
        self._control(m, channel)
        return m

    def _control(self, m, channel):
        """Registers, counters and interrupt."""
        m.submodules.bank = bank = CSRBank(self._config.registers)
        connect(m, flipped(self.csr), bank.bus)
        moved = Signal()
        m.d.comb += [
            moved.eq(channel.use != BusUse.IDLE),
            bank.status.bad_command.set.eq(channel.bad),
            bank.status.busy.next.eq(channel.active | self.q.valid),
        ]
        events = (
            (bank.commands, channel.done),
            (bank.bus_cycles, moved),
            (bank.busy_cycles, channel.busy.any()),
            (bank.cycles, channel.active),
        )
        count_events(m, bank.control.clear_counters.value, events)
        m.d.comb += self.irq.eq(interrupt(bank))
