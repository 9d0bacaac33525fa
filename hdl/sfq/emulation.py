"""Synthesizable emulation of a netlist of pulse logic, exact to the step."""

from __future__ import annotations

from amaranth.hdl import Cat, EnableInserter, Module, Mux, ResetInserter, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from hdl.common.axi import AXI4LiteSignature, packet, packet_stream
from hdl.common.csr_bank import CSRBank
from hdl.common.csr_wiring import count_events, interrupt
from hdl.common.stream import RegisterSlice
from hdl.sfq.config import EmulationConfig
from hdl.sfq.emulation_core import EmulationCore
from hdl.sfq.emulation_feed import StimulusFeed


class Emulation(wiring.Component):
    """A run is a packet of stimuli in, a packet of captures out; then the cells are back where they began.

    A stimulus is a step and a bit for each input, least significant first: the time in the lowest `time_bits`. Times go
    up from beat to beat. The last beat ends the run and brings no pulse: what is due after its time does not come.
    The highest time of all ends it when nothing is on its way any more.

    A capture is a step in which outputs pulse or cells are violated: the time, a bit for each output, a bit for each of
    `config.plan.checks`, then of each instance with more than one order `order_bits` that say in which order its pulses
    were taken. The last beat has the time at which the run ended, and no pulse.

    Clocks: one for each step in which pulses come (`skip`), or for each step from the first stimulus on (`tick`), as
    long as a stimulus is there and captures are taken; a stream that stalls pauses the emulation.

    Latency: `config.latency_cycles`, of a run that ends at once.

    Parameters
    ----------
    config : EmulationConfig

    Members
    -------
    stimulus : In(packet_stream(config.stimulus_bits))
    capture : Out(packet_stream(config.capture_bits))
    csr : In(AXI4LiteSignature(config.registers.address_bits))
        Registers of `emulation.rdl`.
    irq : Out(1)
        High while an enabled status bit is set.
    """

    def __init__(self, config: EmulationConfig):
        self._config = config
        super().__init__(
            {
                "stimulus": In(packet_stream(config.stimulus_bits)),
                "capture": Out(packet_stream(config.capture_bits)),
                "csr": In(AXI4LiteSignature(config.registers.address_bits)),
                "irq": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.bank = bank = CSRBank(self._config.registers)
        m.submodules.feed = feed = StimulusFeed(self._config)
        m.submodules.slice = out = RegisterSlice(packet(self._config.capture_bits))
        advance, clear = Signal(), Signal()
        core = EmulationCore(self._config)
        m.submodules.core = ResetInserter(clear)(EnableInserter(advance)(core))
        connect(m, flipped(self.stimulus), feed.i)
        connect(m, out.o, flipped(self.capture))
        connect(m, flipped(self.csr), bank.bus)

        m.d.comb += [
            advance.eq((feed.valid | core.ends) & out.i.ready & bank.control.run.value),
            clear.eq((advance & core.ends) | bank.control.clear.value),
            feed.taken.eq(core.taken),
            feed.leave.eq((advance | bank.control.clear.value) & core.taken),
            feed.now.eq(core.now),
            feed.advance.eq(advance),
            *(getattr(core, name).eq(getattr(feed, name)) for name in feed.shown),
        ]

        # A register between cells and stream; a step without pulse at an output and without violation gives no beat.
        captured, time, last = (Signal.like(port, reset_less=True) for port in (core.captured, core.now, core.ends))
        stepped = Signal()
        with m.If(out.i.ready):
            m.d.sync += [stepped.eq(advance), captured.eq(core.captured), time.eq(core.now), last.eq(core.ends)]
        outputs, checks = len(self._config.plan.netlist.outputs), len(self._config.plan.checks)
        broken = captured[outputs : outputs + checks]
        m.d.comb += [
            out.i.payload.data.eq(Cat(time, captured)),
            out.i.payload.last.eq(last),
            out.i.valid.eq(stepped & (captured[: outputs + checks].any() | last)),
        ]

        violated = stepped & out.i.ready & broken.any()
        m.d.comb += [
            bank.status.violation.set.eq(violated),
            bank.status.slot_overflow.set.eq(advance & core.slot_overflow),
            bank.status.time_overflow.set.eq(advance & core.time_overflow & core.active),
            bank.status.time_order.set.eq(feed.disorder),
        ]
        self._control(m, bank, advance & core.active, feed, core)
        self._keep_first(m, bank, violated, broken, time)
        return m

    def _control(self, m, bank, active, feed, core):
        """Counters, interrupt, and whether a run is in progress."""
        running = Signal()
        with m.If(feed.valid):
            m.d.sync += running.eq(1)
        with m.Elif(self.capture.valid & self.capture.ready & self.capture.payload.last):
            m.d.sync += running.eq(0)
        m.d.comb += bank.status.busy.next.eq(running)
        count_events(m, bank.control.clear_counters.value, ((bank.steps, active), (bank.cycles, running)))
        m.d.comb += self.irq.eq(interrupt(bank))

    def _keep_first(self, m, bank, violated, broken, time):
        """Time and index of the first violation since the status bit was cleared."""
        if not len(broken):
            return
        check, when = Signal(16), Signal(64)
        with m.If(violated & ~bank.status.violation.value):
            m.d.sync += [check.eq(_lowest(broken)), when.eq(time)]
        m.d.comb += [
            bank.first_check.check.next.eq(check),
            bank.first_time_low.time.next.eq(when[:32]),
            bank.first_time_high.time.next.eq(when[32:]),
        ]


def _lowest(bits):
    """Index of the lowest bit that is set; of the highest of all if none is. A tree, as a chain would be too slow."""
    found = [(bit, []) for bit in bits]
    while len(found) > 1:
        pairs = zip(found[::2], found[1::2], strict=False)
        merged = [
            (low | high, [*(Mux(low, *pair) for pair in zip(first, second, strict=True)), ~low])
            for (low, first), (high, second) in pairs
        ]
        found = merged + [(bit, [*index, 0]) for bit, index in found[2 * len(merged) :]]
    return Cat(found[0][1])
