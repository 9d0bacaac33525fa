"""How a second pulse goes through the units that fit one."""

from __future__ import annotations

from typing import NamedTuple

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib.wiring import In, Out

from hdl.common.arithmetic import delayed, register, saturated, wire
from hdl.pulse.config import PHASES, SUBTRACT_CYCLES, FilterConfig
from hdl.pulse.filter_limit import Limit
from hdl.pulse.filter_residual import Residual
from hdl.pulse.filter_rows import TemplateRows, WeightRows
from hdl.pulse.filter_second import SecondPulse
from hdl.pulse.filter_sequence import FitSequence
from hdl.pulse.rounder import Rounder

OFFSET_BITS = 20


class Units(NamedTuple):
    """Of a fit."""

    sequence: FitSequence
    weights: WeightRows
    templates: TemplateRows
    rounder: Rounder
    residual: Residual
    limit: Limit


def pair_members(config: FilterConfig) -> dict[str, In | Out]:
    """What the core has besides: templates, settings."""
    coefficient = signed(config.coefficient_bits)
    members = {"second_phase": Out(range(PHASES)), "second_tap": Out(range(config.taps))}
    members |= {f"second_{row}": In(coefficient) for row in config.template_rows}
    return members | {"pair_passes": In(3), "pair_offset": In(OFFSET_BITS), "exponent_pair": In(5)}


def pairs(
    m: Module,
    core,
    config: FilterConfig,
    units: Units,
    x: dict[str, Signal],
    start: Signal,
    time: Signal,
    pile_up: Signal,
) -> Signal:
    """Adds the second pulse to a core whose units serve one; gives what a record has of it."""
    m.submodules.pair = second = SecondPulse(config)
    sequence = units.sequence
    m.d.comb += [
        sequence.pair_passes.eq(core.pair_passes),
        sequence.pile_up.eq(pile_up),
        sequence.solved.eq(second.solved),
        second.start.eq(start),
        second.time.eq(time),
        second.offset.eq(core.pair_offset),
        second.unit.eq(core.exponent_template),
        second.left.eq(units.residual.left),
        second.tap.eq(Mux(sequence.left, sequence.tap_late, sequence.tap)),
        second.tap_late.eq(sequence.tap_late),
        core.second_phase.eq(second.phase),
        core.second_tap.eq(second.at),
    ]
    names = ("anew", "peak", "search", "nth", "guess", "locate", "second", "source", "store_share", "solve", "keep")
    m.d.comb += [getattr(second, name).eq(getattr(sequence, name)) for name in names]
    m.d.comb += second.move.eq(sequence.move & sequence.paired)
    m.d.comb += [getattr(second, f"read_{row}").eq(getattr(core, f"second_{row}")) for row in "ab"]
    _sources(m, units, second)
    _sums(m, core, units, second, x)
    _model(m, units, second, x)
    return wire(m, Mux(sequence.paired, second.apart, 0), "apart")


def _sources(m, units, second):
    """A template for the window; then what is left, and the templates, for the rows of sums."""
    sequence, left = units.sequence, units.residual.left
    shown = register(m, saturated(wire(m, (left + 2) >> 2, "left_quarter"), len(units.weights.code)), "shown_left")
    source = wire(m, Mux(sequence.source[0], second.template_b, second.template_a), "template_source")
    with m.If(sequence.paired & ~sequence.source[1]):
        m.d.comb += [units.residual.code.eq(source), units.weights.code.eq(source)]
    with m.If(sequence.left):
        m.d.comb += [
            units.weights.code.eq(shown),
            units.weights.weights_a.eq(second.late_a),
            units.weights.weights_b.eq(second.late_b),
        ]


def _sums(m, core, units, second, x):
    """Products and what the second pulse takes of a row, through the one rounder."""
    sequence, rounder = units.sequence, units.rounder
    m.d.comb += second.product.eq(saturated(rounder.rounded, len(second.product)))
    for row in "ab":
        with m.If(getattr(sequence, f"choose_product_{row}")):
            m.d.comb += [
                rounder.value.eq(getattr(units.weights, f"sum_{row}")),
                rounder.amount.eq(core.exponent_pair),
            ]
        m.d.comb += getattr(second, f"store_product_{row}").eq(getattr(sequence, f"store_product_{row}"))
    taken = register(m, (rounder.rounded + 8) >> 4, "taken")
    for row, fit in x.items():
        choose = getattr(second, f"choose_{row}")
        with m.If(choose):
            m.d.comb += rounder.value.eq(getattr(second, f"taken_{row}"))
        with m.If(delayed(m, choose, SUBTRACT_CYCLES, f"subtract_{row}")):
            m.d.sync += fit.eq(saturated(wire(m, fit - taken, f"less_{row}"), len(fit)))
        m.d.comb += getattr(second, f"x_{row}").eq(fit)


def _model(m, units, second, x):
    """What the second pulse adds to each tap, for the residual of both, and its height, for the limit."""
    sequence, templates, bits = units.sequence, units.templates, len(x["a"])
    m.d.comb += second.fitted.eq(saturated(units.rounder.rounded, bits))
    with m.If(sequence.model):
        m.d.comb += [
            templates.templates_a.eq(second.template_a),
            templates.templates_b.eq(second.template_b),
            templates.x_a.eq(second.height),
            templates.x_b.eq(second.change),
        ]
    with m.If(sequence.paired):
        m.d.comb += units.limit.amplitude.eq(saturated(wire(m, x["a"] + second.height, "heights"), bits))
        with m.If(~sequence.left):
            m.d.comb += units.residual.baseline.eq(x["z"] + second.besides)
