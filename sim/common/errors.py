"""What a simulated design can do wrong."""

from __future__ import annotations


class HarnessError(Exception):
    """The design broke the protocol, hung, or gave too many beats. `str()` is one line: stream, cycle, seed."""


class BusError(HarnessError):
    """A register access was refused, not answered, or answered against the protocol. `str()` is one line."""
