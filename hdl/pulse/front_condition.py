"""From codes to samples: polarity, offset, pole-zero."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.common.arithmetic import delayed, register, saturated, wire
from hdl.pulse.front_config import CONDITION_CYCLES, FrontConfig
from hdl.pulse.front_lanes import lanes_of


class Conditioner(wiring.Component):
    """v[n] = u[n] - pole * u[n - 1], rounded, of codes with their polarity and offset.

    Latency: `CONDITION_CYCLES`.

    Members
    -------
    given, codes : a beat of codes
    invert, offset, pole, code_least, code_most : registers
    valid, beat : of samples
    saturated : the lanes whose codes are at an end
    """

    def __init__(self, config: FrontConfig):
        self._config = config
        bits = config.sample_bits
        super().__init__(
            {
                "given": In(1),
                "codes": In(bits * config.lanes),
                "invert": In(1),
                "offset": In(signed(bits)),
                "pole": In(bits),
                "code_least": In(signed(bits)),
                "code_most": In(signed(bits)),
                "valid": Out(1),
                "beat": Out(bits * config.lanes),
                "saturated": Out(config.lanes),
            }
        )

    def elaborate(self, platform):
        m = Module()
        lanes, bits = self._config.lanes, self._config.sample_bits
        m.d.comb += self.valid.eq(delayed(m, self.given, CONDITION_CYCLES, "given"))
        before = Signal(signed(bits))  # the last sample of the beat before
        previous, at_end, samples = before, [], []
        for lane, wide in enumerate(lanes_of(self.codes, lanes)):
            code = wire(m, wide[: self._config.code_bits].as_signed(), f"code_{lane}")
            at_end.append((code <= self.code_least) | (code >= self.code_most))
            moved = wire(m, Mux(self.invert, -code, code) + self.offset, f"moved_{lane}")
            sample = register(m, saturated(moved, bits), f"sample_{lane}")
            tail = register(m, previous * self.pole, f"tail_{lane}")
            # u - floor(tail / 2**16 + 1/2) = floor(u - tail / 2**16 + 1/2 - 2**-16)
            half = Const((1 << (bits - 1)) - 1, bits)
            rest = wire(m, Cat(half, register(m, sample, f"held_{lane}")).as_signed() - tail, f"rest_{lane}")
            samples.append(register(m, saturated(rest[bits:], bits), f"conditioned_{lane}"))
            previous = sample
        with m.If(delayed(m, self.given, 1, "sampled")):
            m.d.sync += before.eq(previous)
        m.d.comb += self.beat.eq(Cat(samples))
        m.d.comb += self.saturated.eq(delayed(m, Cat(at_end), CONDITION_CYCLES, "at_end", reset_less=True))
        return m
