"""The array's sums become codes: a result every cycle, its way cut by registers.

cycle 0      bias to its segments; in each segment the sum, the carry saved for it, and the bias are added
cycles 1, 2  the segments' carries are brought home, those of the lower half first
cycles 3, 4  normalised, by whole segments and by bits
cycle 5      shifted to where the output format's last bit is
cycle 6      rounded, encoded
"""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hdl.common.arithmetic import delayed, extended, wire
from hdl.common.format_table import PositFormat
from hdl.simd.config import MatmulConfig
from hdl.simd.mac_output import ResultEncoder, Special, fraction_bits, normalise
from hdl.simd.matmul_array import sum_layout
from hdl.simd.modes import ACCUMULATOR_EXPONENT, BIAS_BITS, MODES, OUTPUT_FORMATS, SCALE_BITS, STATUS

EXPONENT_BITS = 9
"""Of a scaled sum's leading digit: 2**-121 to 2**135."""

STEPS = ((64,), (32,), (16, 8), (4, 2, 1))
"""Places by which a sum is normalised, in each cycle."""


def result_layout(config: MatmulConfig) -> data.StructLayout:
    """A result: its code, and its status bits in the order of `STATUS`."""
    return data.StructLayout({"code": config.result_bits, "status": len(STATUS)})


