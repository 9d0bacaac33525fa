"""OrangeCrab r0.2 with the 85F: programmed through its USB bootloader, UART on two pins of the Feather header.

Its only USB port is wired to the FPGA itself, so the host link needs a USB-to-serial adapter (3.3 V) at the header.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from boards.board import Board, Programmer, Resources

if TYPE_CHECKING:
    from amaranth.build import Platform

USB_VENDOR, USB_PRODUCT = 0x1209, 0x5AF0


def _platform() -> Platform:
    from amaranth.build import Attrs
    from amaranth_boards.orangecrab_r0_2 import OrangeCrabR0_2_85FPlatform
    from amaranth_boards.resources import UARTResource

    class Platform(OrangeCrabR0_2_85FPlatform):
        # The suffix that dfu-suffix would add comes from boards.dfu: no system package is needed to build.
        required_tools = property(lambda self: [tool for tool in super().required_tools if tool != "dfu-suffix"])
        command_templates = property(lambda self: super().command_templates[:3])

    platform = Platform()
    # The header's pins 0 and 1 are where a Feather has RX and TX.
    platform.add_resources([UARTResource(0, rx="0", tx="1", conn=("io", 0), attrs=Attrs(IO_TYPE="LVCMOS33"))])
    return platform


BOARD = Board(
    name="orangecrab_85f",
    title="OrangeCrab r0.2.1, 85F",
    url="https://orangecrab-fpga.github.io/orangecrab-hardware",
    platform=_platform,
    family="ecp5",
    device="LFE5U-85F-8MG285C",
    resources=Resources(lut=83_640, ff=83_640, bram=208, bram_bits=18_432, dsp=156, io=118),
    oscillator_hz=48_000_000,
    default_clock_hz=48_000_000,
    baud=1_000_000,
    memory_bytes=1 << 16,
    uart="on the Feather header at 3.3 V: the board receives on 0 (RX), sends on 1 (TX)",
    led=("rgb_led", "g"),
    bitstream_suffix=".dfu",
    programmer=Programmer(
        sram=None,  # the bootloader writes to flash
        flash=("-b", "orangeCrab"),
        cable="the USB-C port with the button held while it is plugged in: the bootloader, a DFU device",
        usb=("1209:5af0",),
    ),
    dfu=(USB_VENDOR, USB_PRODUCT),
)
