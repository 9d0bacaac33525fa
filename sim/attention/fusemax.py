"""FuseMax's published latency and traffic model, anew from its formulas (arXiv 2406.10491, artifact f543beb).

An array of 256 by 256 elements and a row of 256 more, words of 16 bits, a buffer of 16 MiB. Cycles are those of a tile
of 256 queries by 256 keys; d is the dimension of a head. Its "utilisation" of the array counts the slots of maxima and
exponentials as useful; `useful_utilisation` counts multiplications alone.
"""

from __future__ import annotations

from collections.abc import Callable

SIDE = 256
BUFFER_WORDS = (16 << 20) // 2


def binding_cycles(n: int, d: int) -> float:
    """The whole of FuseMax: one pass, its tiles interleaved on both arrays."""
    return max(d + 1, 1 + d + d * SIDE / n) + 1 + 8 + d


def architecture_cycles(_n: int, d: int) -> float:
    """Its arrays without interleaving."""
    return d + 1 + SIDE + 1 + 8 + 2 * d


def cascade_cycles(n: int, d: int) -> float:
    """Its order of operations alone, on FLAT's arrays."""
    return 4 * SIDE + 2 * d + 5 + d * SIDE / n


def flat_cycles(_n: int, _d: int) -> float:
    """FLAT, where memory does not bound it: below 256 K keys."""
    return 4 * SIDE


CYCLES: dict[str, Callable[[int, int], float]] = {
    "fusemax": binding_cycles,
    "fusemax_architecture": architecture_cycles,
    "fusemax_cascade": cascade_cycles,
    "flat": flat_cycles,
}


def utilisation(n: int, d: int) -> float:
    """Share of cycles in which FuseMax's array does anything, as the paper plots it."""
    return (2 * d + 9) / binding_cycles(n, d)


def useful_utilisation(n: int, d: int, model: str = "fusemax") -> float:
    """Share of cycles in which the array multiplies for QK or PV; `model` is a name in `CYCLES`."""
    return 2 * d / CYCLES[model](n, d)


def chunk(n: int, d: int) -> int:
    """Queries whose Q and O stay in the buffer beside a tile of K and of V: the largest divisor of n that fits."""
    most = (BUFFER_WORDS - 2 * SIDE * d) // (2 * d)
    return max(each for each in range(1, min(n, most) + 1) if n % each == 0)


def words(n: int, d: int) -> int:
    """Traffic of a head: Q and O once, K and V once for each chunk of queries."""
    return 2 * n * d + 2 * n * d * -(-n // chunk(n, d))
