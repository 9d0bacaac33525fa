"""The words in which a scheduler tells what it did. No gateware here."""

from __future__ import annotations

CYCLE_BITS = 32

FIELDS = {
    "cycle": CYCLE_BITS,
    "command": 4,
    "bank": 4,
    "row": 14,
    "col": 6,
    "buf": 1,
    "start": 1,
    "end": 1,
    "illegal": 1,
}
"""Bits of a word's fields, from the least significant. `cycle` counts from reset, and wraps; its first is 1. `command`:
0, or what is issued in it, with `bank`, `row`, `col`, `buf` as the device port has them. `start`: the first
instruction of a program is taken. `end`: EOC is. `illegal`: an instruction is skipped for being so."""

WORD_BITS = sum(FIELDS.values())
