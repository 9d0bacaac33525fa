"""VexRiscv, the variant Min of its Verilog's package: RV32I with CSRs, a pipeline without caches."""

from __future__ import annotations

from amaranth.hdl import ClockSignal, Const, Module
from amaranth.lib.wiring import connect, flipped

from hdl.common.arithmetic import wire
from hdl.common.foreign import Foreign
from hdl.soc.cores.interface import Core, TwoBuses, packaged


class VexRiscv(Core):
    """It fetches apart from what it loads and stores. `irq` is the machine timer's, as its external ones have a mask
    of their own."""

    def elaborate(self, platform):
        m = Module()
        core = Foreign("VexRiscv", packaged("pythondata_cpu_vexriscv", "VexRiscv_Min.v"))
        m.submodules.buses = buses = TwoBuses()
        ports = {}
        for name, bus in (("iBusWishbone", buses.code), ("dBusWishbone", buses.data)):
            ports |= {
                f"o_{name}_CYC": bus.cyc,
                f"o_{name}_STB": bus.stb,
                f"o_{name}_WE": bus.we,
                f"o_{name}_ADR": bus.adr[2:],
                f"o_{name}_DAT_MOSI": bus.dat_w,
                f"o_{name}_SEL": bus.sel,
                f"i_{name}_DAT_MISO": bus.dat_r,
                f"i_{name}_ACK": wire(m, bus.ack | bus.err, f"{name}_answered"),
                f"i_{name}_ERR": 0,
            }
        m.submodules.core = core.instance(
            platform,
            i_clk=ClockSignal(),
            i_reset=self.stopped(m),
            i_externalResetVector=Const(0, 32),
            i_timerInterrupt=self.irq,
            i_softwareInterrupt=0,
            i_externalInterruptArray=Const(0, 32),
            **ports,
        )
        connect(m, buses.bus, flipped(self.bus))
        return m
