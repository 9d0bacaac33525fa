"""Single precision in gateware: addition, multiplication, and the way to bf16 and back.

IEEE 754 binary32, round to nearest even, without subnormal numbers: an operand below 2**-126 counts as zero of its
sign, and a result that IEEE 754 would make subnormal becomes zero of its sign. Overflow gives infinity. Every NaN that
comes out is 0x7FC00000, whatever went in. There are no flags.

The components have no handshake and are not reset: a result belongs to the operands of `stages` cycles ago, and a new
pair may come every cycle. Where the registers stand is a matter of how many there are: `_CUTS` says after which steps.
"""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.common.arithmetic import register, wire

FLOAT32_BITS = 32
BFLOAT16_BITS = 16
NAN = 0x7FC00000
NAN_BFLOAT16 = 0x7FC0
_MANTISSA_BITS = 23
_SIGNIFICAND_BITS = 24
_EXPONENT_MAX = 255
_BIAS = 127


class _Steps:
    """The steps of a computation, with registers after those that `cuts` names."""

    def __init__(self, m: Module, cuts: tuple[str, ...]):
        self._m, self._cuts = m, cuts

    def after(self, step: str, **values: Value) -> list[Signal]:
        """What a step hands to the next ones: the values, in a register where there is a cut."""
        keep = register if step in self._cuts else wire
        return [keep(self._m, value, f"{step}_{name}") for name, value in values.items()]


class FloatAdd(wiring.Component):
    """sum = a + b, in single precision.

    Latency: `stages` cycles. Throughput: one sum a cycle.

    Parameters
    ----------
    stages : int
        Registers within, 0 to 5.

    Members
    -------
    a, b : In(32)
    sum : Out(32)
    """

    _CUTS = (
        (),
        ("add",),
        ("align", "normal"),
        ("align", "add", "weigh"),
        ("align", "add", "normal", "weigh"),
        ("order", "align", "add", "normal", "weigh"),
    )

    def __init__(self, stages: int):
        if not 0 <= stages < len(self._CUTS):
            raise ValueError(f"stages must be in 0..{len(self._CUTS) - 1}, not {stages}")
        self._cuts = self._CUTS[stages]
        super().__init__({"a": In(FLOAT32_BITS), "b": In(FLOAT32_BITS), "sum": Out(FLOAT32_BITS)})

    def elaborate(self, platform):
        m = Module()
        steps = _Steps(m, self._cuts)

        # order: the larger magnitude first. Its sign is the sum's, and if either is NaN, it is.
        swap = wire(m, self.a[:-1] < self.b[:-1], "swap")
        exponents = [one[_MANTISSA_BITS:-1] for one in (self.a, self.b)]
        differences = [  # both, rather than one after the comparison
            wire(m, (one - other)[:8], f"difference_{place}")
            for place, (one, other) in enumerate((exponents, exponents[::-1]))
        ]
        large, small, distance = steps.after(
            "order",
            large=Mux(swap, self.b, self.a),
            small=Mux(swap, self.a, self.b),
            distance=Mux(swap, differences[1], differences[0]),
        )

        # align: three bits more below, the last of them sticky.
        large_exponent, small_exponent = large[_MANTISSA_BITS:-1], small[_MANTISSA_BITS:-1]
        moved = Cat(Const(0, 2), _significand(small))
        sticky = Const(0, 1)
        for level in range(5):
            lost = moved[: 1 << level].any()
            sticky = wire(m, sticky | (distance[level] & lost), f"sticky_{level}")
            moved = wire(m, Mux(distance[level], moved >> (1 << level), moved), f"moved_{level}")
        far = wire(m, distance[5:].any(), "far")
        aligned = Cat((sticky & ~far) | (far & _significand(small).any()), moved & ~far.replicate(len(moved)))
        special = large_exponent == _EXPONENT_MAX
        subtract = wire(m, large[-1] ^ small[-1], "unlike")
        nan = large[:_MANTISSA_BITS].any() | (subtract & (small_exponent == _EXPONENT_MAX))
        fields = {"exponent": large_exponent, "sign": large[-1], "special": special, "nan": nan}
        first, second, unlike, exponent, sign, special, nan = steps.after(
            "align", first=Cat(Const(0, 3), _significand(large)), second=aligned, unlike=subtract, **fields
        )

        # add: never negative, as the first is the larger; 28 bits with the carry.
        total = Mux(unlike, first - second, first + second)[: _SIGNIFICAND_BITS + 4]
        fields = {"exponent": exponent, "sign": sign, "special": special, "nan": nan, "unlike": unlike}
        total, exponent, sign, special, nan, unlike = steps.after("add", total=total, **fields)

        # normal, weigh: the leading digit goes to the top; the sign of x - x is plus.
        shifted, zeros = normalised(m, total, "normal")
        nothing = wire(m, ~total.any(), "nothing")
        fields = {"exponent": exponent, "sign": sign & ~(nothing & unlike), "special": special, "nan": nan}
        shifted, zeros, exponent, sign, special, nan = steps.after("normal", shifted=shifted, zeros=zeros, **fields)
        weight = Signal(signed(10), name="weight")  # exponent field of the leading digit; 0 or less: too small
        m.d.comb += weight.eq(exponent.as_unsigned() + 1 - zeros)
        fields = {"weight": weight, "sign": sign, "special": special, "nan": nan}
        shifted, weight, sign, special, nan = steps.after("weigh", shifted=shifted, **fields)
        m.d.comb += self.sum.eq(_rounded(m, shifted, weight.as_signed(), sign, special, nan))
        return m


