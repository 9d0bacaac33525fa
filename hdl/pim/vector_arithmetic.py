"""What a lane of the vector unit computes."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.common.arithmetic import register, wire
from hdl.common.float32 import FLOAT32_BITS, NAN, FloatAdd, FloatMultiply
from hdl.pim.vector_config import RECIP_MAGIC, RSQRT_MAGIC, VectorConfig, VectorOp

_MANTISSA_BITS = 23
_ONE = 0x3F800000
_OP_BITS = 6


class VectorArithmetic(wiring.Component):
    """result = op(a, b), of fp32 codes.

    Latency: `VectorConfig.depth_cycles(op)`. Throughput: one result a cycle, while `op` stays.

    Members
    -------
    op : In(6)
        A `VectorOp`; what none computes is COPY. SUM is ADD, MAXIMUM is MAX.
    a, b : In(32)
    result : Out(32)
    """

    def __init__(self):
        super().__init__(
            {"op": In(_OP_BITS), "a": In(FLOAT32_BITS), "b": In(FLOAT32_BITS), "result": Out(FLOAT32_BITS)}
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.add = add = FloatAdd(VectorConfig.adder_cycles)
        m.submodules.multiply = multiply = FloatMultiply(24, VectorConfig.multiplier_cycles)
        negate = self.op == VectorOp.SUB
        m.d.comb += [
            add.a.eq(self.a),
            add.b.eq(Cat(self.b[:-1], self.b[-1] ^ negate)),
            multiply.a.eq(self.a),
            multiply.b.eq(self.b),
        ]
        other = Signal(FLOAT32_BITS)
        a, b = flushed(m, self.a, "flushed_a"), flushed(m, self.b, "flushed_b")
        with m.Switch(self.op):
            with m.Case(VectorOp.MAX, VectorOp.MAXIMUM):
                m.d.comb += other.eq(_extreme(m, a, b, "largest", greatest=True))
            with m.Case(VectorOp.MIN):
                m.d.comb += other.eq(_extreme(m, a, b, "least", greatest=False))
            with m.Case(VectorOp.ROUND):
                m.d.comb += other.eq(_rounded(m, self.a, a))
            with m.Case(VectorOp.SCALE):
                m.d.comb += other.eq(_scaled(m, a, b))
            with m.Case(VectorOp.RECIP_SEED):
                m.d.comb += other.eq(RECIP_MAGIC - self.a)
            with m.Case(VectorOp.RSQRT_SEED):
                m.d.comb += other.eq(RSQRT_MAGIC - self.a[1:])
            with m.Default():
                m.d.comb += other.eq(self.a)
        other = register(m, other, "other_held")
        with m.Switch(self.op):
            with m.Case(VectorOp.ADD, VectorOp.SUB, VectorOp.SUM):
                m.d.comb += self.result.eq(add.sum)
            with m.Case(VectorOp.MUL):
                m.d.comb += self.result.eq(multiply.product)
            with m.Default():
                m.d.comb += self.result.eq(other)
        return m


def flushed(m: Module, code: Value, name: str) -> Signal:
    """A number below 2**-126 as zero of its sign, NaN as 0x7FC00000."""
    zero = ~code[_MANTISSA_BITS:-1].any()
    return wire(m, Mux(_nan(code), NAN, Cat(code[:-1] & ~zero.replicate(31), code[-1]))[:FLOAT32_BITS], name)


def _nan(code: Value) -> Value:
    return code[_MANTISSA_BITS:-1].all() & code[:_MANTISSA_BITS].any()


def _extreme(m: Module, a: Value, b: Value, name: str, *, greatest: bool) -> Value:
    """The larger or the smaller; codes with the sign turned are in order, negative ones when they are inverted."""
    keys = [wire(m, Cat(one[:-1] ^ one[-1].replicate(31), ~one[-1]), f"{name}_{at}") for at, one in enumerate((a, b))]
    above = wire(m, keys[0] > keys[1], f"{name}_above")
    return Mux(_nan(a) | _nan(b), NAN, Mux(above == int(greatest), a, b))


def _rounded(m: Module, code: Value, a: Value) -> Value:
    """To the nearest integer, ties to even: an addition to the code, whose carry into the exponent is right.

    `a` is the code, flushed; where there are digits below 1 they are the same.
    """
    exponent, magnitude = code[_MANTISSA_BITS:-1], code[:-1]
    fraction, unit = Signal(_MANTISSA_BITS, name="fraction"), Signal(_MANTISSA_BITS + 1, name="unit")
    with m.Switch(exponent[:5]):  # of exponents from 127 on; by table, as the additions come behind it
        for power in range(_MANTISSA_BITS):
            with m.Case((127 + power) % 32):  # digits below 1, and that of 1
                m.d.comb += [fraction.eq((1 << _MANTISSA_BITS - power) - 1), unit.eq(1 << _MANTISSA_BITS - power)]
    odd = wire(m, (magnitude[:24] & unit).any(), "odd")  # of 1.m it is the exponent's last digit: 127 is odd
    nearest = wire(m, (magnitude + (fraction >> 1) + odd)[:31], "nearest")
    made = Signal(31, name="rounded")
    with m.If(exponent >= 127 + _MANTISSA_BITS):
        m.d.comb += made.eq(a[:-1])
    with m.Elif(exponent >= 127):
        m.d.comb += made.eq(nearest & ~Cat(fraction, Const(0, 8)))
    with m.Elif((exponent == 126) & code[:_MANTISSA_BITS].any()):  # above a half
        m.d.comb += made.eq(_ONE)
    return Cat(made, a[-1])


def _scaled(m: Module, a: Value, b: Value) -> Value:
    """a * 2**b, b cut to an integer within 511 of zero."""
    size = wire(m, b[_MANTISSA_BITS:-1], "size")
    power = Signal(9, name="power")
    with m.If(size >= 127 + 9):
        m.d.comb += power.eq(511)
    with m.Elif(size >= 127):
        m.d.comb += power.eq(Cat(b[15:_MANTISSA_BITS], Const(1, 1)) >> (127 + 8 - size)[:4])
    exponent = Signal(signed(11), name="scaled_exponent")
    m.d.comb += exponent.eq(Mux(b[-1], a[_MANTISSA_BITS:-1] - power, a[_MANTISSA_BITS:-1] + power))
    top, nothing = a[_MANTISSA_BITS:-1].all(), ~a[_MANTISSA_BITS:-1].any()
    made = Signal(FLOAT32_BITS, name="scaled")
    with m.If(_nan(a) | _nan(b)):
        m.d.comb += made.eq(NAN)
    with m.Elif(nothing | (~top & (exponent <= 0))):
        m.d.comb += made.eq(Cat(Const(0, 31), a[-1]))
    with m.Elif(top | (exponent >= 255)):
        m.d.comb += made.eq(Cat(Const(0, _MANTISSA_BITS), Const(255, 8), a[-1]))
    with m.Else():
        m.d.comb += made.eq(Cat(a[:_MANTISSA_BITS], exponent[:8], a[-1]))
    return made
