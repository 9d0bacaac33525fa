"""A board top on a board's pins: clock, reset, serial line and light, and the plan that builds it."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from amaranth.back import rtlil
from amaranth.hdl import ClockDomain, ClockSignal, Const, Elaboratable, Instance, Module, ResetSignal, Signal
from amaranth.lib import io, wiring
from amaranth.lib.cdc import ResetSynchronizer

from boards.clock import board_pll
from boards.pll import Ecp5Pll, GowinPll, Ice40Pll, Pll
from hdl.common.foreign import Foreign
from hdl.common.repeated import Modules, Pattern

if TYPE_CHECKING:
    from amaranth.build import Platform
    from amaranth.build.run import BuildPlan

    from boards.board import Board

NAME = "top"
"""Of the module, and of every file of the plan."""

BRAM_READY_SECONDS = Fraction(15, 1_000_000)
"""iCE40: block RAM reads as zeroes for some 3 us after configuration; five times that, as Amaranth does."""


class PlatformTop(Elaboratable):
    """A board top connected to the board's pins.

    Parameters
    ----------
    board : Board
    top : component with ports `uart_rx`, `uart_tx` and `activity`, one bit each, in domain `sync`
    clock_hz : of `sync`; through the PLL where it is not the oscillator's
    """

    def __init__(self, board: Board, top: wiring.Component, clock_hz: float):
        self._board = board
        self._top = top
        self._pll = board_pll(board, clock_hz)

    def elaborate(self, platform):
        m = Module()
        m.submodules.top = top = self._top
        if self._pll is not None:
            m.submodules.clock = _PllClock(self._pll)
            m.domains.sync = ClockDomain("sync")
        uart = platform.request("uart", 0, dir="-")
        m.submodules.rx = rx = io.Buffer("i", uart.rx)
        m.submodules.tx = tx = io.Buffer("o", uart.tx)
        m.d.comb += [top.uart_rx.eq(rx.i), tx.o.eq(top.uart_tx)]
        if self._board.led is not None:
            resource, part = self._board.led
            light = platform.request(resource, 0, dir="-")
            m.submodules.light = buffer = io.Buffer("o", light if part is None else getattr(light, part))
            m.d.comb += buffer.o.eq(top.activity)
        return m


class _PllClock(Elaboratable):
    """Drives `sync` from the board's oscillator through a PLL; its reset ends when the PLL has locked."""

    def __init__(self, setting: Pll):
        self._setting = setting

    def elaborate(self, platform):
        m = Module()
        locked = Signal()
        pin = platform.request(platform.default_clk, dir="-")
        if isinstance(self._setting, Ice40Pll):
            m.submodules.pll = _ice40(self._setting, pin.io, ClockSignal(), locked)
            # Block RAM is not ready as soon as the PLL is.
            m.domains += ClockDomain("locked", local=True)
            m.d.comb += ClockSignal("locked").eq(ClockSignal())
            m.submodules.locked = ResetSynchronizer(~locked, domain="locked")
            delay_cycles = int(BRAM_READY_SECONDS * self._setting.output_hz) + 1
            timer = Signal(range(delay_cycles + 1))
            ready = Signal()
            m.d.locked += ready.eq(timer == delay_cycles)
            with m.If(timer != delay_cycles):
                m.d.locked += timer.eq(timer + 1)
            m.d.comb += ResetSignal().eq(~ready)
            return m
        m.submodules.oscillator = oscillator = io.Buffer("i", pin)
        if isinstance(self._setting, Ecp5Pll):
            m.submodules.pll = _ecp5(self._setting, oscillator.i, ClockSignal(), locked)
        else:
            m.submodules.pll = _gowin(self._setting, oscillator.i, ClockSignal(), locked)
        m.submodules.reset = ResetSynchronizer(~locked, domain="sync")
        return m


def _ecp5(setting: Ecp5Pll, oscillator, clock, locked) -> Instance:
    feedback = Signal()
    return Instance(
        "EHXPLLL",
        # Analogue settings that the vendor's own tool writes for every PLL of this range.
        a_ICP_CURRENT="12",
        a_LPF_RESISTOR="8",
        a_MFG_ENABLE_FILTEROPAMP="1",
        a_MFG_GMCREF_SEL="2",
        p_PLLRST_ENA="DISABLED",
        p_INTFB_WAKE="DISABLED",
        p_STDBY_ENABLE="DISABLED",
        p_DPHASE_SOURCE="DISABLED",
        p_OUTDIVIDER_MUXA="DIVA",
        p_OUTDIVIDER_MUXB="DIVB",
        p_OUTDIVIDER_MUXC="DIVC",
        p_OUTDIVIDER_MUXD="DIVD",
        p_CLKI_DIV=setting.input_divider,
        p_CLKFB_DIV=1,
        p_FEEDBK_PATH="CLKOP",
        p_CLKOP_ENABLE="ENABLED",
        p_CLKOP_DIV=setting.feedback_divider,
        p_CLKOP_CPHASE=setting.feedback_divider - 1,
        p_CLKOP_FPHASE=0,
        p_CLKOS_ENABLE="ENABLED",
        p_CLKOS_DIV=setting.output_divider,
        p_CLKOS_CPHASE=setting.output_divider - 1,
        p_CLKOS_FPHASE=0,
        i_CLKI=oscillator,
        i_CLKFB=feedback,
        i_RST=Const(0),
        i_STDBY=Const(0),
        i_PHASESEL0=Const(0),
        i_PHASESEL1=Const(0),
        i_PHASEDIR=Const(1),
        i_PHASESTEP=Const(1),
        i_PHASELOADREG=Const(1),
        i_PLLWAKESYNC=Const(0),
        i_ENCLKOP=Const(0),
        i_ENCLKOS=Const(0),
        o_CLKOP=feedback,
        o_CLKOS=clock,
        o_LOCK=locked,
    )


