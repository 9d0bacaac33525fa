"""From what a scan found to a record: two divisions, a table, rounding."""

from __future__ import annotations

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.common.arithmetic import register, saturated, wire
from hdl.common.ram import Ram
from hdl.pulse.classic_config import TABLE_ENTRIES, ClassicConfig
from hdl.pulse.classic_scan import SAMPLE_BITS, crossing_layout, scanned_layout
from hdl.pulse.config import FRACTION_BITS, RATIO_CYCLES
from hdl.pulse.filter_ratio import Ratio
from hdl.pulse.rounder import Rounder

PSD_BITS = 16
TABLE_SHIFT = FRACTION_BITS - (TABLE_ENTRIES - 1).bit_length()


class Divide(wiring.Component):
    """A record out of a scan.

    Latency: `config.divide_cycles`, from `start` to the first cycle that offers the record, which stays until it is
    taken; `start` is given only where `free`.

    Members
    -------
    start, scanned, saturated : `scanned_layout`, in the cycle of `start`
    free : there is no record, and none is made
    time_source, table_on, time_offset, energy_source, energy_exponent : registers
    write, address, entry : of the table
    record, valid, ready : of bits as README.md has them
    """

    def __init__(self, config: ClassicConfig):
        self._config = config
        super().__init__(
            {
                "start": In(1),
                "scanned": In(scanned_layout(config)),
                "saturated": In(1),
                "free": Out(1),
                "time_source": In(1),
                "table_on": In(1),
                "time_offset": In(signed(SAMPLE_BITS)),
                "energy_source": In(2),
                "energy_exponent": In(4),
                "write": In(1),
                "address": In(range(TABLE_ENTRIES)),
                "entry": In(config.correction_bits),
                "record": Out(config.record_bits),
                "valid": Out(1),
                "ready": In(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self._config
        steps = config.divide_cycles
        step = Signal(range(steps + 1))  # 0: free; the last: the record is offered
        m.d.comb += [self.valid.eq(step == steps), self.free.eq((step == 0) | (self.valid & self.ready))]
        with m.If(self.start):
            m.d.sync += step.eq(1)
        with m.Elif(self.valid), m.If(self.ready):
            m.d.sync += step.eq(0)
        with m.Elif(step != 0):
            m.d.sync += step.eq(step + 1)

        found = Signal(scanned_layout(config), reset_less=True)
        beyond = Signal(reset_less=True)
        with m.If(self.start):
            m.d.sync += [found.eq(self.scanned), beyond.eq(self.saturated)]
        use_fraction = wire(m, self.time_source & found.fraction.found, "use_fraction")
        crossing = Signal(crossing_layout(config))
        m.d.comb += crossing.eq(Mux(use_fraction, found.fraction.as_value(), found.edge.as_value()))
        psd, fraction = self._ratios(m, step, found, crossing)
        time = self._time(m, found, use_fraction, crossing, fraction)
        energy = self._energy(m, found)
        no_pulse = wire(m, ~found.edge.found, "no_pulse")
        far = wire(m, found.edge.found & self.time_source & ~found.fraction.found, "far")
        flags = Cat(Const(0, 1), beyond, Const(0, 3), no_pulse, far, Const(0, 1))
        charge = Signal(signed(40))
        m.d.comb += [charge.eq(found.short), self.record.eq(Cat(time, energy, psd, flags, charge))]
        return m

    def _ratios(self, m, step, found, crossing):
        """The crossing's fraction, then the gates' ratio, by one divider."""
        bits = self._config.charge_bits + 1
        m.submodules.divider = ratio = Ratio(bits)
        first = wire(m, step <= RATIO_CYCLES, "first_division")
        m.d.comb += [
            ratio.start.eq((step == 1) | (step == RATIO_CYCLES + 1)),
            ratio.numerator.eq(Mux(first, crossing.before, found.short)),
            ratio.denominator.eq(Mux(first, crossing.rise, found.long)),
        ]
        fraction = Signal(FRACTION_BITS, reset_less=True)
        psd = Signal(signed(PSD_BITS), reset_less=True)
        with m.If(step == RATIO_CYCLES + 1):
            m.d.sync += fraction.eq(ratio.ratio)
        with m.If(step == 2 * RATIO_CYCLES + 1):
            whole = saturated(ratio.ratio >> 1, PSD_BITS)
            m.d.sync += psd.eq(Mux(found.long > 0, whole, 0))
        return psd, fraction

    def _time(self, m, found, use_fraction, crossing, fraction):
        config = self._config
        m.submodules.table = table = Ram(config.correction_bits, TABLE_ENTRIES)
        after = crossing.after
        corrected = wire(m, Mux(use_fraction & self.table_on, table.read_data.as_signed(), 0), "correction")
        time = Signal(signed(32), reset_less=True)
        m.d.comb += [
            table.write.eq(self.write),
            table.write_address.eq(self.address),
            table.write_data.eq(self.entry),
            table.read_address.eq(fraction[TABLE_SHIFT:]),
        ]
        before = wire(m, (after - 1)[: len(after)], "sample_before")
        place = wire(m, Cat(fraction, before, Const(0, 1)).as_signed(), "place")
        whole = register(m, Mux(found.edge.found, place + corrected, 0), "whole_time")
        m.d.sync += time.eq(whole - self.time_offset)
        return time

    def _energy(self, m, found):
        m.submodules.rounder = rounder = Rounder(self._config.charge_bits, 4)
        m.d.comb += [
            rounder.value.eq(Array([found.peak, found.trapezoid, found.long, found.long])[self.energy_source]),
            rounder.amount.eq(self.energy_exponent),
        ]
        return register(m, saturated(rounder.rounded, self._config.energy_bits), "energy")
