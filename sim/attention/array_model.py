"""Golden model of `attention.array`: does a list of jobs on an image of the memory, bit for bit, without a clock.

Descriptors, memory and status bits: "The block" in hdl/attention/README.md. Where a job reaches beyond the window only
the status, and that nothing there changes, are the block's own: it gives up whole bursts, this model bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hdl.attention.config import ArrayConfig
from hdl.attention.job_words import FIELDS, reserved_masks
from sim.attention import attention_model as golden
from sim.attention.attention_model import Numerics, Rows, add_tile
from sim.attention.masks import Bools, Ints, Spans

Bytes = npt.NDArray[np.uint8]
DESCRIPTOR_BYTES = 64
ADDRESSES = ("q_address", "q_stride", "k_address", "k_stride", "v_address", "v_stride", "o_address", "o_stride")

ROW_STATUS = {
    golden.LOGIT_SATURATED: "logit_saturated",
    golden.SCALE_UNDERFLOW: "scale_underflow",
    golden.EMPTY_ROW: "empty_row",
    golden.OUTPUT_SATURATED: "output_saturated",
}


def numerics(config: ArrayConfig) -> Numerics:
    """The widths of what is built."""
    return Numerics(config.lanes, config.p_bits, config.guard_bits)


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
            else:
                self._do(job)
        return self._status

    def _do(self, job: Mapping[str, int]) -> None:
        lanes, count = self.config.lanes, job["rows"]
        dim = job["chunks"] * lanes
        if job["first"] or (self._state.count, self._state.dim) != (count, dim):
            self._state = Rows(numerics(self.config), count, dim)
        if job["a"] == 0:
            self._status.add("scale_underflow")
        keys = max(0, min(job["keys"] - job["key"], job["tiles"] * lanes))
        q = self._read(job["q_address"], job["q_stride"], count, dim).view(np.int8)
        k = self._read(job["k_address"], job["k_stride"], keys, dim).view(np.int8)
        v = self._read(job["v_address"], job["v_stride"], keys, dim).view(np.int8)
        rows = np.arange(count) * job["step"]
        spans = Spans(job["lo"] + rows, job["hi"] + rows, job["sink"], job["keys"])
        multipliers, shifts = np.full(count, job["a"]), np.full(count, job["h"])
        for start in range(0, keys, lanes):
            tile = slice(start, min(keys, start + lanes))
            valid = spans.valid(job["key"] + tile.start, job["key"] + tile.stop)
            add_tile(self._state, q, k[tile], v[tile], multipliers, shifts, valid)
        if job["last"]:
            result = self._state.finish(job["fraction"])
            self._write(job["o_address"], job["o_stride"], np.ascontiguousarray(result.o.astype("<i2")).view(np.uint8))
        bits = int(np.bitwise_or.reduce(self._state.status))
        self._status |= {name for bit, name in ROW_STATUS.items() if bits & bit}

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


def unpack_job(descriptor: bytes) -> dict[str, int] | None:
    """The fields of a descriptor's 64 bytes; None if a reserved bit is set."""
    words = [int.from_bytes(descriptor[4 * place : 4 * place + 4], "little") for place in range(len(descriptor) // 4)]
    if any(word & mask for word, mask in zip(words, reserved_masks(), strict=True)):
        return None
    found = {}
    for name, field in FIELDS.items():
        value = words[field.word] >> field.low & ((1 << field.bits) - 1)
        found[name] = value - (1 << field.bits) if field.signed and value >> (field.bits - 1) else value
    return found


def possible(config: ArrayConfig, job: Mapping[str, int]) -> bool:
    """Whether a job is one that the block does: fields in their ranges, and addresses of whole memory words."""
    return (
        all(job[name] in field.range for name, field in FIELDS.items())
        and job["rows"] <= config.rows * config.subtiles
        and job["chunks"] <= config.most_chunks
        and all(job[name] % config.bus_bytes == 0 for name in ADDRESSES)
    )
