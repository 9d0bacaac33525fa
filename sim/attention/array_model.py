"""Golden model of `attention.array`: does a list of jobs on an image of the memory, bit for bit, without a clock.

Descriptors, memory and status bits: "The block" in hdl/attention/README.md. Where a job reaches beyond the window only
the status, and that nothing there changes, are the block's own: it gives up whole bursts, this model bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from hdl.attention.config import ArrayConfig
from hdl.attention.job_words import OUTPUT_BITS
from sim.attention import attention_model as golden
from sim.attention.attention_model import Numerics, Rows, add_tile
from sim.attention.descriptors import keys_read, operand_bytes, parts, possible, tile_keys, unpack_job
from sim.attention.kv_formats import BY_CODE, Bytes, pack_bits, read_rows
from sim.attention.kv_model import aligned_keys, aligned_values
from sim.attention.linear_model import linear
from sim.attention.masks import Bools, Ints, Spans
from sim.attention.problem import DESCRIPTOR_BYTES
from sim.attention.sparse_weights import read_sparse

ROW_STATUS = {
    golden.LOGIT_SATURATED: "logit_saturated",
    golden.SCALE_UNDERFLOW: "scale_underflow",
    golden.EMPTY_ROW: "empty_row",
    golden.OUTPUT_SATURATED: "output_saturated",
}


def numerics(config: ArrayConfig) -> Numerics:
    """The widths of what is built."""
    return Numerics(config.lanes, config.p_bits, config.guard_bits, config.streamed_bits, config.wide)


@dataclass
class Array:
    """The block with its rows' state, which stays between jobs.

    Parameters
    ----------
    config : ArrayConfig
    memory : uint8 (bytes,)
        Changed in place; its first byte has the address 0.
    window : int
        Bytes that jobs may reach, whole memory words; all of the memory if None.
    """

    config: ArrayConfig
    memory: Bytes
    window: int | None = None

    def __post_init__(self) -> None:
        self._state = Rows(numerics(self.config), 0, 0)
        self._status: set[str] = set()

    def run(self, address: int, length: int) -> set[str]:
        """Do the jobs of a list, and say which status bits are set by them.

        Parameters
        ----------
        address : int
            Of the first descriptor, in bytes.
        length : int
            Jobs.
        """
        self._status = {"done"}
        for place in range(length):
            start = address + place * DESCRIPTOR_BYTES
            job = unpack_job(self._read(start, 0, 1, DESCRIPTOR_BYTES).tobytes())
            if job is None or not possible(self.config, job):
                self._status.add("bad_job")
            elif job["linear"]:
                self._do_linear(job)
            else:
                self._do(job)
        return self._status

    def _do(self, job: Mapping[str, int]) -> None:
        lanes, count = self.config.lanes, job["rows"]
        dim, keys, size = job["chunks"] * lanes, keys_read(self.config, job), tile_keys(self.config, job)
        if job["first"] or (self._state.count, self._state.dim) != (count, dim):
            self._state = Rows(numerics(self.config), count, dim)
        if job["a"] == 0:
            self._status.add("scale_underflow")
        q = self._read(job["q_address"], job["q_stride"], count, dim).view(np.int8)
        formats = [BY_CODE[job[f"{name}_format"]] for name in "kv"]
        k_elements, v_elements = (
            read_rows(fmt, self._operand(job, name), dim, self.config.bus_bytes)
            for fmt, name in zip(formats, "kv", strict=True)
        )
        k, k_clipped = aligned_keys(formats[0], k_elements, job["k_exponent"], lanes)
        v, v_clipped = aligned_values(formats[1], v_elements, job["v_exponent"])
        if k_clipped or v_clipped:
            self._status.add("exponent_clipped")
        rows = np.arange(count) * job["step"]
        spans = Spans(job["lo"] + rows, job["hi"] + rows, job["sink"], job["keys"])
        multipliers, shifts = np.full(count, job["a"]), np.full(count, job["h"])
        for start in range(0, keys, size):
            tile = slice(start, min(keys, start + size))
            valid = spans.valid(job["key"] + tile.start, job["key"] + tile.stop)
            add_tile(self._state, q, k[tile], v[tile], multipliers, shifts, valid)
        if job["last"]:
            bits = OUTPUT_BITS[job["o_format"]]
            result = self._state.finish(job["fraction"], bits)
            self._write(job["o_address"], job["o_stride"], pack_bits(result.o, bits))
        flags = int(np.bitwise_or.reduce(self._state.status))
        self._status |= {name for flag, name in ROW_STATUS.items() if flags & flag}

    def _do_linear(self, job: Mapping[str, int]) -> None:
        inputs, fmt, word_bytes = job["chunks"] * self.config.lanes, BY_CODE[job["k_format"]], self.config.bus_bytes
        x = self._read(job["q_address"], job["q_stride"], job["rows"], inputs).view(np.int8)
        rows = self._weight_rows(job)
        if job["sparse"]:
            weights = read_sparse(fmt, rows, min(inputs, self.config.dim), word_bytes)
        else:
            weights = read_rows(fmt, rows, inputs, word_bytes).integers
        bits = OUTPUT_BITS[job["o_format"]]
        y, clipped = linear(x, weights, job["a"], job["h"], bits=bits, relu=bool(job["relu"]))
        self._write(job["o_address"], job["o_stride"], pack_bits(y, bits))
        if job["a"] == 0:
            self._status.add("scale_underflow")
        if clipped.any():
            self._status.add("output_saturated")

    def _weight_rows(self, job: Mapping[str, int]) -> Bytes:
        """Rows of weights, whose parts follow one another, or were `v_stride` apart."""
        if not job["v_stride"]:
            return self._operand(job, "k")
        count, outputs = parts(self.config, job), keys_read(self.config, job)
        size = operand_bytes(self.config, job, "k") // count
        starts = [job["k_address"] + part * job["v_stride"] for part in range(count)]
        return np.hstack([self._read(start, job["k_stride"], outputs, size) for start in starts])

    def _operand(self, job: Mapping[str, int], name: str) -> Bytes:
        """The rows of keys or weights (`k`), or values (`v`), as they lie in memory."""
        rows, size = keys_read(self.config, job), operand_bytes(self.config, job, name)
        return self._read(job[f"{name}_address"], job[f"{name}_stride"], rows, size)

    def _places(self, address: int, stride: int, shape: tuple[int, int]) -> tuple[Ints, Bools]:
        """Byte addresses of rows, and which of them the window holds."""
        places = address + np.arange(shape[0], dtype=np.int64)[:, None] * stride + np.arange(shape[1])
        window = len(self.memory) if self.window is None else min(self.window, len(self.memory))
        inside = places < window
        if not inside.all():
            self._status.add("outside")
        return places, inside

    def _read(self, address: int, stride: int, rows: int, row_bytes: int) -> Bytes:
        places, inside = self._places(address, stride, (rows, row_bytes))
        return np.where(inside, self.memory[np.where(inside, places, 0)], 0).astype(np.uint8)

    def _write(self, address: int, stride: int, rows: Bytes) -> None:
        places, inside = self._places(address, stride, rows.shape)
        self.memory[places[inside]] = rows[inside]
