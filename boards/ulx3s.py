"""ULX3S with the largest ECP5: its UART on the programming cable."""

from __future__ import annotations

from typing import TYPE_CHECKING

from boards.board import Board, Programmer, Resources

if TYPE_CHECKING:
    from amaranth.build import Platform


def _platform() -> Platform:
    from amaranth_boards.ulx3s import ULX3S_85F_Platform

    return ULX3S_85F_Platform()


BOARD = Board(
    name="ulx3s_85f",
    title="Radiona ULX3S, 85F",
    url="https://radiona.org/ulx3s",
    platform=_platform,
    family="ecp5",
    device="LFE5U-85F-6BG381C",
    resources=Resources(lut=83_640, ff=83_640, bram=208, bram_bits=18_432, dsp=156, io=205),
    oscillator_hz=25_000_000,
    default_clock_hz=25_000_000,
    baud=1_000_000,
    memory_bytes=1 << 16,
    uart="over the programming cable",
    led=("led", None),
    bitstream_suffix=".bit",
    programmer=Programmer(
        sram=("-b", "ulx3s", "-m"),
        flash=("-b", "ulx3s", "-f"),
        cable="the USB port US1, an FTDI FT231X",
        usb=("0403:6015",),
    ),
)
