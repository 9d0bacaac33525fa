"""`pim.system` as arrays in and arrays out: one program for both units, what it loads from the host, and what it stores
to the host. All memories begin as zeros."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from typing import Any

import numpy as np

from hdl.pim.system_config import SystemConfig, SystemInstruction, decode_system_program, encode_system_program
from hdl.pim.vector_config import LINK, LOADS, STORES, VectorInstruction, VectorOp
from sim.common.beats import Beats, data_of
from sim.common.vectors import Arrays, ArraySpec, check_arrays
from sim.pim import channel_vectors, vector_vectors
from sim.pim.system_model import System
from sim.pim.system_programs import random_system_program
from sim.pim.vector_model import beats_of

LATENCY_BY_BENCH = True
MOST_ITEMS = 200
"""Of a random program, each a transfer, a product or an operation."""

INPUTS = {
    "program": ArraySpec("uint64", "(n,)", "words: instructions of both units; the last is END of the vector unit"),
    "data": ArraySpec("uint16", "(loads, lanes)", "beats of the loads from the host, in the program's order"),
}
OUTPUTS = {"q": ArraySpec("uint16", "(stores, lanes)", "beats of the stores to the host")}


def check(config: SystemConfig, arrays: Mapping[str, Any]) -> None:
    """Refuse arrays that are not `INPUTS`, or not what the program takes; beats that it does not take are (0, lanes).

    Raises
    ------
    ValueError
        With one line that names array, expected and received.
    """
    check_arrays({"program": INPUTS["program"]}, {name: one for name, one in arrays.items() if name != "data"})
    program = decode_system_program(arrays["program"])
    last = program[-1]
    if not isinstance(last, VectorInstruction) or last.op != VectorOp.END:
        raise ValueError("program must end in END of the vector unit")
    wanted, data = (_host_beats(config, program, LOADS), config.vector.lanes), arrays.get("data")
    if not isinstance(data, np.ndarray) or data.dtype != np.uint16 or data.shape != wanted:
        received = f"{data.dtype} {data.shape}" if isinstance(data, np.ndarray) else "none"
        raise ValueError(f"data must be uint16 {wanted} for this program, not {received}")


def model(config: SystemConfig, arrays: Mapping[str, Any]) -> Arrays:
    """`OUTPUTS` by the golden model. Raises as `check`, and `Stuck`."""
    check(config, arrays)
    run = System(config).run(decode_system_program(arrays["program"]), arrays["data"])
    return {"q": np.array(run.beats, np.uint16).reshape(-1, config.vector.lanes)}


def pack(config: SystemConfig, arrays: Mapping[str, Any]) -> dict[str, Beats]:
    """Traffic of the streams `program` and `data`. Raises as `check`."""
    check(config, arrays)
    words = np.ascontiguousarray(arrays["program"].astype("<u8")).view(np.uint8).reshape(-1, 8)
    data = np.ascontiguousarray(arrays["data"].astype("<u2")).view(np.uint8).reshape(-1, 2 * config.vector.lanes)
    return {"program": Beats(words), "data": Beats(data)}


def expected_beats(config: SystemConfig, arrays: Mapping[str, Any]) -> dict[str, int]:
    """Beats the stream `q` gives."""
    return {"q": _host_beats(config, decode_system_program(arrays["program"]), STORES)}


def unpack(config: SystemConfig, arrays: Mapping[str, Any], outputs: Mapping[str, Beats]) -> Arrays:
    """`OUTPUTS` out of the traffic of the stream `q`. Raises as `data_of`."""
    lanes = config.vector.lanes
    data = data_of(outputs, "q", expected_beats(config, arrays)["q"], 2 * lanes)
    return {"q": np.ascontiguousarray(data).view("<u2").astype(np.uint16).reshape(-1, lanes)}


def operations(config: SystemConfig, arrays: Mapping[str, Any]) -> int:
    """Useful operations: those of the channel's multipliers and of the vector unit."""
    program = decode_system_program(arrays["program"])
    of_vector = [one for one in program if isinstance(one, VectorInstruction)]
    of_channel = [one for one in program if not isinstance(one, VectorInstruction)]
    words = {"program": np.array([one.encode() for one in of_vector], np.uint64)}
    made = vector_vectors.operations(config.vector, words)
    words = {"program": np.array([one.encode() for one in of_channel], np.uint64)}
    return made + channel_vectors.operations(config.channel, words)


def random_arrays(config: SystemConfig, seed: int, items: int) -> Arrays:
    """A program of `items` random parts for the seed, between one that sets all memory that it uses and a store of the
    SRAM; a few instructions are illegal, and edges of fp32 are among the data.

    Raises
    ------
    ValueError
        If `items` is below 1.
    """
    if items < 1:
        raise ValueError(f"items must be at least 1, not {items}")
    program = random_system_program(Random(seed), config, items)
    shape = _host_beats(config, program, LOADS), config.vector.lanes
    rng = np.random.default_rng(seed)
    return {"program": encode_system_program(program), "data": vector_vectors.random_data(rng, shape)}


def _host_beats(config: SystemConfig, program: list[SystemInstruction], ops: frozenset[VectorOp]) -> int:
    host = [one for one in program if isinstance(one, VectorInstruction) and not one.flags & LINK]
    return sum(beats_of(config.vector, one) for one in host if one.op in ops)
