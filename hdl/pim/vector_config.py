"""Config and instructions of `pim.vector`, the vector unit beside the memory. No gateware here.

An instruction is 64 bits, from the least significant `flags6 | n10 | b14 | a14 | d14 | op6`; what each does is in the
family's README.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from hdl.common.block import BlockConfig
from hdl.common.words import check_fields, pack_fields, unpack_fields


class VectorOp(IntEnum):
    """What an instruction asks for: d is the destination, a and b are operands, all addresses of words."""

    END = 0
    """Nothing; raises `status.ended`, once all before it is done."""
    LOAD = 1
    """d = the next beats, bf16."""
    LOAD32 = 2
    """d = the next beats, fp32: one of low halves, then one of high halves."""
    STORE = 3
    """Beats of a, rounded to bf16."""
    STORE32 = 4
    """Beats of a, fp32: one of low halves, then one of high halves."""
    COPY = 5
    ADD = 6
    SUB = 7
    MUL = 8
    MAX = 9
    MIN = 10
    ROUND = 11
    """To the nearest integer, ties to even."""
    SCALE = 12
    """a * 2**b."""
    RECIP_SEED = 13
    """0x7EF311C7 less the code of a: about 1 / a."""
    RSQRT_SEED = 14
    """0x5F3759DF less half the code of a: about 1 / sqrt(a)."""
    SUM = 15
    """One word: the sum of a."""
    MAXIMUM = 16
    """One word: the largest of a."""


LOADS = frozenset({VectorOp.LOAD, VectorOp.LOAD32})
STORES = frozenset({VectorOp.STORE, VectorOp.STORE32})
WIDE_OPS = frozenset({VectorOp.LOAD32, VectorOp.STORE32})
"""Two beats for every `lanes` elements."""
REDUCTIONS = frozenset({VectorOp.SUM, VectorOp.MAXIMUM})
"""Their destination is a scalar."""
PAIR_OPS = frozenset({VectorOp.ADD, VectorOp.SUB, VectorOp.MUL, VectorOp.MAX, VectorOp.MIN, VectorOp.SCALE})
"""Ops that use b."""
ADDER_OPS = frozenset({VectorOp.ADD, VectorOp.SUB, VectorOp.SUM})

RECIP_MAGIC, RSQRT_MAGIC = 0x7EF311C7, 0x5F3759DF

B_SCALAR, A_SCALAR, LAST, LINK, BANK = 1, 2, 4, 8, 16
"""Flags: b is one word for all elements; so is a; the last beat of a store ends a packet. Beside a channel: a load or a
store moves beats of the channel's streams; of its bank lane, not of its register lane."""

FIELDS = {"flags": 6, "n": 10, "b": 14, "a": 14, "d": 14, "op": 6}
"""Bits of an instruction's fields, from the least significant."""

INSTRUCTION_BITS = sum(FIELDS.values())

MOST_ELEMENTS = 1 << FIELDS["n"]


class Illegal(IntEnum):
    """Why an instruction was skipped: the first that holds. The number is the bit of `status`."""

    UNKNOWN = 0
    """No such op."""
    ADDRESS = 1
    """A vector or a scalar that it uses is not wholly within the SRAM."""
    ALIGNMENT = 2
    """A vector does not start at a multiple of the lanes."""
    OVERLAP = 3
    """The destination begins within an operand, behind its start: that would be written before it is read."""


class VectorConfig(BlockConfig):
    """`pim.vector`: adds, multiplies and reduces vectors of fp32, for what a GPT needs besides products."""

    lanes: int = Field(ge=1, le=16)
    """Elements a cycle, each with an adder and a multiplier; a power of 2."""

    words: int = Field(ge=64, le=16384)
    """fp32 words of SRAM; a power of 2."""

    adder_cycles: ClassVar[int] = 5
    multiplier_cycles: ClassVar[int] = 2
    other_cycles: ClassVar[int] = 1

    @model_validator(mode="after")
    def _check_powers(self) -> Self:
        for name, value in (("lanes", self.lanes), ("words", self.words)):
            if value & (value - 1):
                raise ValueError(f"{name} must be a power of 2, not {value}")
        return self

    @property
    def beat_bits(self) -> int:
        """Width of a beat of data: a bf16 number, or half an fp32 number, for each lane."""
        return 16 * self.lanes

    @property
    def rows(self) -> int:
        """Rows of the SRAM, of a word for each lane."""
        return self.words // self.lanes

    @property
    def tree_levels(self) -> int:
        """Levels of the tree that ends a reduction."""
        return self.lanes.bit_length() - 1

    def steps(self, n: int) -> int:
        """Rows that n elements take."""
        return -(-n // self.lanes)

    def depth_cycles(self, op: VectorOp) -> int:
        """What an op computes in."""
        if op in ADDER_OPS:
            return self.adder_cycles
        return self.multiplier_cycles if op == VectorOp.MUL else self.other_cycles

    def cycles(self, op: VectorOp, n: int) -> int:
        """From the cycle that takes a legal instruction to the first that can take the next, when no stream stalls.

        Taken, checked, read, selected: 4, a cycle a row, and what the op takes. An illegal one and END take 2.
        """
        if op == VectorOp.END:
            return 2
        depth = self.depth_cycles(op)
        if op in REDUCTIONS:  # each step waits for the one before
            return 4 + (self.steps(n) + self.tree_levels) * (depth + 1)
        return 4 + self.steps(n) * (2 if op in WIDE_OPS else 1) + depth

    @property
    def latency_cycles(self) -> int:
        """From the cycle that takes a STORE at the port to the first that offers its first beat: slices and a queue."""
        return 9

    @property
    def multipliers(self) -> int:
        """Of 24 by 24 bits, each four blocks of 18 by 18."""
        return 4 * self.lanes

    @property
    def register_source(self) -> tuple[Path, dict[str, int]]:
        """The register file and its parameters."""
        return Path(__file__).with_name("vector.rdl"), {"LANES": self.lanes, "WORDS": self.words}


@dataclass(frozen=True)
class VectorInstruction:
    """One instruction; `op` may be any number of its width, and `n` is 1 to 1024.

    Raises
    ------
    ConfigError
        If a field is outside its width.
    """

    op: int
    d: int = 0
    a: int = 0
    b: int = 0
    n: int = 1
    flags: int = 0

    def __post_init__(self) -> None:
        check_fields(FIELDS, vars(self), counts=("n",))

    @property
    def a_scalar(self) -> bool:
        """Whether a is one word for all elements."""
        return bool(self.flags & A_SCALAR)

    @property
    def b_scalar(self) -> bool:
        """Whether b is one word for all elements."""
        return bool(self.flags & B_SCALAR)

    @property
    def last(self) -> bool:
        """Whether the last beat of a store ends a packet."""
        return bool(self.flags & LAST)

    def encode(self) -> int:
        """The instruction as 64 bits."""
        return pack_fields(FIELDS, vars(self))

    @classmethod
    def decode(cls, word: int) -> VectorInstruction:
        """The instruction that 64 bits mean; each word means one."""
        fields = unpack_fields(FIELDS, word)
        return cls(**fields | {"n": fields["n"] or MOST_ELEMENTS})


def encode_vector_program(program: Sequence[VectorInstruction]) -> npt.NDArray[np.uint64]:
    """Instructions as words of 64 bits, (n,) uint64."""
    return np.array([one.encode() for one in program], dtype=np.uint64)


def decode_vector_program(words: Iterable[int]) -> list[VectorInstruction]:
    """The instructions that words of 64 bits mean."""
    return [VectorInstruction.decode(int(word)) for word in words]
