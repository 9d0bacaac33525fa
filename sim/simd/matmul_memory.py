"""What `simd.matmul` finds in memory and leaves there, and the registers of a job.

Little endian throughout. A row of A, a column of B and a row of C each begin at a multiple of a memory word; inside,
elements lie densely, the first in the lowest bits, each in a slot of 4, 8, 16 or 32 bits. B lies transposed. The bias
is N words of 32 bits.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hdl.common.format_table import ELEMENTS
from hdl.common.registers import load_registers
from hdl.simd.config import MatmulConfig
from hdl.simd.modes import MODES, OUTPUT_FORMATS
from sim.common.areas import Area

Bytes = npt.NDArray[np.uint8]
BIAS_BYTES = 4


@dataclass(frozen=True)
class Job:
    """A matrix product: formats, shape, and where everything lies. Addresses and strides in bytes.

    `has_bias` says whether a bias is read; `infinity` that overflow gives infinity where the output has one.
    """

    mode: str
    output: str
    m: int
    n: int
    k: int
    a_address: int
    a_stride: int
    b_address: int
    b_stride: int
    c_address: int
    c_stride: int
    bias_address: int = 0
    bias_exponent: int = 0
    scale_exponent: int = 0
    has_bias: bool = False
    infinity: bool = False
    relu: bool = False

    @property
    def areas(self) -> dict[str, Area]:
        """Where `a`, `b`, `c` and, if it is read, `bias` lie."""
        operand_bits = MODES[self.mode].slot_bits
        found = {
            "a": Area(self.a_address, self.a_stride, self.m, row_bytes(self.k, operand_bits)),
            "b": Area(self.b_address, self.b_stride, self.n, row_bytes(self.k, operand_bits)),
            "c": Area(self.c_address, self.c_stride, self.m, row_bytes(self.n, output_slot_bits(self.output))),
        }
        if self.has_bias:
            found["bias"] = Area(self.bias_address, self.n * BIAS_BYTES, 1, self.n * BIAS_BYTES)
        return found


def output_slot_bits(output: str) -> int:
    """What a result takes in memory: the power of two that holds its format, 6 bits in a byte."""
    return 1 << (ELEMENTS[output].bits - 1).bit_length()


def row_bytes(elements: int, slot_bits: int) -> int:
    """Bytes of a row; a nibble left over at its end counts."""
    return -(-elements * slot_bits // 8)


def pack(codes: npt.NDArray[Any], slot_bits: int) -> Bytes:
    """Rows of codes as bytes: (rows, elements) -> (rows, `row_bytes`). A nibble left over is 0."""
    if slot_bits == 4:
        pairs = np.pad(codes, ((0, 0), (0, codes.shape[1] % 2))).astype(np.uint8)
        return np.asarray(pairs[:, ::2] | pairs[:, 1::2] << 4)
    return np.ascontiguousarray(codes.astype(f"<u{slot_bits // 8}")).view(np.uint8)


def unpack(rows: Bytes, slot_bits: int, elements: int) -> npt.NDArray[np.uint32]:
    """The codes in rows of bytes: (rows, `row_bytes`) -> (rows, elements)."""
    if slot_bits == 4:
        codes = np.stack([rows & 15, rows >> 4], axis=-1).reshape(len(rows), -1)
    else:
        codes = np.ascontiguousarray(rows).view(f"<u{slot_bits // 8}")
    return codes[:, :elements].astype(np.uint32)


def write_operands(
    memory: Bytes,
    base: int,
    job: Job,
    a: npt.NDArray[Any],
    b: npt.NDArray[Any],
    bias: npt.NDArray[np.int32] | None = None,
) -> None:
    """Put a job's operands where it looks for them; all else stays, so does the other half of a last byte.

    Parameters
    ----------
    memory : uint8, (bytes,)
        Changed in place; its first byte has the address `base`.
    a, b : codes, (M, K) and (K, N)
    bias : int32, (N,); needed if the job has one
    """
    slot_bits = MODES[job.mode].slot_bits
    areas = job.areas
    for name, codes in (("a", a), ("b", b.T)):
        packed, places = pack(codes, slot_bits), areas[name].places() - base
        if job.k * slot_bits % 8:
            packed[:, -1] |= memory[places[:, -1]] & 0xF0
        memory[places] = packed
    if job.has_bias:
        assert bias is not None, "a job with a bias has one"
        memory[areas["bias"].places() - base] = bias.astype("<i4").view(np.uint8)


def write_results(memory: Bytes, base: int, job: Job, codes: npt.NDArray[Any]) -> None:
    """Put results, (M, N) codes, where the job leaves them; all else stays."""
    memory[job.areas["c"].places() - base] = pack(codes, output_slot_bits(job.output))


def read_results(memory: Bytes, base: int, job: Job) -> npt.NDArray[np.uint32]:
    """The codes, (M, N), that a job left in memory."""
    return unpack(memory[job.areas["c"].places() - base], output_slot_bits(job.output), job.n)


def register_values(config: MatmulConfig, job: Job) -> dict[str, int]:
    """The words that describe a job to the block, by the name of the register; `control`'s start is not among them.

    Raises
    ------
    ValueError
        If a value does not fit its field.
    """
    registers = load_registers(*config.register_source)
    exponents = {"bias": job.bias_exponent, "scale": job.scale_exponent}
    fields: Mapping[str, Mapping[str, int]] = {
        "format": {
            "mode": MODES[job.mode].code,
            "output_format": OUTPUT_FORMATS.index(job.output),
            "infinity": int(job.infinity),
            "relu": int(job.relu),
            "has_bias": int(job.has_bias),
        },
        "exponents": {
            name: _twos_complement(name, value, registers["exponents"][name].width) for name, value in exponents.items()
        },
        **{name: {"count": getattr(job, name)} for name in ("m", "n", "k")},
        **{
            name: {"bytes": getattr(job, name)}
            for name in ("a_address", "a_stride", "b_address", "b_stride", "c_address", "c_stride", "bias_address")
        },
    }
    return {name: registers[name].encode(values) for name, values in fields.items()}


def _twos_complement(name: str, value: int, bits: int) -> int:
    low, high = -(1 << bits - 1), (1 << bits - 1) - 1
    if not low <= value <= high:
        raise ValueError(f"{name} must be in {low}..{high}, not {value}")
    return value & ((1 << bits) - 1)
