"""What a host says to the monitor, and how it reads the answers: "The monitor" in hdl/soc/README.md."""

from __future__ import annotations

ADDRESS_MOST = (1 << 32) - 1
REPLY_BYTES = 14

ERRORS = {1: "the request's checksum is wrong", 2: "there is no such command", 3: "the access was a fault"}


class MonitorError(Exception):
    """What the monitor refused, or an answer that is none."""


def fletcher(text: bytes) -> int:
    """Fletcher's checksum of two sums of 8 bits, the second one above."""
    first = second = 0
    for octet in text:
        first = (first + octet) & 0xFF
        second = (second + first) & 0xFF
    return second << 8 | first


def request(command: str, address: int, data: int | None = None) -> bytes:
    """A line: `r` reads the word at an address, `w` writes it, `g` goes there.

    Raises
    ------
    ValueError
        If address or data are no words.
    """
    numbers = [address] if data is None else [address, data]
    for number in numbers:
        if not 0 <= number <= ADDRESS_MOST:
            raise ValueError(f"address and data must be in 0..0x{ADDRESS_MOST:x}, not {number}")
    text = (command + "".join(f"{number:08x}" for number in numbers)).encode("ascii")
    return text + f"{fletcher(text):04x}\n".encode("ascii")


def answer(line: bytes) -> int:
    """The word that an answer has.

    Raises
    ------
    MonitorError
        If it says an error, or is not whole.
    """
    text, end = line[:9], line[9:]
    if len(line) != REPLY_BYTES or end != f"{fletcher(text):04x}\n".encode("ascii"):
        raise MonitorError(f"an answer is damaged: {line!r}")
    value = int(text[1:], 16)
    if text[:1] != b"=":
        raise MonitorError(ERRORS.get(value, f"error {value}"))
    return value
