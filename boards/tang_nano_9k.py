"""Tang Nano 9K: a small Gowin FPGA, its UART on the programming cable. Its tools come with the extra `gowin`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from boards.board import Board, Programmer, Resources

if TYPE_CHECKING:
    from amaranth.build import Platform


def _platform() -> Platform:
    from amaranth_boards.tang_nano_9k import TangNano9kPlatform

    return TangNano9kPlatform()


BOARD = Board(
    name="tang_nano_9k",
    title="Sipeed Tang Nano 9K",
    url="https://wiki.sipeed.com/hardware/en/tang/Tang-Nano-9K/Nano-9K.html",
    platform=_platform,
    family="gowin",
    device="GW1NR-LV9QN88PC6/I5",
    resources=Resources(lut=8640, ff=6480, bram=26, bram_bits=18_432, dsp=40, io=71),
    oscillator_hz=27_000_000,
    default_clock_hz=27_000_000,
    baud=1_000_000,
    memory_bytes=1 << 14,
    uart="over the programming cable, second port",
    led=("led", None),
    bitstream_suffix=".fs",
    programmer=Programmer(
        sram=("-b", "tangnano9k", "-m"),
        flash=("-b", "tangnano9k", "-f"),
        cable="the board's USB port, a BL702 that shows itself as an FTDI FT2232",
        usb=("0403:6010",),
    ),
    extra="gowin",
)
