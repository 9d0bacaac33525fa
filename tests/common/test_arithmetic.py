"""Column arithmetic against Python's integers: multipliers, sums of columns, shifters, all in one Verilated design."""

from __future__ import annotations

import numpy as np
import pytest
from amaranth.hdl import Const, Module, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.common.arithmetic import Columns, extended, multiply, multiply_or_dot, shift_left

SIZES = [(1, 1), (1, 4), (2, 2), (3, 3), (4, 3), (5, 5), (7, 7), (8, 8), (2, 8)]
"""Widths of both factors."""

SHIFTS = [(3, 2, 5), (4, 3, 16), (8, 4, 12), (6, 3, 13), (1, 3, 9), (5, 2, 4)]
"""Bits of the number, of the amount and of the result."""


class Product(wiring.Component):
    """`multiply`, its factors' kinds given at run time."""

    def __init__(self, a_bits, b_bits):
        result = Out(a_bits + b_bits)
        super().__init__({"a": In(a_bits), "b": In(b_bits), "a_signed": In(1), "b_signed": In(1), "y": result})

    def elaborate(self, platform):
        m = Module()
        m.d.comb += self.y.eq(multiply(m, self.a, self.b, "p", a_signed=self.a_signed, b_signed=self.b_signed))
        return m


class FixedProducts(wiring.Component):
    """`multiply` of 4 by 3 bits, its factors' kinds fixed; the default is two's complement."""

    def __init__(self):
        super().__init__({"a": In(4), "b": In(3)} | {name: Out(7) for name in ("ss", "su", "us", "uu")})

    def elaborate(self, platform):
        m = Module()
        m.d.comb += [
            self.ss.eq(multiply(m, self.a, self.b, "ss")),
            self.su.eq(multiply(m, self.a, self.b, "su", b_signed=0)),
            self.us.eq(multiply(m, self.a, self.b, "us", a_signed=0)),
            self.uu.eq(multiply(m, self.a, self.b, "uu", a_signed=0, b_signed=0)),
        ]
        return m


class ProductOrDot(wiring.Component):
    """`multiply_or_dot`."""

    def __init__(self):
        super().__init__({"a": In(8), "b": In(8), "halves": In(1), "y": Out(16)})

    def elaborate(self, platform):
        m = Module()
        m.d.comb += self.y.eq(multiply_or_dot(m, self.a, self.b, self.halves, "p"))
        return m


class Sum(wiring.Component):
    """a + 4 * b + 2 * c - 11, of signed a and b and bits c of one weight, modulo 2**width; as two rows."""

    def __init__(self, width):
        self._width = width
        super().__init__({"a": In(5), "b": In(4), "c": In(6), "first": Out(width), "second": Out(width)})

    def elaborate(self, platform):
        m = Module()
        columns = Columns(m, self._width, "columns")
        columns.add_signed(self.a, arrival=3)
        columns.add_signed(self.b, weight=2)
        for bit in self.c:
            columns.add_bit(1, bit)
        columns.add_constant(-8)
        columns.add_constant(-3)
        first, second = columns.rows()
        assert (len(first), len(second)) == (self._width, self._width)
        m.d.comb += [self.first.eq(first), self.second.eq(second)]
        return m


class Shifter(wiring.Component):
    """`shift_left`, and `extended` of the number alone."""

    def __init__(self, bits, amount_bits, width):
        self._width = width
        super().__init__(
            {"value": In(bits), "amount": In(amount_bits), "y": Out(signed(width)), "wide": Out(signed(width))}
        )

    def elaborate(self, platform):
        m = Module()
        m.d.comb += self.y.eq(shift_left(m, self.value.as_signed(), self.amount, self._width, "shifted"))
        m.d.comb += self.wide.eq(extended(self.value, self._width))
        return m


