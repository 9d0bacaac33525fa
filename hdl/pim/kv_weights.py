"""Weights of tokens from their scores: powers of two."""

from __future__ import annotations

from itertools import pairwise

from amaranth.hdl import Array, Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from hdl.common.arithmetic import delayed, register, wire
from hdl.pim.kv_config import EXPONENT_BITS, EXPONENTIAL, SCALE_BITS, SEGMENTS, WEIGHT_BITS, KvConfig

STAGES = 7
"""From a score's address to its weight."""


class KvWeights(wiring.Component):
    """Keeps scores and the largest of them; then gives 2^-(scale * (largest - score)) of each, and their sum.

    The exponent is cut to 12 fraction bits. Of those, four choose one of 16 straight lines and eight the place on it,
    whose fall is cut to 15 fraction bits; its whole part shifts to the right.

    Time: a cycle a weight, and `STAGES` + 1.

    Members
    -------
    restart : In(1)
        Forget the largest.
    write : In(1), write_at : In, score : In(signed(score_bits))
    start : In(1), count : In, scale : In(24)
    valid : Out(1), at : Out, weight : Out(16)
    total : Out(config.weight_sum_bits)
    done : Out(1)
        A pulse with or after the last.
    """

    def __init__(self, config: KvConfig):
        self._config = config
        entries = range(max(2, config.k_max))
        super().__init__(
            {
                "restart": In(1),
                "write": In(1),
                "write_at": In(entries),
                "score": In(signed(config.score_bits)),
                "start": In(1),
                "count": In(range(config.k_max + 1)),
                "scale": In(SCALE_BITS),
                "valid": Out(1),
                "at": Out(entries),
                "weight": Out(WEIGHT_BITS + 1),
                "total": Out(config.weight_sum_bits),
                "done": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self._config
        m.submodules.scores = scores = Memory(shape=signed(config.score_bits), depth=max(2, config.k_max), init=[])
        write, read = scores.write_port(), scores.read_port()
        largest, some = Signal(signed(config.score_bits), reset_less=True), Signal()
        with m.If(self.restart):
            m.d.sync += some.eq(0)
        with m.Elif(self.write):
            m.d.sync += some.eq(1)
            with m.If(~some | (self.score > largest)):
                m.d.sync += largest.eq(self.score)
        entry, going = Signal(range(config.k_max + 1)), Signal()
        gives = wire(m, going & (entry != self.count), "gives")
        m.d.comb += [
            write.addr.eq(self.write_at),
            write.data.eq(self.score),
            write.en.eq(self.write),
            read.addr.eq(entry),
            self.valid.eq(delayed(m, gives, STAGES, "gives")),
            self.at.eq(delayed(m, entry, STAGES, "entry", reset_less=True)),
            self.weight.eq(self._power(m, largest, read.data)),
        ]
        with m.If(self.start):
            m.d.sync += [going.eq(1), entry.eq(0), self.total.eq(0)]
        with m.Elif(gives):
            m.d.sync += entry.eq(entry + 1)
        with m.Elif(going):
            m.d.sync += going.eq(0)
        with m.If(self.valid):
            m.d.sync += self.total.eq(self.total + self.weight)
        m.d.comb += self.done.eq(delayed(m, going & ~gives, STAGES, "ends"))
        return m

    def _power(self, m, largest, score):
        """The weight of a score that is read in the cycle before: six stages."""
        line_bits = EXPONENT_BITS - (SEGMENTS - 1).bit_length()
        below = Signal(self._config.score_bits, reset_less=True)
        m.d.sync += below.eq(largest - score)
        scaled = register(m, register(m, below * self.scale, "product"), "scaled")  # two, as DSP blocks can take one
        exponent = scaled[SCALE_BITS - EXPONENT_BITS :]
        octave = exponent[EXPONENT_BITS:]
        segment, place = exponent[line_bits:EXPONENT_BITS], exponent[:line_bits]
        shift_bits = WEIGHT_BITS.bit_length()
        shift = register(m, Mux(octave > WEIGHT_BITS, WEIGHT_BITS + 1, octave[: shift_bits + 1]), "shift")
        tops = Array(EXPONENTIAL[:SEGMENTS])
        falls = Array(high - low for high, low in pairwise(EXPONENTIAL))
        top, fall = register(m, tops[segment], "top"), register(m, falls[segment], "fall")
        place = register(m, place, "place")
        fallen = wire(m, fall * place, "fallen")
        line = register(m, top - fallen[line_bits:], "line")
        return register(m, line[: WEIGHT_BITS + 1] >> register(m, shift, "shift_2"), "weight")
