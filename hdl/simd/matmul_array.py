"""The array of `simd.matmul`: engines of `simd.mac` in rows and columns, and the chain that their results leave by."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hdl.common.arithmetic import delayed, wire
from hdl.common.repeated import Pattern
from hdl.simd.config import MatmulConfig
from hdl.simd.mac_accumulator import Accumulator
from hdl.simd.mac_align import Aligner
from hdl.simd.mac_lanes import LANES, Lanes
from hdl.simd.modes import MODES, OPERAND_BITS

SPECIAL_BITS = 3
"""NaN, or NaR; plus infinity; minus infinity."""


def sum_layout(config: MatmulConfig) -> data.StructLayout:
    """A finished sum: the accumulator's segments, the carries that have not reached the next one, and specials."""
    count = len(config.reached_segments)
    return data.StructLayout({"value": count * config.segment_bits, "carries": count - 1, "special": SPECIAL_BITS})


class Engine(wiring.Component):
    """One engine: a sum of products in its accumulator, and beside it the finished sum before.

    Members
    -------
    a, b, select, place : of `Lanes` and `Aligner`
    late : terms take the longest way, see `term_delay`
    first : the term that reaches the accumulator now begins a new sum
    capture : keep what the accumulator holds; else take the next engine's finished sum
    above, finished : `sum_layout`, of the next engine and of this one
    """

    def __init__(self, config: MatmulConfig):
        self._config = config
        super().__init__(
            {
                "a": In(OPERAND_BITS),
                "b": In(OPERAND_BITS),
                "select": In(len(config.modes)),
                "place": In(7),
                "late": In(1),
                "first": In(1),
                "capture": In(1),
                "above": In(sum_layout(config)),
                "finished": Out(sum_layout(config)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self._config
        m.submodules.lanes = lanes = Lanes(config)
        m.submodules.aligner = aligner = Aligner(config)
        m.submodules.accumulator = accumulator = Accumulator(config, config.reached_segments)
        for k in range(LANES):
            for name in ("product", "shift", "odd_sign", "odd_magnitude", "odd_shift"):
                m.d.comb += getattr(aligner, f"{name}_{k}").eq(getattr(lanes, f"{name}_{k}"))
        m.d.comb += [
            lanes.a.eq(self.a),
            lanes.b.eq(self.b),
            lanes.select.eq(self.select),
            aligner.wide_place.eq(lanes.wide_place),
            aligner.place.eq(self.place),
            accumulator.term.eq(aligner.term),
            accumulator.segment.eq(aligner.segment),
            accumulator.wide.eq(1),
            accumulator.clear.eq(self.first),
        ]
        special = term_delay(m, config, lanes.special, self.late, config.special_cycles, "special")
        held = Signal(SPECIAL_BITS, reset_less=True)
        m.d.sync += held.eq(special | (held & ~self.first.replicate(SPECIAL_BITS)))
        finished = Signal(self.finished.shape(), reset_less=True)
        own = Cat(accumulator.value, accumulator.carries[:-1], held)
        m.d.sync += finished.eq(Mux(self.capture, own, self.above))
        m.d.comb += self.finished.eq(finished)
        return m


class Array(wiring.Component):
    """All engines, each with its row's operands of A and its column's of B.

    A result leaves the chain every cycle, row by row.

    Members
    -------
    mode : of the job
    take, first, last : a beat of operands is here; it is the first, the last of a tile
    a, b : an operand beat for each row, and for each column
    leaving : the first of a tile's results will be at `result` in `config.bias_cycles` cycles
    result : `sum_layout`
    """

    def __init__(self, config: MatmulConfig):
        self._config = config
        super().__init__(
            {
                "mode": In(config.mode_bits),
                "take": In(1),
                "first": In(1),
                "last": In(1),
                "a": In(config.rows * OPERAND_BITS),
                "b": In(config.columns * OPERAND_BITS),
                "leaving": Out(1),
                "result": Out(sum_layout(config)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self._config
        late, place = Signal(), Signal(7)
        with m.Switch(self.mode):
            for name in config.modes:
                with m.Case(MODES[name].code):
                    m.d.comb += [place.eq(Aligner.place_of(config, name)), late.eq(name == "p16_1")]
        select = wire(m, Cat(self.take & (self.mode == MODES[name].code) for name in config.modes), "select")
        first = wire(m, term_delay(m, config, self.take & self.first, late, 0, "first"), "first_term")
        m.d.comb += self.leaving.eq(term_delay(m, config, self.take & self.last, late, 1, "last"))
        capture = delayed(m, self.leaving, config.bias_cycles - 1, "capture")

        engines = Pattern(Engine, config)
        above = Const(0, sum_layout(config).size)
        for index in reversed(range(config.engines)):
            row, column = divmod(index, config.columns)
            m.submodules[f"engine_{row}_{column}"] = engine = engines.another()
            m.d.comb += [
                engine.a.eq(self.a.word_select(row, OPERAND_BITS)),
                engine.b.eq(self.b.word_select(column, OPERAND_BITS)),
                engine.select.eq(select),
                engine.place.eq(place),
                engine.late.eq(late),
                engine.first.eq(first),
                engine.capture.eq(capture),
                engine.above.eq(above),
            ]
            above = engine.finished
        m.d.comb += self.result.eq(above)
        return m


def term_delay(m: Module, config: MatmulConfig, value: Value, late: Value, spent: int, name: str) -> Value:
    """A value that belongs to a beat whose operands were there `spent` cycles ago, when its term is at the accumulator.

    That is one cycle later in P(16,1) than in other modes: `late`.
    """
    cycles = sorted({config.term_cycles(mode) - spent for mode in config.modes})
    soon = delayed(m, wire(m, value, f"{name}_0"), cycles[0], name)
    return Mux(late, delayed(m, soon, cycles[-1] - cycles[0], f"{name}_late"), soon) if len(cycles) > 1 else soon
