"""Quantised networks: numbers that the formats have, the best scales, and the same scores in codes as in float64."""

import functools
import re
from fractions import Fraction

import ml_dtypes
import numpy as np
import pytest

from sim.common.formats import decode, encode_flags, to_odd
from sim.simd import datasets, mlp
from sim.simd.mac_model import MacResult
from sim.simd.quantise import (
    FORMATS,
    Scheme,
    best_exponent,
    pick,
    quantise,
    rounder,
    roundings,
    squared_error,
)
from sim.simd.quantise_mix import CALIBRATION_SAMPLES, study

FLOATS = {"fp4": ml_dtypes.float4_e2m1fn, "e4m3": ml_dtypes.float8_e4m3fn, "e5m2": ml_dtypes.float8_e5m2}
POSITS = {"p4_1": (4, 1), "p8_0": (8, 0), "p16_1": (16, 1)}
MIXES = [
    *((mode,) * 3 for mode in FORMATS),
    ("int4", "p8_0", "e4m3"),
    ("fp4", "int8", "p4_1"),
    ("e5m2", "p4_1", "int8"),
]


@functools.cache
def numbers(mode):
    """All finite numbers of a mode, ascending, by others' libraries, and for posits by the standard's definition."""
    if mode.startswith("int"):
        half = 1 << (int(mode[3:]) - 1)
        return np.arange(-half, half, dtype=np.float64)
    if mode in FLOATS:
        values = np.arange(256 if mode != "fp4" else 16, dtype=np.uint8).view(FLOATS[mode]).astype(np.float64)
        return np.unique(values[np.isfinite(values)])
    bits, es = POSITS[mode]
    above = [posit(format(code, f"0{bits - 1}b"), es) for code in range(1, 1 << (bits - 1))]
    return np.array([-one for one in reversed(above)] + [0.0] + above)


def posit(body, es):
    """Of a posit's bits after the sign, not all zeros: regime, exponent, fraction."""
    run = len(body) - len(body.lstrip(body[0]))
    regime = run - 1 if body[0] == "1" else -run
    rest = body[run + 1 :]
    exponent, fraction = rest[:es].ljust(es, "0"), rest[es:]
    scale = (regime << es) + int(exponent or "0", 2)
    return (1 + int(fraction or "0", 2) / 2 ** len(fraction)) * 2.0**scale


def nearest_distance(mode, values):
    """How far each value is from the nearest number of a mode."""
    known = numbers(mode)
    place = np.clip(np.searchsorted(known, values), 1, len(known) - 1)
    return np.minimum(np.abs(values - known[place - 1]), np.abs(values - known[place]))


def exact_matmul(mode, a, b, *, bias, bias_exponent, scale_exponent, out_format, relu):
    """What the co-processor computes, in Python's integers: a sum of any length, rounded once."""
    unit = int(np.frexp(np.min(np.abs(numbers(mode)[numbers(mode) != 0])))[1]) - 1
    whole = [np.vectorize(int, otypes=[object])(np.ldexp(decode(mode, codes), -unit)) for codes in (a, b)]
    exponent = min(2 * unit, bias_exponent)
    sums = (whole[0] @ whole[1]) * 2 ** (2 * unit - exponent) + bias.astype(object) * 2 ** (bias_exponent - exponent)
    codes = encode_flags(out_format, to_odd(sums, exponent + scale_exponent))[0]
    if relu:
        codes = np.where(decode(out_format, codes) < 0, 0, codes)
    return MacResult(codes.astype(np.uint32), np.zeros(codes.shape, np.uint8))


def tensors():
    """Tensors of several shapes, spreads and magnitudes."""
    rng = np.random.default_rng(3)
    return [
        rng.normal(size=(40, 30)) * 0.2,
        rng.standard_cauchy(500) * 1e-3,
        np.maximum(rng.normal(size=300), 0) * 100,
        np.array([0.75]),
        -(2.0 ** rng.integers(-9, 9, 60)),
    ]


