"""SERV, of its Verilog's package: RV32I with CSRs, a bit at a time."""

from __future__ import annotations

from amaranth.hdl import ClockSignal, Module
from amaranth.lib.wiring import connect, flipped

from hdl.common.arithmetic import wire
from hdl.common.foreign import Foreign
from hdl.soc.cores.interface import Core, TwoBuses, packaged

FILES = (
    "aligner", "alu", "bufreg", "bufreg2", "compdec", "csr", "ctrl", "decode", "immdec", "mem_if", "rf_if", "rf_ram",
    "rf_ram_if", "rf_top", "state", "top",
)  # fmt: skip


class Serv(Core):
    """Some forty cycles an instruction; the smallest core there is. Its one interrupt is the machine timer's."""

    def elaborate(self, platform):
        m = Module()
        files = packaged("pythondata_cpu_serv", *(f"rtl/serv_{name}.v" for name in FILES))
        core = Foreign("serv_rf_top", files, (("RESET_PC", 0),))
        m.submodules.buses = buses = TwoBuses()
        code, data = buses.code, buses.data
        m.submodules.core = core.instance(
            platform,
            i_clk=ClockSignal(),
            i_i_rst=self.stopped(m),
            i_i_timer_irq=self.irq,
            o_o_ibus_adr=code.adr,
            o_o_ibus_cyc=code.cyc,
            i_i_ibus_rdt=code.dat_r,
            i_i_ibus_ack=wire(m, code.ack | code.err, "code_answered"),
            o_o_dbus_adr=data.adr,
            o_o_dbus_dat=data.dat_w,
            o_o_dbus_sel=data.sel,
            o_o_dbus_we=data.we,
            o_o_dbus_cyc=data.cyc,
            i_i_dbus_rdt=data.dat_r,
            i_i_dbus_ack=wire(m, data.ack | data.err, "data_answered"),
            i_i_ext_rd=0,
            i_i_ext_ready=0,
        )
        m.d.comb += [code.stb.eq(code.cyc), data.stb.eq(data.cyc), code.sel.eq(0xF)]
        connect(m, buses.bus, flipped(self.bus))
        return m
