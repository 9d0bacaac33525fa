"""Words that are made of fields: from values by name to one number, and back. No gateware here."""

from __future__ import annotations

from collections.abc import Mapping

from hdl.common.config import ConfigError

Widths = Mapping[str, int]
"""Bits of a word's fields by name, from the least significant."""


def pack_fields(widths: Widths, values: Mapping[str, int]) -> int:
    """The word of some values, each modulo its width."""
    word, place = 0, 0
    for name, bits in widths.items():
        word |= (values[name] & ((1 << bits) - 1)) << place
        place += bits
    return word


def unpack_fields(widths: Widths, word: int) -> dict[str, int]:
    """The values of a word's fields; bits above them are ignored."""
    values = {}
    for name, bits in widths.items():
        values[name] = word & ((1 << bits) - 1)
        word >>= bits
    return values


def check_fields(widths: Widths, values: Mapping[str, int], counts: tuple[str, ...] = ()) -> None:
    """Nothing, where each value fits its field.

    Parameters
    ----------
    counts : fields that are never 0 and whose word's 0 stands for 2 to the power of their width

    Raises
    ------
    ConfigError
        Naming the field, its range and its value.
    """
    for name, bits in widths.items():
        low = int(name in counts)
        high = (1 << bits) - 1 + low
        if not low <= values[name] <= high:
            raise ConfigError(f"{name} must be in {low}..{high}, not {values[name]}")
