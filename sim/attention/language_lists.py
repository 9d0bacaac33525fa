"""The array's part of the language model as lists of jobs on a memory, whatever array does them.

Attention of a layer is one list: projections, of which those of keys and values go into the cache, attention over the
cache, and the projection of its outputs. The MLP is another, and the logits a third.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt

from hdl.attention.config import ArrayConfig
from hdl.attention.formats import FORMATS
from hdl.attention.job_words import OUTPUT_BITS, pack_job
from sim.attention.array_model import Array
from sim.attention.kv_formats import Bytes, pack_bits
from sim.attention.language import CONTEXT, HEADS, LAYERS, WIDTH
from sim.attention.language_model import Int8s, Int16s, Quantised, matrix_names
from sim.common.errors import HarnessError

HEAD = WIDTH // HEADS
LIST_BYTES = 8192
FAILURES = ("bus_error", "bad_job", "outside")
Job = dict[str, int]


class Device(Protocol):
    """An array with its memory."""

    def run(self, memory: Bytes, address: int, length: int) -> None:
        """Do the list of `length` jobs at `address`, and change `memory` in place.

        Raises
        ------
        HarnessError
            If the array refuses a job.
        """


class ModelDevice:
    """The golden model of the array."""

    def __init__(self, config: ArrayConfig):
        self._config = config

    def run(self, memory: Bytes, address: int, length: int) -> None:
        """As `Device` has it."""
        status = Array(self._config, memory).run(address, length)
        if wrong := [name for name in FAILURES if name in status]:
            raise HarnessError(f"the block says {wrong[0]} of a job that is right")


def check(config: ArrayConfig, weights: Quantised) -> None:
    """Refuse an array that cannot do the model's layers.

    Raises
    ------
    ValueError
        With what is missing.
    """
    if not config.linear:
        raise ValueError("the language model needs an array with linear layers (linear: true)")
    needed = {f"int{matrix.bits}" for matrix in weights.matrices.values()} | {f"int{weights.kv_bits}"}
    if missing := sorted(needed - set(config.built_formats)):
        raise ValueError(f"the language model needs an array with the formats {', '.join(missing)}")
    if HEAD % config.lanes or not 2 * config.lanes <= HEAD <= config.dim or WIDTH % config.dim:
        raise ValueError(
            f"the language model needs lanes that divide {HEAD}, at most {HEAD // 2}, and dim in {HEAD}, {WIDTH}; "
            f"not {config.lanes} lanes and dim = {config.dim}"
        )
    if config.rows * (config.subtiles // (4 * WIDTH // config.dim)) < 1 or config.lanes * 4 % config.bus_bits:
        raise ValueError(
            f"the language model needs subtiles of {4 * WIDTH // config.dim} or more and bus_bits of at most "
            f"{4 * config.lanes}, not {config.subtiles} and {config.bus_bits}"
        )


class ListLayers:
    """`sim.attention.language_model.Layers` by lists of jobs.

    Parameters
    ----------
    config : ArrayConfig
    weights : Quantised
    device : Device

    Raises
    ------
    ValueError
        As `check` does.
    """

    def __init__(self, config: ArrayConfig, weights: Quantised, device: Device):
        check(config, weights)
        self._config, self._weights, self._device = config, weights, device
        self._end = LIST_BYTES
        packed = {
            name: pack_bits(weights.matrices[name].integers, weights.matrices[name].bits) for name in matrix_names()
        }
        self._places = {name: self._room(rows.size) for name, rows in packed.items()}
        self._cache_stride = WIDTH * weights.kv_bits // 8
        self._caches = [[self._room(CONTEXT * self._cache_stride) for _ in "kv"] for _ in range(LAYERS)]
        self._x, self._q, self._o = (self._room(CONTEXT * WIDTH) for _ in range(3))
        self._hidden = self._room(CONTEXT * 4 * WIDTH)
        self._y = self._room(CONTEXT * 2 * max(len(matrix.integers) for matrix in weights.matrices.values()))
        self.memory: Bytes = np.zeros(self._end, np.uint8)
        for name, rows in packed.items():
            self._put(self._places[name], rows)

    def attend(self, layer: int, x: Int8s, start: int) -> Int16s:
        """One list: rows of keys and values are appended at `start`."""
        keys, values = self._caches[layer]
        written = start * self._cache_stride
        self._put(self._x, x.view(np.uint8))
        jobs = self._linear(f"{layer}.q", len(x), self._x, self._q)
        jobs += self._linear(f"{layer}.k", len(x), self._x, keys + written)
        jobs += self._linear(f"{layer}.v", len(x), self._x, values + written)
        jobs += self._attention(layer, len(x), start)
        jobs += self._linear(f"{layer}.out", len(x), self._o, self._y, after=True)
        return self._done(jobs, len(x), WIDTH)

    def feed(self, layer: int, x: Int8s) -> Int16s:
        """One list."""
        self._put(self._x, x.view(np.uint8))
        jobs = self._linear(f"{layer}.up", len(x), self._x, self._hidden)
        jobs += self._linear(f"{layer}.down", len(x), self._hidden, self._y, after=True)
        return self._done(jobs, len(x), WIDTH)

    def head(self, x: Int8s) -> Int16s:
        """One list."""
        self._put(self._x, x.view(np.uint8))
        return self._done(self._linear("head", len(x), self._x, self._y), len(x), self._outputs("head"))

    def _linear(self, name: str, rows: int, source: int, target: int, *, after: bool = False) -> list[Job]:
        """Jobs of a linear layer, of as many rows as the array takes; the first one waits for what was before."""
        matrix = self._weights.matrices[name]
        outputs, inputs = matrix.integers.shape
        lanes, stride = self._config.lanes, outputs * matrix.output_bits // 8
        most = self._config.rows * (self._config.subtiles // max(1, inputs // self._config.dim))
        return [
            dict.fromkeys(("v_address", "v_stride", "fraction", "step", "key", "sink", "lo", "hi"), 0)
            | {"rows": min(most, rows - first), "chunks": inputs // lanes, "tiles": outputs // lanes}
            | {"first": 1, "last": 1, "linear": 1, "after": int(after and first == 0), "relu": int(matrix.relu)}
            | {"k_format": FORMATS[f"int{matrix.bits}"].code, "o_format": OUTPUT_BITS.index(matrix.output_bits)}
            | {"a": matrix.scale.multiplier, "h": matrix.scale.shift, "keys": outputs}
            | {"q_address": source + first * inputs, "q_stride": inputs}
            | {"k_address": self._places[name], "k_stride": inputs * matrix.bits // 8}
            | {"o_address": target + first * stride, "o_stride": stride}
            for first in range(0, rows, most)
        ]

    def _attention(self, layer: int, rows: int, start: int) -> list[Job]:
        """Jobs of causal attention of tokens from `start` on, head by head; the first one waits for the projections."""
        config, scale = self._config, self._weights.logits[layer]
        most, code = config.rows * config.subtiles, FORMATS[f"int{self._weights.kv_bits}"].code
        jobs: list[Job] = []
        for head in range(HEADS):
            channel = head * HEAD
            at = channel * self._weights.kv_bits // 8
            keys, values = (cache + at for cache in self._caches[layer])
            for first in range(0, rows, most):
                count, token = min(most, rows - first), start + first
                place = first * WIDTH + channel
                jobs.append(
                    {"rows": count, "chunks": HEAD // config.lanes, "tiles": -(-(token + count) // config.lanes)}
                    | {"first": 1, "last": 1, "after": int(not jobs), "k_format": code, "v_format": code}
                    | {"o_format": OUTPUT_BITS.index(8), "fraction": self._weights.fraction_bits}
                    | {"a": scale.multiplier, "h": scale.shift, "key": 0, "keys": token + count, "sink": 0}
                    | {"lo": 1 - count, "hi": token, "step": 1}
                    | {"q_address": self._q + place, "q_stride": WIDTH, "o_address": self._o + place, "o_stride": WIDTH}
                    | {"k_address": keys, "k_stride": self._cache_stride}
                    | {"v_address": values, "v_stride": self._cache_stride}
                )
        return jobs

    def _done(self, jobs: list[Job], rows: int, outputs: int) -> Int16s:
        """What a list leaves at the outputs' place."""
        listed = b"".join(pack_job(job) for job in jobs)
        assert len(listed) <= LIST_BYTES
        self._put(0, np.frombuffer(listed, np.uint8))
        self._device.run(self.memory, 0, len(jobs))
        return self.memory[self._y : self._y + 2 * rows * outputs].view("<i2").reshape(rows, outputs).astype(np.int16)

    def _outputs(self, name: str) -> int:
        return len(self._weights.matrices[name].integers)

    def _room(self, count: int) -> int:
        """The address of so many bytes that nothing else has, on a boundary of the widest memory word."""
        place = self._end
        self._end += -(-count // 64) * 64
        return place

    def _put(self, address: int, content: npt.NDArray[np.uint8]) -> None:
        self.memory[address : address + content.size] = content.ravel()
