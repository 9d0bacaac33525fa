"""How long the behavioural device takes: cycles after a command at its port. No gateware here."""

from __future__ import annotations

COLUMN_CYCLES = 5
"""To a column that is read, corrected and in a register: port, address, memory, syndrome, correction."""

BF16_PRODUCT_CYCLES = 2
"""From there to the products in registers."""

BF16_LEVEL_CYCLES = 2
"""A level of the tree of fp32 adders."""

INT8_SUM_CYCLES = 2
"""From a column to the sum of its products: products, tree."""

CHECKSUM_CYCLES = 2
"""How much later than the banks' the checksum is added up."""


def sum_cycles(dtype: str, lanes: int) -> int:
    """To the sum of a column's products in a register."""
    if dtype == "int8":
        return COLUMN_CYCLES + INT8_SUM_CYCLES
    return COLUMN_CYCLES + BF16_PRODUCT_CYCLES + BF16_LEVEL_CYCLES * (lanes.bit_length() - 1)


def loop_cycles(dtype: str, tccd_cycles: int) -> int:
    """From an accumulator to its next value: fp32 is added in two cycles where MACs come every two or more."""
    return 2 if dtype == "bf16" and tccd_cycles >= 2 else 1


def answer_cycles(dtype: str, lanes: int, tccd_cycles: int, checksum: bool) -> int:
    """To the answer of RD and RDMAC, at the least: the accumulator is read where the last MAC has left it."""
    found = sum_cycles(dtype, lanes) + loop_cycles(dtype, tccd_cycles)
    return found + (CHECKSUM_CYCLES if checksum else 0)
