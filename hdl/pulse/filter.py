"""The optimal filter: time and energy of a pulse."""

from __future__ import annotations

from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from hdl.common.axi import AXI4LiteSignature, packet_stream
from hdl.common.csr_bank import CSRBank
from hdl.common.csr_wiring import count_events, interrupt
from hdl.pulse.config import FilterConfig
from hdl.pulse.filter_bank import CoefficientBank, rows_of
from hdl.pulse.filter_core import FitCore
from hdl.pulse.window_buffer import WindowBuffer


class Filter(wiring.Component):
    """Fits A * s(t - t0) + z to windows of samples by weighted least squares; README.md says how, bit by bit.

    Latency: `config.fit_cycles(passes)`, from a window's last beat to the first cycle that offers its record, where no
    other window is fitted.

    Throughput: a window in as many cycles; the next one comes in meanwhile.

    Parameters
    ----------
    config : FilterConfig

    Members
    -------
    window : In(packet_stream(16))
        Codes, a packet a window. One of another length is dropped, and sets `status.bad_window`.
    fit : Out(stream.Signature(128))
        Records, in the order of their windows.
    csr : In(AXI4LiteSignature(config.registers.address_bits))
        Registers of `filter.rdl`: settings and the bank.
    irq : Out(1)
        High while an enabled status bit is set.
    """

    def __init__(self, config: FilterConfig):
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
        m.submodules.windows = windows = WindowBuffer(config.samples, config.code_bits, 1)
        m.submodules.bank = bank = CoefficientBank(config)
        m.submodules.core = core = FitCore(config)
        connect(m, flipped(self.csr), registers.bus)
        connect(m, flipped(self.window), windows.window)

        # Saturation of a window: of the codes until now, and of this one.
        code, beyond = self.window.payload.data.as_signed(), Signal()
        limits = registers.code_least.value.value, registers.code_most.value.value
        here = (code <= limits[0].as_signed()) | (code >= limits[1].as_signed())
        with m.If(windows.taken):
            m.d.sync += beyond.eq(~windows.ends & windows.note)

        given = self.fit.valid & self.fit.ready
        data, address = registers.bank_data.value, registers.bank_address.value
        m.d.comb += [
            windows.accept.eq(1),
            windows.note.eq(beyond | here),
            windows.index.eq(core.index),
            windows.release.eq(given),
            bank.write.eq(data.written),
            bank.address.eq(address.value),
            bank.data.eq(data.value),
            address.we.eq(data.written),
            address.next.eq(address.value + 1),
            bank.place.eq(core.place),
            bank.tap.eq(core.tap),
            core.waiting.eq(windows.full),
            core.code.eq(windows.code),
            core.saturated.eq(windows.noted),
            core.ready.eq(self.fit.ready),
            self.fit.valid.eq(core.valid),
            self.fit.payload.eq(core.record),
        ]
        for name in config.setting_names:
            if not name.startswith("code"):
                m.d.comb += getattr(core, name).eq(getattr(registers, name).value.value)
        for name, rows in rows_of(config).items():
            m.d.comb += [getattr(core, f"{name}_{row}").eq(getattr(bank, f"{name}_{row}")) for row in rows]

        if config.pairs:
            m.d.comb += [bank.second_phase.eq(core.second_phase), bank.second_tap.eq(core.second_tap)]
            m.d.comb += [getattr(core, f"second_{row}").eq(getattr(bank, f"second_{row}")) for row in "ab"]

        m.d.comb += [
            registers.status.bad_window.set.eq(windows.dropped),
            registers.status.bad_bank.set.eq(bank.bad),
            registers.status.busy.next.eq(core.busy),
            self.irq.eq(interrupt(registers)),
        ]
        events = ((registers.windows, given), (registers.dropped, windows.dropped), (registers.cycles, core.busy))
        count_events(m, registers.control.clear_counters.value, events)
        return m
