"""Seeded stimulus in which the values that break arithmetic are as common as all others together."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt


def extremes(bits: int, *, signed: bool) -> npt.NDArray[np.int64]:
    """The values at and next to the ends of the range and of zero, and the alternating bit patterns, ascending.

    `bits` is in 1..63 (int64 holds them), signed values are two's complement.
    """
    if not 1 <= bits <= 63:
        raise ValueError(f"bits must be in 1..63, not {bits}")
    low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
    patterns = [sum(1 << i for i in range(start, bits, 2)) for start in (0, 1)]
    if signed:
        patterns = [value - (1 << bits) if value > high else value for value in patterns]
    values = {low, low + 1, -1, 0, 1, high - 1, high, *patterns}
    return np.array(sorted(value for value in values if low <= value <= high), dtype=np.int64)


def integers(
    rng: np.random.Generator, bits: int, shape: int | tuple[int, ...], *, signed: bool = True
) -> npt.NDArray[np.int64]:
    """Random integers of `bits` bits. Along the first axis each item is, with equal chance, uniform, or drawn from the
    extremes, or one extreme throughout, or a mixture of uniform values and extremes."""
    size = (shape,) if isinstance(shape, int) else shape
    corner = extremes(bits, signed=signed)
    low, high = int(corner[0]), int(corner[-1])
    uniform = rng.integers(low, high, size, np.int64, endpoint=True)
    drawn = rng.choice(corner, size)
    item = (size[0], *(1,) * (len(size) - 1))
    constant = np.broadcast_to(rng.choice(corner, item), size)
    mixed = np.where(rng.random(size) < 0.5, uniform, drawn)
    kind = rng.integers(4, size=item)
    return np.select([kind == 0, kind == 1, kind == 2], [uniform, drawn, constant], mixed)


def packet_lengths(rng: np.random.Generator, count: int, longest: int) -> list[int]:
    """Lengths in 1..longest, a third of them 1 and some of them `longest`."""
    lengths = rng.integers(1, longest, count, endpoint=True)
    lengths[rng.random(count) < 1 / 3] = 1
    lengths[rng.random(count) < 1 / 8] = longest
    return [int(length) for length in lengths]


def last_flags(lengths: Sequence[int]) -> npt.NDArray[np.bool_]:
    """TLAST of packets of these lengths, one after the other."""
    flags = np.zeros(sum(lengths), dtype=np.bool_)
    flags[np.cumsum(lengths) - 1] = True
    return flags
