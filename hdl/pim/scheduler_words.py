"""The words in which a scheduler tells what it did. No gateware here."""

from __future__ import annotations

CYCLE_BITS = 31

FIELDS = {
    "cycle": CYCLE_BITS,
    "command": 4,
    "bank": 4,
    "row": 14,
    "col": 6,
    "buf": 1,
    "miss": 1,
    "start": 1,
    "end": 1,
    "illegal": 1,
}
"""Bits of a word's fields, from the least significant. `cycle` counts from reset, and wraps; its first is 1. `command`:
0, or what is issued in it, with `bank`, `row`, `col`, `buf` as the device port has them. `miss`: a column command, the
first since its instruction's activation. `start`: the first instruction of a program is taken. `end`: EOC is.
`illegal`: an instruction is skipped for being so.

Where `command` is 0, `bank` says why there is none, in `STALLS`: from this cycle on until the next word's."""

STALLS = ("refresh", "row", "timing", "idle")
"""Why a cycle has no command, by number."""

WORD_BITS = sum(FIELDS.values())

FIRST_CYCLE = 5
"""The earliest after reset in which a scheduler's first instruction works; the program's cycle 1."""
