"""Detectors' channels: front ends, the optimal filter behind them, and a record of both for each pulse."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from hdl.common.arithmetic import wire
from hdl.common.axi import AXI4LiteSignature
from hdl.common.axi_windows import AddressWindows
from hdl.common.csr_bank import CSRBank
from hdl.common.csr_wiring import count_events
from hdl.common.stream import Fifo
from hdl.pulse.channel_config import FILTER_BASE, FRONT_BASE, FRONT_BYTES, HISTOGRAM_BASE, ChannelConfig
from hdl.pulse.channel_records import Records
from hdl.pulse.channel_turns import Turns
from hdl.pulse.filter import Filter
from hdl.pulse.front import Front
from hdl.pulse.histogram import Histogram

EVENTS_AHEAD = 5
"""Events that can have left the ring before the first one's record: of the window that is fitted, of the one behind it,
of that whose first code waits; and what fills a RAM."""


def channel_members(config: ChannelConfig) -> dict[str, wiring.Member]:
    """The edge of a channel."""
    front, codes = config.front, config.channels * config.front.lanes
    return {
        "samples": In(stream.Signature(front.sample_bits * codes)),
        "external": In(codes),
        "record": Out(stream.Signature(config.record_bits)),
        "csr": In(AXI4LiteSignature(config.registers.address_bits)),
        "irq": Out(1),
    }


class Channel(wiring.Component):
    """Finds pulses in detectors' samples, and gives time and energy of each; README.md says how, sample by sample.

    Latency: `config.latency_cycles`, from the cycle that takes sample t + `samples` - 1 of a trigger at t to the first
    that offers its record, where the inspection is over and no other event is before it.

    Throughput: a beat of samples each cycle, always; a record in as many cycles as a fit.

    Parameters
    ----------
    config : ChannelConfig

    Members
    -------
    samples : In(stream.Signature(16 * lanes * channels))
        Codes of each channel, lane 0 the earliest. Always ready.
    external : In(lanes * channels)
        External triggers, a bit for each sample of the beat.
    record : Out(stream.Signature(128))
        Records, those of a channel in the order of their triggers.
    csr : In(AXI4LiteSignature(config.registers.address_bits))
        Registers of `channel.rdl`: its own, the histogram's, the filter's, the front ends'.
    irq : Out(1)
        High while an enabled status bit of a unit is set.
    """

    def __init__(self, config: ChannelConfig):
        self._config = config
        super().__init__(channel_members(config))

    def elaborate(self, platform):
        m = Module()
        config = self._config
        fronts = [Front(config.front) for _ in range(config.channels)]
        m.submodules.filter = fitter = Filter(config.filter)
        m.submodules.queue = queue = Fifo(config.front.event_bits + config.index_bits, EVENTS_AHEAD)
        m.submodules.records = records = Records(config)
        self._windows(m, fronts, fitter.window, queue.i)
        connect(m, queue.o, records.event)
        connect(m, fitter.fit, records.fit)
        units = {"filter": (FILTER_BASE, fitter)}
        units |= {f"front{place}": (FRONT_BASE + place * FRONT_BYTES, front) for place, front in enumerate(fronts)}
        counter, counting = self._give(m, records.record)
        units |= counter
        bank = self._registers(m, units)
        self._samples(m, fronts, bank.hold.value.value)

        busy = wire(m, (queue.level != 0) | records.record.valid | counting, "busy")
        m.d.comb += [
            records.channel.eq(bank.channel.value.value),
            bank.status.busy.next.eq(busy),
            self.irq.eq(Cat(unit.irq for _, unit in units.values()).any()),
        ]
        events = ((bank.records, self.record.valid & self.record.ready), (bank.cycles, busy))
        count_events(m, bank.control.clear_counters.value, events)
        return m

    def _samples(self, m, fronts, hold):
        """To each front end its codes, where they are not held back."""
        lanes, code_bits = self._config.front.lanes, self._config.front.sample_bits
        m.d.comb += self.samples.ready.eq(1)
        for place, front in enumerate(fronts):
            m.submodules[f"front{place}"] = front
            first = place * lanes
            m.d.comb += [
                front.samples.valid.eq(self.samples.valid & ~hold),
                front.samples.payload.eq(self.samples.payload[code_bits * first : code_bits * (first + lanes)]),
                front.external.eq(self.external[first : first + lanes]),
            ]

    def _windows(self, m, fronts, window, event):
        """Windows to the filter, their events to the queue."""
        if len(fronts) == 1:
            connect(m, fronts[0].window, window)
            connect(m, fronts[0].event, event)
            return
        m.submodules.turns = turns = Turns(self._config)
        for place, front in enumerate(fronts):
            connect(m, front.window, turns.windows[place])
            connect(m, front.event, turns.events[place])
        connect(m, turns.window, window)
        connect(m, turns.event, event)

    def _give(self, m, record):
        """Records to the outside, by a histogram if there is to be one: that unit, and whether a record is in it."""
        if self._config.histogram is None:
            connect(m, record, flipped(self.record))
            return {}, Const(0)
        m.submodules.histogram = histogram = Histogram(self._config.histogram)
        connect(m, record, histogram.record)
        connect(m, histogram.counted, flipped(self.record))
        counting = Signal()
        with m.If(self.record.valid & self.record.ready):
            m.d.sync += counting.eq(0)
        with m.If(record.valid & record.ready):
            m.d.sync += counting.eq(1)
        return {"histogram": (HISTOGRAM_BASE, histogram)}, counting

    def _registers(self, m, units):
        """Own registers; those of the units, which have a base each, are in windows of their own."""
        config = self._config
        own = config.own_registers
        m.submodules.bank = bank = CSRBank(own)
        windows = {name: (base, len(unit.csr.araddr)) for name, (base, unit) in units.items()}
        windows["own"] = 0, own.address_bits
        m.submodules.windows = split = AddressWindows(config.registers.address_bits, windows)
        connect(m, flipped(self.csr), split.bus)
        connect(m, split.own, bank.bus)
        for name, (_, unit) in units.items():
            connect(m, getattr(split, name), unit.csr)
        return bank
