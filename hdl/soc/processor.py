"""A processor with memory, console, time, watchdog and a way to other blocks' registers."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from hdl.common.axi import AXI4LiteSignature
from hdl.common.csr_bank import CSRBank
from hdl.common.decoder import AddressDecoder
from hdl.common.stream import Fifo
from hdl.common.wishbone import WishboneToAXI4Lite
from hdl.soc.config import IO_BASE, RAM_BASE, SYSTEM_BASE, ProcessorConfig
from hdl.soc.cpu import CORES
from hdl.soc.memory import FirmwareMemory
from hdl.soc.watchdog import Watchdog

CONSOLE_BYTES = 33
"""That each direction of the console holds."""

UPPER_BIT = 31
"""Of an address: set for all that is not memory."""


class Processor(wiring.Component):
    """RV32I with its firmware; README.md says what it finds at which address.

    Parameters
    ----------
    config : ProcessorConfig
    io_address_bits : int
        Width of an address of the port `io`, 3 to 30.

    Members
    -------
    console_in : In(stream.Signature(8)), console_out : Out(stream.Signature(8))
        Bytes from and to the host.
    io : Out(AXI4LiteSignature(io_address_bits))
        To the registers of other blocks; one access at a time. It must answer: what hangs there hangs the processor
        until the watchdog's reset.
    io_irq : In(1)
        Their interrupt.
    """

    def __init__(self, config: ProcessorConfig, io_address_bits: int):
        self._config, self._io_address_bits = config, io_address_bits
        super().__init__(
            {
                "console_in": In(stream.Signature(8)),
                "console_out": Out(stream.Signature(8)),
                "io": Out(AXI4LiteSignature(io_address_bits)),
                "io_irq": In(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self._config
        m.submodules.watchdog = watchdog = Watchdog()
        m.submodules.cpu = cpu = CORES[config.core]()
        m.submodules.memory = memory = FirmwareMemory(config)
        m.submodules.bridge = bridge = WishboneToAXI4Lite(32)
        m.submodules.bank = bank = CSRBank(config.registers)
        windows = [(SYSTEM_BASE, len(bank.bus.araddr)), (IO_BASE, self._io_address_bits)]
        m.submodules.decoder = decoder = AddressDecoder(windows)
        connect(m, bridge.csr, decoder.bus)
        connect(m, decoder.windows[0], bank.bus)
        connect(m, decoder.windows[1], flipped(self.io))
        self._divide(m, cpu.bus, memory.wb, bridge.wb, bank)
        self._console(m, bank)
        timer = self._time(m, bank)

        pending = bank.irq_pending
        m.d.comb += [
            pending.timer.next.eq(timer),
            pending.io.next.eq(self.io_irq),
            cpu.irq.eq(_enabled(bank)),
            cpu.reset.eq(watchdog.reset),
            watchdog.cycles.eq(bank.watchdog.value.value),
            watchdog.kick.eq(bank.watchdog.value.written),
            bank.watchdog.value.we.eq(watchdog.fired),
            bank.watchdog.value.next.eq(0),
            bank.status.watchdog.set.eq(watchdog.fired),
        ]
        return m

    def _divide(self, m, bus, memory, others, bank):
        """The processor's bus to memory and the others by the uppermost bit of the address; faults are noted."""
        assert RAM_BASE >> UPPER_BIT == 0 and SYSTEM_BASE >> UPPER_BIT == IO_BASE >> UPPER_BIT == 1
        upper = bus.adr[UPPER_BIT]
        for side in (memory, others):
            m.d.comb += [getattr(side, name).eq(getattr(bus, name)) for name in ("adr", "dat_w", "sel", "we", "cyc")]
        m.d.comb += [memory.stb.eq(bus.stb & ~upper), others.stb.eq(bus.stb & upper)]
        failed = Signal()
        with m.If(upper):
            m.d.comb += [bus.dat_r.eq(others.dat_r), bus.ack.eq(others.ack), failed.eq(others.err)]
        with m.Else():
            m.d.comb += [bus.dat_r.eq(memory.dat_r), bus.ack.eq(memory.ack), failed.eq(memory.err)]
        where = Signal(32, name="fault_at")
        with m.If(failed):
            m.d.comb += bus.dat_r.eq(0)
            m.d.sync += where.eq(bus.adr)
        m.d.comb += [
            bus.err.eq(failed),
            bank.status.fault.set.eq(failed),
            bank.fault_address.value.next.eq(where),
        ]

    def _console(self, m, bank):
        """Bytes of both directions, in queues."""
        m.submodules.incoming = incoming = Fifo(8, CONSOLE_BYTES)
        m.submodules.outgoing = outgoing = Fifo(8, CONSOLE_BYTES)
        connect(m, flipped(self.console_in), incoming.i)
        connect(m, outgoing.o, flipped(self.console_out))
        m.d.comb += [
            bank.receive.data.next.eq(incoming.o.payload),
            bank.receive.valid.next.eq(incoming.o.valid),
            incoming.o.ready.eq(bank.receive.valid.read),
            outgoing.i.payload.eq(bank.transmit.data.value),
            outgoing.i.valid.eq(bank.transmit.data.written),
            bank.irq_pending.receive.next.eq(incoming.o.valid),
            # What is being written is not in the queue yet.
            bank.irq_pending.transmit.next.eq(outgoing.level < CONSOLE_BYTES - 2),
        ]

    def _time(self, m, bank):
        """Cycles; whether they have come to `compare`."""
        time, upper, reached = Signal(64), Signal(32), Signal()
        with m.If(bank.time_low.value.read):
            m.d.sync += upper.eq(time[32:])
        m.d.sync += [
            time.eq(time + 1),
            reached.eq(time >= Cat(bank.compare_low.value.value, bank.compare_high.value.value)),
        ]
        m.d.comb += [bank.time_low.value.next.eq(time[:32]), bank.time_high.value.next.eq(upper)]
        return reached


def _enabled(bank):
    """Whether an interrupt is pending that is enabled."""
    pending, enable = bank.irq_pending, bank.irq_enable
    names = enable.signature.members
    return Cat(getattr(pending, name).next & getattr(enable, name).value for name in names).any()
