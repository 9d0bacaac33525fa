"""Classic estimators: time, energy and charge of a pulse without a template."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from hdl.common.arithmetic import wire
from hdl.common.axi import AXI4LiteSignature, packet_stream
from hdl.common.csr_bank import CSRBank
from hdl.common.csr_wiring import count_events, interrupt
from hdl.pulse.classic_config import ClassicConfig
from hdl.pulse.classic_divide import Divide
from hdl.pulse.classic_scan import BASELINE_BITS, Scan
from hdl.pulse.window_buffer import WindowBuffer

CODE_FRACTION_BITS = 8
"""Of a sample, below a code."""

MOST_WINDOWS = 5
"""In the block at once: two in the buffer, one whose scan waits for the divider, one that is divided."""


class Classic(wiring.Component):
    """Leading edge or constant fraction, peak, trapezoid and charge gates of windows; README.md says how, bit by bit.

    Latency: `config.latency_cycles`, from a window's last beat to the first cycle that offers its record, where no
    other window is worked on.

    Throughput: a window in `config.window_cycles`.

    Parameters
    ----------
    config : ClassicConfig

    Members
    -------
    window : In(packet_stream(16))
        Codes, a packet a window. One of another length is dropped, and sets `status.bad_window`.
    fit : Out(stream.Signature(128))
        Records, in the order of their windows.
    csr : In(AXI4LiteSignature(config.registers.address_bits))
        Registers of `classic.rdl`: settings and the table.
    irq : Out(1)
        High while an enabled status bit is set.
    """

    def __init__(self, config: ClassicConfig):
        self._config = config
        super().__init__(
            {
                "window": In(packet_stream(config.code_bits)),
                "fit": Out(stream.Signature(config.record_bits)),
                "csr": In(AXI4LiteSignature(config.registers.address_bits)),
                "irq": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self._config
        m.submodules.registers = registers = CSRBank(config.registers)
        m.submodules.windows = windows = WindowBuffer(config.samples, config.code_bits, 1 + BASELINE_BITS)
        m.submodules.scan = scan = Scan(config)
        m.submodules.divide = divide = Divide(config)
        connect(m, flipped(self.csr), registers.bus)
        connect(m, flipped(self.window), windows.window)
        self._note(m, windows, registers)

        # A scan's results wait where they are until they can be divided; the next scan begins then.
        scans, waits = Signal(), Signal()
        done = wire(m, scan.done | waits, "scan_is_done")
        goes_on = wire(m, done & divide.free, "goes_on")
        begins = wire(m, windows.full & ~scans & ~done, "scan_begins")
        m.d.sync += waits.eq(done & ~divide.free)
        with m.If(begins):
            m.d.sync += scans.eq(1)
        with m.Elif(goes_on):
            m.d.sync += scans.eq(0)
        data, address = registers.table_data.value, registers.table_address.value
        m.d.comb += [
            windows.accept.eq(1),
            windows.index.eq(scan.index),
            windows.release.eq(goes_on),
            scan.begin.eq(begins),
            scan.code.eq(windows.code),
            scan.baseline.eq(windows.noted[1:]),
            divide.start.eq(goes_on),
            divide.scanned.eq(scan.scanned),
            divide.saturated.eq(windows.noted[0]),
            divide.write.eq(data.written),
            divide.address.eq(address.value),
            divide.entry.eq(data.value),
            address.we.eq(data.written),
            address.next.eq(address.value + 1),
            self.fit.valid.eq(divide.valid),
            self.fit.payload.eq(divide.record),
            divide.ready.eq(self.fit.ready),
        ]
        for unit, names in (
            (scan, ("threshold", "delay", "fraction", "rise", "flat", "gate_start", "gate_long", "gate_short")),
            (divide, ("time_source", "table_on", "time_offset", "energy_source", "energy_exponent")),
        ):
            m.d.comb += [getattr(unit, name).eq(getattr(registers, name).value.value) for name in names]

        given = wire(m, self.fit.valid & self.fit.ready, "given")
        inside = Signal(range(MOST_WINDOWS + 1))
        kept = wire(m, windows.ends & ~windows.dropped, "kept")
        m.d.sync += inside.eq(inside + kept - given)
        busy = wire(m, inside != 0, "busy")
        m.d.comb += [
            registers.status.bad_window.set.eq(windows.dropped),
            registers.status.busy.next.eq(busy),
            self.irq.eq(interrupt(registers)),
        ]
        events = ((registers.windows, given), (registers.dropped, windows.dropped), (registers.cycles, busy))
        count_events(m, registers.control.clear_counters.value, events)
        return m

    def _note(self, m, windows, registers):
        """While a window comes in: its baseline, and whether it is saturated."""
        config = self._config
        code = wire(m, self.window.payload.data.as_signed(), "given_code")
        limits = registers.code_least.value.value.as_signed(), registers.code_most.value.value.as_signed()
        outside = (code <= limits[0]) | (code >= limits[1])
        given = registers.baseline_exponent.value.value
        most = config.most_baseline_exponent
        exponent = wire(m, Mux(given > most, most, given) if most < 7 else given, "exponent")

        count = Signal(8)  # of the first samples, those that the baseline is made of
        total = Signal(signed(BASELINE_BITS - 1))
        beyond = Signal()
        counts = wire(m, (exponent != 0) & (count < (1 << exponent)[:8]), "counts")
        sum_now = wire(m, total + Mux(counts, code, 0), "sum_now")
        with m.If(windows.taken):
            m.d.sync += [
                beyond.eq(~windows.ends & (beyond | outside)),
                total.eq(Mux(windows.ends, 0, sum_now)),
                count.eq(Mux(windows.ends, 0, count + counts)),
            ]
        # The mean of 2^k codes with eight bits below: so many places up.
        baseline = Signal(signed(BASELINE_BITS))
        with m.Switch(exponent):
            for power in range(most + 1):
                with m.Case(power):
                    m.d.comb += baseline.eq(Cat(Const(0, CODE_FRACTION_BITS - power), sum_now))
        m.d.comb += windows.note.eq(Cat(beyond | outside, baseline))