@pytest.mark.parametrize("mode", FORMATS)
def test_quantise_rounds_to_the_nearest_number_of_the_format(mode):
    values = np.concatenate([one.reshape(-1) for one in tensors()])
    for exponent in (-5, 0, 3):
        rounded, passes = rounder(mode, exponent)(values)
        assert np.isin(np.ldexp(rounded, -exponent), numbers(mode)).all()
        inside = np.abs(np.ldexp(values, -exponent)) <= numbers(mode)[-1]
        assert passes[inside].all()
        assert not passes[np.abs(np.ldexp(values, -exponent)) > 2 * numbers(mode)[-1]].any()
        if mode not in POSITS:  # posits are rounded as strings of bits, not to the nearest number
            distance = nearest_distance(mode, np.ldexp(values, -exponent))
            np.testing.assert_array_equal(np.abs(np.ldexp(rounded - values, -exponent)), distance)
            assert (distance[~passes] > 0).all()


@pytest.mark.parametrize("mode", FORMATS)
def test_quantise_scale_is_the_best_power_of_two(mode):
    for values in tensors():
        best = best_exponent(mode, values)
        errors = {exponent: squared_error(mode, exponent, values) for exponent in range(-80, 60)}
        assert errors[best] == min(errors.values())
        assert abs(best) == min(abs(exponent) for exponent, error in errors.items() if error == errors[best])
        if mode not in POSITS:
            plain = np.ldexp(nearest_distance(mode, np.ldexp(values, -best)), best)
            assert errors[best] == pytest.approx(np.sum(plain**2), rel=1e-9)


def test_quantise_error_is_never_larger_in_a_format_that_has_the_same_numbers_and_more():
    for values in tensors():
        errors = {mode: squared_error(mode, best_exponent(mode, values), values) for mode in FORMATS}
        assert errors["int8"] <= min(errors["int4"], errors["fp4"])
        assert max(errors["e4m3"], errors["e5m2"]) <= errors["fp4"]


@pytest.mark.parametrize("mode", FORMATS)
def test_quantise_loses_nothing_of_numbers_that_the_format_has(mode):
    values = np.ldexp(numbers(mode), -11)
    exponent = best_exponent(mode, values)
    np.testing.assert_array_equal(rounder(mode, exponent)(values)[0], values)
    assert best_exponent(mode, np.zeros((3, 2))) == 0


@pytest.mark.parametrize("mode", FORMATS)
def test_quantise_loses_as_much_at_any_magnitude(mode):
    for values in tensors():
        least, shifted = (squared_error(mode, best_exponent(mode, each), each) for each in (values, values * 2.0**7))
        assert shifted == least * 2.0**14


def test_quantise_calibrates_on_what_enters_each_layer():
    of = study("digits")
    data, network, calibration = of.data, of.network, of.calibration
    x = data.train.features[:CALIBRATION_SAMPLES]
    for schemes, layer, entering in zip(calibration, network, mlp.layer_inputs(network, x), strict=True):
        assert tuple(schemes) == FORMATS
        for mode, scheme in schemes.items():
            assert scheme == Scheme(mode, best_exponent(mode, entering), best_exponent(mode, layer.weights))
    # Pixels are whole sixteenths.
    assert squared_error("int8", calibration[0]["int8"].input_exponent, x) == 0


@pytest.mark.parametrize("mix", MIXES, ids="-".join)
@pytest.mark.parametrize("name", datasets.NAMES)
def test_quantise_codes_give_the_scores_of_float64(name, mix):
    """Two layers of rounded activations and the rounding of the scores, on the way to equality of all 32 bits."""
    of = study(name)
    data, network, calibration = of.data, of.network, of.calibration
    schemes = pick(calibration, mix)
    x = data.test.features
    got = quantise(network, schemes).run(x, exact_matmul)
    want = mlp.scores(network, x, roundings(schemes))
    np.testing.assert_array_equal(got, want.astype(np.float32).astype(np.float64))
    np.testing.assert_array_equal(got.argmax(axis=1), want.argmax(axis=1))


