"""What a job of `simd.matmul` is: its registers checked, and what follows from them."""

from __future__ import annotations

from functools import reduce
from operator import or_

from amaranth.hdl import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.common.arithmetic import wire
from hdl.common.format_table import ELEMENTS
from hdl.simd.config import MatmulConfig
from hdl.simd.modes import BIAS_EXPONENTS, MODES, OUTPUT_FORMATS, SCALE_BITS

COUNT_BITS = 16
"""Of M, N and K."""

LAST_BIT_BITS = COUNT_BITS + 4
"""Of a place among a row's bits, whose elements have up to 16."""

REGISTERS = {
    "mode": ("format", "mode", 4),
    "output": ("format", "output_format", 4),
    "infinity": ("format", "infinity", 1),
    "relu": ("format", "relu", 1),
    "has_bias": ("format", "has_bias", 1),
    "bias_exponent": ("exponents", "bias", 8),
    "scale_exponent": ("exponents", "scale", SCALE_BITS),
    "m": ("m", "count", COUNT_BITS),
    "n": ("n", "count", COUNT_BITS),
    "k": ("k", "count", COUNT_BITS),
    **{
        name: (name, "bytes", 32)
        for name in ("a_address", "a_stride", "b_address", "b_stride", "c_address", "c_stride", "bias_address")
    },
}
"""A job's fields: register, its field, bits."""


def job_signature(config: MatmulConfig) -> wiring.Signature:
    """A job as the other modules see it.

    Members
    -------
    m, n : rows and columns of C
    last_bit : of the last element of a row of A or B, counted from the row's first bit
    <x>_address, <x>_stride : in memory words where they must be multiples of one (all but C's), else bytes
    mode, output : built ones
    half : operands of 16 bits, one a beat
    slot : log2 of a result's nibbles in memory
    infinity, relu, has_bias : as in the registers
    bias_shift : place of the bias in the accumulator
    scale_exponent : signed
    """
    word_bits = 32 - (config.bus_bytes - 1).bit_length()
    shapes = {f"{x}_{what}": word_bits for x in "ab" for what in ("address", "stride")}
    shapes |= {"c_address": 32, "c_stride": 32, "bias_address": word_bits}
    shapes |= {"m": COUNT_BITS, "n": COUNT_BITS, "last_bit": LAST_BIT_BITS}
    shapes |= {"mode": config.mode_bits, "output": config.output_bits, "half": 1, "slot": 2}
    shapes |= {"infinity": 1, "relu": 1, "has_bias": 1, "bias_shift": 7, "scale_exponent": signed(SCALE_BITS)}
    return wiring.Signature({name: Out(shape) for name, shape in shapes.items()})


def slot_nibbles_log2(output: str) -> int:
    """log2 of the nibbles that a result takes in memory; one of 6 bits takes a byte."""
    return (ELEMENTS[output].bits - 1).bit_length() - 2


