"""What the memories of `pulse.cnn` hold: layers, channels, addresses of an image. No gateware here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum


class Op(IntEnum):
    """What a layer does with the elements that an output looks at."""

    CONVOLVE = 0
    MAX = 1
    SUM = 2


class Activation(IntEnum):
    """What is done with a requantised sum."""

    NONE = 0
    RELU = 1
    LEAKY = 2


class Place(IntEnum):
    """Where elements are."""

    FIRST = 0
    SECOND = 1
    INPUT = 2


class Memory(IntEnum):
    """What a word of an image goes to: the code in its address."""

    PROGRAM = 0
    CHANNELS = 1
    WEIGHTS = 2


WORD_BITS = 32

IMAGE_WEIGHT_BITS = 8
"""Of a word of an image: a weight."""

MEMORY_LOW, ELEMENT_LOW, WORD_NUMBER_BITS = 28, 20, 20
"""In an address: memory, processing element, and the number of a word of 32 bits, which counts on."""

LAYER_STRIDE = 16
"""Word numbers from a layer to the next; those beyond its words are nobody's."""

CHANNEL_WORDS = 2
"""Bias; factor and shift."""

FACTOR_BITS, SHIFT_BITS = 16, 6


def image_address(memory: Memory, element: int, number: int) -> int:
    """A word's address."""
    return memory << MEMORY_LOW | element << ELEMENT_LOW | number


@dataclass(frozen=True)
class LayerField:
    """Bits of a layer: `bits` from `low` on in its word."""

    name: str
    word: int
    low: int
    bits: int
    signed: bool = False


LAYER_FIELDS = (
    LayerField("op", 0, 0, 2),
    LayerField("source", 0, 2, 2),
    LayerField("target", 0, 4, 1),
    LayerField("last", 0, 5, 1),
    LayerField("raw", 0, 6, 1),
    LayerField("add", 0, 7, 1),
    LayerField("wide", 0, 8, 1),
    LayerField("activation", 0, 9, 2),
    LayerField("leak", 0, 12, 4),
    LayerField("zero", 0, 16, 16, signed=True),
    LayerField("groups", 1, 0, 16),
    LayerField("positions", 1, 16, 16),
    LayerField("taps", 2, 0, 16),
    LayerField("chunks", 2, 16, 16),
    LayerField("base", 3, 0, 16, signed=True),
    LayerField("step", 3, 16, 16),
    LayerField("tap_step", 4, 0, 16),
    LayerField("pad", 4, 16, 16, signed=True),
    LayerField("low", 5, 0, 16),
    LayerField("high", 5, 16, 16),
    LayerField("target_base", 6, 0, 16),
    LayerField("target_step", 6, 16, 16),
    LayerField("channels", 7, 0, 16),
    LayerField("weight_base", 8, 0, 16),
    LayerField("channel_base", 8, 16, 16),
)
"""A layer, in words of 32 bits; what each means is in the family's README."""

LAYER_WORDS = 1 + max(field.word for field in LAYER_FIELDS)


def encode_layer(values: Mapping[str, int]) -> list[int]:
    """A layer's words; fields left out are 0.

    Raises
    ------
    KeyError
        For a name that is no field's.
    ValueError
        Naming the field, its range and the value.
    """
    known = {field.name: field for field in LAYER_FIELDS}
    words = [0] * LAYER_WORDS
    for name, value in values.items():
        field = known[name]
        low = -(1 << field.bits - 1) if field.signed else 0
        if not low <= value < low + (1 << field.bits):
            raise ValueError(f"{name} must be in {low}..{low + (1 << field.bits) - 1}, not {value}")
        words[field.word] |= (value & (1 << field.bits) - 1) << field.low
    return words


def decode_layer(words: list[int]) -> dict[str, int]:
    """A layer's fields out of its words."""
    found = {}
    for field in LAYER_FIELDS:
        value = words[field.word] >> field.low & (1 << field.bits) - 1
        found[field.name] = value - (1 << field.bits) if field.signed and value >> field.bits - 1 else value
    return found
