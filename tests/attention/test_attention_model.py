"""The golden model of attention: against the paper in Python's integers, float64, scipy and its own error bound."""

import numpy as np
import pytest
from scipy.special import softmax

from sim.attention import attention_model as model
from sim.attention.attention_model import Numerics, Rows, attend, probabilities
from sim.attention.datasets import SHAPES, queries_keys_values
from sim.attention.masks import Mask, Spans, key_tiles
from sim.attention.quantise import logit_scale, symmetric
from sim.attention.reference import (
    EXPONENTIAL_ERROR,
    attention_by_blocks,
    error_bound,
    relative_error,
    softmax_attention,
)
from tests.attention.paper_oracle import attend_row, exponential

BITS = {
    "logit_saturated": model.LOGIT_SATURATED,
    "scale_underflow": model.SCALE_UNDERFLOW,
    "empty_row": model.EMPTY_ROW,
    "output_saturated": model.OUTPUT_SATURATED,
}


def random_spans(rng, rows, keys):
    first = rng.integers(-3, keys + 3, rows)
    return Spans(first, first + rng.integers(-3, keys, rows), int(rng.integers(0, 5)), int(rng.integers(1, keys + 2)))


def operands(rng, rows, keys, dim):
    """int8 in ±127; sometimes all of them extreme, so that logits saturate and sums grow."""
    arrays = [rng.integers(-127, 128, (count, dim)).astype(np.int8) for count in (rows, keys, keys)]
    if rng.random() < 0.3:
        arrays = [np.where(each > 0, 127, -127).astype(np.int8) for each in arrays]
    if rng.random() < 0.3:
        arrays[1][:] = arrays[1][0]  # all keys alike: l grows fastest
    return arrays


@pytest.mark.parametrize("seed", range(12))
def test_model_is_the_paper_in_integers(seed):
    rng = np.random.default_rng(seed)
    lanes = int(rng.choice([4, 8, 16]))
    rows, keys, dim = int(rng.integers(1, 7)), int(rng.integers(1, 90)), int(rng.choice([8, 16, 32]))
    numerics = Numerics(lanes, int(rng.integers(8, 10)), int(rng.choice([4, 12])))
    q, k, v = operands(rng, rows, keys, dim)
    spans = random_spans(rng, rows, keys)
    shift = rng.integers(1, 32, rows)
    multiplier = rng.integers(0, 1 << 16, rows) * (rng.random(rows) > 0.1)
    bits = int(rng.integers(8, 17))
    got = attend(numerics, q, k, v, multiplier, shift, spans, fraction_bits=bits)
    valid = spans.valid(0, keys)
    for row in range(rows):
        a, h = int(multiplier[row]), int(shift[row])
        o, status = attend_row(
            q[row], k, v, a, h, valid[row], lanes, numerics.p_bits, numerics.guard_bits, fraction_bits=bits
        )
        assert got.o[row].tolist() == o
        assert got.status[row] == sum(BITS[name] for name in status)


def test_every_status_comes_alone():
    q = np.full((2, 8), 127, np.int8)
    k = np.full((3, 8), 127, np.int8)
    v = np.full((3, 8), 127, np.int8)
    dense, nothing = Mask().spans(2, 3), Spans(np.array([0, 0]), np.array([-1, -1]), 0, 3)
    cases = {
        0: {"multiplier": 1 << 15, "shift": 31, "spans": dense},
        model.LOGIT_SATURATED: {"multiplier": 1 << 15, "shift": 1, "spans": dense},
        model.SCALE_UNDERFLOW: {"multiplier": 0, "shift": 31, "spans": dense},
        model.EMPTY_ROW: {"multiplier": 1 << 15, "shift": 31, "spans": nothing},
        model.OUTPUT_SATURATED: {"multiplier": 1 << 15, "shift": 31, "spans": dense, "fraction_bits": 16},
    }
    for status, case in cases.items():
        result = attend(Numerics(), q, k, v, **case)
        assert result.status.tolist() == [status, status]
        assert result.o[0, 0] == {model.EMPTY_ROW: 0, model.OUTPUT_SATURATED: 32767}.get(status, 127 * 256)


def test_exponential_is_within_its_error():
    u = np.arange(1024)
    fine = Numerics(p_bits=15)  # no second rounding
    _, p = probabilities(fine, np.stack([np.zeros(1024, np.int64), -u], axis=1), np.ones((1024, 2), bool))
    assert p[:, 1].tolist() == [exponential(int(each), 15) for each in u]
    error = np.abs(p[:, 1] / 2.0 ** (15 - u / 1024) - 1).max()
    assert 1e-4 < error < EXPONENTIAL_ERROR < 4.3e-4
    assert p.max() == 1 << 15
    assert p.min() >= 1 << 14


def test_probability_vanishes_where_it_rounds_to_zero():
    for p_bits in (8, 9):
        u = np.arange(0, 14 << 10, 7)
        logits = np.stack([np.zeros(len(u), np.int64), -u], axis=1)
        _, p = probabilities(Numerics(p_bits=p_bits), logits, np.ones(logits.shape, bool))
        assert p[:, 1].tolist() == [exponential(int(each), p_bits) for each in u]
        assert (p[:, 1] == 0).tolist() == (u / 1024 > p_bits + 1).tolist()


