"""What two-step attention out of flash recalls, and what it reads."""

from __future__ import annotations

from typing import Any

import numpy as np

from bench.common import say
from sim.pim.kv_sparse import KvLayout, sample_head, sparse_attention

TOKENS, DIM, HEADS = 8192, 128, 20


def kv_recall() -> dict[str, Any]:
    """Means over seeded heads, by channels of the first step, tokens of the second, and page."""
    found = {}
    heads = [sample_head(seed, TOKENS, DIM) for seed in range(HEADS)]
    for page_bytes in (4096, 16384):
        layout = KvLayout(DIM, page_bytes)
        for r, k in ((8, 256), (16, 256), (32, 256), (16, 1024)):
            reads = [sparse_attention(layout, *head, r, k) for head in heads]
            recall, hits = (float(np.mean([getattr(one, name) for one in reads])) for name in ("recall", "hits"))
            pages = sum(one.pages for one in reads) / sum(one.dense_pages for one in reads)
            moved = sum(one.moved_bytes for one in reads) / sum(one.dense_bytes for one in reads)
            name = f"pages of {page_bytes // 1024} KB, {r} channels, {k} tokens"
            say(f"recall, {name}", recall, "", "1 is exact attention")
            say(f"  of the best {k} tokens", hits, "", "")
            say("  pages read over those of all tokens", pages, "", "below 1")
            say("  bytes moved over those of all tokens", moved, "", "below 1")
            found[name] = {"recall": recall, "hits": hits, "pages": pages, "moved": moved}
    return found
