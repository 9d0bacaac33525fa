"""The front end: detector samples in, windows of triggered pulses out."""

from __future__ import annotations

from amaranth.hdl import Module, ResetInserter
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from hdl.common.arithmetic import delayed, wire
from hdl.common.axi import AXI4LiteSignature, packet_stream
from hdl.common.csr_bank import CSRBank
from hdl.common.csr_wiring import count_events, interrupt
from hdl.pulse.front_baseline import Baseline
from hdl.pulse.front_condition import Conditioner
from hdl.pulse.front_config import CONDITION_CYCLES, DISCRIMINATOR_CYCLES, FrontConfig
from hdl.pulse.front_discriminator import Discriminator
from hdl.pulse.front_reader import Reader
from hdl.pulse.front_recorder import Recorder
from hdl.pulse.front_ring import Ring
from hdl.pulse.front_trigger import Trigger


class Front(wiring.Component):
    """Finds pulses in a detector's samples and gives a window of each; README.md says how, sample by sample.

    Latency: `config.latency_cycles`, from the cycle that takes sample t + `samples` - 1 of a trigger at t to the first
    that offers its event, where the inspection is over and no other event is before it.

    Throughput: a beat of `lanes` samples each cycle, always; a window in `config.window_cycles`.

    Parameters
    ----------
    config : FrontConfig

    Members
    -------
    samples : In(stream.Signature(16 * lanes))
        Codes, lane 0 the earliest. Always ready.
    external : In(lanes)
        External trigger, a bit for each sample of the beat.
    window : Out(packet_stream(16))
        Codes, a packet an event.
    event : Out(stream.Signature(128))
        Events, each offered with its window's first code.
    csr : In(AXI4LiteSignature(config.registers.address_bits))
        Registers of `front.rdl`.
    irq : Out(1)
        High while an enabled status bit is set.
    """

    def __init__(self, config: FrontConfig):
        self._config = config
        super().__init__(
            {
                "samples": In(stream.Signature(config.sample_bits * config.lanes)),
                "external": In(config.lanes),
                "window": Out(packet_stream(config.sample_bits)),
                "event": Out(stream.Signature(config.event_bits)),
                "csr": In(AXI4LiteSignature(config.registers.address_bits)),
                "irq": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self._config
        m.submodules.registers = registers = CSRBank(config.registers)
        settings = {name: getattr(registers, name).value.value for name in config.setting_names}
        run = settings["run"]

        # All that depends on samples begins anew with each run; the ring gives out what it has.
        parts = {
            "conditioner": Conditioner(config),
            "discriminator": Discriminator(config),
            "baselines": Baseline(config),
            "triggers": Trigger(config),
            "recorder": Recorder(config),
        }
        for name, part in parts.items():
            m.submodules[name] = ResetInserter(~run)(part)
            for setting, value in settings.items():
                if setting in part.signature.members:
                    m.d.comb += getattr(part, setting).eq(value)
        conditioner, discriminator, baselines, trigger, recorder = parts.values()
        m.submodules.ring = ring = Ring(config)
        m.submodules.reader = reader = Reader(config)
        connect(m, flipped(self.csr), registers.bus)
        connect(m, reader.window, flipped(self.window))
        connect(m, reader.event, flipped(self.event))

        cycles = CONDITION_CYCLES + DISCRIMINATOR_CYCLES
        m.d.comb += [
            self.samples.ready.eq(1),
            conditioner.given.eq(self.samples.valid & run),
            conditioner.codes.eq(self.samples.payload),
            discriminator.baseline.eq(baselines.level),
            baselines.passes.eq(discriminator.passes),
            baselines.decided.eq(trigger.valid),
            baselines.hit.eq(trigger.hit),
            trigger.judged.eq(discriminator.judged),
            trigger.sets.eq(discriminator.sets),
            trigger.fires.eq(discriminator.fires),
            trigger.external.eq(delayed(m, self.external, cycles, "external", reset_less=True)),
            recorder.saturated.eq(conditioner.saturated),
            recorder.nearly.eq(discriminator.nearly),
            recorder.decided.eq(trigger.valid),
            recorder.opens.eq(ring.opens),
            recorder.lane.eq(trigger.lane),
            ring.run.eq(delayed(m, run, 1, "ring_run")),  # what was judged last is still told
            ring.baseline.eq(baselines.value_decided),
            ring.settled.eq(baselines.settled_decided),
        ]
        for part in (discriminator, baselines, recorder):
            m.d.comb += [part.valid.eq(conditioner.valid), part.beat.eq(conditioner.beat)]
        for source, sink in ((trigger, ring), (recorder, ring), (ring, reader), (reader, ring)):
            m.d.comb += self._same_names(source, sink)
        self._tell(m, registers, conditioner, baselines, trigger, ring, reader)
        return m

    def _same_names(self, source, sink):
        """Outputs to the inputs of the same names."""
        outputs, inputs = source.signature.members, sink.signature.members
        return [
            getattr(sink, name).eq(getattr(source, name))
            for name, member in outputs.items()
            if member.flow == Out and name in inputs and inputs[name].flow == In
        ]

    def _tell(self, m, registers, conditioner, baselines, trigger, ring, reader):
        """Status and counters."""
        lanes = self._config.lanes
        lost = delayed(m, ring.lost, 1, "lost_now")
        could = trigger.ready & (trigger.valid & ~ring.full).replicate(len(trigger.ready))
        live, counted = delayed(m, could, 1, "live_now"), delayed(m, trigger.valid, 1, "counted")
        dead = wire(m, counted.replicate(len(live)) & (lanes - live)[: len(live)], "dead_now")
        # Of the samples that are judged, as all others count.
        outside = wire(m, sum(conditioner.saturated[lane] & conditioner.valid for lane in range(lanes)), "outside")
        judged = delayed(m, outside, DISCRIMINATOR_CYCLES + 1, "outside_judged", reset_less=True)
        saturated = wire(m, judged & trigger.valid.replicate(len(judged)), "saturated_now")
        m.d.comb += [
            registers.status.lost.set.eq(lost != 0),
            registers.status.busy.next.eq(ring.busy),
            registers.status.settled.next.eq(baselines.settled),
            registers.baseline.value.next.eq(baselines.value),
            self.irq.eq(interrupt(registers)),
        ]
        events = (
            (registers.triggers, trigger.hit),
            (registers.windows, reader.release),
            (registers.lost, lost),
            (registers.pile_ups, trigger.hit & trigger.close),
            (registers.saturated, saturated),
            (registers.live, live),
            (registers.dead, dead),
        )
        count_events(m, registers.control.clear_counters.value, events)
