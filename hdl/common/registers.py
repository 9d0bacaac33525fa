"""Control and status registers of a block, read from its SystemRDL 2.0 file: offsets, fields, resets, side effects.

One file says it for everybody: the gateware (`hdl.common.csr_bank`), the host driver, the models and the flows read it
here; PeakRDL makes the C header and the pages from the same file (`flows.register_docs`). No gateware in this module.

What a file may hold, and what it means:

    addrmap     one, of registers and of other addrmaps, whose registers are named `<instance>_<register>`, or in an
                array of one dimension `<instance><number>_<register>`; no other arrays, register files, memories,
                signals or external registers
    reg         32 bits wide (`regwidth`, `accesswidth`), at offsets that are multiples of 4, none overlapping
    field       `sw` = r, w, rw; `hw` = r, w, rw, na; `reset` (needed by all but live fields); not overlapping
      hwset, hwclr    hardware sets, or clears, single bits of the field
      we              hardware writes the whole field in the cycles in which it says so
      woclr, woset    software clears, or sets, the bits that it writes as 1 (also as `onwrite`)
      rclr            a read by software clears the field (also as `onread`)
      singlepulse     what software writes is there for one cycle; one bit, reads as 0
      swmod           hardware is told that software wrote the field
      swacc           hardware is told that software reads the field (of a written field, too, reads alone)
      precedence      `hw`, which also is what happens when it is left out, whatever SystemRDL's default:
                      a change by hardware wins over one by software in the same cycle, so that no event is lost

A field that hardware writes without `we`, `hwset` or `hwclr` is *live*: software reads the hardware's wire, nothing is
stored. `name`, `desc`, `addressing`, `alignment`, `fieldwidth` and `ispresent` may be used too. Everything else is
refused, as is every combination that would leave a signal or a bit without meaning.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Literal

from hdl.common.config import ConfigError, did_you_mean

REGISTER_BITS = 32
REGISTER_BYTES = REGISTER_BITS // 8

LEAST_ADDRESS_BITS = 3
"""Of a map, however few registers it has."""


class RegisterError(ConfigError):
    """A register file is wrong or holds what we do not support. One line: file, register, field, property."""


@dataclass(frozen=True)
class Field:
    """Bits `low + width - 1 .. low` of a register; the flags are SystemRDL's properties of the same names."""

    name: str
    title: str
    description: str
    low: int
    width: int
    sw: Literal["r", "w", "rw"]
    hw: Literal["r", "w", "rw", "na"]
    reset: int
    hwset: bool = False
    hwclr: bool = False
    we: bool = False
    woclr: bool = False
    woset: bool = False
    rclr: bool = False
    singlepulse: bool = False
    swmod: bool = False
    swacc: bool = False

    @property
    def mask(self) -> int:
        """The field's bits in its register's word."""
        return ((1 << self.width) - 1) << self.low

    @property
    def software_reads(self) -> bool:
        """Whether software sees the field's value; it reads 0 otherwise, and of a single pulse."""
        return "r" in self.sw and not self.singlepulse

    @property
    def software_writes(self) -> bool:
        """Whether a write by software does anything."""
        return "w" in self.sw

    @property
    def is_live(self) -> bool:
        """Whether software reads a wire of the hardware's; nothing is stored."""
        return "w" in self.hw and not (self.we or self.hwset or self.hwclr)

    @property
    def is_constant(self) -> bool:
        """Whether nothing can change the field from its reset value."""
        return not (self.is_live or self.software_writes or self.we or self.hwset or self.hwclr)

    @property
    def access(self) -> str:
        """What software can do, in the usual short words: `ro`, `rw`, `wo`, `w1c`, `w1s`, `pulse`, `rc`."""
        if self.singlepulse:
            return "pulse"
        short = {"r": "ro", "w": "wo", "rw": "rw"}[self.sw]
        marks = [mark for mark, given in (("w1c", self.woclr), ("w1s", self.woset), ("rc", self.rclr)) if given]
        return " ".join([short, *marks])

    def encode(self, value: int) -> int:
        """The register's word with `value` in this field and 0 elsewhere. ValueError if it does not fit."""
        if not 0 <= value < 1 << self.width:
            raise ValueError(f"{self.name} must be in 0..{(1 << self.width) - 1}, not {value}")
        return value << self.low

    def decode(self, word: int) -> int:
        """This field's value in a register's word."""
        return (word & self.mask) >> self.low


