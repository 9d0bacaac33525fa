"""Operand decoders of `simd.mac`, every code of each, against the formats' numpy model."""

from __future__ import annotations

import numpy as np
import pytest

from hdl.common.format_table import ELEMENTS
from hdl.simd.mac_decode import FloatDecoder, NibbleDecoder, PositByteDecoder, PositHalfDecoder, SmallFloatDecoder
from sim.common.formats import decode

FLOATS = ["fp4", "e2m3", "e3m2", "e4m3", "e5m2"]


@pytest.fixture(scope="module")
def decoded(combinational_bench):
    """Every code of each format, and what its decoder makes of it."""
    cores = {"p8_0": PositByteDecoder(), "p16_1": PositHalfDecoder()}
    cores |= {name: FloatDecoder(ELEMENTS[name]) for name in FLOATS}
    bench = combinational_bench(cores)
    given = {name: bench.blank(name, 1 << ELEMENTS[name].bits) for name in cores}
    for inputs in given.values():
        inputs["code"] = np.arange(len(inputs))
    results = bench.run(given)
    return {name: (decode(ELEMENTS[name], given[name]["code"]), results[name]) for name in cores}


def numbers(result, exponent):
    """significand * 2**exponent."""
    return np.ldexp(result["significand"].astype(np.float64), exponent)


NIBBLES = {"fp4": (True, False), "p4_1": (False, True), "both": (True, True)}
"""Nibble decoders: has_float, has_posit."""


@pytest.fixture(scope="module")
def nibbles(combinational_bench):
    cores = {name: NibbleDecoder(has_float=kinds[0], has_posit=kinds[1]) for name, kinds in NIBBLES.items()}
    bench = combinational_bench(cores)
    given = {name: bench.blank(name, 32) for name in cores}
    for name, inputs in given.items():
        inputs["code"] = np.arange(32) % 16
        inputs["posit"] = np.arange(32) // 16 if name == "both" else name == "p4_1"
    return given, bench.run(given)


@pytest.mark.parametrize("name", NIBBLES)
def test_mac_decodes_every_nibble(nibbles, name):
    inputs, result = (part[name] for part in nibbles)
    for posit, fmt in ((0, "fp4"), (1, "p4_1")):
        chosen = inputs["posit"] == posit
        values, got = decode(ELEMENTS[fmt], inputs["code"][chosen]), result[chosen]
        magnitude = got["some"].astype(int) + 2 * got["three"]
        assert set(magnitude) <= {0, 1, 3}
        nar = np.isnan(values)
        np.testing.assert_array_equal(got["nar"], nar)
        places = np.where(posit, 4, 1)
        found = np.where(got["sign"], -1.0, 1.0) * np.ldexp(magnitude.astype(float), got["shift"].astype(int) - places)
        np.testing.assert_array_equal(found[~nar], values[~nar])


def test_mac_decodes_every_p8_0(decoded):
    values, result = decoded["p8_0"]
    nar = np.isnan(values)
    np.testing.assert_array_equal(result["nar"], nar)
    np.testing.assert_array_equal(numbers(result, result["shift"].astype(int) - 6)[~nar], values[~nar])


def test_mac_decodes_every_p16_1(decoded):
    values, result = decoded["p16_1"]
    nar = np.isnan(values)
    np.testing.assert_array_equal(result["nar"], nar)
    scale = result["scale"].astype(int)
    np.testing.assert_array_equal(numbers(result, scale - 12)[~nar], values[~nar])
    nonzero = ~nar & (values != 0)
    significand = result["significand"][nonzero].astype(int)
    # Normal: in 1..2 or -2..-1, its lower end for positive numbers, its upper for negative ones left out.
    positive = values[nonzero] > 0
    assert set(significand[positive] >> 12) == {1}
    assert set(significand[~positive] >> 12) == {-2}
    assert (scale[nonzero].min(), scale[nonzero].max()) == (-29, 28)


@pytest.mark.parametrize("name", FLOATS)
def test_mac_decodes_every_small_float(decoded, name):
    values, result = decoded[name]
    fmt = ELEMENTS[name]
    finite = np.isfinite(values)
    np.testing.assert_array_equal(result["nan"], np.isnan(values))
    np.testing.assert_array_equal(result["infinite"], np.isinf(values))
    exponent = result["shift"].astype(int) + 1 - fmt.bias - fmt.mantissa_bits
    np.testing.assert_array_equal(numbers(result, exponent)[finite], values[finite])
    # Of an infinity the sign must be known, and that it is not zero.
    infinite = np.isinf(values)
    np.testing.assert_array_equal(np.sign(result["significand"][infinite]), np.sign(values[infinite]))


def test_mac_decodes_every_small_float_in_one_decoder(combinational_bench):
    """Of codes of six bits, whatever stands above them."""
    names = [name for name in FLOATS if name != "fp4"]
    bench = combinational_bench({"any": SmallFloatDecoder()})
    inputs = bench.blank("any", 256 * len(names))
    inputs["code"] = np.tile(np.arange(256), len(names))
    inputs["three"] = np.repeat([ELEMENTS[name].mantissa_bits == 3 for name in names], 256)
    inputs["six"] = np.repeat([ELEMENTS[name].bits == 6 for name in names], 256)
    results = bench.run({"any": inputs})["any"].reshape(len(names), 256)
    for name, result in zip(names, results, strict=True):
        fmt = ELEMENTS[name]
        values = decode(fmt, np.arange(256) % (1 << fmt.bits))
        finite = np.isfinite(values)
        np.testing.assert_array_equal(result["nan"], np.isnan(values))
        np.testing.assert_array_equal(result["infinite"], np.isinf(values))
        exponent = result["shift"].astype(int) + 1 - fmt.bias - fmt.mantissa_bits
        magnitudes = np.ldexp(result["magnitude"].astype(np.float64), exponent)
        np.testing.assert_array_equal(magnitudes[finite], np.abs(values[finite]))
        known = ~np.isnan(values)
        np.testing.assert_array_equal(result["sign"][known], np.signbit(values[known]))
        zeros = result[0]
        assert [int(zeros[field]) for field in zeros.dtype.names] == [0] * len(zeros.dtype.names)


@pytest.mark.parametrize("name", ["p8_0", "p16_1", *FLOATS])
def test_mac_decoders_add_nothing_for_a_code_of_zeros(decoded, name):
    """An operand that is gated to zeros leaves what other decoders give as it is."""
    result = decoded[name][1][0]
    fields = [field for field in result.dtype.names if field != "scale"]
    assert [int(result[field]) for field in fields] == [0] * len(fields)