@pytest.fixture(scope="module")
def bench(combinational_bench):
    cores = {f"product_{a}_{b}": Product(a, b) for a, b in SIZES} | {"fixed": FixedProducts()}
    cores |= {"product_or_dot": ProductOrDot()}
    cores |= {f"sum_{width}": Sum(width) for width in (4, 9, 12)}
    cores |= {"shift_" + "_".join(map(str, sizes)): Shifter(*sizes) for sizes in SHIFTS}
    return combinational_bench(cores)


def two_complement(codes, bits):
    return codes - (codes >> (bits - 1) << bits)


def every(*bits):
    """Every combination of numbers of these widths, a row each."""
    return np.array(np.meshgrid(*(np.arange(1 << width) for width in bits))).reshape(len(bits), -1)


def run(bench, name, **inputs):
    given = bench.blank(name, len(next(iter(inputs.values()))))
    for field, values in inputs.items():
        given[field] = values
    return bench.run({name: given})[name]


@pytest.mark.parametrize(("a_bits", "b_bits"), SIZES)
def test_multiply_is_exact_for_every_pair_and_sign(bench, a_bits, b_bits):
    a, b, a_signed, b_signed = every(a_bits, b_bits, 1, 1)
    got = run(bench, f"product_{a_bits}_{b_bits}", a=a, b=b, a_signed=a_signed, b_signed=b_signed)["y"]
    left = np.where(a_signed, two_complement(a, a_bits), a)
    right = np.where(b_signed, two_complement(b, b_bits), b)
    np.testing.assert_array_equal(got, left * right & ((1 << (a_bits + b_bits)) - 1))


def test_multiply_with_fixed_signs(bench):
    a, b = every(4, 3)
    got = run(bench, "fixed", a=a, b=b)
    for name in ("ss", "su", "us", "uu"):
        left = two_complement(a, 4) if name[0] == "s" else a
        right = two_complement(b, 3) if name[1] == "s" else b
        np.testing.assert_array_equal(got[name], left * right & 127, err_msg=name)


def test_multiply_or_dot_is_exact_for_every_pair(bench):
    a, b, halves = every(8, 8, 1)
    got = run(bench, "product_or_dot", a=a, b=b, halves=halves)["y"]
    (a_low, a_high), (b_low, b_high) = ((two_complement(x & 15, 4), two_complement(x >> 4, 4)) for x in (a, b))
    whole = two_complement(a, 8) * two_complement(b, 8)
    np.testing.assert_array_equal(got, np.where(halves, 16 * (a_low * b_high + a_high * b_low), whole) & 0xFFFF)


@pytest.mark.parametrize("width", [4, 9, 12])
def test_columns_add_up_modulo_their_width(bench, width):
    a, b, c = every(5, 4, 6)
    got = run(bench, f"sum_{width}", a=a, b=b, c=c)
    ones = np.array([int(bits).bit_count() for bits in c])
    expected = two_complement(a, 5) + 4 * two_complement(b, 4) + 2 * ones - 11
    total = got["first"].astype(np.int64) + got["second"].astype(np.int64)
    np.testing.assert_array_equal(total & ((1 << width) - 1), expected & ((1 << width) - 1))


def test_columns_of_constants_alone():
    columns = Columns(Module(), 6, "columns")
    columns.add_constant(-5)
    columns.add_bit(7, Const(1, 1))  # beyond the width: dropped
    first, second = columns.rows()
    values = [sum(part.value << place for place, part in enumerate(row.parts)) for row in (first, second)]
    assert sum(values) % 64 == 59


@pytest.mark.parametrize(("bits", "amount_bits", "width"), SHIFTS)
def test_shift_left_keeps_sign_and_low_bits(bench, bits, amount_bits, width):
    value, amount = every(bits, amount_bits)
    got = run(bench, f"shift_{bits}_{amount_bits}_{width}", value=value, amount=amount)
    mask = (1 << width) - 1
    signed_value = two_complement(value, bits)
    np.testing.assert_array_equal(got["y"].astype(int) & mask, signed_value << amount & mask)
    np.testing.assert_array_equal(got["wide"].astype(int) & mask, signed_value & mask)