@pytest.mark.parametrize("lanes", [16, 32])
@pytest.mark.parametrize("p_bits", [8, 9])
@pytest.mark.parametrize("shape", SHAPES)
def test_error_stays_under_its_bound(shape, p_bits, lanes):
    numerics = Numerics(lanes, p_bits)
    for mask, (rows, keys) in {"dense": (96, 128), "causal": (130, 100), "lambda:4+40": (128, 128)}.items():
        q, k, v = queries_keys_values(shape, rows, keys, 64, seed=1)
        (qi, q_scale), (ki, k_scale), (vi, _) = (symmetric(each) for each in (q, k, v))
        factor = q_scale * k_scale / 8
        scale = logit_scale(factor)
        spans = Mask.parse(mask).spans(rows, keys)
        tiles = key_tiles(keys, lanes, first=1 if shape == "sink" else 0)
        got = attend(numerics, qi, ki, vi, scale.multiplier, scale.shift, spans, tiles=tiles)
        qf, kf, vf = (each.astype(np.float64) for each in (qi, ki, vi))
        wanted = attention_by_blocks(qf, kf, vf, factor, spans, rows=50)
        most_logit = np.abs(qf @ kf.T * factor).max() * np.log2(np.e)
        bound = error_bound(numerics, most_logit, len(tiles)) * np.abs(vf).max() + 2.0**-9
        assert np.abs(got.o / 256 - wanted).max() < bound < {8: 20, 9: 10}[p_bits] * lanes / 16
        assert relative_error(got.o / 256, wanted) < {8: 1e-2, 9: 6e-3}[p_bits] * lanes / 16


@pytest.mark.parametrize("lanes", [16, 32])
@pytest.mark.parametrize("p_bits", [8, 9])
def test_bound_is_neared_by_the_worst_tile(p_bits, lanes):
    """One key just below a power of two, all others just below half a unit of p: their values are lost entirely."""
    numerics = Numerics(lanes, p_bits)
    logits = np.array([[0] + [-1024 * (p_bits + 1) - 1] * (lanes - 1)]) + 1
    exponent, p = probabilities(numerics, logits, np.ones(logits.shape, bool))
    rows = Rows(numerics, 1, 1)
    v = np.array([[-127]] + [[127]] * (lanes - 1))
    rows.add(np.arange(1), exponent, p.sum(axis=1), p @ v)
    weights = 2.0 ** (logits[0] / 1024)
    error = abs(rows.finish(8).o[0, 0] / 256 - (weights @ v[:, 0]) / weights.sum())
    bound = error_bound(numerics, 10, 1) * 127 + 2.0**-9
    assert bound / 3 < error < bound


def test_reference_is_scipys_softmax():
    rng = np.random.default_rng(3)
    q, k, v = rng.standard_normal((20, 8)), rng.standard_normal((33, 8)), rng.standard_normal((33, 8))
    spans = Mask(causal=True, window=9, sink=2).spans(20, 33)
    valid = spans.valid(0, 33)
    wanted = softmax(np.where(valid, q @ k.T * 0.3, -np.inf), axis=1) @ v
    np.testing.assert_allclose(softmax_attention(q, k, v, 0.3, valid), wanted, rtol=1e-12)
    assert not softmax_attention(q, k, v, 0.3, np.zeros(valid.shape, bool)).any()


def test_widths_hold_for_any_number_of_keys():
    """All keys alike and v extreme: l and O grow as fast as they can; the model asserts their widths."""
    rows = Rows(Numerics(), 1, 2)
    exponent, total = np.zeros(1, np.int64), np.array([16 * 256])
    for _ in range(1 << 12):
        rows.add(np.arange(1), exponent, total, total[:, None] * [[127, -127]])
    assert rows.exponents[0] == 10  # 2**12 tiles of 2**24 units make 2**36, of which less than 2**27 stay
    assert rows.finish(8).o.tolist() == [[127 * 256, -127 * 256]]


def test_room_for_tiles_of_twice_as_many_keys_is_a_bit():
    assert Numerics(16, wide=True).denominator_bits == Numerics(32).denominator_bits == 29
    assert Numerics(16, wide=True).output_bits == Numerics(16).output_bits + 1 == 37


def test_width_of_output_is_needed():
    """A bit less than W is too few: the model's assertion can fail."""
    rows = Rows(Numerics(), 1, 1)
    rows.denominators[:] = (1 << 27) - 1
    rows.sums[:] = rows.denominators * 127
    rows._check(rows.denominators, rows.sums)
    assert rows.sums[0] >= 1 << 33
    with pytest.raises(AssertionError, match="O overflows"):
        rows._check(rows.denominators, rows.sums * 3)
    with pytest.raises(AssertionError, match="l overflows"):
        rows._check(rows.denominators << 1 << 1, rows.sums)


def test_a_sink_alone_in_its_tile_saves_its_neighbours():
    q, k, v = queries_keys_values("sink", 256, 256, 64, seed=2)
    (qi, q_scale), (ki, k_scale), (vi, _) = (symmetric(each) for each in (q, k, v))
    factor = q_scale * k_scale / 8
    scale = logit_scale(factor)
    spans = Mask().spans(256, 256)
    wanted = attention_by_blocks(*(each.astype(np.float64) for each in (qi, ki, vi)), factor, spans)
    errors = []
    for first in (0, 1):
        tiles = key_tiles(256, 16, first=first)
        got = attend(Numerics(), qi, ki, vi, scale.multiplier, scale.shift, spans, fraction_bits=8, tiles=tiles)
        errors.append(relative_error(got.o / 256, wanted))
    assert errors[1] < 0.7 * errors[0]


def test_key_tiles_cover_the_keys():
    assert key_tiles(33, 16) == [(0, 16), (16, 32), (32, 33)]
    assert key_tiles(33, 16, first=1) == [(0, 1), (1, 17), (17, 33)]
    assert key_tiles(1, 16, first=1) == [(0, 1)]
    assert key_tiles(16, 16, first=4) == [(0, 4), (4, 16)]
