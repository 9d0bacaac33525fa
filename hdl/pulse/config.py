"""Config of `pulse.filter`: time and energy of a pulse by weighted least squares. No gateware here."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from hdl.common.block import BlockConfig

PHASES, MIDDLE_PHASE = 16, 8
"""Phases of a sample that the bank has coefficients for; the one at which a pulse begins on a sample."""

FRACTION_BITS = 16
"""Of a position in samples."""

ENERGY_BITS = 8
"""Fraction bits of what a row gives: codes."""

RECORD_BITS = 128
"""Of a pulse's record."""

APART_BITS = 8
"""Fraction bits of the time between two pulses in a record: samples."""

RATIO_CYCLES = 20
"""From the beginning of a division to its ratio."""

SEARCH_STAGES = 12
"""From a tap's number to the comparison of what is left of it with the largest."""

SUBTRACT_CYCLES = 4
"""From the last choice of what a second pulse takes to the first pulse's rows."""

SOLVE_CYCLES = 79
"""Two pulses' equations: determinants 11, a quotient of 55 bits and those of `exponent_template`, products 13."""

RATIO_MOST = 3 << (FRACTION_BITS - 1)
"""Magnitude to which a correction of time is clamped: 1.5 samples."""

ROW_NAMES = ("a", "b", "z", "c")
"""What a row of coefficients gives: amplitude, amplitude times delay, baseline, amplitude times change of width. The
place is the row's code in an address of the bank."""

MEMORIES = ("weights", "templates")
"""The bank's memories, W and T; the place is the code in an address."""

SIGNED_REGISTERS = ("guess", "code_least", "code_most")
"""Settings that are of two's complement."""


