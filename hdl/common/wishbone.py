"""Wishbone B4, classic standard cycles: the bus signature, and the way from it to AXI4-Lite."""

from __future__ import annotations

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.common.axi import AXI4LiteSignature


class WishboneSignature(wiring.Signature):
    """Wishbone B4 from the manager's side: classic standard cycles, byte granularity.

    `adr` is a byte address whose lowest bits are 0; `sel` names the bytes of the word. A transfer is asked for by `cyc`
    and `stb` and lasts until `ack`, or `err` in its place, answers. The standard's DAT_O and DAT_I are named by what
    they carry, whichever side one stands on: `dat_w` goes to the subordinate, `dat_r` comes from it.
    """

    def __init__(self, address_bits: int, data_bits: int = 32):
        self.address_bits = address_bits
        self.data_bits = data_bits
        super().__init__(
            {
                "adr": Out(address_bits),
                "dat_w": Out(data_bits),
                "dat_r": In(data_bits),
                "sel": Out(data_bits // 8),
                "we": Out(1),
                "cyc": Out(1),
                "stb": Out(1),
                "ack": In(1),
                "err": In(1),
            }
        )


class WishboneToAXI4Lite(wiring.Component):
    """A Wishbone subordinate that passes every transfer on as an AXI4-Lite manager.

    SLVERR and DECERR answer with `err`. Payloads are registered on the way, so the AXI side stays legal whatever the
    Wishbone side does: of a manager that gives up (drops `cyc` or `stb` before the answer) the transfer is
    carried to its end and its answer dropped, and only then the next one taken.

    **Latency**: 2 cycles more than the AXI4-Lite subordinate takes, the transfer being registered on its way in and
    the answer on its way out: with a read answered in the cycle after AR is taken, `ack` comes 3 cycles after `stb`.
    **Throughput**: one transfer at a time. **Reset** drops the transfer on both sides.

    Parameters
    ----------
    address_bits : int
        Width of the byte address on both sides.

    Members
    -------
    wb : In(WishboneSignature(address_bits))
    csr : Out(AXI4LiteSignature(address_bits))
        PROT is 0: data, secure, unprivileged.
    """

    def __init__(self, address_bits: int):
        super().__init__({"wb": In(WishboneSignature(address_bits)), "csr": Out(AXI4LiteSignature(address_bits))})

    def elaborate(self, platform):
        m = Module()
        wb, axi = self.wb, self.csr
        asked = Signal()
        busy = Signal()
        abandoned = Signal()
        answered = Signal()
        failed = Signal()
        address = Signal.like(wb.adr, reset_less=True)

        m.d.comb += [
            asked.eq(wb.cyc & wb.stb),
            axi.awaddr.eq(address),
            axi.araddr.eq(address),
            axi.bready.eq(busy),
            axi.rready.eq(busy),
            wb.ack.eq(asked & answered & ~failed),
            wb.err.eq(asked & answered & failed),
        ]
        with m.If(asked & ~busy & ~answered):
            m.d.sync += [
                busy.eq(1),
                abandoned.eq(0),
                address.eq(wb.adr),
                axi.wdata.eq(wb.dat_w),
                axi.wstrb.eq(wb.sel),
                axi.awvalid.eq(wb.we),
                axi.wvalid.eq(wb.we),
                axi.arvalid.eq(~wb.we),
            ]
        for channel in ("aw", "w", "ar"):
            valid, ready = getattr(axi, f"{channel}valid"), getattr(axi, f"{channel}ready")
            with m.If(valid & ready):
                m.d.sync += valid.eq(0)

        given_up = Signal()
        m.d.comb += given_up.eq(abandoned | ~asked)
        m.d.sync += answered.eq(0)
        with m.If(busy):
            m.d.sync += abandoned.eq(given_up)
            # Bit 1 tells SLVERR and DECERR from OKAY; EXOKAY does not exist in AXI4-Lite.
            with m.If(axi.bvalid):
                m.d.sync += [busy.eq(0), answered.eq(~given_up), failed.eq(axi.bresp[1])]
            with m.If(axi.rvalid):
                m.d.sync += [busy.eq(0), answered.eq(~given_up), failed.eq(axi.rresp[1]), wb.dat_r.eq(axi.rdata)]
        return m
