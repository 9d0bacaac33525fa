"""A detector's channel: the front end, the optimal filter behind it, and a record of both for each pulse."""

from __future__ import annotations

from amaranth.hdl import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from hdl.common.arithmetic import wire
from hdl.common.axi import AXI4LiteSignature
from hdl.common.axi_windows import AddressWindows
from hdl.common.csr_bank import CSRBank
from hdl.common.csr_wiring import count_events
from hdl.common.stream import Fifo
from hdl.pulse.channel_config import FILTER_BASE, FRONT_BASE, ChannelConfig
from hdl.pulse.channel_records import Records
from hdl.pulse.filter import Filter
from hdl.pulse.front import Front

EVENTS_AHEAD = 5
"""Events that can have left the ring before the first one's record: of the window that is fitted, of the one behind it,
of that whose first code waits; and what fills a RAM."""


def channel_members(config: ChannelConfig) -> dict[str, wiring.Member]:
    """The edge of a channel."""
    front = config.front
    return {
        "samples": In(stream.Signature(front.sample_bits * front.lanes)),
        "external": In(front.lanes),
        "record": Out(stream.Signature(config.record_bits)),
        "csr": In(AXI4LiteSignature(config.registers.address_bits)),
        "irq": Out(1),
    }


class Channel(wiring.Component):
    """Finds pulses in a detector's samples, and gives time and energy of each; README.md says how, sample by sample.

    Latency: `config.latency_cycles`, from the cycle that takes sample t + `samples` - 1 of a trigger at t to the first
    that offers its record, where the inspection is over and no other event is before it.

    Throughput: a beat of samples each cycle, always; a record in as many cycles as a fit.

    Parameters
    ----------
    config : ChannelConfig

    Members
    -------
    samples : In(stream.Signature(16 * lanes))
        Codes, lane 0 the earliest. Always ready.
    external : In(lanes)
        External trigger, a bit for each sample of the beat.
    record : Out(stream.Signature(128))
        Records, in the order of their triggers.
    csr : In(AXI4LiteSignature(config.registers.address_bits))
        Registers of `channel.rdl`: its own, the front end's, the filter's.
    irq : Out(1)
        High while an enabled status bit of a unit is set.
    """

    def __init__(self, config: ChannelConfig):
        self._config = config
        super().__init__(channel_members(config))

    def elaborate(self, platform):
        m = Module()
        config = self._config
        m.submodules.front = front = Front(config.front)
        m.submodules.filter = fitter = Filter(config.filter)
        m.submodules.queue = queue = Fifo(config.front.event_bits, EVENTS_AHEAD)
        m.submodules.records = records = Records(config)
        connect(m, flipped(self.samples), front.samples)
        connect(m, front.window, fitter.window)
        connect(m, front.event, queue.i)
        connect(m, queue.o, records.event)
        connect(m, fitter.fit, records.fit)
        connect(m, records.record, flipped(self.record))

        own = config.own_registers
        m.submodules.bank = bank = CSRBank(own)
        windows = {
            "own": (0, own.address_bits),
            "front": (FRONT_BASE, len(front.csr.araddr)),
            "filter": (FILTER_BASE, len(fitter.csr.araddr)),
        }
        m.submodules.windows = split = AddressWindows(config.registers.address_bits, windows)
        connect(m, flipped(self.csr), split.bus)
        connect(m, split.own, bank.bus)
        connect(m, split.front, front.csr)
        connect(m, split.filter, fitter.csr)
        busy = wire(m, (queue.level != 0) | self.record.valid, "busy")
        m.d.comb += [
            front.external.eq(self.external),
            records.channel.eq(bank.channel.value.value),
            bank.status.busy.next.eq(busy),
            self.irq.eq(front.irq | fitter.irq),
        ]
        events = ((bank.records, self.record.valid & self.record.ready), (bank.cycles, busy))
        count_events(m, bank.control.clear_counters.value, events)
        return m
