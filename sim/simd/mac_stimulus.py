"""Seeded operands of dot products in which the codes that break arithmetic are as common as all others together."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from hdl.common.format_table import BlockFormat, ElementFormat, FloatFormat, IntFormat, PositFormat, PowerFormat

Codes = npt.NDArray[np.uint16]
Scales = npt.NDArray[np.uint8]

RARELY = 1 / 16
"""Share of the rows in which a special code stands."""


def special_codes(element: ElementFormat) -> Codes:
    """The codes that are no finite number: NaR, NaN, infinities. Ascending."""
    codes = np.arange(1 << element.bits, dtype=np.uint16)
    special = np.zeros(len(codes), np.bool_)
    if isinstance(element, PositFormat):
        special = codes == 1 << (element.bits - 1)
    elif isinstance(element, FloatFormat):
        special = codes & _magnitude(element) > element.max_code
    found: Codes = codes[special]
    return found


def extreme_codes(element: ElementFormat) -> Codes:
    """Zero, and of either sign the smallest numbers, the largest ones, and those next to one; no special codes."""
    if isinstance(element, FloatFormat):
        largest, one = element.max_code, element.bias << element.mantissa_bits
    else:
        largest = _magnitude(element)
        one = 1 << (element.bits - 2) if isinstance(element, PositFormat) else 1
    positive = np.array(
        [code for code in (1, 2, 3, one - 1, one, one + 1, largest - 1, largest) if 0 < code <= largest], np.uint16
    )
    lowest = [1 << (element.bits - 1)] if isinstance(element, IntFormat) else []
    return np.unique(np.concatenate([[0], lowest, positive, negated(element, positive)])).astype(np.uint16)


def negated(element: ElementFormat, codes: Codes) -> Codes:
    """Codes of the negative numbers; of the lowest integer, which has none, itself."""
    if isinstance(element, FloatFormat):
        return (codes ^ np.uint16(1 << (element.bits - 1))).astype(np.uint16)
    return (0 - codes & np.uint16((1 << element.bits) - 1)).astype(np.uint16)


def operands(rng: np.random.Generator, element: ElementFormat, shape: tuple[int, int]) -> tuple[Codes, Codes]:
    """Codes of a and b, (rows, length). Each row is, with equal chance, one of

    - uniform over all numbers
    - extremes: drawn from `extreme_codes`
    - small: one operand from the smallest numbers, so that the result underflows
    - sparse: zeros, but for one place in four
    - cancelling: pairs of opposite products, in any order, and what one or two single products leave
    - constant: one extreme throughout in either operand

    In one row of 16 a special code stands somewhere, if the format has any.
    """
    rows, length = shape
    specials, extremes = special_codes(element), extreme_codes(element)
    numbers = _numbers(element)
    small = np.array([0, 1, 1, 2], np.uint16)
    small = np.concatenate([small, negated(element, small[1:])])
    kind = rng.integers(6, size=(rows, 1))
    a, b = (rng.choice(numbers, shape) for _ in range(2))
    for place, operand in enumerate((a, b)):
        choices = [
            rng.choice(extremes, shape),
            rng.choice(small if place == 0 else extremes, shape),
            np.where(rng.random(shape) < 0.25, operand, 0),
            np.broadcast_to(rng.choice(extremes, (rows, 1)), shape),
        ]
        operand[:] = np.select([kind == 1, kind == 2, kind == 3, kind == 5], choices, operand)
    pairs = (length - 1) // 2
    cancelling = np.flatnonzero(kind[:, 0] == 4)
    if pairs and len(cancelling):
        first, second = slice(0, pairs), slice(pairs, 2 * pairs)
        mixed = rng.random((len(cancelling), pairs)) < 0.5
        a_part, b_part = a[cancelling], b[cancelling]
        a_part[:, first] = np.where(mixed, rng.choice(extremes, mixed.shape), a_part[:, first])
        a_part[:, second] = negated(element, a_part[:, first])
        b_part[:, second] = b_part[:, first]
        order = rng.permuted(np.broadcast_to(np.arange(length), a_part.shape), axis=1)
        a[cancelling] = np.take_along_axis(a_part, order, axis=1)
        b[cancelling] = np.take_along_axis(b_part, order, axis=1)
    if len(specials):
        if isinstance(element, FloatFormat) and element.specials == "ieee":
            # As many infinities as all of the NaN codes: these stand for one thing, those for two.
            infinities = np.array([element.infinity_code, element.infinity_code | 1 << (element.bits - 1)], np.uint16)
            specials = np.concatenate([specials, np.resize(infinities, len(specials))])
        for row in np.flatnonzero(rng.random(rows) < RARELY):
            for _ in range(int(rng.integers(1, 3))):
                operand = a if rng.random() < 0.5 else b
                operand[row, rng.integers(length)] = rng.choice(specials)
    return a, b


def block_operands(
    rng: np.random.Generator, block: BlockFormat, shape: tuple[int, int]
) -> tuple[Codes, Codes, Scales, Scales]:
    """Codes of a and b, (rows, length), and of their scales, (rows, blocks). Elements are those of `operands`, but

    - one block in eight is zeros
    - one in eight takes back the block before it: the same codes and scales, with the sign of a changed

    In one row of 16, of either operand, three scales of ten are NaN. The others: see `_power_scales`; E4M3 scales are
    any numbers.
    """
    rows, length = shape
    size, element = block.block_length, block.element
    count = -(-length // size)
    a, b = operands(rng, element, (rows, count * size))
    if isinstance(block.scale, PowerFormat):
        scale_a, scale_b = _power_scales(rng, block.scale, (rows, count))
        nan = (1 << block.scale.bits) - 1
    else:
        scale_a, scale_b = (rng.choice(_numbers(block.scale), (rows, count)).astype(np.uint8) for _ in range(2))
        assert block.scale.nan_code is not None
        nan = block.scale.nan_code
    a_blocks, b_blocks = (codes.reshape(rows, count, size) for codes in (a, b))
    kind = rng.integers(8, size=(rows, count))
    b_blocks[kind == 0] = 0
    for index in range(1, count):
        back = kind[:, index] == 1
        a_blocks[back, index] = negated(element, a_blocks[back, index - 1])
        b_blocks[back, index] = b_blocks[back, index - 1]
        for scales in (scale_a, scale_b):
            scales[back, index] = scales[back, index - 1]
    for scales in (scale_a, scale_b):
        scales[(rng.random((rows, 1)) < RARELY) & (rng.random((rows, count)) < 0.3)] = nan
    return a[:, :length], b[:, :length], scale_a, scale_b


def _power_scales(rng: np.random.Generator, scale: PowerFormat, shape: tuple[int, int]) -> tuple[Scales, Scales]:
    """Two scales a block, (rows, blocks), none of them NaN. The sum of their exponents is, with equal chance in a row,

    - uniform over all
    - near: up to 30 from that of the row's first block
    - stepping: any difference up to 130 to the block before
    - high, where fp32 ends
    - low, where its subnormal numbers are
    """
    rows = shape[0]
    largest = (1 << scale.bits) - 2  # the code above is NaN
    kind = rng.integers(5, size=(rows, 1))
    start = rng.integers(-scale.bias, scale.bias, (rows, 1), endpoint=True)
    steps = np.cumsum(rng.integers(-130, 130, shape, endpoint=True), axis=1)
    stepping = np.abs((start + steps + 254) % 508 - 254) * rng.choice([-1, 1], (rows, 1))
    exponents = np.select(
        [kind == 0, kind == 1, kind == 2, kind == 3],
        [
            rng.integers(-2 * scale.bias, 2 * scale.bias, shape, endpoint=True),
            start + rng.integers(-30, 30, shape, endpoint=True),
            stepping,
            rng.integers(95, 130, shape),
        ],
        rng.integers(-160, -110, shape),
    )
    total = np.clip(exponents + 2 * scale.bias, 0, 2 * largest)
    first = rng.integers(np.maximum(0, total - largest), np.minimum(total, largest), endpoint=True)
    return first.astype(np.uint8), (total - first).astype(np.uint8)


def _numbers(element: ElementFormat) -> Codes:
    """All codes that are finite numbers."""
    return np.setdiff1d(np.arange(1 << element.bits, dtype=np.uint16), special_codes(element))


def _magnitude(element: ElementFormat) -> int:
    """All bits under the sign."""
    return (1 << (element.bits - 1)) - 1
