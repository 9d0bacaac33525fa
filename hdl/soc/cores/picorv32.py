"""PicoRV32, of its Verilog's package: RV32I, three to six cycles an instruction."""

from __future__ import annotations

from amaranth.hdl import ClockSignal, Module, Signal

from hdl.common.arithmetic import wire
from hdl.common.foreign import Foreign
from hdl.soc.cores.interface import Core, packaged

SYSTEM_OPCODE = 0b1110011
"""Of the instructions that read and write CSRs, and of `ecall` and `ebreak`, whose bits 14:12 are 0."""


class PicoRV32(Core):
    """It has neither CSRs nor the usual interrupts: instructions of CSRs do nothing, and `irq` is not looked at. A trap
    stops it until its reset."""

    def elaborate(self, platform):
        m = Module()
        options = {"ENABLE_COUNTERS": 0, "ENABLE_COUNTERS64": 0, "ENABLE_PCPI": 1, "REGS_INIT_ZERO": 1}
        core = Foreign("picorv32", packaged("pythondata_cpu_picorv32", "picorv32.v"), tuple(options.items()))
        strobes, instruction = Signal(4), Signal(32)
        asked = Signal()
        system = wire(m, asked & (instruction[:7] == SYSTEM_OPCODE) & instruction[12:15].any(), "is_csr")
        m.submodules.core = core.instance(
            platform,
            i_clk=ClockSignal(),
            i_resetn=wire(m, ~self.stopped(m), "runs"),
            o_mem_valid=self.bus.cyc,
            i_mem_ready=wire(m, self.bus.ack | self.bus.err, "answered"),
            o_mem_addr=self.bus.adr,
            o_mem_wdata=self.bus.dat_w,
            o_mem_wstrb=strobes,
            i_mem_rdata=self.bus.dat_r,
            o_pcpi_valid=asked,
            o_pcpi_insn=instruction,
            i_pcpi_wr=0,
            i_pcpi_rd=0,
            i_pcpi_wait=system,
            i_pcpi_ready=system,
            i_irq=0,
        )
        m.d.comb += [
            self.bus.stb.eq(self.bus.cyc),
            self.bus.we.eq(strobes.any()),
            self.bus.sel.eq(strobes | (~self.bus.we).replicate(4)),
        ]
        return m
