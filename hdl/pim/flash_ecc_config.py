"""Config of `pim.flash_ecc`: the code that protects the largest weights of a flash page. No gateware here."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from hdl.common.block import BlockConfig


class FlashEccConfig(BlockConfig):
    """`pim.flash_ecc`: outlier protection of pages of int8 weights.

    The code of a page, bits from the least significant of the first byte on: `threshold_copies` times the threshold, a
    byte each; then for each protected weight, by ascending address, its address, the address's Hamming bits, and two
    copies of the weight; zeros up to a whole byte.
    """

    direction: Literal["decode", "encode"]
    """decode: a page's code, then the page, become the repaired page. encode: a page becomes its code."""

    page_bytes: int = Field(ge=256, le=16384)
    """Weights of a page, a power of 2."""

    threshold_copies: ClassVar[int] = 7

    @model_validator(mode="after")
    def _check_page(self) -> Self:
        if self.page_bytes & (self.page_bytes - 1):
            raise ValueError(f"page_bytes must be a power of 2, not {self.page_bytes}")
        return self

    @property
    def protected(self) -> int:
        """Weights that are protected: one in a hundred, those of the largest magnitude."""
        return self.page_bytes // 100

    @property
    def address_bits(self) -> int:
        """Width of a weight's address."""
        return (self.page_bytes - 1).bit_length()

    @property
    def check_bits(self) -> int:
        """Hamming bits of an address: as many as name every bit of both, and none."""
        return next(bits for bits in range(1, 8) if 1 << bits > self.address_bits + bits)

    @property
    def entry_bits(self) -> int:
        """Bits of a protected weight: address, Hamming bits, two copies."""
        return self.address_bits + self.check_bits + 16

    @property
    def address_positions(self) -> list[int]:
        """Hamming's number of each bit of an address: those that are no powers of 2, from 3 on."""
        return [number for number in range(3, 32) if number & (number - 1)][: self.address_bits]

    @property
    def code_bytes(self) -> int:
        """Bytes of a page's code."""
        return self.threshold_copies + -(-self.protected * self.entry_bits // 8)

    @property
    def latency_cycles(self) -> int:
        """decode: from the cycle that takes a page's last byte to the first that offers it repaired. encode: from the
        one that takes the page's last byte to the first that offers its code: eight searches and what is between."""
        return 3 if self.direction == "decode" else 8 * (self.page_bytes + 2) + 4

    @property
    def multipliers(self) -> int:
        """None."""
        return 0

    @property
    def register_source(self) -> tuple[Path, dict[str, int]]:
        """The register file and its parameters."""
        return Path(__file__).with_name("flash_ecc.rdl"), {
            "PAGE_BYTES": self.page_bytes,
            "PROTECTED": self.protected,
            "CODE_BYTES": self.code_bytes,
            "ENCODES": int(self.direction == "encode"),
        }
