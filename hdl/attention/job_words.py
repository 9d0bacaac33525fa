"""A job's descriptor in memory: 64 bytes, sixteen little-endian words of 32 bits.

hdl/attention/README.md says what it means.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

WORDS = 16
"""Of a descriptor."""

WORD_BITS = 32


class JobField(NamedTuple):
    """Where a field lies: word, lowest bit, bits; `signed` for two's complement; its least and its greatest value.

    A range of None is that of the bits. `built` ranges, which the config bounds further, are checked by the block.
    """

    word: int
    low: int
    bits: int
    signed: bool = False
    least: int | None = None
    most: int | None = None

    @property
    def range(self) -> range:
        """Values that it may have."""
        half = 1 << (self.bits - 1)
        bounds = (-half, half - 1) if self.signed else (0, (1 << self.bits) - 1)
        least, most = (bounds[0] if self.least is None else self.least, bounds[1] if self.most is None else self.most)
        return range(least, most + 1)


FIELDS = {
    "rows": JobField(0, 0, 16, least=1),
    "chunks": JobField(0, 16, 8, least=2),
    "first": JobField(0, 24, 1),
    "last": JobField(0, 25, 1),
    "k_format": JobField(0, 26, 4, most=8),
    "linear": JobField(0, 30, 1),
    "after": JobField(0, 31, 1),
    "tiles": JobField(1, 0, 24, least=1),
    "v_format": JobField(1, 24, 4, most=8),
    "o_format": JobField(1, 28, 2, most=2),
    "relu": JobField(1, 30, 1),
    "dual": JobField(1, 31, 1),
    "a": JobField(2, 0, 16),
    "h": JobField(2, 16, 5, least=1),
    "fraction": JobField(2, 21, 5, least=0, most=16),
    "step": JobField(2, 26, 3),
    "sparse": JobField(2, 29, 1),
    "q_address": JobField(3, 0, 32),
    "q_stride": JobField(4, 0, 32),
    "k_address": JobField(5, 0, 32),
    "k_stride": JobField(6, 0, 32),
    "v_address": JobField(7, 0, 32),
    "v_stride": JobField(8, 0, 32),
    "o_address": JobField(9, 0, 32),
    "o_stride": JobField(10, 0, 32),
    "key": JobField(11, 0, 23),
    "k_exponent": JobField(11, 23, 8),
    "keys": JobField(12, 0, 23),
    "v_exponent": JobField(12, 23, 8),
    "sink": JobField(13, 0, 23),
    "lo": JobField(14, 0, 24, signed=True),
    "hi": JobField(15, 0, 24, signed=True),
}
"""All that a job has. Every other bit is reserved: a job that has one set is bad."""

OPTIONAL = frozenset(
    {"k_format", "v_format", "o_format", "k_exponent", "v_exponent", "linear", "relu", "after", "dual", "sparse"},
)
"""Fields that are 0 where a job does not name them."""

OUTPUT_BITS = (16, 8, 4)
"""Of an output, by `o_format`."""


def pack_job(fields: Mapping[str, int]) -> bytes:
    """A descriptor's 64 bytes; `OPTIONAL` fields that are not given are 0.

    Raises
    ------
    ValueError
        If a field is missing, unknown, or outside of its range.
    """
    differing = set(fields) ^ set(FIELDS)
    if differing - (OPTIONAL - set(fields)):
        raise ValueError(f"fields differ in {', '.join(sorted(differing))}")
    words = [0] * WORDS
    for name, value in fields.items():
        field = FIELDS[name]
        if value not in field.range:
            raise ValueError(f"{name} must be in {field.range.start}..{field.range.stop - 1}, not {value}")
        words[field.word] |= (value & ((1 << field.bits) - 1)) << field.low
    return b"".join(word.to_bytes(WORD_BITS // 8, "little") for word in words)


def reserved_masks() -> list[int]:
    """Of each word, the bits that must be 0."""
    masks = [(1 << WORD_BITS) - 1] * WORDS
    for field in FIELDS.values():
        masks[field.word] &= ~(((1 << field.bits) - 1) << field.low)
    return masks
