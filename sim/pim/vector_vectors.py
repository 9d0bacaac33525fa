"""`pim.vector` as arrays in and arrays out: a program, what it loads, and what it stores. The SRAM begins as zeros."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from hdl.pim.vector_config import (
    LAST,
    LOADS,
    PAIR_OPS,
    STORES,
    VectorConfig,
    VectorInstruction,
    VectorOp,
    decode_vector_program,
    encode_vector_program,
)
from sim.common.beats import Beats, data_of
from sim.common.vectors import Arrays, ArraySpec, check_arrays
from sim.pim.vector_model import VectorUnit, beats_of, illegal

LATENCY_BY_BENCH = True
"""A random item is a program that fills the memory first."""

INPUTS = {
    "program": ArraySpec("uint64", "(n,)", "instructions; the last one is END"),
    "data": ArraySpec("uint16", "(loads, lanes)", "beats of the loads, in the program's order"),
}
OUTPUTS = {"q": ArraySpec("uint16", "(stores, lanes)", "beats of the stores")}

_EDGES = np.array([0, 0x8000, 0x80, 0x7F, 0x3F00, 0xBFC0, 0x4020, 0xC060, 0x7F7F, 0x7F80, 0xFF80, 0x7FC0], np.uint16)
"""bf16: zeros, the least normal number and one below, ties of ROUND, the greatest, infinities and NaN."""


def check(config: VectorConfig, arrays: Mapping[str, Any]) -> None:
    """Refuse arrays that are not `INPUTS`, or not what the program takes; beats that it does not take are (0, lanes).

    Raises
    ------
    ValueError
        With one line that names array, expected and received.
    """
    check_arrays(INPUTS, arrays, may_be_empty=True)
    program = decode_vector_program(arrays["program"])
    if not program or program[-1].op != VectorOp.END:
        raise ValueError("program must end in END")
    wanted = (_beats(config, program, LOADS), config.lanes)
    if arrays["data"].shape != wanted:
        raise ValueError(f"data must be {wanted} for this program, not {arrays['data'].shape}")


def model(config: VectorConfig, arrays: Mapping[str, Any]) -> Arrays:
    """`OUTPUTS` by the golden model. Raises as `check`."""
    check(config, arrays)
    run = VectorUnit(config).run(decode_vector_program(arrays["program"]), arrays["data"])
    return {"q": np.array(run.beats, np.uint16).reshape(-1, config.lanes)}


def pack(config: VectorConfig, arrays: Mapping[str, Any]) -> dict[str, Beats]:
    """Traffic of the streams `program` and `data`. Raises as `check`."""
    check(config, arrays)
    words = np.ascontiguousarray(arrays["program"].astype("<u8")).view(np.uint8).reshape(-1, 8)
    data = np.ascontiguousarray(arrays["data"].astype("<u2")).view(np.uint8).reshape(-1, 2 * config.lanes)
    return {"program": Beats(words), "data": Beats(data)}


def expected_beats(config: VectorConfig, arrays: Mapping[str, Any]) -> dict[str, int]:
    """Beats the stream `q` gives."""
    return {"q": _beats(config, decode_vector_program(arrays["program"]), STORES)}


def unpack(config: VectorConfig, arrays: Mapping[str, Any], outputs: Mapping[str, Beats]) -> Arrays:
    """`OUTPUTS` out of the traffic of the stream `q`. Raises as `data_of`."""
    data = data_of(outputs, "q", expected_beats(config, arrays)["q"], 2 * config.lanes)
    return {"q": np.ascontiguousarray(data).view("<u2").astype(np.uint16).reshape(-1, config.lanes)}


def operations(config: VectorConfig, arrays: Mapping[str, Any]) -> int:
    """Useful operations: one for each element of what computes."""
    moves = LOADS | STORES | {VectorOp.COPY, VectorOp.END}
    program = decode_vector_program(arrays["program"])
    return sum(one.n for one in program if one.op not in moves and illegal(config, one) is None)


def random_arrays(config: VectorConfig, seed: int, items: int) -> Arrays:
    """A program of `items` random instructions for the seed, after loads and before a store of the whole SRAM.

    All ops and flags, scalars and vectors of any length, edges of fp32 among the data, and a few illegal ones.

    Raises
    ------
    ValueError
        If `items` is below 1.
    """
    if items < 1:
        raise ValueError(f"items must be at least 1, not {items}")
    rng = np.random.default_rng(seed)
    used = min(config.words, 256 * config.lanes)  # small enough for results to meet
    chunk = min(used, 512)
    whole = [(start, chunk) for start in range(0, used, chunk)]
    kinds = (VectorOp.LOAD32, VectorOp.LOAD)
    program = [VectorInstruction(kinds[place % 2], d=start, n=n) for place, (start, n) in enumerate(whole)]
    program += [random_instruction(rng, config, used) for _ in range(items)]
    program += [VectorInstruction(VectorOp.STORE32, a=start, n=n, flags=LAST) for start, n in whole]
    program.append(VectorInstruction(VectorOp.END))
    data = random_data(rng, (_beats(config, program, LOADS), config.lanes))
    return {"program": encode_vector_program(program), "data": data}


def random_data(rng: np.random.Generator, shape: tuple[int, int]) -> npt.NDArray[np.uint16]:
    """Beats to load: numbers near 1 for the most part, codes of all kinds, edges of bf16."""
    data = rng.integers(0, 1 << 16, shape, np.uint16)
    usual = rng.random(data.shape) < 0.6  # as high halves and as bf16: numbers near 1
    data = np.where(usual, (data & 0x81FF) | 0x3E00, data)
    edge = rng.random(data.shape) < 0.2
    return np.where(edge, rng.choice(_EDGES, data.shape), data).astype(np.uint16)


def random_instruction(rng: np.random.Generator, config: VectorConfig, used: int) -> VectorInstruction:
    """An instruction of any op within the first `used` words, a few of them illegal."""
    op = int(rng.integers(0, max(VectorOp) + 1)) if rng.random() < 0.98 else int(rng.integers(17, 64))
    n = int(rng.integers(1, min(used, 96))) if rng.random() < 0.9 else int(rng.integers(1, min(used, 1024) + 1))
    rows = max(1, (used - n) // config.lanes + 1)
    places = [int(rng.integers(rows)) * config.lanes for _ in range(3)]
    flags = int(rng.integers(0, 8))
    d, a, b = places
    if op in PAIR_OPS and rng.random() < 0.3:
        a = d
    if flags & 1:
        b = int(rng.integers(used))
    if flags & 2:
        a = int(rng.integers(used))
    if op in (VectorOp.SUM, VectorOp.MAXIMUM):
        d = int(rng.integers(used))
    if rng.random() < 0.03:
        d = int(rng.integers(1 << 14))
    if rng.random() < 0.03:
        d = int(rng.integers(used))
    return VectorInstruction(op, d, a, b, n, flags)


def _beats(config: VectorConfig, program: list[VectorInstruction], ops: frozenset[VectorOp]) -> int:
    return sum(beats_of(config, one) for one in program if one.op in ops)
