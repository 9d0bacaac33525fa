"""`pim.dispatch` as arrays in and arrays out, for every engine: tokens of experts, a layer a row."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from hdl.pim.dispatch_config import DispatchConfig
from sim.common.beats import Beats, data_of
from sim.common.stimulus import integers, last_flags
from sim.common.vectors import Arrays, ArraySpec, check_arrays
from sim.pim.dispatch_model import dispatch

LATENCY_BY_BENCH = True

INPUTS = {"tokens": ArraySpec("uint16", "(layers, experts)", "tokens that each expert of a layer is given")}
OUTPUTS = {
    "device": ArraySpec("uint8", "(layers, experts)", "where each is computed; 255: nowhere, as it has no tokens"),
    "time": ArraySpec("uint32", "(layers, experts)", "what it takes there, 1/256 cycles"),
}

RESULT_BYTES = 5


def check(config: DispatchConfig, arrays: Mapping[str, Any]) -> None:
    """Refuse arrays that are not `INPUTS`.

    Raises
    ------
    ValueError
        With one line that names array, expected and received.
    """
    check_arrays(INPUTS, arrays)


def model(config: DispatchConfig, arrays: Mapping[str, Any]) -> Arrays:
    """`OUTPUTS` by the golden model, with the table that the registers hold after reset. Raises as `check`."""
    check(config, arrays)
    device, time, _ = dispatch(config.table, arrays["tokens"])
    return {"device": device, "time": time}


def pack(config: DispatchConfig, arrays: Mapping[str, Any]) -> dict[str, Beats]:
    """Traffic of the stream `tokens`: a packet a layer. Raises as `check`."""
    check(config, arrays)
    layers, experts = arrays["tokens"].shape
    data = np.ascontiguousarray(arrays["tokens"].astype("<u2")).view(np.uint8).reshape(-1, 2)
    return {"tokens": Beats(data, last_flags([experts] * layers))}


def expected_beats(config: DispatchConfig, arrays: Mapping[str, Any]) -> dict[str, int]:
    """Beats the stream `y` gives: one an expert."""
    return {"y": arrays["tokens"].size}


def unpack(config: DispatchConfig, arrays: Mapping[str, Any], outputs: Mapping[str, Beats]) -> Arrays:
    """`OUTPUTS` out of the traffic of the stream `y`. Raises as `data_of`."""
    shape = arrays["tokens"].shape
    data = data_of(outputs, "y", arrays["tokens"].size, RESULT_BYTES)
    time = np.ascontiguousarray(data[:, 1:]).view("<u4")[:, 0].astype(np.uint32)
    return {"device": data[:, 0].copy().reshape(shape), "time": time.reshape(shape)}


def operations(config: DispatchConfig, arrays: Mapping[str, Any]) -> int:
    """Decisions: one an expert."""
    return int(arrays["tokens"].size)


def random_arrays(config: DispatchConfig, seed: int, items: int) -> Arrays:
    """`INPUTS` of `items` layers for the seed: few tokens, any number, none, and the most there are.

    Raises
    ------
    ValueError
        If `items` is below 1.
    """
    if items < 1:
        raise ValueError(f"items must be at least 1, not {items}")
    rng = np.random.default_rng(seed)
    shape = (items, int(rng.integers(1, 65)))
    few = rng.integers(0, 80, shape)
    return {"tokens": np.where(rng.random(shape) < 0.6, few, integers(rng, 16, shape, signed=False)).astype(np.uint16)}