class FilterConfig(BlockConfig):
    """`pulse.filter`: the optimal filter, linear about the nearest of 16 phases of a sample.

    The settings are registers of one field, `value`: `passes`, `guess`, `exponent_a`, `exponent_b`, `exponent_z`,
    `exponent_c`, `exponent_template`, `stretch_step`, `pair_passes`, `pair_offset`, `exponent_pair`, `chi_base`,
    `chi_share`, `code_least`, `code_most`.
    """

    samples: int = Field(ge=16, le=256)
    """Samples of a window."""

    taps: int = Field(ge=8, le=128)
    """Samples of a window that a pass looks at, each a coefficient of every row."""

    pre: int = Field(ge=0, le=127)
    """The tap at which a pulse begins in the middle of the phases; below `taps`."""

    shape: bool = False
    """Also fit the change of a pulse's width."""

    stretches: Literal[1, 3, 5, 7] = 1
    """Widths that the bank has coefficients for; above 1 only with `shape`."""

    pairs: bool = False
    """Also fit two pulses where one leaves too much; only without `shape`, and with four taps behind `pre`."""

    code_bits: ClassVar[int] = 16
    coefficient_bits: ClassVar[int] = 16
    fit_bits: ClassVar[int] = 32
    left_bits: ClassVar[int] = 18
    pair_bits: ClassVar[int] = 24
    residual_bits: ClassVar[int] = 24
    chi_bits: ClassVar[int] = 40
    record_bits: ClassVar[int] = 128
    default_passes: ClassVar[int] = 2
    most_passes: ClassVar[int] = 7
    limit_cycles: ClassVar[int] = 58

    @model_validator(mode="after")
    def _check_window(self) -> Self:
        if self.taps > self.samples:
            raise ValueError(f"taps must be at most the {self.samples} samples of a window, not {self.taps}")
        if self.pre >= self.taps:
            raise ValueError(f"pre must be below the {self.taps} taps, not {self.pre}")
        if self.stretches > 1 and not self.shape:
            raise ValueError(f"stretches must be 1 without shape, not {self.stretches}")
        if self.pairs and self.shape:
            raise ValueError("pairs must be False with shape, not True")
        if self.pairs and self.taps < self.pre + 4:
            raise ValueError(f"taps must be at least {self.pre + 4} with pairs and pre {self.pre}, not {self.taps}")
        return self

    @property
    def weight_rows(self) -> tuple[str, ...]:
        """Rows of W."""
        return ROW_NAMES if self.shape else ROW_NAMES[:3]

    @property
    def template_rows(self) -> tuple[str, ...]:
        """Rows of T: the baseline's is 1 and is not kept."""
        return tuple(row for row in self.weight_rows if row != "z")

    @property
    def setting_names(self) -> tuple[str, ...]:
        """Registers that a fit depends on, besides the bank."""
        exponents = tuple(f"exponent_{row}" for row in (*self.weight_rows, "template"))
        steps = ("stretch_step",) if self.stretches > 1 else ()
        pairs = ("pair_passes", "pair_offset", "exponent_pair") if self.pairs else ()
        return ("passes", "guess", *exponents, *steps, *pairs, "chi_base", "chi_share", "code_least", "code_most")

    @property
    def tap_bits(self) -> int:
        """Width of a tap's number."""
        return (self.taps - 1).bit_length()

    @property
    def places(self) -> int:
        """Of a row in the bank: the phases of a stretch, stretch by stretch; with `pairs` those of early fits, too."""
        return self.stretches * PHASES << self.pairs

    @property
    def place_bits(self) -> int:
        """Width of a place's number."""
        return (self.places - 1).bit_length()

    @property
    def bank_address_bits(self) -> int:
        """Width of an address of the bank: memory, row, stretch, phase, tap, from high to low."""
        return 1 + 2 + self.place_bits + self.tap_bits

    def bank_address(self, memory: str, row: str, place: int, tap: int = 0) -> int:
        """Where the bank has a coefficient."""
        row_number = MEMORIES.index(memory) * len(ROW_NAMES) + ROW_NAMES.index(row)
        return (row_number << self.place_bits | place) << self.tap_bits | tap

    @property
    def factor_bits(self) -> int:
        """Width of what a row multiplies: codes, and with `pairs` what a fit leaves of them."""
        return self.left_bits if self.pairs else self.code_bits

    @property
    def sum_bits(self) -> int:
        """Width of a row's exact sum of products."""
        return self.factor_bits + self.coefficient_bits + self.tap_bits

    @property
    def model_bits(self) -> int:
        """Width of the exact sum of a fit's parts, each times its template."""
        return self.fit_bits + self.coefficient_bits + (len(self.template_rows) - 1).bit_length()

    @property
    def row_cycles(self) -> int:
        """The rows' sums: memory, register, multiplier, adder; then they are rounded in three stages, a row a cycle."""
        return self.taps + len(self.weight_rows) + 6

    @property
    def pass_cycles(self) -> int:
        """A pass: start and phase, rows, division, position."""
        return 2 + self.row_cycles + RATIO_CYCLES + 1

    @property
    def residual_cycles(self) -> int:
        """After the last pass: the residual, 11 stages behind the last tap's address, or the limit, which begins with
        the pass's division, if that takes longer."""
        return max(self.taps + 11, self.limit_cycles - RATIO_CYCLES)

    @property
    def search_cycles(self) -> int:
        """Of either look at all that an early fit leaves."""
        return self.taps + SEARCH_STAGES

    @property
    def left_cycles(self) -> int:
        """What a fit leaves, 11 stages behind its tap; two sums of products with it, rounded one after the other."""
        return self.taps + 18

    def fit_cycles(self, passes: int) -> int:
        """From the cycle that takes a window's last beat to the first that offers its record, without stalls, of one
        pulse."""
        return 2 + passes * self.pass_cycles + self.residual_cycles + self.pairs

    def pair_cycles(self, passes: int, pair_passes: int, exponent_template: int) -> int:
        """What a window takes longer in which one pulse leaves too much: early passes and the search, passes of both
        pulses, what the second one adds, and the residual again."""
        solve = SOLVE_CYCLES + exponent_template + SUBTRACT_CYCLES
        one = 3 + 3 * (self.row_cycles + self.left_cycles) + solve + RATIO_CYCLES + 1
        begin = 1 + passes * self.pass_cycles + 2 * self.search_cycles
        return begin + pair_passes * one + self.taps + 8 + self.residual_cycles + 1

    @property
    def latency_cycles(self) -> int:
        """`fit_cycles` of as many passes as after reset."""
        return self.fit_cycles(self.default_passes)

    @property
    def multipliers(self) -> int:
        """One for a row of W, two for a row of T, four for the square of the residual, of 21 bits; four for pairs."""
        return len(self.weight_rows) + 2 * len(self.template_rows) + 4 + 4 * self.pairs

    @property
    def register_source(self) -> tuple[Path, dict[str, int]]:
        """The register file and its parameters."""
        return Path(__file__).with_name("filter.rdl"), {
            "SAMPLES": self.samples,
            "TAPS": self.taps,
            "PRE": self.pre,
            "SHAPE": int(self.shape),
            "STRETCHES": self.stretches,
            "PAIRS": int(self.pairs),
            "ADDRESS_BITS": self.bank_address_bits,
        }
