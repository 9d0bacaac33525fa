"""Stochastic rate-coded networks of pulse logic, slot by slot, layer by layer."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from hdl.common.axi import AXI4LiteSignature, packet_stream
from hdl.common.csr_bank import CSRBank
from hdl.common.csr_wiring import count_events, interrupt
from hdl.sfq.network_config import StochasticConfig
from hdl.sfq.network_loader import NetworkLoader
from hdl.sfq.network_sequence import NetworkSequence
from hdl.sfq.neuron_units import NeuronUnits
from hdl.sfq.synapse_lanes import SynapseLanes


class Network(wiring.Component):
    """Counts the pulses of the output neurons in windows of slots.

    A slot's pulses at the input rails go through all layers: each synapse of a rail with a pulse lets it pass by
    chance, each neuron adds up what comes and fires at most once, and its pulse is a rail of the next layer, in the
    same slot. Loop currents are 0 at the start of a window; the synapses' generators go on from window to window.

    One row of `lanes` synapses a cycle, then one neuron a cycle, group by group: `lanes` neurons and all their inputs.

    Latency: `config.latency_cycles`, from the cycle that takes a window's last word to the first that offers its
    counts; a window that is a first word alone takes 3.

    Throughput: a slot every `config.slot_cycles`. All of its words but the last are taken while the one before is at
    work; a window's first word is taken when nothing is.

    Numerics: bit for bit those of `hdl.sfq.neuromorphic`, a slot instead of a time: all pulses of a slot come together.
    A count stops at its largest value, and `status.count_saturated` is set.

    Parameters
    ----------
    config : StochasticConfig

    Members
    -------
    x : In(packet_stream(32))
        See `hdl.sfq.network_packets`. What cannot be sets `status.bad_packet` and does nothing else.
    y : Out(stream.Signature(config.outputs * config.count_bits))
        Counts of a window, output 0 in the least significant bits.
    csr : In(AXI4LiteSignature(config.registers.address_bits))
        Registers of `network.rdl`.
    irq : Out(1)
        High while an enabled status bit is set.
    """

    def __init__(self, config: StochasticConfig):
        self._config = config
        super().__init__(
            {
                "x": In(packet_stream(config.word_bits)),
                "y": Out(stream.Signature(config.outputs * config.count_bits)),
                "csr": In(AXI4LiteSignature(config.registers.address_bits)),
                "irq": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self._config
        m.submodules.loader = loader = NetworkLoader(config)
        m.submodules.synapses = synapses = SynapseLanes(config)
        m.submodules.neurons = neurons = NeuronUnits(config)
        connect(m, flipped(self.x), loader.x)
        for name, memory in (("synapses", synapses), ("neurons", neurons)):
            m.d.comb += [
                memory.load_start.eq(getattr(loader, f"{name}_start")),
                memory.load.eq(getattr(loader, f"{name}_load")),
                memory.word.eq(loader.word),
                getattr(loader, f"{name}_full").eq(memory.full),
            ]

        m.submodules.sequence = sequence = NetworkSequence(config)
        m.d.comb += [
            loader.idle.eq(sequence.idle),
            sequence.slot_valid.eq(loader.slots.valid),
            sequence.slot.eq(loader.slots.payload.as_value()),
            loader.slots.ready.eq(sequence.slot_ready),
            sequence.y_free.eq(~self.y.valid),
            synapses.step.eq(sequence.row_step),
            synapses.row.eq(sequence.row),
            synapses.pulse.eq(sequence.pulse),
            synapses.clear.eq(sequence.clear),
            neurons.step.eq(sequence.unit_step),
            neurons.unit.eq(sequence.unit),
            neurons.passes.eq(synapses.passes.word_select(sequence.lane, config.passes_bits)),
            neurons.fresh.eq(sequence.fresh),
            sequence.done.eq(neurons.done),
            sequence.fired.eq(neurons.fired),
        ]

        counts = Signal(config.outputs * config.count_bits)
        saturated = Signal()
        hits = []
        for output in range(config.outputs):
            count = counts.word_select(output, config.count_bits)
            hit = Signal(name=f"hit_{output}")
            m.d.comb += hit.eq(sequence.output_fired & (sequence.output == output))
            with m.If(sequence.give):
                m.d.sync += count.eq(0)
            with m.Elif(hit & ~count.all()):
                m.d.sync += count.eq(count + 1)
            hits.append(hit & count.all())
        m.d.sync += saturated.eq(Cat(hits).any())

        with m.If(sequence.give):
            m.d.sync += [self.y.payload.eq(counts), self.y.valid.eq(1)]
        with m.Elif(self.y.ready):
            m.d.sync += self.y.valid.eq(0)
        self._control(m, sequence, loader, saturated)
        return m

    def _control(self, m, sequence, loader, saturated):
        """Registers, counters and interrupt."""
        m.submodules.bank = bank = CSRBank(self._config.registers)
        connect(m, flipped(self.csr), bank.bus)
        given = Signal()
        busy = ~sequence.idle | loader.slots.valid
        m.d.sync += given.eq(self.y.valid & self.y.ready)
        m.d.comb += [
            bank.status.bad_packet.set.eq(loader.bad),
            bank.status.count_saturated.set.eq(saturated),
            bank.status.busy.next.eq(busy | self.y.valid),
        ]
        events = ((bank.windows, given), (bank.slots, sequence.slot_end), (bank.cycles, busy))
        count_events(m, bank.control.clear_counters.value, events)
        m.d.comb += self.irq.eq(interrupt(bank))
