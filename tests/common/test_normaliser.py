"""Normalisers of many widths against Python's integers."""

from __future__ import annotations

import gc
import re
import warnings

import numpy as np
import pytest
from amaranth.hdl import UnusedElaboratable

from hdl.common.config import ConfigError
from hdl.common.encoders import Normaliser

# Width, bits of the fraction, weight of the last bit.
NORMALISERS = {
    "width2": (2, 0, 0),
    "width9": (9, 3, -4),
    "width16": (16, 20, 0),
    "width37": (37, 10, -300),
    "width128": (128, 24, -56),
}


@pytest.fixture(scope="module")
def bench(combinational_bench):
    return combinational_bench(
        {
            name: Normaliser(width, fraction_bits=fraction_bits, lsb_exponent=lsb_exponent)
            for name, (width, fraction_bits, lsb_exponent) in NORMALISERS.items()
        }
    )


def some_numbers(rng, width):
    """Signed integers: all, or those around powers of two and random ones of every length."""
    if width <= 9:
        return list(range(-(1 << (width - 1)), 1 << (width - 1)))
    ends = [sign * (1 << bit) + step for bit in range(width - 1) for sign in (1, -1) for step in (-1, 0, 1)]
    drawn = [int.from_bytes(rng.bytes(16), "little", signed=True) for _ in range(10_000)]
    return ends + [
        one >> (128 - int(bits)) for one, bits in zip(drawn, rng.integers(1, width + 1, 10_000), strict=True)
    ]


def test_normalisers_keep_the_value(bench):
    rng = np.random.default_rng(4)
    inputs, values = {}, {}
    for name, (width, _, _) in NORMALISERS.items():
        numbers = np.array(some_numbers(rng, width) * 2, object)
        given = bench.blank(name, len(numbers))
        given["sticky_in"][len(numbers) // 2 :] = 1
        if width > 64:
            given["value"] = np.stack([numbers & (2**64 - 1), numbers >> 64 & (2**64 - 1)], 1).astype(np.uint64)
        else:
            given["value"] = numbers.astype(np.int64)
        inputs[name], values[name] = given, numbers

    outputs = bench.run(inputs)
    for name, (width, fraction_bits, lsb_exponent) in NORMALISERS.items():
        np.testing.assert_array_equal(outputs[name]["zero"], values[name] == 0, name)
        for number, got, given in zip(values[name], outputs[name], inputs[name], strict=True):
            if not number:
                continue
            position = (number if number > 0 else ~number).bit_length() - 1  # of the last bit that is not the sign
            wide, cut = number << (fraction_bits + width), position + width
            assert got["exponent"] == lsb_exponent + position, (name, number)
            assert got["shift"] == width - 2 - position, (name, number)
            assert got["significand"] == wide >> cut, (name, number)
            assert got["sticky"] == (wide & ((1 << cut) - 1) != 0 or given["sticky_in"]), (name, number)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Normaliser(1, fraction_bits=4), "width must be at least 2, not 1"),
        (lambda: Normaliser(8, fraction_bits=-1), "fraction_bits must be at least 0, not -1"),
    ],
)
def test_normaliser_refuses_impossible_sizes(build, message):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UnusedElaboratable)  # Amaranth says so of the refused object, too
        with pytest.raises(ConfigError, match=f"^{re.escape(message)}$"):
            build()
        gc.collect()
