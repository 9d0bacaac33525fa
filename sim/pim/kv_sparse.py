"""Attention out of a KV cache in flash, in two steps, and the pages that it reads.

The scheme is InstInfer's (arXiv 2409.04992): keys lie in flash twice, by token and by channel. Of a query only its `r`
largest channels are scored against all tokens, out of the pages by channel; then the `k` tokens with the best of these
scores are attended exactly, out of the pages by token. No gateware does this yet.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class KvLayout:
    """Where one head's keys and values lie.

    A page by token holds whole vectors, one by channel the elements of one channel for as many tokens as fit. Pages are
    written whole: the tokens that do not fill one wait in a buffer, which is read without flash. Pages of a kind are
    striped over the flash channels, one after the other; channel-indexed pages of a group of tokens begin at the
    channel's own number, so that neighbours among them lie on different flash channels.

    Attributes
    ----------
    head_dim : elements of a key, and of a value
    page_bytes : of a flash page
    channels : flash channels
    element_bytes : of an element; 2 is bf16
    """

    head_dim: int
    page_bytes: int = 16384
    channels: int = 8
    element_bytes: int = 2

    @property
    def tokens_by_token(self) -> int:
        """Tokens of a page by token."""
        return self.page_bytes // (self.head_dim * self.element_bytes)

    @property
    def tokens_by_channel(self) -> int:
        """Tokens of a page by channel."""
        return self.page_bytes // self.element_bytes

    def programmed(self, tokens: int) -> tuple[int, int]:
        """Pages by token, of keys or of values, and pages by channel that so many tokens have filled."""
        return tokens // self.tokens_by_token, self.head_dim * (tokens // self.tokens_by_channel)

    def token_pages(self, tokens: Ints, length: int) -> Ints:
        """Numbers of the pages by token that hold these tokens of `length`, ascending; the buffer has none."""
        full = length // self.tokens_by_token
        pages = np.unique(tokens // self.tokens_by_token)
        return np.asarray(pages[pages < full])

    def channel_pages(self, chosen: Ints, length: int) -> list[tuple[int, int]]:
        """(group of tokens, channel of the head) of the pages by channel that hold these channels."""
        return [(group, int(channel)) for group in range(length // self.tokens_by_channel) for channel in chosen]

    def busiest(self, pages: list[int]) -> int:
        """Pages that the flash channel with the most of them reads."""
        return int(np.bincount(np.array(pages, np.int64) % self.channels, minlength=self.channels).max())


@dataclass(frozen=True)
class SparseRead:
    """What a query reads, and what comes of it.

    Attributes
    ----------
    tokens : the chosen tokens, ascending
    output : float64, (head_dim,), attention over them
    recall : share of the exact attention's weights that lie on them, 0..1
    hits : share of the k tokens with the largest exact scores that are among them, 0..1
    pages : pages read: keys by channel, keys by token, values
    dense_pages : pages that attention over all tokens reads
    moved_bytes : what travels over the flash channels: pages by channel whole, of those by token the tokens alone
    dense_bytes : what travels for attention over all tokens
    busiest : pages of the flash channel that reads most
    """

    tokens: Ints
    output: Floats
    recall: float
    hits: float
    pages: int
    dense_pages: int
    moved_bytes: int
    dense_bytes: int
    busiest: int


def largest(values: Floats, count: int) -> Ints:
    """Places of the `count` largest values, ascending; of equal ones the first."""
    return np.sort(np.argsort(-values, kind="stable")[:count])


def softmax(scores: Floats) -> Floats:
    """Weights of scores, which add up to 1."""
    weights = np.exp(scores - scores.max())
    return np.asarray(weights / weights.sum())


def sparse_attention(layout: KvLayout, q: Floats, keys: Floats, values: Floats, r: int, k: int) -> SparseRead:
    """Attention of one query in two steps.

    Parameters
    ----------
    q : (head_dim,); keys, values : (tokens, head_dim)
    r : channels of the first step, 1..head_dim
    k : tokens of the second step, 1..tokens

    Raises
    ------
    ValueError
        If `r` or `k` is out of its range.
    """
    length, dim = keys.shape
    for name, value, most in (("r", r, dim), ("k", k, length)):
        if not 1 <= value <= most:
            raise ValueError(f"{name} must be in 1..{most}, not {value}")
    channels = largest(np.abs(q), r)
    approximate = keys[:, channels] @ q[channels]
    tokens = largest(approximate, k)
    exact = keys @ q / np.sqrt(dim)
    weights = softmax(exact)
    by_channel = [channel + group for group, channel in layout.channel_pages(channels, length)]
    by_token = layout.token_pages(tokens, length).tolist()
    dense = 2 * (length // layout.tokens_by_token)
    in_flash = int((tokens < length - length % layout.tokens_by_token).sum())
    vector_bytes = dim * layout.element_bytes
    return SparseRead(
        tokens=tokens,
        output=np.asarray(softmax(exact[tokens]) @ values[tokens]),
        recall=float(weights[tokens].sum()),
        hits=len(np.intersect1d(tokens, largest(exact, k))) / k,
        pages=len(by_channel) + 2 * len(by_token),
        dense_pages=dense,
        moved_bytes=len(by_channel) * layout.page_bytes + 2 * in_flash * vector_bytes,
        dense_bytes=dense * layout.page_bytes,
        busiest=layout.busiest(by_channel) + 2 * layout.busiest(by_token) if by_channel or by_token else 0,
    )


def sample_head(seed: int, tokens: int, dim: int) -> tuple[Floats, Floats, Floats]:
    """A query, keys and values as heads of language models have them, made up and seeded: a few channels far larger
    than the others, and keys in clusters, one of which the query is near to."""
    rng = np.random.default_rng(seed)
    scale = rng.lognormal(0, 0.8, dim)
    centres = rng.normal(size=(32, dim))
    keys = (centres[rng.integers(32, size=tokens)] + 0.6 * rng.normal(size=(tokens, dim))) * scale
    q = (centres[0] + 0.6 * rng.normal(size=dim)) * scale
    return q * (12 / np.linalg.norm(q)), keys, rng.normal(size=(tokens, dim))
