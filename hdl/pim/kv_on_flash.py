"""A KV cache with its channel of flash, for where there is no flash on the board."""

from __future__ import annotations

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, connect, flipped

from hdl.common.axi import AXI4LiteSignature
from hdl.pim.flash import Flash
from hdl.pim.flash_config import FlashConfig
from hdl.pim.kv import Kv
from hdl.pim.kv_config import KvConfig


class KvOnFlash(wiring.Component):
    """`Kv`, whose flash side is connected to a `Flash` of as many planes, blocks, pages and bytes.

    Members
    -------
    command, data, y, csr, irq
        As of `Kv`.
    flash_csr : In(AXI4LiteSignature(flash.registers.address_bits))
        Registers of `flash.rdl`.

    Raises
    ------
    ValueError
        If the flash is of another geometry than the cache's config says.
    """

    def __init__(self, config: KvConfig, flash: FlashConfig):
        for name, theirs in (("planes", flash.plane_count), ("blocks", flash.blocks),
                             ("block_pages", flash.block_pages), ("page_bytes", flash.page_bytes)):  # fmt: skip
            if theirs != getattr(config, name):
                raise ValueError(f"flash must have {name} {getattr(config, name)}, as the cache has, not {theirs}")
        self._kv, self._flash = Kv(config), Flash(flash)
        own = {name: one for name, one in self._kv.signature.members.items() if not name.startswith("flash_")}
        super().__init__(own | {"flash_csr": In(AXI4LiteSignature(flash.registers.address_bits))})

    def elaborate(self, platform):
        m = Module()
        m.submodules.kv, m.submodules.flash = kv, flash = self._kv, self._flash
        for name in ("command", "data", "csr"):
            connect(m, flipped(getattr(self, name)), getattr(kv, name))
        connect(m, kv.y, flipped(self.y))
        connect(m, kv.flash_command, flash.command)
        connect(m, kv.flash_data, flash.data)
        connect(m, flash.q, kv.flash_q)
        connect(m, flipped(self.flash_csr), flash.csr)
        m.d.comb += self.irq.eq(kv.irq | flash.irq)
        return m
