"""The last stages of `simd.mac`: the accumulator's value is normalised, rounded once and encoded.

One register is used three times: it holds the value half normalised, then normalised, then, until the result is taken,
as the bits of the output format with one more and a sticky bit behind them, of which rounding makes the code.
"""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.simd.config import EngineConfig
from hdl.simd.mac_output import Body, ResultEncoder, Special, fraction_bits, normalise
from hdl.simd.modes import ACCUMULATOR_BITS

EXPONENT_BITS = 8
"""Of an accumulator's leading digit: 2**-57 (all redundant) to 2**70."""

BLOCK_EXPONENT_BITS = 10
"""The same with the scales of a block: 2**-319 to 2**336."""


def exponent_bits(config: EngineConfig) -> int:
    """Of a leading digit's exponent, signed."""
    return BLOCK_EXPONENT_BITS if config.block_modes else EXPONENT_BITS


def encoding_members(config: EngineConfig) -> dict[str, wiring.Member]:
    """What says how a drain encodes, and what it gives."""
    return {
        "output": In(config.output_bits),
        **{name: In(1) for name in ("infinity", "nar", "nan", "plus", "minus")},
        "code": Out(config.result_bits),
        "overflow": Out(1),
        "underflow": Out(1),
    }


class Drain(wiring.Component):
    """Encodes the accumulator once its carries are home.

    Latency: 3 cycles: in the first `start` comes with `value`, in the second `fine`, in the third `shift`. The result
    stays until the next `start`, as long as the other inputs stand still.

    Members
    -------
    value : the accumulator, shifted up by whole segments until the topmost holds its leading digit
    segments_up : by how many
    top_exponent, lost : with block formats only: the weight of the value's topmost bit under the sign; the exact value
        is larger than `value` by less than its last place
    is_float : with block formats only: the output is a float
    output : index into `OUTPUT_FORMATS`
    infinity : overflow gives infinity where there is one
    nar, nan, plus, minus : what the operands held: NaR; NaN, or what makes one; infinities
    code, overflow, underflow : the result
    """

    def __init__(self, config: EngineConfig):
        self._config = config
        blocks = {"top_exponent": In(signed(BLOCK_EXPONENT_BITS)), "lost": In(1), "is_float": Out(1)}
        super().__init__(
            {
                **(blocks if config.block_modes else {}),
                "start": In(1),
                "fine": In(1),
                "shift": In(1),
                "value": In(ACCUMULATOR_BITS),
                "segments_up": In(3),
                **encoding_members(config),
            }
        )

    def elaborate(self, platform):
        m = Module()
        bits, segment_bits = self._config.result_bits, self._config.segment_bits
        encoder = ResultEncoder(m, self._config, self.output, exponent_bits(self._config))
        significand_bits = fraction_bits(self._config) + 2
        held, sticky = Signal(significand_bits + 3, reset_less=True), Signal(reset_less=True)
        counts = Signal(4, reset_less=True)
        window_bits = significand_bits + segment_bits - 1
        window, below = self.value[-window_bits:], self.value[:-window_bits].any()
        top_exponent = self._config.leading_exponent("p16_1")
        if self._config.block_modes:
            top_exponent, below = self.top_exponent, below | self.lost
            m.d.comb += self.is_float.eq(encoder.is_float)
        coarse, coarse_sticky, coarse_count = normalise(m, window, below, (8, 4))
        normal, normal_sticky, fine_count = normalise(m, held, sticky, (2, 1))
        exponent = Signal(signed(exponent_bits(self._config)))
        m.d.comb += exponent.eq(top_exponent - Cat(counts, self.segments_up))
        body = encoder.shifted(held[:significand_bits], sticky, exponent)
        flags = {name: Signal(name=name, reset_less=True) for name in ("negative", "zero", "beyond", "beneath")}
        with m.If(self.start):
            m.d.sync += [held.eq(coarse), sticky.eq(coarse_sticky), counts[2:].eq(coarse_count)]
        with m.Elif(self.fine):
            m.d.sync += [held.eq(normal), sticky.eq(normal_sticky), counts[:2].eq(fine_count)]
            m.d.sync += flags["zero"].eq(~held.any() & ~sticky)
        with m.Elif(self.shift):
            m.d.sync += [held.eq(body.bits), sticky.eq(body.sticky)]
            m.d.sync += [flags[name].eq(getattr(body, name)) for name in ("negative", "beyond", "beneath")]
        code, overflow, underflow = encoder.rounded(
            Body(bits=held[:bits], sticky=sticky, **flags),
            Special(self.nar, self.nan, self.plus, self.minus),
            self.infinity,
        )
        m.d.comb += [self.code.eq(code), self.overflow.eq(overflow), self.underflow.eq(underflow)]
        return m
