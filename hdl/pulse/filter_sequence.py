"""What a fit does when."""

from __future__ import annotations

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.common.arithmetic import wire
from hdl.pulse.config import RATIO_CYCLES, FilterConfig

ROUNDING_CYCLES = 3
"""From a row's choice to its rounded sum."""


class FitSequence(wiring.Component):
    """Guess; a pass: onset, place, rows, division; residual; record.

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
    """

    def __init__(self, config: FilterConfig):
        self._config = config
        single = ("begin", "locate", "place", "again", "residual", "first", "add", "divide", "move", "square", "judge")
        rows = [f"{what}_{row}" for row in config.weight_rows for what in ("choose", "store")]
        super().__init__(
            {"waiting": In(1), "passes": In(3), "given": In(1), "offer": Out(1)}
            | {name: Out(range(config.taps)) for name in ("tap", "tap_late")}
            | {name: Out(1) for name in (*single, *rows)}
        )

    def elaborate(self, platform):
        m = Module()
        config = self._config
        taps = config.taps
        step = Signal(range(max(config.row_cycles, config.residual_cycles)))
        done = Signal.like(self.passes)
        m.d.sync += step.eq(step + 1)
        late = wire(m, step - 6, "late")
        m.d.comb += [self.tap.eq(step), self.tap_late.eq(late)]

        with m.FSM():
            with m.State("GUESS"):
                m.d.comb += self.begin.eq(1)
                m.d.sync += done.eq(0)
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
            with m.State("ROWS"):
                m.d.comb += [self.first.eq(step == 3), self.add.eq((step >= 3) & (step < taps + 3))]
                for number, row in enumerate(config.weight_rows):
                    chosen = taps + 3 + number
                    m.d.comb += [
                        getattr(self, f"choose_{row}").eq(step == chosen),
                        getattr(self, f"store_{row}").eq(step == chosen + ROUNDING_CYCLES),
                    ]
                with m.If(step == config.row_cycles - 1):
                    m.d.sync += step.eq(0)
                    m.next = "DIVIDE"
            with m.State("DIVIDE"):
                m.d.comb += self.divide.eq(step == 0)
                with m.If(step == RATIO_CYCLES):
                    m.d.comb += self.move.eq(1)
                    m.d.sync += step.eq(0)
                    m.next = "LOCATE"
                    with m.If(done >= self.passes):
                        m.next = "RESIDUAL"
            with m.State("RESIDUAL"):
                m.d.comb += [
                    self.residual.eq(1),
                    self.square.eq((step >= 10) & (step < taps + 10)),
                ]
                with m.If(step == config.residual_cycles - 1):
                    m.d.comb += self.judge.eq(1)
                    m.next = "RECORD"
            with m.State("RECORD"):
                m.d.comb += self.offer.eq(1)
                with m.If(self.given):
                    m.next = "GUESS"
        return m
