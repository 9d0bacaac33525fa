"""What goes from step to step of `simd.matmul`: how K is cut into chunks, what a command says, what a step is."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Mux, Value
from amaranth.lib import data

from hdl.simd.config import MatmulConfig
from hdl.simd.matmul_panels import INDEX_BITS

HALF_BITS = 16
"""The smaller of the two kinds of beats: of P(16,1), one element."""

MOST_SLOTS = 8
"""Parts of an operand's buffer: two, or more where all of K is so short that more of it fit."""

BIAS_SLOTS = 8
"""Tiles whose biases are held at once: those between their first command and their last result."""

STEP = data.StructLayout({"first": 1, "last": 1, "frees_a": 1, "frees_b": 1})
"""A chunk of a tile: whether it is the first and the last, and the last to use its part of the buffers of A and B."""


class Kind:
    """What a command reads."""

    A, B, BIAS = range(3)


def log2(power: int) -> int:
    """The exponent of a power of two."""
    return power.bit_length() - 1


def word_address_bits(config: MatmulConfig) -> int:
    """Of an address in memory words."""
    return 32 - log2(config.bus_bytes)


def bias_words(config: MatmulConfig) -> int:
    """Memory words that the biases of a panel of columns take."""
    return max(1, config.columns * 32 // config.bus_bits)


def bias_panels(config: MatmulConfig) -> int:
    """Panels of columns whose biases share a memory word."""
    return max(1, config.bus_bits // 32 // config.columns)


def read_layout(config: MatmulConfig) -> data.StructLayout:
    """A command to read: the address in memory words, and how many less one."""
    most = max(config.chunk_words, bias_words(config))
    return data.StructLayout({"address": word_address_bits(config), "words": max(1, log2(most))})


def fill_layout() -> data.StructLayout:
    """Where a command's words go.

    Fields
    ------
    kind : of `Kind`
    index : row or column of the array; of biases, the place of the panel within a memory word if panels share it, else
        how many words there are, less one
    short : the words are those of the last chunk; the last of them is cut off where the row ends
    ends_operand : the last row of a part of the buffer
    ends_step : when this is there, a step can begin
    step : `STEP`
    """
    flags = {"short": 1, "ends_operand": 1, "ends_step": 1}
    return data.StructLayout({"kind": 2, "index": INDEX_BITS} | flags | {"step": STEP})


class Chunks:
    """How the rows of A and B are cut up; expressions of the last bit of a row.

    Attributes
    ----------
    last : number of chunks, less one
    last_word, last_half : last word, last half of an operand word, within the last chunk
    slots : parts of a buffer
    """

    def __init__(self, config: MatmulConfig, last_bit: Value):
        self._config = config
        word = log2(config.bus_bits)
        chunk = log2(config.chunk_words)
        self.last = last_bit[word + chunk :]
        self.last_word = last_bit[word : word + chunk]
        self.last_half = last_bit[log2(HALF_BITS) : word + chunk]
        single = ~self.last.any()
        self._half = single & ~self.last_word[-1] if chunk > 0 else Const(0, 1)
        self._quarter = self._half & ~self.last_word[-2] if chunk > 1 else Const(0, 1)
        self.slots = Cat(Const(0, 1), ~self._half, self._half & ~self._quarter, self._quarter)

    @property
    def slot_words(self) -> Value:
        """Words of a part of a buffer."""
        whole = self._config.chunk_words
        return Mux(self._quarter, whole // 4, Mux(self._half, whole // 2, whole))

    def first_word(self, chunk: Value) -> Value:
        """The first word of a chunk within a row."""
        return Cat(Const(0, log2(self._config.chunk_words)), chunk)

    def words(self, kind: Value, short: Value, index: Value) -> Value:
        """Words of a command, less one; its fields as in `fill_layout`."""
        biases = index if bias_words(self._config) > 1 else Const(0, 1)
        return Mux(kind == Kind.BIAS, biases, Mux(short, self.last_word, self._config.chunk_words - 1))
