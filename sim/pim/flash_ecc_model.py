"""Golden model of `pim.flash_ecc`: pages to codes, and damaged pages back to weights.

The scheme is Cambricon-LLM's (arXiv 2409.15654): one weight in a hundred, those of the largest magnitude, is kept three
times; any other that is larger than all that are not protected must be an error, and becomes 0.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hdl.pim.flash_ecc_config import FlashEccConfig

Bytes = npt.NDArray[np.uint8]
Weights = npt.NDArray[np.int8]


@dataclass(frozen=True)
class Decoded:
    """A repaired page, and what was done to it.

    Attributes
    ----------
    weights : int8, (page_bytes,)
    corrected : addresses of which a bit was wrong
    dropped : entries whose address has more wrong bits, or does not follow those before
    repaired : protected weights that were not as they are in the majority of three
    zeroed : weights that became 0
    """

    weights: Weights
    corrected: int
    dropped: int
    repaired: int
    zeroed: int


def threshold_of(config: FlashEccConfig, page: Weights) -> int:
    """The least magnitude that at most `protected` weights exceed: 0..128."""
    magnitudes = np.sort(np.abs(page.astype(np.int64)))
    return int(magnitudes[-config.protected - 1])


def protected_of(config: FlashEccConfig, page: Weights) -> npt.NDArray[np.int64]:
    """Addresses of the protected weights, ascending: all above the threshold, and the first of those at it."""
    magnitudes = np.abs(page.astype(np.int64))
    threshold = threshold_of(config, page)
    above = np.flatnonzero(magnitudes > threshold)
    at = np.flatnonzero(magnitudes == threshold)[: config.protected - len(above)]
    return np.sort(np.concatenate([above, at]))


def check_of(config: FlashEccConfig, address: int) -> int:
    """Hamming bits of an address: the exclusive or of the numbers of its ones."""
    check = 0
    for bit, number in enumerate(config.address_positions):
        if address >> bit & 1:
            check ^= number
    return check


def encode(config: FlashEccConfig, page: Weights) -> Bytes:
    """A page's code: int8 (page_bytes,) -> uint8 (code_bytes,)."""
    word, place = 0, 8 * config.threshold_copies
    for copy in range(config.threshold_copies):
        word |= threshold_of(config, page) << 8 * copy
    for address in protected_of(config, page).tolist():
        weight = int(page[address]) & 0xFF
        entry = address | check_of(config, address) << config.address_bits
        entry |= (weight | weight << 8) << config.address_bits + config.check_bits
        word |= entry << place
        place += config.entry_bits
    return np.frombuffer(word.to_bytes(config.code_bytes, "little"), np.uint8)


def decode(config: FlashEccConfig, code: Bytes, page: Weights) -> Decoded:
    """What is left of a page and its code, whatever happened to both.

    The threshold is the bitwise majority of its copies. An entry counts if its address, with one bit corrected, is
    larger than that of every entry before that counted. Its weight is the bitwise majority of page and copies. Any
    other weight whose magnitude is above the threshold becomes 0.
    """
    copies = np.unpackbits(code[: config.threshold_copies, None], axis=1, bitorder="little")
    majority = copies.sum(axis=0) > config.threshold_copies // 2
    threshold = int(np.packbits(majority, bitorder="little")[0])
    word = int.from_bytes(code.tobytes(), "little") >> 8 * config.threshold_copies
    weights = page.copy()
    raw = page.view(np.uint8).tolist()
    protected = np.zeros(config.page_bytes, np.bool_)
    corrected = dropped = repaired = 0
    newest = -1
    for index in range(config.protected):
        entry = word >> index * config.entry_bits
        address = entry & config.page_bytes - 1
        check = entry >> config.address_bits & (1 << config.check_bits) - 1
        wrong = check_of(config, address) ^ check
        known = wrong == 0 or not wrong & (wrong - 1)  # of a power of 2 it is a check bit that is wrong
        if wrong in config.address_positions:
            address ^= 1 << config.address_positions.index(wrong)
            known = True
        corrected += known and wrong != 0
        if not known or address <= newest:
            dropped += 1
            continue
        newest = address
        a, b, c = raw[address], *(entry >> config.address_bits + config.check_bits + shift & 0xFF for shift in (0, 8))
        value = a & b | a & c | b & c
        repaired += value != a
        weights[address] = np.uint8(value).view(np.int8)
        protected[address] = True
    outliers = ~protected & (np.abs(page.astype(np.int64)) > threshold)
    weights[outliers] = 0
    return Decoded(weights, corrected, dropped, repaired, int(outliers.sum()))
