"""Weights of which two of each four are kept: pruned, as rows in memory, and back.

"Two of four" in hdl/attention/README.md: a row is its parts, one after the other; a part begins with 2 bits for the
place of each kept element within its group of four inputs, and its elements follow, both padded to memory words.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from hdl.attention.formats import KvFormat
from sim.attention.kv_formats import Bytes, pack_bits, read_rows, row_bytes, unpack_bits
from sim.attention.masks import Ints

GROUP, KEPT = 4, 2
PLACE_BITS = 2


def prune(weights: npt.NDArray[np.number[Any]]) -> tuple[Ints, npt.NDArray[Any]]:
    """Places 0 .. 3 of the two largest magnitudes of each four, ascending, the first ones of equals; and these weights.

    Both are (outputs, inputs // 2), of weights (outputs, inputs).
    """
    groups = weights.reshape(len(weights), -1, GROUP)
    largest = np.argsort(-np.abs(groups.astype(np.float64)), axis=2, kind="stable")[:, :, :KEPT]
    places = np.sort(largest, axis=2)
    kept = np.take_along_axis(groups, places, axis=2)
    return places.reshape(len(weights), -1).astype(np.int64), kept.reshape(len(weights), -1)


def expand(places: Ints, kept: npt.NDArray[np.integer[Any]]) -> Ints:
    """Weights (outputs, inputs) with zeros between those that are kept; of equal places the sum."""
    groups = np.zeros((places.size // KEPT, GROUP), np.int64)
    np.add.at(groups, (np.arange(places.size) // KEPT, places.reshape(-1)), kept.reshape(-1))
    return groups.reshape(len(places), -1)


def place_bytes(part: int, word_bytes: int) -> int:
    """Bytes of the places of a part of so many inputs."""
    return -(-part * KEPT // GROUP * PLACE_BITS // (8 * word_bytes)) * word_bytes


def sparse_row_bytes(fmt: KvFormat, inputs: int, part: int, word_bytes: int) -> int:
    """Bytes of a row of so many inputs, in parts of `part` inputs."""
    return inputs // part * (place_bytes(part, word_bytes) + row_bytes(fmt, part * KEPT // GROUP, word_bytes))


def pack_sparse(fmt: KvFormat, places: Ints, kept: npt.NDArray[np.integer[Any]], part: int, word_bytes: int) -> Bytes:
    """Rows (outputs, `sparse_row_bytes`) of places and kept weights (outputs, inputs // 2), integers of a format."""
    pieces, count = [], part * KEPT // GROUP
    for start in range(0, places.shape[1], count):
        for integers, bits in ((places, PLACE_BITS), (kept, fmt.bits)):
            packed = pack_bits(integers[:, start : start + count], bits)
            pieces.append(np.pad(packed, ((0, 0), (0, -packed.shape[1] % word_bytes))))
    return np.hstack(pieces)


def read_sparse(fmt: KvFormat, rows: Bytes, part: int, word_bytes: int) -> Ints:
    """The weights (outputs, inputs) of such rows, zeros between those that are kept."""
    count, before = part * KEPT // GROUP, place_bytes(part, word_bytes)
    size = sparse_row_bytes(fmt, part, part, word_bytes)
    pieces = []
    for start in range(0, rows.shape[1], size):
        places = unpack_bits(rows[:, start : start + before], PLACE_BITS, count)
        kept = read_rows(fmt, rows[:, start + before : start + size], count, word_bytes).integers
        pieces.append(expand(places, kept))
    return np.hstack(pieces)
