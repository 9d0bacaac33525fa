"""Posits and their dot products against SoftPosit, the C library of the posit working group."""

import numpy as np
import pytest
import softposit

from hdl.common.format_table import element_format
from sim.common.formats import decode, encode
from sim.simd import mac_model


@pytest.mark.parametrize(
    ("name", "posit", "to_double", "from_double"),
    [
        ("p8_0", softposit.posit8_t, softposit.convertP8ToDouble, softposit.convertDoubleToP8),
        ("p16_1", softposit.posit16_t, softposit.convertP16ToDouble, softposit.convertDoubleToP16),
        ("p32_2", softposit.posit32_t, softposit.convertP32ToDouble, softposit.convertDoubleToP32),
    ],
)
def test_posits_decode_and_encode_alike(name, posit, to_double, from_double):
    fmt = element_format(name)
    rng = np.random.default_rng(11)
    codes = np.arange(1 << fmt.bits) if fmt.bits <= 16 else rng.integers(0, 1 << fmt.bits, 50_000)
    codes = codes[codes != 1 << fmt.bits - 1]
    doubles = []
    for code in codes.tolist():
        one = posit()
        one.v = code
        doubles.append(to_double(one))
    np.testing.assert_array_equal(decode(name, codes), doubles)
    np.testing.assert_array_equal(encode(name, np.array(doubles)), codes)
    xs = rng.choice([-1, 1], 50_000) * 2 ** rng.uniform(-fmt.max_scale - 2, fmt.max_scale + 2, 50_000)
    np.testing.assert_array_equal(encode(name, xs), [from_double(x).v for x in xs.tolist()])


@pytest.mark.parametrize(("mode", "bits"), [("p8_0", 8), ("p16_1", 16)])
def test_dot_products_equal_the_quire(mode, bits):
    rng = np.random.default_rng(4)
    new_posit, new_quire = getattr(softposit, f"posit{bits}"), getattr(softposit, f"quire{bits}")
    a, b = rng.integers(0, 1 << bits, (2, 400, 20), np.uint16)
    for operand in (a, b):
        operand[operand == 1 << (bits - 1)] = 0
    expected = []
    for row_a, row_b in zip(a.tolist(), b.tolist(), strict=True):
        quire = new_quire()
        quire.clr()
        for i, j in zip(row_a, row_b, strict=True):
            quire.qma(new_posit(bits=i), new_posit(bits=j))
        expected.append(quire.toPosit().v.v)
    assert mac_model.dot(mode, a, b).codes.tolist() == expected