def test_quantise_layers_are_jobs_that_chain():
    of = study("digits")
    data, network, calibration = of.data, of.network, of.calibration
    schemes = pick(calibration, ("p16_1", "int4", "e4m3"))
    quantised = quantise(network, schemes)
    first, second, third = quantised.layers
    assert [layer.mode for layer in quantised.layers] == ["p16_1", "int4", "e4m3"]
    assert [layer.out_format for layer in quantised.layers] == ["int4", "e4m3", "fp32"]
    assert [layer.relu for layer in quantised.layers] == [True, True, False]
    assert [layer.weights.dtype for layer in quantised.layers] == [np.uint16, np.uint8, np.uint8]
    assert [layer.weights.shape for layer in quantised.layers] == [(64, 32), (32, 32), (32, 10)]
    assert first.scale_exponent == schemes[0].sum_exponent - schemes[1].input_exponent
    assert second.scale_exponent == schemes[1].sum_exponent - schemes[2].input_exponent
    assert third.scale_exponent == schemes[2].sum_exponent
    outputs = quantised.outputs(data.test.features[:5], exact_matmul)
    assert [(each.dtype, each.shape) for each in outputs] == [
        (np.uint32, (5, 32)),
        (np.uint32, (5, 32)),
        (np.uint32, (5, 10)),
    ]
    assert (outputs[0] < 8).all()  # int4, none of them negative


@pytest.mark.parametrize("mode", FORMATS)
def test_quantise_parameters_are_the_nearest_codes(mode):
    of = study("breast_cancer")
    network, calibration = of.network, of.calibration
    schemes = pick(calibration, (mode,) * 3)
    for layer, done, scheme in zip(network, quantise(network, schemes).layers, schemes, strict=True):
        values = decode(mode, done.weights)
        assert np.isin(values, numbers(mode)).all()
        if mode not in POSITS:
            scaled = np.ldexp(layer.weights, -scheme.weight_exponent)
            np.testing.assert_array_equal(np.abs(values - scaled), nearest_distance(mode, scaled))
        assert done.bias.dtype == np.int32
        assert 1 << 22 <= np.abs(done.bias).max() <= 1 << 23
        step = Fraction(2) ** (done.bias_exponent + scheme.sum_exponent)
        assert all(
            abs(int(whole) * step - Fraction(bias)) <= step / 2
            for whole, bias in zip(done.bias, layer.bias, strict=True)
        )


def one_layer(bias):
    return (mlp.Layer(np.array([[0.5, -1.0]]), np.array([bias, 0.0])),)


def test_quantise_bias_may_be_zero_or_far_below_the_products():
    assert quantise(one_layer(0.0), (Scheme("int8", 0, 0),)).layers[0].bias_exponent == 0
    tiny = quantise(one_layer(2.0**-40), (Scheme("int8", 0, 0),)).layers[0]
    assert (tiny.bias_exponent, tiny.bias.tolist()) == (-56, [1 << 16, 0])


def test_quantise_refuses_exponents_that_no_job_has():
    with pytest.raises(ValueError, match=f"^{re.escape('layer 0: scale_exponent must be in -64..63, not 80')}$"):
        quantise(one_layer(1.0), (Scheme("int8", 40, 40),))
    with pytest.raises(ValueError, match=f"^{re.escape('layer 0: bias_exponent must be in -56..32, not 68')}$"):
        quantise(one_layer(2.0**30), (Scheme("int8", -30, -30),))


def test_quantise_schemes_of_none_leave_layers_as_they_are():
    of = study("digits")
    data, network, calibration = of.data, of.network, of.calibration
    x = data.test.features
    np.testing.assert_array_equal(mlp.scores(network, x, roundings([None, None, None])), mlp.scores(network, x))
    alone = roundings([None, calibration[1]["fp4"], None])
    assert alone[0] == alone[2] == mlp.EXACT
    # The first layer is not touched: what enters the second is the unquantised network's.
    np.testing.assert_array_equal(mlp.layer_inputs(network, x, alone)[1], mlp.layer_inputs(network, x)[1])
    assert (mlp.scores(network, x, alone) != mlp.scores(network, x)).any()
