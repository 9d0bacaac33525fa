"""SECDED: an extended Hamming code, which corrects one wrong bit of a word and detects two.

A code word is `data_bits` data bits, from the least significant, then the check bits by ascending power of two, then
one parity bit over all. In Hamming's numbering check bit k has position 2**k and the data bits have the others from 3
on, ascending. All parities are even, so that zeros are a code word.

R. W. Hamming, "Error detecting and error correcting codes", Bell System Technical Journal 29, 1950.
"""

from __future__ import annotations

from functools import reduce
from operator import xor

from amaranth.hdl import Cat, Const, Module, Mux, Value

from hdl.common.arithmetic import register, wire

WORD_BITS = 64
"""Data bits that have check bits of their own; a narrower column is one word."""


def word_bits(column_bits: int) -> int:
    """Data bits of each code word of a column."""
    return min(column_bits, WORD_BITS)


def check_bits(data_bits: int) -> int:
    """Check bits of a word, the parity over all not among them: 7 for 64."""
    count = 0
    while (1 << count) < data_bits + count + 1:
        count += 1
    return count


def code_bits(data_bits: int) -> int:
    """Of a code word: 72 for 64."""
    return data_bits + check_bits(data_bits) + 1


def positions(data_bits: int) -> list[int]:
    """Hamming's position of each bit of a code word but the parity over all."""
    checks = [1 << k for k in range(check_bits(data_bits))]
    others = [place for place in range(3, data_bits + len(checks) + 1) if place not in checks]
    return others + checks


def encode(m: Module, data: Value, name: str) -> Value:
    """The code word of `data`."""
    places = positions(len(data))
    checks = [
        wire(m, _parity(bit for bit, place in zip(data, places, strict=False) if place >> k & 1), f"{name}_check_{k}")
        for k in range(check_bits(len(data)))
    ]
    word = Cat(data, checks)
    return Cat(word, _parity(iter(word)))


def decode(m: Module, word: Value, data_bits: int, name: str) -> tuple[Value, Value, Value]:
    """What was stored: the corrected code word, whether a bit of it was wrong, whether more were.

    Of a word with more than one wrong bit the code word comes as it is. Latency: 2 cycles.
    """
    places, count = positions(data_bits), check_bits(data_bits)
    syndrome = Cat(
        _parity(bit for bit, place in zip(word, places, strict=False) if place >> k & 1) for k in range(count)
    )
    syndrome = register(m, syndrome, f"{name}_syndrome")
    odd = register(m, _parity(iter(word)), f"{name}_odd")
    word = register(m, word, f"{name}_read")
    known = wire(m, syndrome <= max(places), f"{name}_known")
    flips = [odd & (syndrome == place) for place in places]
    whole = Cat(flips, Const(0, 1))  # the parity over all is right again when it is computed: its position is 0
    fixed = word ^ Mux(odd & (syndrome == 0), Const(1 << len(places), len(word)), whole)
    corrected = register(m, odd & known, f"{name}_corrected")
    detected = register(m, (~odd & syndrome.any()) | (odd & ~known), f"{name}_detected")
    return register(m, fixed, f"{name}_fixed"), corrected, detected


def _parity(bits) -> Value:
    return reduce(xor, bits)
