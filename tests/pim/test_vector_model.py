"""The golden model of `pim.vector` against numpy's float32 and ml_dtypes, and its programs against float64."""

from itertools import pairwise

import ml_dtypes
import numpy as np
import pytest
import scipy.special

from flows.pim.orders import ordered_channel
from hdl.common.config import ConfigError
from hdl.pim.vector_config import (
    LAST,
    Illegal,
    VectorConfig,
    VectorInstruction,
    VectorOp,
    decode_vector_program,
    encode_vector_program,
)
from sim.pim import vector_programs
from sim.pim.tiny_gpt import PlainProducts, TinyGpt, load, perplexity
from sim.pim.vector_model import VectorUnit
from sim.pim.vector_programs import VectorHost, VectorProgram, wide_values

CONFIG = VectorConfig(lanes=8, words=16384)
SMALL = VectorConfig(lanes=4, words=64)
EDGES = [0, 1, 0x7FFFFF, 0x800000, 0x3F800000, 0x3EFFFFFF, 0x3F000000, 0x3FC00000, 0x4B000000, 0x4AFFFFFF, 0x7F7FFFFF]
EDGES += [0x7F800000, 0x7F800001, 0x7FC12345, 0x00FFFFFF, 0x43000000, 0x42FE0000, 0x7EF311C7]
EDGES = np.array(EDGES, np.uint32)
EDGES = np.concatenate([EDGES, EDGES | 0x80000000])


def pairs(seed, count=20_000):
    """Every edge with every edge, then random codes: any bits, near exponents, small integers in b."""
    rng = np.random.default_rng(seed)
    grid = [one.ravel() for one in np.meshgrid(EDGES, EDGES)]
    a = rng.integers(0, 1 << 32, count, np.uint32)
    near = (a & 0x807FFFFF) | ((a >> 23 & 255).astype(np.int64) + rng.integers(-2, 3, count)).clip(0, 255).astype(
        np.uint32
    ) << np.uint32(23)
    near ^= rng.integers(0, 1 << 10, count, np.uint32)
    whole = rng.integers(-600, 600, count).astype(np.float32).view(np.uint32)
    b = np.select([np.arange(count) % 3 == 0, np.arange(count) % 3 == 1], [near, whole], a[::-1])
    return np.concatenate([grid[0], a]), np.concatenate([grid[1], b])


def flush(codes):
    """Subnormal codes as zero of their sign, NaN as the one."""
    codes = np.where(codes & 0x7F800000 == 0, codes & 0x80000000, codes)
    nan = (codes & 0x7F800000 == 0x7F800000) & (codes & 0x7FFFFF != 0)
    return np.where(nan, 0x7FC00000, codes).astype(np.uint32)


def computed(op, a, b):
    """An op on many elements, by programs of at most 1024."""
    unit, made = VectorUnit(CONFIG), []
    for start in range(0, len(a), 1024):
        n = min(1024, len(a) - start)
        unit.words[:n], unit.words[1024 : 1024 + n] = a[start : start + n], b[start : start + n]
        assert not unit.run([VectorInstruction(op, d=2048, a=0, b=1024, n=n)]).illegal
        made.append(unit.words[2048 : 2048 + n].copy())
    return np.concatenate(made)


def as_maximum(x, y, greatest):
    """numpy's maximum or minimum, with +0 above -0."""
    picked = np.maximum(x, y) if greatest else np.minimum(x, y)
    zeros = (x == 0) & (y == 0)
    sign = np.signbit(x) & np.signbit(y) if greatest else np.signbit(x) | np.signbit(y)
    return np.where(zeros, np.copysign(np.float32(0), np.where(sign, np.float32(-1), np.float32(1))), picked)


def scaled(x, y):
    """math's ldexp in float64, zero below 2**-126."""
    power = np.where(np.isnan(y), 0, np.clip(y, -1000, 1000)).astype(np.int64)
    exact = np.ldexp(x.astype(np.float64), power)
    exact = np.where(np.abs(exact) < 2.0**-126, np.copysign(0, exact), exact)
    return np.where(np.isnan(y), np.nan, exact).astype(np.float32)


ORACLES = {
    VectorOp.ADD: lambda x, y: x + y,
    VectorOp.SUB: lambda x, y: x - y,
    VectorOp.MUL: lambda x, y: x * y,
    VectorOp.MAX: lambda x, y: as_maximum(x, y, True),
    VectorOp.MIN: lambda x, y: as_maximum(x, y, False),
    VectorOp.ROUND: lambda x, y: np.round(x),
    VectorOp.SCALE: scaled,
}


@pytest.mark.parametrize("op", ORACLES, ids=lambda op: op.name)
def test_vector_ops_are_those_of_numpy(op):
    a, b = pairs(int(op))
    with np.errstate(all="ignore"):
        want = ORACLES[op](flush(a).view(np.float32), flush(b).view(np.float32)).astype(np.float32)
    np.testing.assert_array_equal(computed(op, a, b), flush(want.view(np.uint32)))


