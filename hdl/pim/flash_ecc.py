"""Outlier protection of pages of weights: decoder or encoder."""

from __future__ import annotations

from amaranth.hdl import Const, Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from hdl.common.axi import AXI4LiteSignature, packet, packet_stream
from hdl.common.csr_bank import CSRBank
from hdl.common.csr_wiring import count_events
from hdl.common.stream import RegisterSlice
from hdl.pim.flash_ecc_config import FlashEccConfig
from hdl.pim.flash_ecc_decode import FlashEccDecode
from hdl.pim.flash_ecc_encode import FlashEccEncode


class FlashEcc(wiring.Component):
    """A page after its code becomes the repaired page, or a page its code: see `FlashEccDecode`, `FlashEccEncode`.

    Parameters
    ----------
    config : FlashEccConfig

    Members
    -------
    d : In(stream.Signature(8))
        decode: `code_bytes` and then `page_bytes` for every page; encode: `page_bytes`.
    q : Out(packet_stream(8))
        A packet a page.
    csr : In(AXI4LiteSignature(config.registers.address_bits))
        Registers of `flash_ecc.rdl`.
    """

    def __init__(self, config: FlashEccConfig):
        self._config = config
        super().__init__(
            {
                "d": In(stream.Signature(8)),
                "q": Out(packet_stream(8)),
                "csr": In(AXI4LiteSignature(config.registers.address_bits)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self._config
        m.submodules.data_slice = data = RegisterSlice(8)
        m.submodules.slice = out = RegisterSlice(packet(8))
        m.submodules.core = core = (FlashEccDecode if config.direction == "decode" else FlashEccEncode)(config)
        connect(m, flipped(self.d), data.i)
        connect(m, data.o, core.d)
        connect(m, core.q, out.i)
        connect(m, out.o, flipped(self.q))

        m.submodules.bank = bank = CSRBank(config.registers)
        connect(m, flipped(self.csr), bank.bus)
        busy = core.active | self.q.valid
        m.d.comb += bank.status.busy.next.eq(busy)
        names = ("corrected", "dropped", "repaired", "zeroed")
        events = [(getattr(bank, name), getattr(core, name, Const(0))) for name in names]
        count_events(
            m, bank.control.clear_counters.value, [*events, (bank.page_count, core.page_done), (bank.cycles, busy)]
        )
        return m
