"""What the device finds wrong with a command. No gateware here."""

from __future__ import annotations

from enum import IntEnum


class Violation(IntEnum):
    """The rule that a command broke; where it broke several, the first of these."""

    UNKNOWN = 1
    """No such command, or a bank, row, column, buffer or accumulator set that there is not, or no bank at all."""
    NOT_OPEN = 2
    """A column command on a bank without an open row."""
    ALREADY_OPEN = 3
    """An activation of a bank with an open row."""
    REFRESH_OPEN = 4
    """A refresh while a row is open."""
    TOO_EARLY = 5
    """Sooner after another command than a rule allows."""
    FAW = 6
    """A fifth activation within tFAW."""
    REFRESH_LATE = 7
    """More than 9 tREFI after the refresh before; it is carried out."""