def test_vector_seeds_are_differences_of_codes():
    a, b = pairs(1, 1000)
    for op, magic, shift in ((VectorOp.RECIP_SEED, 0x7EF311C7, 0), (VectorOp.RSQRT_SEED, 0x5F3759DF, 1)):
        want = [(magic - (code >> shift)) % 2**32 for code in a.tolist()]
        assert computed(op, a, b).tolist() == want
    np.testing.assert_array_equal(computed(VectorOp.COPY, a, b), a)


@pytest.mark.parametrize("n", [1, 7, 8, 9, 100, 1024])
def test_vector_sum_goes_by_lanes_and_then_by_neighbours(n):
    rng = np.random.default_rng(n)
    values = (rng.standard_normal(n) * 10.0 ** rng.integers(-4, 5, n)).astype(np.float32)
    lanes = [np.float32(0)] * 8
    for place, value in enumerate(values):
        lanes[place % 8] += value
    fours = [lanes[0] + lanes[1], lanes[2] + lanes[3], lanes[4] + lanes[5], lanes[6] + lanes[7]]
    unit = VectorUnit(CONFIG)
    unit.words[:n] = values.view(np.uint32)
    unit.run([VectorInstruction(VectorOp.SUM, 2001, 0, n=n), VectorInstruction(VectorOp.MAXIMUM, 2002, 0, n=n)])
    got = unit.words[2001:2003].view(np.float32).tolist()
    assert got == [(fours[0] + fours[1]) + (fours[2] + fours[3]), values.max()]


def test_vector_streams_are_bf16_and_halves_of_fp32():
    codes = np.arange(1 << 16, dtype=np.uint32).astype(np.uint16)
    unit = VectorUnit(CONFIG)
    for start in range(0, 1 << 16, 1024):
        part = codes[start : start + 1024]
        program = [VectorInstruction(VectorOp.LOAD, n=1024), VectorInstruction(VectorOp.STORE32, n=1024, flags=LAST)]
        run = unit.run(program, part.reshape(-1, 8))
        want = flush(part.view(ml_dtypes.bfloat16).astype(np.float32).view(np.uint32))
        np.testing.assert_array_equal(wide_values(np.array(run.beats), 1024).view(np.uint32), want)
        assert run.last == [False] * 255 + [True]
    words = pairs(3, 3000)[0][:1024]
    unit.words[:1024] = words
    made = np.array(unit.run([VectorInstruction(VectorOp.STORE, n=1021)]).beats).reshape(-1)
    want = flush(words).view(np.float32).astype(ml_dtypes.bfloat16)
    same = np.where(np.isnan(want.astype(np.float32)), np.uint16(0x7FC0), want.view(np.uint16))
    np.testing.assert_array_equal(made[:1021], same[:1021])
    assert made[1021:].tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    ("one", "reason"),
    [
        (VectorInstruction(17), Illegal.UNKNOWN),
        (VectorInstruction(63, d=16383), Illegal.UNKNOWN),
        (VectorInstruction(VectorOp.COPY, d=64), Illegal.ADDRESS),
        (VectorInstruction(VectorOp.COPY, d=60, n=5), Illegal.ADDRESS),
        (VectorInstruction(VectorOp.ADD, b=64, flags=1), Illegal.ADDRESS),
        (VectorInstruction(VectorOp.LOAD, d=2, n=2), Illegal.ALIGNMENT),
        (VectorInstruction(VectorOp.STORE, a=3, n=1), Illegal.ALIGNMENT),
        (VectorInstruction(VectorOp.ROUND, d=4, a=0, n=5), Illegal.OVERLAP),
        (VectorInstruction(VectorOp.MUL, d=8, a=32, b=0, n=9), Illegal.OVERLAP),
        (VectorInstruction(VectorOp.MUL, d=8, a=32, b=0, n=8), None),
        (VectorInstruction(VectorOp.MUL, d=0, a=8, b=0, n=56), None),
        (VectorInstruction(VectorOp.MUL, d=0, a=8, b=17, n=56, flags=1), None),
        (VectorInstruction(VectorOp.SUM, d=7, a=0, b=16383, n=64), None),
        (VectorInstruction(VectorOp.STORE, a=3, d=16383, n=1, flags=2), None),
        (VectorInstruction(VectorOp.END, d=1, a=16383), None),
    ],
)
def test_vector_illegal_instructions_are_skipped_and_told(one, reason):
    unit = VectorUnit(SMALL)
    unit.words[:] = np.arange(64, dtype=np.float32).view(np.uint32)
    before = unit.words.copy()
    run = unit.run([VectorInstruction(VectorOp.END), one])
    assert run.illegal == ([] if reason is None else [(1, reason)])
    if reason is not None:
        np.testing.assert_array_equal(unit.words, before)
        assert not run.beats


