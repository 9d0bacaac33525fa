"""Which keys a query sees, an interval that moves with it and a sink at the sequence's start; tiles of keys."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Mask:
    """Dense, causal or Λ-shaped; causal masks align the last query with the last key.

    Attributes
    ----------
    causal : bool
        A query sees no key after it.
    window : int or None
        A query sees itself and the `window - 1` keys before it; None for all keys before it.
    sink : int
        Keys from the sequence's start on that are seen beside the window.
    """

    causal: bool = False
    window: int | None = None
    sink: int = 0

    @classmethod
    def parse(cls, text: str) -> Mask:
        """`dense`, `causal` or `lambda:S+W`, S keys of sink (0 or more) and a window of W (1 or more).

        Raises
        ------
        ValueError
            With one line that names what is known and what came.
        """
        if text in ("dense", "causal"):
            return cls(causal=text == "causal")
        found = re.fullmatch(r"lambda:(\d{1,9})\+(\d{1,9})", text)
        if found is None:
            raise ValueError(f'mask must be dense, causal or lambda:S+W (lambda:4+1020), not "{text}"')
        if int(found[2]) < 1:
            raise ValueError(f"mask: the window W of lambda:S+W must be at least 1, not {found[2]}")
        return cls(causal=True, window=int(found[2]), sink=int(found[1]))

    def spans(self, n_queries: int, n_keys: int) -> Spans:
        """What each query sees."""
        if not self.causal:
            return Spans(np.zeros(n_queries, np.int64), np.full(n_queries, n_keys - 1), 0, n_keys)
        at = np.arange(n_queries) + (n_keys - n_queries)
        first = np.zeros(n_queries, np.int64) if self.window is None else at - self.window + 1
        return Spans(first, at, self.sink, n_keys)


@dataclass(frozen=True)
class Spans:
    """Key j is seen by row r when j < keys, j <= last[r], and j < sink or j >= first[r].

    Attributes
    ----------
    first, last : int64 (rows,)
        May be negative, or beyond the keys: such a row sees less, or nothing.
    sink, keys : int
    """

    first: Ints
    last: Ints
    sink: int
    keys: int

    def valid(self, start: int, stop: int) -> Bools:
        """bool (rows, stop - start): which of the keys start .. stop - 1 each row sees."""
        keys = np.arange(start, stop)
        seen = (keys < self.sink) | (keys >= self.first[:, None])
        return np.asarray(seen & (keys <= self.last[:, None]) & (keys < self.keys))

    def rows(self, where: Any) -> Spans:
        """The spans of some rows, by any numpy index."""
        return Spans(self.first[where], self.last[where], self.sink, self.keys)


def key_tiles(keys: int, tile_keys: int, *, first: int = 0) -> list[tuple[int, int]]:
    """(start, stop) of the tiles of `keys` keys; with `first` above 0, so many keys are a tile before the others."""
    first = min(first, keys)
    cuts = [*([0] if first else []), *range(first, keys, tile_keys), keys]
    return list(pairwise(cuts))