class FloatMultiply(wiring.Component):
    """product = a * b, in single precision.

    Of bf16 operands (`significand_bits` 8) every product that is not out of range is exact.

    Latency: `stages` cycles. Throughput: one product a cycle.

    Parameters
    ----------
    significand_bits : int
        Of the operands: 24 for single precision, 8 for bf16. An operand has 8 bits more.
    stages : int
        Registers within, 0 to 2: the first behind the multiplier.

    Members
    -------
    a, b : In(significand_bits + 8)
    product : Out(32)
    """

    _CUTS: tuple[tuple[str, ...], ...] = ((), ("multiply",), ("multiply", "shift"))

    def __init__(self, significand_bits: int, stages: int):
        if significand_bits not in (8, _SIGNIFICAND_BITS):
            raise ValueError(f"significand_bits must be 8 or 24, not {significand_bits}")
        if not 0 <= stages < len(self._CUTS):
            raise ValueError(f"stages must be in 0..{len(self._CUTS) - 1}, not {stages}")
        self._significand_bits, self._cuts = significand_bits, self._CUTS[stages]
        operand_bits = significand_bits + 8
        super().__init__({"a": In(operand_bits), "b": In(operand_bits), "product": Out(FLOAT32_BITS)})

    def elaborate(self, platform):
        m = Module()
        steps = _Steps(m, self._cuts)
        mantissa_bits = self._significand_bits - 1
        exponents = [one[mantissa_bits:-1] for one in (self.a, self.b)]
        zero = [~exponent.any() for exponent in exponents]
        top = [exponent.all() for exponent in exponents]
        some = [one[:mantissa_bits].any() for one in (self.a, self.b)]
        nan = (top[0] & (some[0] | zero[1])) | (top[1] & (some[1] | zero[0]))
        # The hidden digit is 1 even of zeros, so that nothing stands before the multiplier: `zero` makes up for it.
        product = Cat(self.a[:mantissa_bits], Const(1, 1)) * Cat(self.b[:mantissa_bits], Const(1, 1))
        fields = {"special": top[0] | top[1], "nan": nan, "zero": zero[0] | zero[1], "sign": self.a[-1] ^ self.b[-1]}
        product, exponent, special, nan, zero, sign = steps.after(
            "multiply", product=product, exponent=exponents[0] + exponents[1], **fields
        )

        # The product of two significands is in 1..4: one place at most to go up.
        high = product[-1]
        shifted = Mux(high, product, product << 1)[: len(product)]
        kept = _SIGNIFICAND_BITS + 4
        if len(product) > kept:
            shifted = Cat(shifted[: len(product) - kept + 1].any(), shifted[len(product) - kept + 1 :])
        else:
            shifted = Cat(Const(0, kept - len(product)), shifted)
        weight = Signal(signed(11), name="weight")
        m.d.comb += weight.eq(Mux(zero, 0, exponent - _BIAS + high))
        fields = {"weight": weight, "sign": sign, "special": special, "nan": nan, "zero": zero}
        shifted, weight, sign, special, nan, zero = steps.after("shift", shifted=shifted, **fields)
        digits = wire(m, shifted & ~zero.replicate(len(shifted)), "digits")
        m.d.comb += self.product.eq(_rounded(m, digits, weight.as_signed(), sign, special, nan))
        return m