def test_vector_data_must_be_what_the_loads_take():
    with pytest.raises(ValueError, match=r"^data must be \(3, 4\) for this program, not \(2, 4\)$"):
        VectorUnit(SMALL).run([VectorInstruction(VectorOp.LOAD, n=9)], np.zeros((2, 4), np.uint16))


def test_vector_instructions_are_encoded_as_the_paper_says():
    one = VectorInstruction(VectorOp.ADD, d=3, a=5, b=7, n=1024, flags=LAST)
    (word,) = encode_vector_program([one]).tolist()
    assert word == 4 | 0 << 6 | 7 << 16 | 5 << 30 | 3 << 44 | 6 << 58
    assert decode_vector_program([word]) == [one]
    with pytest.raises(ConfigError, match=r"^n must be in 1\.\.1024, not 0$"):
        VectorInstruction(VectorOp.ADD, n=0)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"lanes": 3, "words": 64}, "params: lanes must be a power of 2, not 3"),
        ({"lanes": 4, "words": 100}, "params: words must be a power of 2, not 100"),
        ({"lanes": 32, "words": 64}, "params.lanes must be a whole number in 1..16, not 32"),
        ({"lanes": 4}, "params.words is missing; it must be a whole number in 64..16384"),
    ],
)
def test_vector_config_errors_are_one_line(params, message):
    with pytest.raises(ConfigError) as error:
        VectorConfig.parse(params)
    assert str(error.value) == message


def test_vector_power_polynomial_is_as_good_as_it_says():
    f = np.linspace(-0.5, 0.5, 20_001)
    value = np.polynomial.polynomial.polyval(f, np.float32(vector_programs.POWER).astype(np.float64))
    error = np.abs(value / np.exp2(f) - 1).max()
    assert 0.9 * vector_programs.POWER_ERROR < error < vector_programs.POWER_ERROR


def gelu(x):
    """With (1 + tanh u) / 2 as the logistic function of 2 u, which loses nothing below zero."""
    return x * scipy.special.expit(2 * np.sqrt(2 / np.pi) * (x + 0.044715 * x**3))


def norm(x, gain, bias):
    return (x - x.mean()) / np.sqrt(x.var() + 1e-5) * gain + bias


@pytest.mark.parametrize("n", [1, 5, 64, 1024, 2500])
def test_vector_programs_are_the_functions(n):
    rng = np.random.default_rng(n)
    x, gain, bias = (rng.standard_normal(n).astype(np.float32) * 4 for _ in range(3))
    host, exact = VectorHost(VectorUnit(CONFIG)), x.astype(np.float64)
    np.testing.assert_allclose(host.softmax(x), scipy.special.softmax(exact), rtol=5e-6)
    np.testing.assert_allclose(host.gelu(x), gelu(exact), rtol=1e-5, atol=1e-30)
    want = norm(exact, gain, bias)
    np.testing.assert_allclose(host.layer_norm(x, gain, bias), want, rtol=1e-5, atol=2e-5)
    assert host.cycles > 0


def test_vector_softmax_and_gelu_hold_at_the_ends():
    host = VectorHost(VectorUnit(CONFIG))
    assert host.softmax(np.array([3e38, -3e38, 3e38, -np.inf], np.float32)).tolist() == [0.5, 0, 0.5, 0]
    ends = np.array([-3e38, -20, -0.0, 0, 20, 3e38, np.inf], np.float32)
    np.testing.assert_allclose(host.gelu(ends), [0, 0, 0, 0, 20, 3e38, np.inf], rtol=2e-7, atol=1e-30)


def test_vector_program_tells_what_does_not_fit():
    p = VectorProgram(SMALL)
    p.room(30)
    with pytest.raises(ValueError, match=r"^the program needs 68 words at least, and the SRAM has 64$"):
        p.room(4)


def tiny_config():
    return ordered_channel("pimgpt", "two-rows", None)


def test_vector_host_takes_the_place_of_numpy_in_the_tiny_gpt():
    weights = load()
    logits = [
        TinyGpt(weights, PlainProducts(tiny_config()), host).step(40) for host in (None, VectorHost(VectorUnit(CONFIG)))
    ]
    np.testing.assert_allclose(*logits, atol=0.05)
    assert logits[0].argmax() == logits[1].argmax()


@pytest.mark.deep
def test_vector_host_keeps_the_perplexity_of_the_tiny_gpt():
    weights = load()
    model = TinyGpt(weights, PlainProducts(tiny_config()), VectorHost(VectorUnit(CONFIG)))
    total, text = 0.0, weights["held_out"][:128].astype(np.int64)
    for number, following in pairwise(text):
        logits = model.step(int(number)).astype(np.float64)
        total += scipy.special.logsumexp(logits) - logits[following]
    assert np.exp(total / 127) == pytest.approx(perplexity(weights, PlainProducts(tiny_config()), 128), rel=0.01)
