"""Integers of floats, the logits' scale, and masks."""

import numpy as np
import pytest

from sim.attention.masks import Mask
from sim.attention.quantise import LogitScale, logit_scale, symmetric


def test_symmetric_integers():
    codes, scale = symmetric([-2.54, 0.0, 1.27, 0.01, 0.03])
    assert codes.dtype == np.int8
    assert codes.tolist() == [-127, 0, 64, 0, 2]  # 63.5 to even, 0.5 to even, 1.5 to even
    assert scale == pytest.approx(0.02)
    assert symmetric(np.zeros(3))[1] == 1
    assert symmetric(np.zeros((0, 4)))[0].shape == (0, 4)
    assert np.abs(symmetric(np.random.default_rng(1).standard_normal(1000), largest=7)[0]).max() == 7
    assert symmetric([5e-324])[0].tolist() == [0]
    for bad in (np.nan, np.inf):
        with pytest.raises(ValueError, match="^NaN or infinite numbers cannot be quantised$"):
            symmetric([1.0, bad])


def test_logit_scale_is_nearest():
    rng = np.random.default_rng(1)
    for factor in 2.0 ** rng.uniform(-20, 4, 200):
        scale = logit_scale(factor)
        assert scale.multiplier >> 15 == 1 or scale.shift == 31
        wanted = factor * np.log2(np.e) * 1024
        assert abs(scale.multiplier * 2.0**-scale.shift - wanted) <= 2.0 ** -(scale.shift + 1)
    assert logit_scale(0) == LogitScale(0, 31)
    assert logit_scale(1e-15) == LogitScale(0, 31)
    assert logit_scale(1 / (np.log2(np.e) * 1024)) == LogitScale(1 << 15, 15)
    for bad in (-1e-9, 23.0, np.inf, np.nan):
        with pytest.raises(ValueError, match="^the scale of a score must be in 0..22.18, not "):
            logit_scale(bad)


def test_masks_by_hand():
    def seen(text, queries, keys):
        return Mask.parse(text).spans(queries, keys).valid(0, keys).astype(int).tolist()

    assert seen("dense", 2, 3) == [[1, 1, 1], [1, 1, 1]]
    assert seen("causal", 2, 3) == [[1, 1, 0], [1, 1, 1]]
    assert seen("causal", 3, 2) == [[0, 0], [1, 0], [1, 1]]
    assert seen("lambda:1+2", 4, 4) == [[1, 0, 0, 0], [1, 1, 0, 0], [1, 1, 1, 0], [1, 0, 1, 1]]
    assert seen("lambda:3+1", 4, 4) == [[1, 0, 0, 0], [1, 1, 0, 0], [1, 1, 1, 0], [1, 1, 1, 1]]
    assert seen("lambda:0+1", 2, 2) == [[1, 0], [0, 1]]


def test_a_mask_is_what_contracts_say_of_it():
    """Causal, and key < S or query - key < W, queries counted from the end."""
    for seed in range(20):
        rng = np.random.default_rng(seed)
        queries, keys, sink, window = (int(x) for x in rng.integers(1, 40, 4))
        valid = Mask.parse(f"lambda:{sink}+{window}").spans(queries, keys).valid(0, keys)
        query, key = np.meshgrid(np.arange(queries) + keys - queries, np.arange(keys), indexing="ij")
        assert (valid == ((key <= query) & ((key < sink) | (query - key < window)))).all()


@pytest.mark.parametrize("text", ["", "lambda", "lambda:4", "lambda:-1+3", "lambda:4+1020 ", "Causal", "lambda:1e3+2"])
def test_a_wrong_mask_is_refused(text):
    with pytest.raises(ValueError) as error:
        Mask.parse(text)
    assert str(error.value) == f'mask must be dense, causal or lambda:S+W (lambda:4+1020), not "{text}"'


def test_a_window_without_keys_is_refused():
    with pytest.raises(ValueError, match=r"^mask: the window W of lambda:S\+W must be at least 1, not 0$"):
        Mask.parse("lambda:4+0")
