"""A second pulse in a window: where it is, its templates, and what the fit knows of it."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.common.arithmetic import delayed, register, saturated, wire
from hdl.common.ram import Ram
from hdl.pulse.config import APART_BITS, FRACTION_BITS, MIDDLE_PHASE, PHASES, FilterConfig
from hdl.pulse.filter_solver import ROWS, SOURCES, PairSolver

PHASE_SHIFT = 12

SHOWN_LATER = 4
"""Cycles by which a template comes later to meet what is left of the sample it belongs to."""


class SecondPulse(wiring.Component):
    """Finds the second pulse, gives its templates, and solves for both.

    Members
    -------
    start : the first tap's sample
    time : of the first pulse, 2^-16 samples
    offset : by how much a pulse begins before it comes to half its height
    left : what a fit leaves of a sample, 2^-4
    anew : before another search
    peak, search, nth : the largest magnitude is sought, then the first of half of it, which is the tap `nth`
    guess, locate, second, move : the time is that tap's, or the place's; the place is the time's, in two cycles
    tap, phase, at : a tap, and where its template is in the bank; taps before the pulse have 0
    template_<row>, read_<row> : of the tap, a cycle later, and as the bank gives it
    late_<row> : the template, `SHOWN_LATER` after that
    source : 0, 1: of a template; 2: of the window: rows and products that are stored
    store_product_<row>, product : a sum is rounded
    store_share, x_<row> : a fit's rows are stored
    solve, solved, unit, taken_<row>, choose_<row>, height, change : see `PairSolver`
    keep, nth, fitted, besides : what the second pulse adds to a tap is stored, and read a cycle after `tap_late`
    apart : from the first pulse to this one, 2^-8 samples; 0 where there is none
    """

    def __init__(self, config: FilterConfig):
        self._config = config
        coefficient, part = signed(config.coefficient_bits), signed(config.fit_bits)
        singles = ("anew", "peak", "search", "guess", "locate", "second", "move", "store_share", "solve", "keep")
        super().__init__(
            {name: In(1) for name in singles}
            | {name: In(range(config.taps)) for name in ("tap", "tap_late", "nth")}
            | {f"store_product_{row}": In(1) for row in "ab"}
            | {f"x_{row}": In(part) for row in ROWS}
            | {f"{name}_{row}": Out(coefficient) for name in ("template", "late") for row in "ab"}
            | {f"read_{row}": In(coefficient) for row in "ab"}
            | {f"taken_{row}": Out(signed(2 * config.pair_bits)) for row in ROWS}
            | {f"choose_{row}": Out(1) for row in ROWS}
            | {
                "start": In(range(config.samples)),
                "time": In(signed(32)),
                "offset": In(20),
                "left": In(signed(config.residual_bits)),
                "phase": Out(range(PHASES)),
                "at": Out(range(config.taps)),
                "source": In(2),
                "product": In(signed(config.pair_bits)),
                "solved": Out(1),
                "unit": In(5),
                "height": Out(signed(config.pair_bits)),
                "change": Out(signed(config.pair_bits)),
                "fitted": In(part),
                "besides": Out(part),
                "apart": Out(16),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self._config
        m.submodules.solver = solver = PairSolver(config)
        m.d.comb += [
            solver.start.eq(self.solve),
            solver.unit.eq(self.unit),
            self.solved.eq(solver.done),
            self.height.eq(solver.height),
            self.change.eq(solver.change),
        ]
        for row in ROWS:
            share = saturated(wire(m, (getattr(self, f"x_{row}") + 8) >> 4, f"sixteenth_{row}"), config.pair_bits)
            for number, source in enumerate("ab"):
                held = Signal(signed(config.pair_bits), name=f"share_{source}_{row}_held", reset_less=True)
                with m.If(self.store_share & (self.source == number)):
                    m.d.sync += held.eq(share)
                m.d.comb += getattr(solver, f"share_{source}_{row}").eq(held)
            for name in ("taken", "choose"):
                m.d.comb += getattr(self, f"{name}_{row}").eq(getattr(solver, f"{name}_{row}"))
        for row in "ab":
            for number, source in enumerate(SOURCES):
                held = Signal(signed(config.pair_bits), name=f"left_{row}_{source}_held", reset_less=True)
                with m.If(getattr(self, f"store_product_{row}") & (self.source == number)):
                    m.d.sync += held.eq(self.product)
                m.d.comb += getattr(solver, f"left_{row}_{source}").eq(held)
        later, time = self._place(m, solver.late)
        self._templates(m, later)
        self._kept(m)
        apart = register(m, (time - self.time + (1 << (FRACTION_BITS - APART_BITS - 1))), "apart_exact")
        whole = wire(m, apart >> (FRACTION_BITS - APART_BITS), "apart_whole")
        clamped = wire(m, Mux(whole < 1, 1, Mux(whole >= 1 << 15, (1 << 15) - 1, whole)), "apart_clamped")
        m.d.comb += self.apart.eq(Mux(solver.height > 0, clamped, 0))
        return m

    def _place(self, m, late):
        """Taps that it begins after the first one's, and its time."""
        config = self._config
        nearest = self._searched(m)
        time, place = Signal(signed(36), reset_less=True), Signal(signed(37), reset_less=True)
        least, most = PHASES, PHASES * (config.taps - config.pre - 2) - 1
        after = Signal(range(most + 1), reset_less=True)  # phases after that of the first tap's middle
        onset, middle = config.pre << FRACTION_BITS, MIDDLE_PHASE << PHASE_SHIFT
        with m.If(self.guess):
            m.d.sync += time.eq(
                Cat(Const(0, FRACTION_BITS), self.start + nearest, Const(0, 1)).as_signed() - self.offset
            )
        with m.If(self.locate):
            m.d.sync += place.eq(time + ((1 << (PHASE_SHIFT - 1)) + middle - onset))
        wanted = wire(m, place[PHASE_SHIFT:].as_signed() - Cat(Const(0, 4), self.start), "wanted")
        with m.If(self.second):
            m.d.sync += after.eq(Mux(wanted < least, least, Mux(wanted > most, most, wanted)))
        with m.If(self.move):
            begins = Cat(Const(0, FRACTION_BITS), self.start, Const(0, 1)).as_signed()
            shifted = Cat(Const(0, PHASE_SHIFT), after, Const(0, 1)).as_signed()
            m.d.sync += time.eq(wire(m, begins + (onset - middle), "begins") + (shifted + late))
        m.d.comb += self.phase.eq(after[:4])
        return after[4:], time

    def _searched(self, m):
        """The first tap at which half of the largest magnitude is left."""
        left = self.left
        magnitude = register(m, Mux(left[-1], -left, left)[: len(left)], "magnitude")
        largest, found = Signal(len(left), reset_less=True), Signal(reset_less=True)
        nearest = Signal.like(self.nth, reset_less=True)
        with m.If(self.anew):
            m.d.sync += [largest.eq(0), found.eq(0)]
        with m.If(self.peak & (magnitude > largest)):
            m.d.sync += largest.eq(magnitude)
        with m.If(self.search & ~found & (magnitude >= largest[1:])):
            m.d.sync += [found.eq(1), nearest.eq(self.nth)]
        return nearest

    def _templates(self, m, later):
        """At a tap: those of the phase, so many taps earlier."""
        m.d.comb += self.at.eq(self.tap - later)
        begun = register(m, self.tap >= later, "begun")
        for row in "ab":
            template = getattr(self, f"template_{row}")
            m.d.comb += [
                template.eq(Mux(begun, getattr(self, f"read_{row}"), 0)),
                getattr(self, f"late_{row}").eq(delayed(m, template, SHOWN_LATER, f"late_{row}", reset_less=True)),
            ]

    def _kept(self, m):
        """What it adds to each tap."""
        bits = len(self.fitted)
        m.submodules.kept = kept = Ram(bits, 1 << len(self.tap))
        m.d.comb += [
            kept.write.eq(self.keep),
            kept.write_address.eq(self.nth),
            kept.write_data.eq(self.fitted),
            kept.read_address.eq(self.tap_late),
            self.besides.eq(kept.read_data),
        ]