def normalised(m: Module, value: Value, name: str) -> tuple[Value, Value]:
    """A value with its topmost one at the top, and how many zeros stood above it; of zero, zero and any number."""
    count: list[Value] = []
    for level in reversed(range((len(value) - 1).bit_length())):
        half = 1 << level
        empty = wire(m, ~value[-half:].any(), f"{name}_empty_{level}")
        value = wire(m, Mux(empty, value << half, value)[: len(value)], f"{name}_{level}")
        count.insert(0, empty)
    return value, wire(m, Cat(count), f"{name}_zeros")


def to_bfloat16(m: Module, value: Value, name: str) -> Value:
    """A result of this module in bf16: round to nearest even, infinity above the largest, NaN 0x7FC0. 16 bits."""
    kept, guard, rest = value[16:], value[15], value[:15]
    nan = value[_MANTISSA_BITS:-1].all() & value[:_MANTISSA_BITS].any()
    rounded = kept + (guard & (rest.any() | kept[0]))  # a carry out of the mantissa is right, up to infinity
    return wire(m, Mux(nan, NAN_BFLOAT16, rounded)[:BFLOAT16_BITS], name)


def from_bfloat16(m: Module, value: Value, name: str) -> Value:
    """A bf16 number in single precision, a subnormal one as zero of its sign, any NaN as 0x7FC00000. 32 bits."""
    zero, top = ~value[7:15].any(), value[7:15].all()
    number = Cat(Const(0, 16), value[:15] & ~zero.replicate(15), value[15])
    return wire(m, Mux(top & value[:7].any(), NAN, number)[:FLOAT32_BITS], name)


def _significand(value: Value) -> Value:
    """24 bits, the hidden one with them; 0 where the number is below 2**-126."""
    normal = value[_MANTISSA_BITS:-1].any()
    return Cat(value[:_MANTISSA_BITS] & normal.replicate(_MANTISSA_BITS), normal)


def _rounded(m: Module, digits: Value, weight: Value, sign: Value, special: Value, nan: Value) -> Value:
    """A number from its digits: 24 significant ones, the leading one topmost, and four below to round by.

    `weight` is the exponent field of the leading digit; `digits` without a leading one are zero.
    """
    kept, guard, rest = digits[4:], digits[3], digits[:3]
    # Just below 2**-126 IEEE 754 rounds to multiples of 2**-149, one digit sooner: all ones become 2**-126.
    brim = (weight == 0) & kept.all()
    up = wire(m, (guard & (rest.any() | kept[0])) | brim, "up")
    mantissa = wire(m, kept[:-1] + up, "mantissa")
    # What depends on the carry is there for both of its values when it comes.
    carry, next_weight = mantissa[-1], wire(m, weight + 1, "next_weight")
    large, small = (
        wire(m, Mux(carry, next_limit, limit), name)
        for name, next_limit, limit in (
            ("large", next_weight >= _EXPONENT_MAX, weight >= _EXPONENT_MAX),
            ("small", next_weight <= 0, weight <= 0),
        )
    )
    field, fraction = Signal(8, name="field"), Signal(_MANTISSA_BITS, name="fraction")
    with m.If(special | large):
        m.d.comb += [field.eq(_EXPONENT_MAX), fraction.eq((special & nan) << (_MANTISSA_BITS - 1))]
    with m.Elif(~small & digits[-1]):
        m.d.comb += [field.eq(Mux(carry, next_weight, weight)), fraction.eq(mantissa)]
    return Cat(fraction, field, sign & ~(special & nan))