class PipelinedDrain(wiring.Component):
    """y = encode(output, (sum + bias) * 2**scale), rounded once, to nearest even; see `hdl/simd/README.md`.

    Latency: `config.drain_cycles`. Throughput: a result a cycle. It never waits.

    Members
    -------
    mode, output, infinity, relu, bias_segment, scale_exponent : of the job; `bias_segment` is the bias's place in whole
        segments
    valid, sum, bias : a finished sum is here, and its bias in its place within a segment
    done, result : a result is here
    """

    def __init__(self, config: MatmulConfig):
        self._config = config
        super().__init__(
            {
                "mode": In(config.mode_bits),
                "output": In(config.output_bits),
                "infinity": In(1),
                "relu": In(1),
                "bias_segment": In(3),
                "scale_exponent": In(signed(SCALE_BITS)),
                "valid": In(1),
                "sum": In(sum_layout(config)),
                "bias": In(signed(BIAS_BITS + config.segment_bits - 1)),
                "done": Out(1),
                "result": Out(result_layout(config)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self._config
        total = self._resolved(m, *self._segment_sums(m))
        special = delayed(m, self.sum.special, config.drain_cycles - 1, "special", reset_less=True)
        m.d.comb += self.done.eq(delayed(m, self.valid, config.drain_cycles, "valid"))

        # Normalised: as many copies of the sign as there are leave the top.
        significand_bits = fraction_bits(config) + 2
        most = sum(map(sum, STEPS))
        spare = max(0, len(total) - 1 - most)  # with one digit more than steps there is one copy more
        normal, sticky = Cat(Const(0, significand_bits + most + spare - len(total)), total), Const(0, 1)
        shift = Const(0, 1)
        for cycle, steps in enumerate(STEPS):
            final = cycle == len(STEPS) - 1
            normal, sticky, dropped = normalise(m, normal, sticky, steps + (1,) * (spare if final else 0))
            normal, sticky = self._held(m, normal, f"normal_{cycle}"), self._held(m, sticky, f"sticky_{cycle}")
            # The steps are powers of two that go down by one place each, the spare one last.
            shift = Cat(dropped[spare:], shift) + dropped[0] if final and spare else Cat(dropped, shift)
            shift = shift if final else self._held(m, shift, f"shift_{cycle}")
        leading = len(total) - 2 + ACCUMULATOR_EXPONENT
        exponent = Signal(signed(EXPONENT_BITS), reset_less=True)
        m.d.sync += exponent.eq(self.scale_exponent + leading - shift)

        encoder = ResultEncoder(m, config, self.output, EXPONENT_BITS)
        body = encoder.shifted(normal, sticky, exponent, lambda value, name: self._held(m, value, f"placed_{name}"))
        self._encode(m, encoder, body.held(lambda value, name: self._held(m, value, f"body_{name}")), special)
        return m

    @staticmethod
    def _held(m, value, name):
        return delayed(m, wire(m, value, name), 1, f"{name}_held", reset_less=True)

    def _segment_sums(self, m):
        """Sum and bias added segment by segment: the segments, and the carries into each; one cycle."""
        config = self._config
        bits, count = config.segment_bits, -(-config.total_bits // config.segment_bits)
        reached = config.reached_segments
        parts = [extended(self.bias[low:], bits) for low in range(0, len(self.bias), bits)]
        sign = self.bias[-1]
        segments, carries = [], []
        for k in range(count):
            width = min(bits, config.total_bits - k * bits)
            bias = Const(0, bits)
            for index, part in enumerate(parts):
                if 0 <= k - index < 8:
                    bias = bias | (part & (self.bias_segment == k - index).replicate(bits))
            if k >= len(parts):
                above = wire(m, sign & (self.bias_segment < k - len(parts) + 1), f"above_{k}")
                bias = bias | above.replicate(bits)
            if k in reached:
                own = self.sum.value.word_select(k - reached.start, bits)
            else:
                own = self.sum.value[-1].replicate(bits) if k >= reached.stop else Const(0, bits)
            carry = self.sum.carries[k - 1 - reached.start] if k - 1 in reached and k in reached else Const(0, 1)
            segment = Signal(width, name=f"segment_{k}", reset_less=True)
            if k < reached.start:
                m.d.sync += segment.eq(bias)
                carries.append(Const(0, 1))
            else:
                out = Signal(name=f"carry_{k}", reset_less=True)
                # The carry in comes as a bit below both, which makes one adder of it.
                both = Cat(Const(1, 1), own[:width]) + Cat(carry, bias[:width])
                m.d.sync += Cat(segment, out).eq(both[1:])
                carries.append(out)
            segments.append(segment)
        return segments, [Const(0, 1), *carries[:-1]]

    def _resolved(self, m, segments, carries):
        """The sum, its carries brought home; two cycles."""
        start = self._config.reached_segments.start
        middle = (start + len(segments) + 1) // 2

        def rows(where):
            """The segments, and the carries in their places."""
            wide = [Cat(carry, Const(0, len(one) - 1)) for one, carry in zip(segments, carries, strict=True)]
            return Cat(segments[where]), Cat(wide[where])

        untouched = Cat(segments[:start])
        low_segments, low_carries = rows(slice(start, middle))
        low = wire(m, low_segments + low_carries, "low_sum")
        low_held = self._held(m, Cat(untouched, low[:-1]), "low")
        carry = self._held(m, low[-1], "low_carry")
        high, high_carries = (self._held(m, one, f"high_{i}") for i, one in enumerate(rows(slice(middle, None))))
        total = (Cat(Const(1, 1), high) + Cat(carry, high_carries))[1 : len(high) + 1]
        return self._held(m, Cat(low_held, total), "total")

    def _encode(self, m, encoder, body, special):
        """Rounding, specials, status, ReLU; one cycle."""
        posit_mode = Signal()
        with m.Switch(self.mode):
            for name in self._config.modes:
                with m.Case(MODES[name].code):
                    m.d.comb += posit_mode.eq(isinstance(MODES[name].element, PositFormat))
        bad, plus, minus = special
        nar, nan = wire(m, bad & posit_mode, "nar"), wire(m, (bad & ~posit_mode) | (plus & minus), "nan")
        infinite = wire(m, (plus ^ minus) & ~bad, "infinite")
        code, overflow, underflow = encoder.rounded(body, Special(nar, nan, plus, minus), self.infinity)
        # To posits an infinity is NaR, which has no sign.
        posits = [i for i, name in enumerate(OUTPUT_FORMATS) if name in self._config.outputs and name[0] == "p"]
        to_posit = Cat(self.output == index for index in posits).any() if posits else Const(0, 1)
        negative = Mux(infinite, minus & ~to_posit, body.negative)
        rectified = wire(m, self.relu & ~bad & ~nan & negative, "rectified")
        status = Cat(nar, nan & ~nar, infinite, overflow, underflow)
        result = Signal(self.result.shape(), reset_less=True)
        m.d.sync += result.eq(Cat(code, status) & ~rectified.replicate(len(result.as_value())))
        m.d.comb += self.result.eq(result)
