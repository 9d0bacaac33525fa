"""`simd.dot` as arrays in and arrays out, for every engine: rows of `a` and `b` are vectors, `y` their dot products."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from hdl.simd.config import DotConfig
from sim.common.beats import Beats, data_of
from sim.common.stimulus import last_flags
from sim.common.vectors import Arrays, ArraySpec, check_arrays
from sim.simd import dot_model

INPUTS = {
    "a": ArraySpec("int8", "(n, length)", "first operand, one vector a row"),
    "b": ArraySpec("int8", "(n, length)", "second operand, one vector a row"),
}
OUTPUTS = {"y": ArraySpec("int32", "(n,)", "dot products of the rows, exact modulo 2^32")}

_EXTREMES = np.array([-128, -127, -1, 0, 1, 127], np.int8)


def check(config: DotConfig, arrays: Mapping[str, Any]) -> None:
    """Refuse arrays that are not `INPUTS`. Any n and length from 1 fit any config.

    Raises
    ------
    ValueError
        With one line that names array, expected and received.
    """
    check_arrays(INPUTS, arrays)


def model(config: DotConfig, arrays: Mapping[str, Any]) -> Arrays:
    """`OUTPUTS` by the golden model. Raises as `check`."""
    check(config, arrays)
    return {"y": dot_model.dot(config, arrays["a"], arrays["b"])}


def pack(config: DotConfig, arrays: Mapping[str, Any]) -> dict[str, Beats]:
    """Traffic of the streams `a` and `b`: a packet a row, zeros after the row's end up to a whole beat.

    Raises as `check`.
    """
    check(config, arrays)
    return {role: _packets(config, arrays[role]) for role in INPUTS}


def expected_beats(config: DotConfig, arrays: Mapping[str, Any]) -> dict[str, int]:
    """Beats the stream `y` gives: one a row."""
    return {"y": len(arrays["a"])}


def unpack(config: DotConfig, arrays: Mapping[str, Any], outputs: Mapping[str, Beats]) -> Arrays:
    """`OUTPUTS` out of the traffic of the stream `y`, little-endian words of 4 bytes. Raises as `data_of`."""
    data = data_of(outputs, "y", len(arrays["a"]), DotConfig.accumulator_bits // 8)
    return {"y": np.ascontiguousarray(data).view("<i4")[:, 0].astype(np.int32)}


def operations(config: DotConfig, arrays: Mapping[str, Any]) -> int:
    """Useful operations: a multiplication and an addition for each element of a row; padding does not count."""
    return 2 * int(arrays["a"].size)


def random_arrays(config: DotConfig, seed: int, items: int) -> Arrays:
    """`INPUTS` with n = `items` for the seed, extreme values among them.

    The length is drawn from 1 to 4 beats' worth, so that most seeds have a short last beat. Of every four rows two are
    uniform over int8, one holds extreme values only, and one is constant: -128 or 127 in either operand, in turn.

    Raises
    ------
    ValueError
        If `items` is below 1.
    """
    if items < 1:
        raise ValueError(f"items must be at least 1, not {items}")
    rng = np.random.default_rng(seed)
    shape = (items, int(rng.integers(1, 4 * config.lanes + 1)))
    a, b = (rng.integers(-128, 128, shape, np.int8) for _ in INPUTS)
    for operand in (a, b):
        operand[1::4] = rng.choice(_EXTREMES, operand[1::4].shape)
    a[3::4] = np.resize([-128, 127], len(a[3::4]))[:, None]
    b[3::4] = np.resize([-128, -128, 127, 127], len(b[3::4]))[:, None]
    return {"a": a, "b": b}


def _packets(config: DotConfig, rows: npt.NDArray[np.int8]) -> Beats:
    n, length = rows.shape
    beats = -(-length // config.lanes)
    data = np.zeros((n, beats * config.lanes), np.uint8)
    data[:, :length] = rows.view(np.uint8)
    return Beats(data.reshape(n * beats, config.lanes), last_flags([beats] * n))