def _ice40(setting: Ice40Pll, pad, clock, locked) -> Instance:
    return Instance(
        "SB_PLL40_PAD",
        p_FEEDBACK_PATH="SIMPLE",
        p_DIVR=Const(setting.divr, 4),
        p_DIVF=Const(setting.divf, 7),
        p_DIVQ=Const(setting.divq, 3),
        p_FILTER_RANGE=Const(setting.filter_range, 3),
        i_RESETB=Const(1),
        i_BYPASS=Const(0),
        io_PACKAGEPIN=pad,
        o_PLLOUTGLOBAL=clock,
        o_LOCK=locked,
    )


def _gowin(setting: GowinPll, oscillator, clock, locked) -> Instance:
    return Instance(
        "rPLL",
        p_FCLKIN=f"{setting.input_hz / 1e6:g}",
        p_DEVICE="GW1NR-9C",
        p_IDIV_SEL=setting.idiv_sel,
        p_FBDIV_SEL=setting.fbdiv_sel,
        p_ODIV_SEL=setting.odiv_sel,
        p_DYN_IDIV_SEL="false",
        p_DYN_FBDIV_SEL="false",
        p_DYN_ODIV_SEL="false",
        p_DYN_DA_EN="false",
        p_DYN_SDIV_SEL=2,
        p_PSDA_SEL="0000",
        p_DUTYDA_SEL="1000",
        p_CLKFB_SEL="internal",
        p_CLKOUT_BYPASS="false",
        p_CLKOUTP_BYPASS="false",
        p_CLKOUTD_BYPASS="false",
        i_CLKIN=oscillator,
        i_CLKFB=Const(0),
        i_RESET=Const(0),
        i_RESET_P=Const(0),
        i_IDSEL=Const(0, 6),
        i_FBDSEL=Const(0, 6),
        i_ODSEL=Const(0, 6),
        i_PSDA=Const(0, 4),
        i_DUTYDA=Const(0, 4),
        i_FDLY=Const(0, 4),
        o_CLKOUT=clock,
        o_LOCK=locked,
    )


def plan(
    board: Board, top: wiring.Component, *, clock_hz: float | None = None, synth_options: Sequence[str] = ()
) -> BuildPlan:
    """Amaranth's build plan: netlist, constraints and commands; nothing is run. The same for the same arguments.

    Parameters
    ----------
    clock_hz : of the top's domain `sync`; default: the board's
    synth_options : of Yosys' `synth_<family>`

    Synthesis also writes the cell counts to `stat.json`.

    Raises
    ------
    ConfigError
        If the board cannot make that clock.
    """
    platform: Platform = board.platform()

    def write(name: str, source: Pattern | Foreign) -> None:
        if isinstance(source, Foreign):
            text = source.written(name, "write_rtlil")
        else:
            text = rtlil.convert(source.first, name, platform, emit_src=False)
        platform.add_file(f"{name}.il", text)

    platform.modules = Modules(NAME, write)
    wrapped = PlatformTop(board, top, board.default_clock_hz if clock_hz is None else clock_hz)
    return platform.prepare(
        wrapped,
        NAME,
        emit_src=False,
        synth_opts=" ".join(synth_options),
        # Amaranth names the parts of an array `data[0]`; Yosys' technology mapping takes such a wire for bit 0 of
        # `data` and, where both are there, stops at an assertion. Hidden names are not taken apart.
        script_after_read=r"rename -hide w:*\[*",
        script_after_synth="tee -q -o stat.json stat -json",
    )


def write_plan(build_plan: BuildPlan, out_dir: Path) -> None:
    """Writes a plan's files but its scripts, which nothing here runs, into `out_dir`."""
    for name, content in build_plan.files.items():
        if not name.endswith((".sh", ".bat", ".debug.v")):
            (out_dir / name).write_bytes(content if isinstance(content, bytes) else content.encode())
