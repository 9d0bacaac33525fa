"""Colorlight 5A-75B V7.0, an LED receiver card: bring a JTAG cable and a USB-to-serial adapter.

Its connectors for LED panels are driven by output buffers. The only pins that go both ways and are free
are those of the button and the light, so the UART takes them, and there is no activity light.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from boards.board import Board, Programmer, Resources

if TYPE_CHECKING:
    from amaranth.build import Platform


def _platform() -> Platform:
    from amaranth_boards.colorlight_5a75b_r7_0 import Colorlight_5A75B_R70Platform

    return Colorlight_5A75B_R70Platform()


BOARD = Board(
    name="colorlight_5a75b",
    title="Colorlight 5A-75B V7.0",
    url="https://github.com/q3k/chubby75/tree/master/5a-75b",
    platform=_platform,
    family="ecp5",
    device="LFE5U-25F-6BG256C",
    resources=Resources(lut=24_288, ff=24_288, bram=56, bram_bits=18_432, dsp=28, io=197),
    oscillator_hz=25_000_000,
    default_clock_hz=25_000_000,
    baud=1_000_000,
    memory_bytes=1 << 15,
    uart="on connector J19 at 3.3 V: the board receives on KEY+ (M13), sends on DATA_LED- (P11)",
    led=None,
    bitstream_suffix=".bit",
    programmer=Programmer(
        sram=("-c", "ft232", "-m"),
        flash=("-c", "ft232", "-f"),
        cable="a JTAG cable with an FTDI FT232H at the pads J27 to J34",
        usb=("0403:6014",),
    ),
)
