"""iCEBreaker: a small FPGA with 8 multipliers, its UART on the programming cable."""

from __future__ import annotations

from typing import TYPE_CHECKING

from boards.board import Board, Programmer, Resources

if TYPE_CHECKING:
    from amaranth.build import Platform


def _platform() -> Platform:
    from amaranth_boards.icebreaker import ICEBreakerPlatform

    return ICEBreakerPlatform()


BOARD = Board(
    name="icebreaker",
    title="1BitSquared iCEBreaker",
    url="https://1bitsquared.com/products/icebreaker",
    platform=_platform,
    family="ice40",
    device="iCE40UP5K-SG48",
    resources=Resources(lut=5280, ff=5280, bram=30, bram_bits=4096, dsp=8, io=39),
    oscillator_hz=12_000_000,
    default_clock_hz=12_000_000,
    baud=1_000_000,
    memory_bytes=1 << 12,
    uart="over the programming cable, second port",
    led=("led_g", None),
    bitstream_suffix=".bin",
    programmer=Programmer(
        sram=None,  # the jumpers that lead the cable to the FPGA itself are open as the board is sold
        flash=("-b", "ice40_generic", "-f"),
        cable="the board's USB port, an FTDI FT2232H",
        usb=("0403:6010",),
    ),
)
