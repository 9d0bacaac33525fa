"""A channel of memory that multiplies, and the vector unit beside it, under one program."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from hdl.common.arithmetic import wire
from hdl.common.axi import AXI4LiteSignature, packet_stream
from hdl.common.axi_windows import AddressWindows
from hdl.common.csr_bank import CSRBank
from hdl.common.csr_wiring import count_events
from hdl.common.stream import Fifo, RegisterSlice
from hdl.pim.channel import Channel
from hdl.pim.commands import INSTRUCTION_BITS
from hdl.pim.system_config import CHANNEL_BASE, VECTOR_BASE, VECTOR_BIT, SystemConfig
from hdl.pim.system_link import Link
from hdl.pim.vector import SINKS, SOURCES, Vector


class System(wiring.Component):
    """Words of one program to the unit that each is for; data between the units goes over four links.

    What orders what, and why nothing hangs, is in the family's README.

    Parameters
    ----------
    config : SystemConfig

    Members
    -------
    program : In(stream.Signature(64))
        Instructions of the channel, and of the vector unit with bit 63 set.
    data : In(stream.Signature(config.vector.beat_bits))
        What LOAD and LOAD32 take from the host.
    q : Out(packet_stream(config.vector.beat_bits))
        What STORE and STORE32 give to the host.
    csr : In(AXI4LiteSignature(config.registers.address_bits))
        Registers of `system.rdl`: its own, the channel's, the vector unit's.
    irq : Out(1)
        High while an enabled status bit of a unit is set.
    """

    def __init__(self, config: SystemConfig):
        self._config = config
        beat = config.vector.beat_bits
        super().__init__(
            {
                "program": In(stream.Signature(INSTRUCTION_BITS)),
                "data": In(stream.Signature(beat)),
                "q": Out(packet_stream(beat)),
                "csr": In(AXI4LiteSignature(config.registers.address_bits)),
                "irq": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self._config
        m.submodules.channel = channel = Channel(config.channel)
        m.submodules.vector = vector = Vector(config.vector, linked=True)
        m.submodules.fetch = fetch = RegisterSlice(INSTRUCTION_BITS)
        m.submodules.queue = queue = Fifo(INSTRUCTION_BITS, config.queue_depth + 1)
        connect(m, flipped(self.program), fetch.i)
        connect(m, queue.o, vector.program)
        connect(m, flipped(self.data), vector.data)
        connect(m, vector.q, flipped(self.q))

        word, of_vector = fetch.o.payload, wire(m, fetch.o.payload[VECTOR_BIT], "of_vector")
        m.d.comb += [
            queue.i.payload.eq(Cat(word[:VECTOR_BIT], Const(0, 1))),
            queue.i.valid.eq(fetch.o.valid & of_vector),
            channel.program.payload.eq(word),
            channel.program.valid.eq(fetch.o.valid & ~of_vector),
            fetch.o.ready.eq((queue.i.ready & of_vector) | (channel.program.ready & ~of_vector)),
        ]
        waiting = [self._link(m, channel, vector)]
        self._control(m, fetch, of_vector, channel, vector, [*waiting, queue.o.valid])
        return m

    def _link(self, m, channel, vector):
        """The four links; whether a beat waits in one."""
        config = self._config
        wide, narrow = config.channel.column_bits, config.vector.beat_bits
        waits = []
        for name in SINKS:
            m.submodules[f"link_{name}"] = link = Link(narrow, wide, config.link_beats, queue_first=False)
            connect(m, getattr(vector, name), link.i)
            port = getattr(channel, name)
            m.d.comb += [
                port.payload.eq(link.o.payload.data),
                port.valid.eq(link.o.valid),
                link.o.ready.eq(port.ready),
            ]
            waits.append(link.o.valid)
        for name in SOURCES:
            m.submodules[f"link_{name}"] = link = Link(wide, narrow, config.link_beats, queue_first=True)
            connect(m, getattr(channel, name), link.i)
            connect(m, link.o, getattr(vector, name))
            waits.append(link.o.valid)
        return Cat(waits).any()

    def _control(self, m, fetch, of_vector, channel, vector, waiting):
        """Registers, counters and interrupt."""
        registers = self._config.registers
        own = self._config.own_registers
        m.submodules.bank = bank = CSRBank(own)
        windows = {
            "own": (0, own.address_bits),
            "channel": (CHANNEL_BASE, len(channel.csr.araddr)),
            "vector": (VECTOR_BASE, len(vector.csr.araddr)),
        }
        m.submodules.windows = split = AddressWindows(registers.address_bits, windows)
        connect(m, flipped(self.csr), split.bus)
        connect(m, split.own, bank.bus)
        connect(m, split.channel, channel.csr)
        connect(m, split.vector, vector.csr)
        busy = wire(m, vector.busy | fetch.o.valid | Cat(waiting).any(), "busy")
        taken = wire(m, fetch.o.valid & fetch.o.ready, "taken")
        m.d.comb += [
            bank.status.busy.next.eq(busy),
            bank.status.waits.next.eq(fetch.o.valid & ~fetch.o.ready),
            self.irq.eq(channel.irq | vector.irq),
        ]
        events = ((bank.channel_words, taken & ~of_vector), (bank.vector_words, taken & of_vector), (bank.cycles, busy))
        count_events(m, bank.control.clear_counters.value, events)
