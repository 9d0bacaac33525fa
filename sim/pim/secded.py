"""SECDED in numpy: extended Hamming, which corrects one wrong bit of a word and detects two.

A code word has data of up to 64 bits, Hamming's check bits and one even parity over all; bits of the Hamming word are
counted from 1, check bits stand at the powers of two, data ascending in the other places. Data are uint64, check bits
another uint64: the check bits by ascending power from bit 0, the parity above them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

Words = npt.NDArray[np.uint64]


@dataclass(frozen=True)
class Code:
    """The code of words of so many data bits."""

    data_bits: int
    hamming_bits: int
    masks: tuple[int, ...]
    """The data bits that each check bit covers."""
    data_places: tuple[int, ...]
    """The place of each data bit in the Hamming word."""

    @property
    def check_bits(self) -> int:
        """Hamming's check bits and the parity."""
        return self.hamming_bits + 1

    def encode(self, data: Words) -> Words:
        """The check bits of data, of any shape."""
        check = np.zeros(np.shape(data), np.uint64)
        for place, mask in enumerate(self.masks):
            check |= _parity(data & np.uint64(mask)) << np.uint64(place)
        return check | (_parity(data) ^ _parity(check)) << np.uint64(self.hamming_bits)

    def decode(self, data: Words, check: Words) -> tuple[Words, npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
        """Data after correction; where one wrong bit was corrected, in data or check bits; where two were detected.

        A word of two wrong bits is given as it is.
        """
        data = np.asarray(data, np.uint64)
        low = np.uint64((1 << self.hamming_bits) - 1)
        expected = self.encode(data)
        syndrome = (expected ^ check) & low
        odd = (_parity(data) ^ _parity(check)).astype(bool)
        places = np.array(self.data_places, np.uint64)
        known = (syndrome & (syndrome - np.uint64(1)) == 0) | np.isin(syndrome, places)
        flips = np.zeros(np.shape(data), np.uint64)
        for bit, place in enumerate(self.data_places):
            flips |= (syndrome == np.uint64(place)).astype(np.uint64) << np.uint64(bit)
        corrected = odd & known
        detected = (~odd & (syndrome != 0)) | (odd & ~known)
        return np.where(corrected, data ^ flips, data), corrected, detected


@cache
def code(data_bits: int) -> Code:
    """The code of words of 1 to 64 data bits."""
    hamming_bits = next(bits for bits in range(2, 8) if 1 << bits >= data_bits + bits + 1)
    places = [place for place in range(1, data_bits + hamming_bits + 1) if place & (place - 1)][:data_bits]
    masks = tuple(
        sum(1 << bit for bit, place in enumerate(places) if place >> check & 1) for check in range(hamming_bits)
    )
    return Code(data_bits, hamming_bits, masks, tuple(places))


def _parity(words: Words) -> Words:
    return np.bitwise_count(words).astype(np.uint64) & np.uint64(1)
