"""Two-step attention: its limits, its tokens, its pages by hand."""

from __future__ import annotations

import re

import numpy as np
import pytest

from sim.pim.kv_sparse import KvLayout, largest, sample_head, sparse_attention

LAYOUT = KvLayout(head_dim=16, page_bytes=128, channels=4)  # 4 tokens a page by token, 64 a page by channel


def test_kv_sparse_of_everything_is_exact_attention():
    q, keys, values = sample_head(1, 100, 16)
    found = sparse_attention(LAYOUT, q, keys, values, 16, 100)
    scores = np.array([float(sum(a * b for a, b in zip(q, key, strict=True))) / 4 for key in keys])
    weights = np.exp(scores) / np.exp(scores).sum()
    np.testing.assert_allclose(found.output, weights @ values, rtol=1e-12)
    assert (found.recall, found.hits) == (pytest.approx(1), 1)


def test_kv_sparse_takes_the_tokens_that_the_largest_channels_choose():
    q = np.array([5.0, -0.5, 0.1, 3.0])
    keys = np.array([[0.0, 9, 9, 0], [1, 0, 0, 0], [0, 0, 0, -9], [0, 0, 0, 2], [-1, 0, 0, 1]])
    found = sparse_attention(KvLayout(4), q, keys, keys, 2, 2)
    assert found.tokens.tolist() == [1, 3]


def test_kv_sparse_reads_the_pages_that_hold_what_it_takes():
    q, keys, values = sample_head(2, 131, 16)
    found = sparse_attention(LAYOUT, q, keys, values, 3, 8)
    channels = sorted(np.argsort(-np.abs(q))[:3].tolist())
    pages = {token // 4 for token in found.tokens.tolist()} - {32}  # tokens 128 to 130 are in the buffer
    assert found.pages == 2 * 3 + 2 * len(pages)
    assert LAYOUT.channel_pages(np.array(channels), 131) == [(group, c) for group in (0, 1) for c in channels]
    assert (found.dense_pages, found.dense_bytes) == (2 * 32, 2 * 128 * 32)
    assert found.moved_bytes == 2 * 3 * 128 + 2 * 32 * sum(token < 128 for token in found.tokens.tolist())
    assert LAYOUT.programmed(131) == (32, 32)
    assert LAYOUT.busiest([0, 4, 8, 1]) == 3


def test_kv_sparse_recalls_more_with_more_channels():
    recalls = []
    for r in (2, 8, 32, 64):
        layout = KvLayout(head_dim=64)
        found = [sparse_attention(layout, *sample_head(seed, 800, 64), r, 80) for seed in range(8)]
        recalls.append(np.mean([one.recall for one in found]))
    assert recalls == sorted(recalls)
    exact = [sparse_attention(layout, *sample_head(seed, 800, 64), 64, 80).hits for seed in range(8)]
    assert exact == [1] * 8
    assert recalls[0] < recalls[2]


def test_kv_sparse_breaks_ties_by_the_first():
    assert largest(np.array([1.0, 3, 3, 3, 0]), 2).tolist() == [1, 2]


@pytest.mark.parametrize(
    ("r", "k", "message"), [(0, 1, "r must be in 1..4, not 0"), (4, 9, "k must be in 1..5, not 9")]
)
def test_kv_sparse_refuses(r, k, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        sparse_attention(KvLayout(4), np.ones(4), np.ones((5, 4)), np.ones((5, 4)), r, k)
