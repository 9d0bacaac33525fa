"""What a board is to the flows: its FPGA, what fits, its clock and pins, and how a bitstream gets there.

No amaranth is imported before a board's platform is asked for, so that listing boards stays quick.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from amaranth.build import Platform


@dataclass(frozen=True)
class Resources:
    """What the device holds, counted as nextpnr counts it."""

    lut: int
    ff: int
    bram: int
    """Block RAMs."""
    bram_bits: int
    """Bits in one."""
    dsp: int
    """Multipliers, one for each product of up to 9x9 bits."""
    io: int
    """Pins that a design can use, of this package."""


@dataclass(frozen=True)
class Programmer:
    """How openFPGALoader reaches the board. `sram` or `flash` is None where the board has no such way."""

    sram: tuple[str, ...] | None
    flash: tuple[str, ...] | None
    cable: str
    """What the user looks for: the plug, and what it shows itself as on USB."""
    usb: tuple[str, ...]
    """`vendor:product`, hexadecimal, of that."""


@dataclass(frozen=True)
class Board:
    """One board of the catalog.

    Attributes
    ----------
    platform : makes a fresh Amaranth platform
    family : `ecp5`, `ice40` or `gowin`
    default_clock_hz : the design's clock where the design names none
    memory_bytes : size of the memory that the board top gives a block with a memory port, a power of two
    uart : which pins carry the host link, in words
    led : resource of the activity light, and its part if it has several; None where no light is free
    bitstream_suffix : of the file that is programmed
    extra : the extra of our package that its tools come with, None for the core
    dfu : USB vendor and product that a DFU suffix names; None where the bitstream carries none
    """

    name: str
    title: str
    url: str
    platform: Callable[[], Platform]
    family: str
    device: str
    resources: Resources
    oscillator_hz: int
    default_clock_hz: int
    baud: int
    memory_bytes: int
    uart: str
    led: tuple[str, str | None] | None
    bitstream_suffix: str
    programmer: Programmer
    extra: str | None = None
    dfu: tuple[int, int] | None = None
