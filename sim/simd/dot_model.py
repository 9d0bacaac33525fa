"""Golden model of `simd.dot`: what its results and its status bits must be, without a clock.

Numerics: the exact sum of products modulo 2^32, as int32 (two's complement). Nothing is rounded or saturated.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hdl.simd.config import DotConfig


@dataclass(frozen=True)
class DotResult:
    """What the block says of each vector. The sticky bits of its status register are `any()` of the two flags.

    Attributes
    ----------
    y : int32, (n,)
        Dot products modulo 2^32.
    overflow : bool, (n,)
        The running sum left int32 at some beat: the 32-bit accumulator before the beat, plus the sum of the beat's
        products, is not an int32. Partial sums between the lanes of one beat do not count.
    length_mismatch : bool, (n,)
        The operands' packets had different numbers of beats; the shorter was taken as continued with zero beats.
    """

    y: npt.NDArray[np.int32]
    overflow: npt.NDArray[np.bool_]
    length_mismatch: npt.NDArray[np.bool_]


def dot(config: DotConfig, a: npt.NDArray[np.int8], b: npt.NDArray[np.int8]) -> npt.NDArray[np.int32]:
    """y[i] = sum over k of a[i, k] * b[i, k], modulo 2^32: int8 (n, length) twice -> int32 (n,).

    The result does not depend on the lanes of `config`; whether the overflow bit is set does: see `dot_packets`.

    Raises
    ------
    ValueError
        If an operand is not int8 with two axes, the shapes differ, or `length` is 0: a stream has no empty packet.
    """
    for name, rows in (("a", a), ("b", b)):
        if rows.dtype != np.int8 or rows.ndim != 2 or rows.shape[1] == 0:
            raise ValueError(f"{name} must be int8 (n, length) with length at least 1, not {rows.dtype} {rows.shape}")
    if a.shape != b.shape:
        raise ValueError(f"b must have the shape of a, {a.shape}, not {b.shape}")
    # Unsigned, because that is where C, and so numpy, defines arithmetic to be modulo 2^32; an int8 converts to it
    # modulo 2^32 too. einsum converts a buffer at a time: no copy of the operands four times their size is made.
    y: npt.NDArray[np.uint32] = np.einsum("nk,nk->n", a, b, dtype=np.uint32, casting="unsafe")
    return y.view(np.int32)


def dot_packets(
    config: DotConfig, a_packets: Sequence[npt.NDArray[np.int8]], b_packets: Sequence[npt.NDArray[np.int8]]
) -> DotResult:
    """Dot products of vectors as the streams carry them: packets of beats, of any and of unequal lengths.

    Parameters
    ----------
    a_packets, b_packets : sequences of int8 (beats, lanes)
        Packet i of either is vector i; `lanes` is the config's.

    Raises
    ------
    ValueError
        If the operands have different numbers of packets, or a packet is not int8 (beats, lanes) with beats at least 1.
    """
    if len(a_packets) != len(b_packets):
        raise ValueError(f"b must have as many packets as a, {len(a_packets)}, not {len(b_packets)}")
    a_beats = _beat_counts("a", config, a_packets)
    b_beats = _beat_counts("b", config, b_packets)
    # Beats that only one operand has meet zeros: they change neither sum nor overflow, so only common beats are summed.
    beats = np.minimum(a_beats, b_beats)
    none = np.empty((0, config.lanes), np.int8)  # so that no packets at all concatenate too
    a = np.concatenate([none, *(packet[:count] for packet, count in zip(a_packets, beats, strict=True))])
    b = np.concatenate([none, *(packet[:count] for packet, count in zip(b_packets, beats, strict=True))])

    beat_sums = dot(config, a, b).astype(np.int64)  # of at most 64 products: no wrap yet
    ends = np.cumsum(beats)
    starts = ends - beats
    running = np.cumsum(beat_sums)  # exact, over all packets,
    running -= np.repeat(running[starts] - beat_sums[starts], beats)  # and within each
    # Up to the beat where the exact sum first leaves int32 it is what the 32-bit accumulator holds, so it tells whether
    # that happens; what the wrapped accumulator does later can only set a flag that is set.
    overflow = np.logical_or.reduceat(running != _wrap(running), starts)
    return DotResult(_wrap(running[ends - 1]), overflow, a_beats != b_beats)


def _beat_counts(name: str, config: DotConfig, packets: Sequence[npt.NDArray[np.int8]]) -> npt.NDArray[np.int64]:
    for index, packet in enumerate(packets):
        if packet.dtype != np.int8 or packet.ndim != 2 or packet.shape[1] != config.lanes or len(packet) == 0:
            raise ValueError(
                f"packet {index} of {name} must be int8 (beats, {config.lanes}) with beats at least 1, "
                f"not {packet.dtype} {packet.shape}"
            )
    return np.array([len(packet) for packet in packets], np.int64)


def _wrap(exact: npt.NDArray[np.int64]) -> npt.NDArray[np.int32]:
    return exact.astype(np.uint32).view(np.int32)