class Job(wiring.Component):
    """Takes jobs one after the other: checks, start, end.

    Members
    -------
    registers : of `REGISTERS`; addresses and strides must not change while a job is running
    start : a pulse
    busy : a start is ignored
    go : a pulse in the cycle after it, if the job can be; from then on `running`
    job : from `go` to the end
    bad : a pulse instead of `go`
    ended : all is done; ends a running job
    done : a pulse, with `bad` or at the end
    """

    def __init__(self, config: MatmulConfig):
        self._config = config
        super().__init__(
            {
                "registers": In(wiring.Signature({name: Out(bits) for name, (_, _, bits) in REGISTERS.items()})),
                "start": In(1),
                "busy": Out(1),
                "go": Out(1),
                "running": Out(1),
                "job": Out(job_signature(config)),
                "bad": Out(1),
                "ended": In(1),
                "done": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        checking = Signal()
        wrong = Signal(reset_less=True)
        taken = wire(m, self.start & ~self.busy, "taken")
        m.d.sync += checking.eq(taken)
        with m.If(taken):
            m.d.sync += wrong.eq(self._wrong(m))
        self._latch(m, taken)
        low = (self._config.bus_bytes - 1).bit_length()
        for name in ("a_address", "a_stride", "b_address", "b_stride", "bias_address"):
            m.d.comb += getattr(self.job, name).eq(getattr(self.registers, name)[low:])
        m.d.comb += [self.job.c_address.eq(self.registers.c_address), self.job.c_stride.eq(self.registers.c_stride)]
        with m.If(self.go):
            m.d.sync += self.running.eq(1)
        with m.Elif(self.ended):
            m.d.sync += self.running.eq(0)
        m.d.comb += [
            self.busy.eq(checking | self.running),
            self.go.eq(checking & ~wrong),
            self.bad.eq(checking & wrong),
            self.done.eq(self.bad | (self.ended & self.running)),
        ]
        return m

    def _wrong(self, m):
        """Whether the job in the registers cannot be."""
        config, given = self._config, self.registers
        mode_built = reduce(or_, (given.mode == MODES[name].code for name in config.modes))
        output_built = reduce(or_, (given.output == OUTPUT_FORMATS.index(name) for name in config.outputs))
        low = (config.bus_bytes - 1).bit_length()
        places = [getattr(given, f"{x}_{what}")[:low] for x in "abc" for what in ("address", "stride")]
        places.append(given.bias_address[:low] & given.has_bias.replicate(low))
        too_deep = given.k[-1] & (given.mode == MODES["p16_1"].code)
        reasons = [
            ~mode_built,
            ~output_built,
            ~given.m.any(),
            ~given.n.any(),
            ~given.k.any(),
            too_deep,
            Cat(places).any(),
            given.bias_exponent.as_signed() < BIAS_EXPONENTS[0],
            given.bias_exponent.as_signed() > BIAS_EXPONENTS[-1],
        ]
        return Cat(reasons).any()

    def _latch(self, m, taken):
        """What follows from the registers; addresses and strides are not kept a second time."""
        config, given, job = self._config, self.registers, self.job
        shifts = {4: 2, 8: 3, 16: 4}
        bits = Const(0, LAST_BIT_BITS)
        for slot_bits, shift in shifts.items():
            codes = [MODES[name].code for name in config.modes if MODES[name].slot_bits == slot_bits]
            if codes:
                chosen = reduce(or_, (given.mode == code for code in codes))
                bits = bits | Mux(chosen, given.k << shift, 0)[:LAST_BIT_BITS]
        slots = {OUTPUT_FORMATS.index(name): slot_nibbles_log2(name) for name in config.outputs}
        slot = Const(0, 2)
        for code, nibbles in slots.items():
            slot = slot | Mux(given.output == code, nibbles, 0)
        # What all jobs that can be have in common is a constant, so that tools leave out what other jobs would need.
        self._keep(m, taken, job.mode, given.mode, {MODES[name].code for name in config.modes})
        self._keep(m, taken, job.output, given.output, set(slots))
        self._keep(m, taken, job.slot, slot, set(slots.values()))
        is_half = given.mode == MODES["p16_1"].code
        self._keep(m, taken, job.half, is_half, {name == "p16_1" for name in config.modes})
        with m.If(taken):
            m.d.sync += [
                job.m.eq(given.m),
                job.n.eq(given.n),
                job.last_bit.eq(bits - 1),
                job.infinity.eq(given.infinity),
                job.relu.eq(given.relu),
                job.has_bias.eq(given.has_bias),
                job.bias_shift.eq(given.bias_exponent - BIAS_EXPONENTS[0]),
                job.scale_exponent.eq(given.scale_exponent),
            ]

    @staticmethod
    def _keep(m, taken, field, value, possible):
        """A field that is one of the possible values."""
        if len(possible) == 1:
            m.d.comb += field.eq(int(*possible))
        else:
            with m.If(taken):
                m.d.sync += field.eq(value)
