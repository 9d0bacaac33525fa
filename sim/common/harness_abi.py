"""The bulk harness's C++ side, as ctypes sees it: the structures that harness.cpp mirrors, and how they are filled."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from sim.common.beats import Beats
from sim.common.design_ports import Stream
from sim.common.verilate import Signature

NEVER = 2**64 - 1
DONE, LIMIT, HANG, WAITS, SURPLUS, DROPPED, CHANGED, FATAL = range(8)
"""What `harness_run` returns."""

MEAN_STALL_CYCLES = 3.0
"""Of the lengths that harness.cpp draws."""


@dataclass(frozen=True)
class Memory:
    """The memory behind a design's AXI4 port. Accesses outside of it are answered with SLVERR.

    Attributes
    ----------
    image : uint8 (bytes,)
        What it holds; the design changes it in place.
    base : int
        Byte address of its first byte.
    latency_cycles : int
        From a request to the first beat of its answer, at least.
    stall : float in [0, 1)
        Share of cycles in which each channel stands still.
    bandwidth : float in (0, 2]
        Beats that reads and writes together may move in a cycle.
    seed : int
        Of the stalls.
    """

    image: npt.NDArray[np.uint8]
    base: int = 0
    latency_cycles: int = 4
    stall: float = 0.0
    bandwidth: float = 2.0
    seed: int = 0


@dataclass(frozen=True)
class MemoryTraffic:
    """Beats that a memory moved since it was attached; `refused` lay outside of it."""

    read_beats: int
    written_beats: int
    refused_beats: int


class StreamState(ctypes.Structure):
    """One stream of a run: its beats, how many were given or taken, its stalls, and packets to take if they count."""

    _fields_ = [
        ("data", ctypes.c_void_p),
        ("last", ctypes.c_void_p),
        ("stamps", ctypes.c_void_p),
        *((name, ctypes.c_uint64) for name in ("beats", "packets", "done", "stall", "random")),
    ]


class Job(ctypes.Structure):
    """One run: its limits, and what came of it."""

    _fields_ = [
        *((name, ctypes.c_uint64) for name in ("max_cycles", "max_idle_cycles", "drain_cycles")),
        *((name, ctypes.c_uint64) for name in ("cycles", "first_input", "last_output")),
        ("stream", ctypes.c_int32),
    ]


class MemoryState(ctypes.Structure):
    """The memory behind the design's AXI4 port; see `sim.common.harness.Memory`."""

    _fields_ = [
        ("data", ctypes.c_void_p),
        *((name, ctypes.c_uint64) for name in ("base", "bytes", "latency_cycles", "stall", "bandwidth", "random")),
        *((name, ctypes.c_uint64) for name in ("read_beats", "written_beats", "refused_beats")),
    ]


FUNCTIONS: dict[str, Signature] = {
    "harness_ports": (ctypes.c_char_p, []),
    "harness_new": (ctypes.c_void_p, []),
    "harness_delete": (None, [ctypes.c_void_p]),
    "harness_error": (ctypes.c_char_p, [ctypes.c_void_p]),
    "harness_run": (ctypes.c_int, [ctypes.c_void_p] * 3),
    "harness_reset": (ctypes.c_int, [ctypes.c_void_p, ctypes.c_uint64, ctypes.c_void_p]),
    "harness_step": (ctypes.c_int, [ctypes.c_void_p, ctypes.c_uint64]),
    "harness_record": (ctypes.c_int, [ctypes.c_void_p, ctypes.c_char_p]),
    "harness_memory": (None, [ctypes.c_void_p] * 2),
    "harness_wait": (ctypes.c_int, [ctypes.c_void_p, ctypes.c_int32, ctypes.c_uint64, ctypes.c_void_p]),
    "harness_read": (None, [ctypes.c_void_p, ctypes.c_int32, ctypes.c_void_p]),
    "harness_write": (None, [ctypes.c_void_p, ctypes.c_int32, ctypes.c_char_p]),
}


def stall_chance(stream: Stream, stall: float | Mapping[str, float]) -> int:
    """Probability, times 2^32, that a stall begins, of which the wanted share of stalled cycles follows."""
    share = stall.get(stream.role, 0.0) if isinstance(stall, Mapping) else stall
    if not 0 <= share < 1:
        raise ValueError(f"a stall share must be at least 0 and below 1, not {share}")
    return int(2**32 * share / (MEAN_STALL_CYCLES * (1 - share) + share))


def no_beats(stream: Stream, beats: int) -> Beats:
    """Room for the beats of a stream."""
    last = np.zeros(beats, dtype=np.bool_) if stream.has_last else None
    return Beats(np.zeros((beats, stream.bytes), dtype=np.uint8), last)


def stream_states(
    beats: Sequence[Beats], chance: Sequence[int], seed: int, timestamps: bool
) -> tuple[Any, list[npt.NDArray[np.uint64]]]:
    """The streams of a run, each with a generator of its own, and the arrays that receive the cycles of their beats."""
    states = np.random.SeedSequence(seed).generate_state(max(len(beats), 1), np.uint64)
    stamps = [np.zeros(len(each) if timestamps else 0, dtype=np.uint64) for each in beats]
    streams = (StreamState * len(beats))()
    for stream, each, share, state, cycles in zip(streams, beats, chance, states, stamps, strict=True):
        stream.data = each.data.ctypes.data
        stream.last = each.last.ctypes.data if each.last is not None else None
        stream.stamps = cycles.ctypes.data if timestamps else None
        stream.beats, stream.stall, stream.random = len(each), share, int(state)
    return streams, stamps
