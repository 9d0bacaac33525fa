"""What a fit does when."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.common.arithmetic import wire
from hdl.pulse.config import RATIO_CYCLES, SEARCH_STAGES, SUBTRACT_CYCLES, FilterConfig

ROUNDING_CYCLES = 3
"""From a row's choice to its rounded sum."""

_WINDOW = 2
"""The source that is no template."""

_SINGLE = (
    "begin",
    "locate",
    "place",
    "again",
    "residual",
    "first",
    "add",
    "divide",
    "move",
    "square",
    "judge",
    "offer",
)
_PAIRS = (
    "anew",
    "early",
    "paired",
    "peak",
    "search",
    "guess",
    "second",
    "left",
    "solve",
    "store_share",
    "keep",
    "model",
)


class FitSequence(wiring.Component):
    """Guess; a pass: onset, place, rows, division; residual; record. Two pulses: early passes, search, passes of both.

    Members
    -------
    waiting : a window waits
    passes : In(3)
    begin : out of its guess
    locate, place : start and phase, in two cycles
    again : with `place`, in all passes but the first
    tap : Out(range(config.taps))
    tap_late : six cycles later, when its sample is to be read for the residual
    residual : the residual is made
    first, add : of the rows' sums
    choose_<row> : its sum goes to be rounded
    store_<row> : it is rounded
    divide : ratio and limit begin
    move : the ratio is there, and the position it gives is the next
    square : a tap's residual is added
    judge : limit and chi are there
    offer, given : the record

    With `pairs`, besides:

    pair_passes : In(3)
    pile_up : as judged: one pulse was not enough
    anew, early : one pulse is fitted by its beginning, from the guess again
    peak, search, nth, guess : what that leaves is searched, tap by tap; then the second pulse's time is known
    paired : from then on
    second : behind `place`: the second pulse's
    source : whose rows and products are made: of one template, of the other, of the window
    left : products of what rows leave; `choose_product_<row>`, `store_product_<row>` as for rows
    store_share : of the rows of a template
    solve, solved : both pulses' rows
    model, keep, nth : what the second pulse adds to a tap
    """

    def __init__(self, config: FilterConfig):
        self._config = config
        rows = [f"{what}_{row}" for row in config.weight_rows for what in ("choose", "store")]
        members = {"waiting": In(1), "passes": In(3), "given": In(1)}
        if config.pairs:
            members |= {"pair_passes": In(3), "pile_up": In(1), "solved": In(1), "source": Out(2)}
            members |= {"nth": Out(range(config.taps))}
            rows += [*_PAIRS, *(f"{what}_product_{row}" for row in "ab" for what in ("choose", "store"))]
        super().__init__(
            members
            | {name: Out(range(config.taps)) for name in ("tap", "tap_late")}
            | {name: Out(1) for name in (*_SINGLE, *rows)}
        )

    def elaborate(self, platform):
        m = Module()
        config = self._config
        step = Signal(range(max(config.row_cycles, config.residual_cycles, config.left_cycles)))
        done, passes = Signal.like(self.passes), self.passes
        if config.pairs:
            passes = wire(m, Mux(self.paired, self.pair_passes, passes), "passes_of_all")
            m.d.comb += self.nth.eq(step - Mux(self.model, 8, SEARCH_STAGES - 1))
        m.d.sync += step.eq(step + 1)
        late = wire(m, step - 6, "late")
        m.d.comb += [self.tap.eq(step), self.tap_late.eq(late)]

        with m.FSM():
            self._position(m, step, done)
            with m.State("ROWS"):
                self._sums(m, step, 3, config.weight_rows)
                with m.If(step == config.row_cycles - 1):
                    m.d.sync += step.eq(0)
                    m.next = "DIVIDE"
                    if config.pairs:
                        with m.If(self.paired):
                            m.next = "LEFT"
            with m.State("DIVIDE"):
                m.d.comb += self.divide.eq(step == 0)
                with m.If(step == RATIO_CYCLES):
                    m.d.comb += self.move.eq(1)
                    m.d.sync += step.eq(0)
                    m.next = "LOCATE"
                    with m.If(done >= passes):
                        self._after_passes(m)
            with m.State("RESIDUAL"):
                m.d.comb += [
                    self.residual.eq(1),
                    self.square.eq((step >= 10) & (step < config.taps + 10)),
                ]
                with m.If(step == config.residual_cycles - 1):
                    m.d.comb += self.judge.eq(1)
                    m.next = "CHOOSE" if config.pairs else "RECORD"
            with m.State("RECORD"):
                m.d.comb += self.offer.eq(1)
                with m.If(self.given):
                    m.next = "GUESS"
            if config.pairs:
                self._pairs(m, step, done)
        return m

    def _position(self, m, step, done):
        """From the guess, or the pass before, to a window's samples and phase."""
        with m.State("GUESS"):
            m.d.comb += self.begin.eq(1)
            m.d.sync += done.eq(0)
            if self._config.pairs:
                m.d.sync += [self.early.eq(0), self.paired.eq(0)]
            with m.If(self.waiting):
                m.next = "LOCATE"
        with m.State("LOCATE"):
            m.d.comb += self.locate.eq(1)
            m.d.sync += done.eq(done + 1)
            m.next = "PLACE"
        with m.State("PLACE"):
            m.d.comb += [self.place.eq(1), self.again.eq(done != 1)]
            m.d.sync += step.eq(0)
            m.next = "ROWS"
            if self._config.pairs:
                with m.If(self.paired):
                    m.next = "SECOND"

    def _sums(self, m, step, stages, names):
        """Sums of products that come so many cycles after their tap; then each is rounded."""
        taps = self._config.taps
        m.d.comb += [self.first.eq(step == stages), self.add.eq((step >= stages) & (step < taps + stages))]
        for number, name in enumerate(names):
            chosen = taps + stages + number
            m.d.comb += [
                getattr(self, f"choose_{name}").eq(step == chosen),
                getattr(self, f"store_{name}").eq(step == chosen + ROUNDING_CYCLES),
            ]

    def _after_passes(self, m):
        m.next = "RESIDUAL"
        if self._config.pairs:
            with m.If(self.early):
                m.next = "PEAK"
            with m.If(self.paired):
                m.next = "MODEL"

    def _pairs(self, m, step, done):
        """One pulse by its beginning, the search for another, and both."""
        config = self._config
        shown = (step >= SEARCH_STAGES - 1) & (step < config.search_cycles - 1)
        with m.State("CHOOSE"):
            m.next = "RECORD"
            with m.If(self.pile_up & ~self.paired & (self.pair_passes != 0)):
                m.next = "ANEW"
        with m.State("ANEW"):
            m.d.comb += [self.begin.eq(1), self.anew.eq(1)]
            m.d.sync += [self.early.eq(1), done.eq(0)]
            m.next = "LOCATE"
        for state, output, following in (("PEAK", self.peak, "SEARCH"), ("SEARCH", self.search, "LOCATE")):
            with m.State(state):
                m.d.comb += [self.residual.eq(1), output.eq(shown)]
                with m.If(step == config.search_cycles - 1):
                    m.d.sync += step.eq(0)
                    m.next = following
                    if state == "SEARCH":
                        m.d.comb += self.guess.eq(1)
                        m.d.sync += [self.early.eq(0), self.paired.eq(1), done.eq(0)]
        with m.State("SECOND"):
            m.d.comb += self.second.eq(1)
            m.d.sync += [step.eq(0), self.source.eq(0)]
            m.next = "ROWS"
        with m.State("LEFT"):
            self._left(m, step)
        with m.State("SOLVE"):
            m.d.sync += step.eq(0)
            with m.If(self.solved):
                m.next = "SUBTRACT"
        with m.State("SUBTRACT"), m.If(step == SUBTRACT_CYCLES - 1):
            m.d.sync += step.eq(0)
            m.next = "DIVIDE"
        with m.State("MODEL"):
            m.d.comb += [self.model.eq(1), self.keep.eq((step >= 8) & (step < config.taps + 8))]
            with m.If(step == config.taps + 7):
                m.d.sync += step.eq(0)
                m.next = "RESIDUAL"

    def _left(self, m, step):
        """Products of templates and what the rows leave of the source."""
        config = self._config
        m.d.comb += [self.residual.eq(1), self.left.eq(1), self.store_share.eq(step == 0)]
        self._sums(m, step, 13, [f"product_{row}" for row in "ab"])
        with m.If(step == config.left_cycles - 1):
            m.d.sync += [step.eq(0), self.source.eq(self.source + 1)]
            m.next = "ROWS"
            with m.If(self.source == _WINDOW):
                m.d.comb += self.solve.eq(1)
                m.next = "SOLVE"