@dataclass(frozen=True)
class Register:
    """A 32-bit register at `offset_bytes` from the block's base; fields from the lowest bit up."""

    name: str
    title: str
    description: str
    offset_bytes: int
    fields: tuple[Field, ...]

    @cached_property
    def _by_name(self) -> dict[str, Field]:
        return {field.name: field for field in self.fields}

    def __getitem__(self, name: str) -> Field:
        """The field of that name. KeyError with the nearest name."""
        if name not in self._by_name:
            raise KeyError(f"register {self.name} has no field {name}{did_you_mean(name, list(self._by_name))}")
        return self._by_name[name]

    @property
    def reset(self) -> int:
        """The word that software reads after reset, live fields and what it cannot read taken as 0."""
        return sum(field.encode(field.reset) for field in self.fields if field.software_reads and not field.is_live)

    def encode(self, values: Mapping[str, int]) -> int:
        """The word that holds `values`, by field name; fields left out are 0.

        KeyError for an unknown field, ValueError for a value that does not fit its field.
        """
        return sum(self[name].encode(value) for name, value in values.items())

    def decode(self, word: int) -> dict[str, int]:
        """Every field's value in `word`, by name."""
        return {field.name: field.decode(word) for field in self.fields}


@dataclass(frozen=True)
class RegisterMap:
    """All registers of a block, by rising offset.

    Attributes
    ----------
    size_bytes : int
        From the base to the end of the last register.
    address_bits : int
        Width of a byte address on the bus: the least that holds `size_bytes`, and at least `LEAST_ADDRESS_BITS`.
    """

    name: str
    title: str
    description: str
    size_bytes: int
    address_bits: int
    registers: tuple[Register, ...]

    @cached_property
    def _by_name(self) -> dict[str, Register]:
        return {register.name: register for register in self.registers}

    def before(self, offset_bytes: int) -> RegisterMap:
        """The registers below an offset: a block's own, where those of its units begin there."""
        own = tuple(one for one in self.registers if one.offset_bytes < offset_bytes)
        size_bytes = own[-1].offset_bytes + REGISTER_BYTES
        address_bits = max(LEAST_ADDRESS_BITS, (size_bytes - 1).bit_length())
        return replace(self, size_bytes=size_bytes, address_bits=address_bits, registers=own)

    def __contains__(self, name: str) -> bool:
        return name in self._by_name

    def __getitem__(self, name: str) -> Register:
        """The register of that name. KeyError with the nearest name."""
        if name not in self._by_name:
            raise KeyError(f"{self.name} has no register {name}{did_you_mean(name, list(self._by_name))}")
        return self._by_name[name]


def load_registers(path: Path, parameters: Mapping[str, int] | None = None) -> RegisterMap:
    """The registers that the last addrmap of a SystemRDL file describes, elaborated with `parameters`.

    Parameters
    ----------
    path : Path
        The SystemRDL file.
    parameters : mapping, optional
        Values for the addrmap's parameters; those left out keep the file's defaults.

    Raises
    ------
    RegisterError
        For a missing file, an error in it, an unknown or impossible parameter, or anything outside this module's table.
    """
    return _load(path, path.read_bytes() if path.is_file() else None, tuple((parameters or {}).items()))


@lru_cache(maxsize=64)
def _load(path: Path, content: bytes | None, parameters: tuple[tuple[str, int], ...]) -> RegisterMap:
    """`content` is here as a part of the key: a file that changed is read again."""
    # The compiler takes a third of a second to import; who only reads a config's numbers need not wait for it.
    from hdl.common.rdl import elaborate, register_map

    return register_map(elaborate(path, dict(parameters)), path)
