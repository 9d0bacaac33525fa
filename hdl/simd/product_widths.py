"""How wide operands are as numbers, and how wide the products of their significands on the way to their places."""

from __future__ import annotations

from collections.abc import Iterable

NUMBER_BITS = {"fp4": 6, "p4_1": 10, "p8_0": 14, "p16_1": 14, "int4": 4, "int8": 8, "e4m3": 5, "e5m2": 4}
"""An operand as a fixed-point number, with its sign; of P(16,1) and 8-bit floats, whose range is too large for that,
the significand."""

SIGNIFICAND_BITS = {"fp4": 3, "p4_1": 2, "p8_0": 7, "int4": 4, "int8": 8, "e4m3": 5, "e5m2": 4}
"""A decoder's significand, with its sign, before it is put in its place as a number."""

LANE_PRODUCTS = {
    "fp4": (5, 6),
    "p4_1": (2, 16),
    "int4": (8, 0),
    "int4_pair": (13, 0),
    "int8": (16, 0),
    "e2m3": (9, 4),
    "e3m2": (7, 12),
    "e4m3": (9, 28),
    "e5m2": (7, 58),
}
"""Of two significands from a decoder: bits of their product, with its sign, and how far it is shifted left at most.
Of gates, two of INT4 come as their sum, four places up."""


def reach(decoders: Iterable[str], levels: int) -> list[int]:
    """Bits of the widest of these decoders' products after each level of a shifter, the lowest bit of the shift first:
    products that are shifted far are narrow."""
    return [max(_reach(decoder, (1 << level) - 1) for decoder in decoders) for level in range(1, levels + 1)]


def _reach(decoder: str, most: int) -> int:
    """The same of one decoder, whose products were shifted by at most so much."""
    if decoder == "p16_1":  # quarters of a product: the lower one without sign, two in the middle, the upper one
        return max(15, 14 + min(14, most))
    if decoder == "p8_0":  # 14 bits; two places of shift cost one of them
        return min(26, 14 + (most + 1) // 2)
    bits, shift = LANE_PRODUCTS[decoder]
    return bits + min(shift, most)


def number_reach(decoders: Iterable[str], levels: int) -> list[int]:
    """The same of operands on their way to numbers; P(16,1), which has no such way, takes no part."""
    placed = [decoder for decoder in decoders if decoder in SIGNIFICAND_BITS]
    return [
        max((_number_reach(decoder, (1 << level) - 1) for decoder in placed), default=1)
        for level in range(1, levels + 1)
    ]


def _number_reach(decoder: str, most: int) -> int:
    """Of P(8,0), two places of shift cost one bit, here as well."""
    added = (most + 1) // 2 if decoder == "p8_0" else most
    return min(NUMBER_BITS[decoder], SIGNIFICAND_BITS[decoder] + added)
