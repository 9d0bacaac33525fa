"""A fit: position, rows, ratio, residual, record."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.common.arithmetic import saturated, wire
from hdl.pulse.config import FRACTION_BITS, MIDDLE_PHASE, PHASES, FilterConfig
from hdl.pulse.filter_bank import rows_of
from hdl.pulse.filter_limit import Limit
from hdl.pulse.filter_pairs import Units, pair_members, pairs
from hdl.pulse.filter_ratio import Ratio
from hdl.pulse.filter_residual import Residual
from hdl.pulse.filter_rows import TemplateRows, WeightRows
from hdl.pulse.filter_sequence import FitSequence
from hdl.pulse.filter_width import SHAPE_BITS, STEP_BITS, Width
from hdl.pulse.rounder import Rounder

PHASE_SHIFT = 12
"""Of a position: below are fractions of a phase."""


class FitCore(wiring.Component):
    """Fits the window that waits, passes and all, and offers its record until it is taken.

    Members
    -------
    waiting : a window waits
    index, code : its samples, a cycle after their number
    saturated : it has such a code
    place, tap, weights_<row>, templates_<row> : of the bank, a cycle after place and tap
    second_phase, second_tap, second_<row> : likewise, with `pairs`
    pair_passes, pair_offset, exponent_pair : registers, with `pairs`
    passes, guess, exponent_<row>, exponent_template, stretch_step, chi_base, chi_share : registers
    record, valid, ready : the result
    busy : a window is fitted, or its record waits
    """

    def __init__(self, config: FilterConfig):
        self._config = config
        coefficient = signed(config.coefficient_bits)
        super().__init__(
            {
                "waiting": In(1),
                "index": Out(range(config.samples)),
                "code": In(signed(config.code_bits)),
                "saturated": In(1),
                "place": Out(range(config.places)),
                "tap": Out(range(config.taps)),
                "passes": In(3),
                "guess": In(signed(32)),
                "chi_base": In(32),
                "chi_share": In(32),
                "record": Out(config.record_bits),
                "valid": Out(1),
                "ready": In(1),
                "busy": Out(1),
            }
            | {f"{name}_{row}": In(coefficient) for name, rows in rows_of(config).items() for row in rows}
            | {f"exponent_{name}": In(5) for name in (*config.weight_rows, "template")}
            | ({"stretch_step": In(STEP_BITS)} if config.stretches > 1 else {})
            | (pair_members(config) if config.pairs else {})
        )

    def elaborate(self, platform):
        m = Module()
        config = self._config
        m.submodules.sequence = sequence = FitSequence(config)
        x = {row: Signal(signed(config.fit_bits), name=f"x_{row}", reset_less=True) for row in config.weight_rows}
        no_pulse = wire(m, x["a"] <= 0, "no_pulse")

        time, start, phase, flags = self._position(m, sequence, x, no_pulse)
        shape, place = Const(0, SHAPE_BITS), phase
        if config.shape:
            m.submodules.width = width = Width(config)
            m.d.comb += [
                width.start.eq(sequence.divide),
                width.change.eq(x["c"]),
                width.amplitude.eq(x["a"]),
                width.none.eq(no_pulse),
            ]
            shape = width.shape
            if config.stretches > 1:
                m.d.comb += [
                    width.step.eq(self.stretch_step),
                    width.begin.eq(sequence.begin),
                    width.again.eq(sequence.again),
                ]
                place = Cat(phase, width.stretch)
        m.submodules.weights = weights = WeightRows(config)
        m.submodules.templates = templates = TemplateRows(config)
        m.submodules.rounder = rounder = Rounder(max(config.sum_bits, config.model_bits))
        m.submodules.squares = square = Residual(config)
        m.submodules.threshold = limit = Limit(config)
        self._rows(m, sequence, x, weights, templates, rounder)
        pile_up = self._residual(m, sequence, x, square, limit, rounder)
        if config.pairs:
            place = Cat(phase, sequence.early)
            units = Units(sequence, weights, templates, rounder, square, limit)
            shape = pairs(m, self, config, units, x, start, time, pile_up)
        m.d.comb += [
            self.place.eq(place),
            sequence.waiting.eq(self.waiting),
            sequence.passes.eq(self.passes),
            sequence.given.eq(self.ready),
            self.valid.eq(sequence.offer),
            self.busy.eq(self.waiting),
            self.record.eq(
                Cat(time, x["a"], shape, pile_up, self.saturated, Const(0, 2), flags["cut"], no_pulse, flags["far"],
                    Const(0, 1), square.chi)
            ),
        ]  # fmt: skip
        return m

    def _position(self, m, sequence, x, no_pulse):
        """From the position to the samples and the phase, and back with what the ratio adds."""
        config = self._config
        time = Signal(signed(32), reset_less=True)
        # Whole samples of it are the start, the next four bits the phase: rounded to a phase, from the first tap on.
        half_phase, middle = 1 << (PHASE_SHIFT - 1), MIDDLE_PHASE << PHASE_SHIFT
        onset = config.pre << FRACTION_BITS
        place = Signal(signed(34), reset_less=True)
        last_start = config.samples - config.taps
        start, phase = Signal(range(last_start + 2), reset_less=True), Signal(range(PHASES), reset_less=True)
        cut, far = Signal(reset_less=True), Signal(reset_less=True)
        whole = place[FRACTION_BITS:].as_signed()
        under, over = wire(m, whole < 0, "under"), wire(m, whole > last_start, "over")

        m.submodules.divider = ratio = Ratio(config.fit_bits)
        delta = wire(m, Mux(no_pulse, 0, ratio.ratio), "delta")
        with m.If(sequence.begin):
            m.d.sync += time.eq(self.guess)
        with m.If(sequence.locate):
            m.d.sync += place.eq(time + (half_phase + middle - onset))
        with m.If(sequence.place):
            m.d.sync += [
                start.eq(Mux(under, 0, Mux(over, last_start, whole))),
                phase.eq(Mux(under, 0, Mux(over, PHASES - 1, place[PHASE_SHIFT:FRACTION_BITS]))),
                cut.eq(under | over),
            ]
        with m.If(sequence.move):
            at_phase = Cat(Const(0, PHASE_SHIFT), phase, start, Const(0, 1)).as_signed()
            m.d.sync += [time.eq(at_phase + (onset - middle) + delta), far.eq(ratio.clamped & ~no_pulse)]
        m.d.comb += [
            ratio.start.eq(sequence.divide),
            ratio.numerator.eq(x["b"]),
            ratio.denominator.eq(x["a"]),
            self.tap.eq(sequence.tap),
            self.index.eq(start + Mux(sequence.residual, sequence.tap_late, sequence.tap)),
        ]
        return time, start, phase, {"cut": cut, "far": far}

    def _rows(self, m, sequence, x, weights, templates, rounder):
        """The fit: sums of the rows, rounded one after the other; the same rounder serves the residual."""
        config = self._config
        m.d.comb += [
            weights.code.eq(self.code),
            weights.first.eq(sequence.first),
            weights.add.eq(sequence.add),
            rounder.value.eq(templates.model),
            rounder.amount.eq(self.exponent_template),
        ]
        fit = wire(m, saturated(rounder.rounded, config.fit_bits), "x_rounded")
        for row in config.weight_rows:
            m.d.comb += getattr(weights, f"weights_{row}").eq(getattr(self, f"weights_{row}"))
            with m.If(getattr(sequence, f"choose_{row}")):
                m.d.comb += [
                    rounder.value.eq(getattr(weights, f"sum_{row}")),
                    rounder.amount.eq(getattr(self, f"exponent_{row}")),
                ]
            with m.If(getattr(sequence, f"store_{row}")):
                m.d.sync += x[row].eq(fit)
        for row in config.template_rows:
            m.d.comb += [
                getattr(templates, f"templates_{row}").eq(getattr(self, f"templates_{row}")),
                getattr(templates, f"x_{row}").eq(x[row]),
            ]

    def _residual(self, m, sequence, x, square, limit, rounder):
        """The residual's squares, and whether they are more than a pulse's."""
        pile_up = Signal(reset_less=True)
        m.d.comb += [
            square.code.eq(self.code),
            square.baseline.eq(x["z"]),
            square.rounded.eq(rounder.rounded),
            square.clear.eq(sequence.begin),
            square.add.eq(sequence.square),
            limit.start.eq(sequence.divide),
            limit.amplitude.eq(x["a"]),
            limit.base.eq(self.chi_base),
            limit.share.eq(self.chi_share),
        ]
        with m.If(sequence.judge):
            m.d.sync += pile_up.eq(square.chi > limit.limit)
        return pile_up
