"""A processor for netlists of pulse logic."""

from __future__ import annotations

from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from hdl.common.axi import AXI4LiteSignature, packet_stream
from hdl.common.csr_bank import CSRBank
from hdl.common.csr_wiring import count_events, interrupt
from hdl.common.stream import RegisterSlice
from hdl.sfq.processor_config import ProcessorConfig
from hdl.sfq.processor_core import Core
from hdl.sfq.processor_words import WORD_BITS, Status


class Processor(wiring.Component):
    """Runs any netlist up to the config's sizes; netlist, pulses and results travel as the words of
    `hdl.sfq.processor_words`, which `hdl.sfq.processor_image` makes and reads.

    A run: the tables of the cells, STATE of every cell and WIRE of its outputs, LIMITs, RUN, then PULSEs in order of
    time, END. The answers are a packet, which ends with END. They come in order of time; violations of one tick, by
    cell, in the order in which the pulses were taken. A tick is worked on once the word after its PULSEs is there.
    Stalls only pause it. The tables, but not how the cells stand, hold for further runs.

    What a pulse does is what `sim.sfq.event_model` says. A pulse that is lost, or a word that makes no sense, sets a
    bit of `Status` in the END of the run and in the register `status`; nothing else is harmed.

    Latency: `config.latency_cycles`, from END to its answer, where nothing is under way.

    Throughput: a word a cycle before RUN. Then, where nothing stalls, a tick with pulses takes 6 cycles, 3 while the
    calendar is empty; 2 for every pulse that comes in it; 5 for every one that a cell takes, 4 for the tick's first;
    and 2 for every output that fires but the first.

    Parameters
    ----------
    config : ProcessorConfig

    Members
    -------
    words : In(stream.Signature(64))
    answers : Out(packet_stream(64))
    csr : In(AXI4LiteSignature(config.registers.address_bits))
        Registers of `processor.rdl`.
    irq : Out(1)
        High while an enabled status bit is set.
    """

    def __init__(self, config: ProcessorConfig):
        self._config = config
        super().__init__(
            {
                "words": In(stream.Signature(WORD_BITS)),
                "answers": Out(packet_stream(WORD_BITS)),
                "csr": In(AXI4LiteSignature(config.registers.address_bits)),
                "irq": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.core = core = Core(self._config)
        m.submodules.entry = entry = RegisterSlice(WORD_BITS)
        m.submodules.exit = out = RegisterSlice(self.answers.payload.shape())
        m.submodules.bank = bank = CSRBank(self._config.registers)
        connect(m, flipped(self.words), entry.i)
        connect(m, entry.o, core.words)
        connect(m, core.answers, out.i)
        connect(m, out.o, flipped(self.answers))
        connect(m, flipped(self.csr), bank.bus)

        given = Signal()
        m.d.sync += given.eq(self.answers.valid & self.answers.ready)
        m.d.comb += bank.status.busy.next.eq(core.running | self.answers.valid)
        for status in Status:
            place = status.value.bit_length() - 1
            m.d.comb += getattr(bank.status, status.name.lower()).set.eq(core.wrong[place])
        events = ((bank.deliveries, core.delivered), (bank.answers, given), (bank.cycles, core.running))
        count_events(m, bank.control.clear_counters.value, events)
        m.d.comb += self.irq.eq(interrupt(bank))
        return m
