"""A multichannel analyser: records, counted into bins and passed on."""

from __future__ import annotations

from amaranth.hdl import Array, Const, Module, Mux, Signal, signed
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from hdl.common.arithmetic import delayed, register, saturated, wire
from hdl.common.axi import AXI4LiteSignature
from hdl.common.csr_bank import CSRBank
from hdl.common.csr_wiring import count_events, interrupt
from hdl.pulse.histogram_bins import Bins
from hdl.pulse.histogram_config import HistogramConfig


class Histogram(wiring.Component):
    """Counts records by energy, shape, fraction of time or interval; README.md says how.

    Latency: `config.latency_cycles`, from the cycle that takes a record to the first that offers it; one more for each
    bin that software goes to in the cycle in which a record's bin would be read.

    Throughput: a record in `config.latency_cycles` + 1 cycles.

    Parameters
    ----------
    config : HistogramConfig

    Members
    -------
    record : In(stream.Signature(128)), counted : Out(stream.Signature(128))
        Records, and the same records when they are counted.
    csr : In(AXI4LiteSignature(config.registers.address_bits))
        Registers of `histogram.rdl`.
    irq : Out(1)
        High while an enabled status bit is set.
    """

    def __init__(self, config: HistogramConfig):
        self._config = config
        super().__init__(
            {
                "record": In(stream.Signature(config.record_bits)),
                "counted": Out(stream.Signature(config.record_bits)),
                "csr": In(AXI4LiteSignature(config.registers.address_bits)),
                "irq": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self._config
        m.submodules.bank = bank = CSRBank(config.registers)
        m.submodules.bins = bins = Bins(config)
        connect(m, flipped(self.csr), bank.bus)
        settings = {name: getattr(bank, name).value.value for name in config.setting_names}

        clear_due = Signal(init=1)  # as the memory is not reset
        begins, done = Signal(), Signal()
        with m.If(begins):
            m.d.sync += clear_due.eq(0)
        with m.If(bank.control.clear.value):
            m.d.sync += clear_due.eq(1)

        record = self.counted.payload
        accepted = Signal()
        value = Signal(signed(config.value_bits), reset_less=True)
        offset = Signal(signed(config.value_bits + 1), reset_less=True)
        place = Signal.like(offset)
        values = self._values(m, record, done & accepted, begins)
        with m.FSM():
            with m.State("WAIT"):
                m.d.comb += [begins.eq(clear_due), self.record.ready.eq(~clear_due & ~bins.clearing)]
                with m.If(self.record.valid & self.record.ready):
                    m.d.sync += record.eq(self.record.payload)
                    m.next = "ACCEPT"
            for name, following, step in (
                ("ACCEPT", "VALUE", accepted.eq(self._accepts(record, settings))),
                ("VALUE", "OFFSET", value.eq(values[settings["source"]])),
                ("OFFSET", "SHIFT", offset.eq(value - settings["low"].as_signed())),
                ("SHIFT", "READ", place.eq(offset >> settings["shift"])),
            ):
                with m.State(name):
                    m.d.sync += step
                    m.next = following
            with m.State("READ"):
                m.d.comb += bins.read.eq(1)
                with m.If(bins.free):
                    m.next = "HOLD"
            with m.State("HOLD"):
                m.next = "COUNT"
            with m.State("COUNT"):
                m.d.comb += done.eq(1)
                m.next = "GIVE"
            with m.State("GIVE"):
                m.d.comb += self.counted.valid.eq(1)
                with m.If(self.counted.ready):
                    m.next = "WAIT"

        under = wire(m, place[-1], "is_under")
        over = wire(m, ~under & place[config.bin_bits :].any(), "is_over")
        m.d.comb += [
            bins.place.eq(place),
            bins.counted.eq(done & accepted & ~under & ~over),
            bins.clear.eq(begins),
        ]
        kinds = {"accepted": accepted, "rejected": ~accepted, "under": accepted & under, "over": accepted & over}
        self._tell(m, bank, bins, begins, {name: done & kind for name, kind in kinds.items()})
        m.d.comb += bank.status.clearing.next.eq(clear_due | bins.clearing)
        return m

    def _tell(self, m, bank, bins, begins, kinds):
        """Status and counters, and the bin that software looks at: the one that it wrote, or after a read the next."""
        number = bank.bin.value.value[: self._config.bin_bits]
        m.d.comb += [
            bank.status.full.set.eq(bins.counted & bins.full),
            self.irq.eq(interrupt(bank)),
            bank.bin.value.we.eq(bank.data.count.read),
            bank.bin.value.next.eq((number + 1)[: self._config.bin_bits]),
            bins.shown.eq(number),
            bins.look.eq(delayed(m, bank.data.count.read, 1, "went_on") | bank.bin.value.written),
            bank.data.count.next.eq(bins.count),
        ]
        events = [(getattr(bank, name), wire(m, kind, f"one_{name}")) for name, kind in kinds.items()]
        count_events(m, begins, events)

    def _accepts(self, record, settings):
        """Whether a record's channel and flags are those that are asked for."""
        fits = [
            (given & settings[f"{name}_mask"]) == settings[f"{name}_value"]
            for name, given in (("channel", record[:8]), ("flags", record[8:16]))
        ]
        return settings["run"] & fits[0] & fits[1]

    def _values(self, m, record, accepted, forgets):
        """What a record can be counted by, in the order of `SOURCES`; two cycles after it was taken."""
        bits = self._config.value_bits
        fraction, whole, energy, shape = record[16:32], record[32:80], record[80:104], record[104:120]
        last, has_last = Signal.like(whole, reset_less=True), Signal()
        with m.If(accepted):
            m.d.sync += [last.eq(whole), has_last.eq(1)]
        with m.If(forgets):
            m.d.sync += has_last.eq(0)
        since = register(m, whole.as_signed() - last.as_signed(), "since")
        longest = Const((1 << bits - 1) - 1, signed(bits))
        interval = wire(m, Mux(has_last, saturated(since, bits), longest), "interval")
        return Array([energy.as_signed(), shape.as_signed(), fraction, interval])
