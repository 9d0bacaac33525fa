"""Programming boards, with a fake programmer in the place of the wheel's."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from boards.catalog import BOARDS
from flows import program as module
from flows.errors import NielloError, ToolError
from flows.program import Probe, arguments, program, scan

# What openFPGALoader 1.1.1 said on a machine without boards.
NO_FTDI = (
    "empty\nwrite to ram\nunable to open ftdi device: -3 (device not found)\nJTAG init failed with: unable to open ftdi"
)
NO_DFU = "Parse file DONE\nOpen device 1209:5af0 Not found\nDFU init failed with: No DFU compatible device found"
NO_LIBRARY = "openFPGALoader: error while loading shared libraries: libusb-1.0.so.0: cannot open shared object file"


@pytest.fixture
def programmer(tmp_path, monkeypatch):
    """Puts a script in the programmer's place; it notes its argv in `argv`."""

    def make(says: str, code: int) -> Path:
        file = tmp_path / "openFPGALoader"
        file.write_text(f"#!/bin/sh\nprintf '%s\\n' \"$@\" > {tmp_path}/argv\ncat <<'end'\n{says}\nend\nexit {code}\n")
        file.chmod(0o755)
        monkeypatch.setattr(module, "TOOL", str(file))
        return tmp_path / "argv"

    return make


@pytest.fixture
def bitstream(tmp_path):
    file = tmp_path / "top.bit"
    file.write_bytes(b"bits")
    return file


@pytest.mark.parametrize(
    ("board", "flash", "options"),
    [
        ("ulx3s_85f", False, ["-b", "ulx3s", "-m"]),
        ("ulx3s_85f", True, ["-b", "ulx3s", "-f"]),
        ("icebreaker", False, ["-b", "ice40_generic", "-f"]),
        ("icebreaker", True, ["-b", "ice40_generic", "-f"]),
        ("orangecrab_85f", False, ["-b", "orangeCrab"]),
        ("colorlight_5a75b", False, ["-c", "ft232", "-m"]),
        ("tang_nano_9k", False, ["-b", "tangnano9k", "-m"]),
        ("tang_nano_9k", True, ["-b", "tangnano9k", "-f"]),
    ],
)
def test_program_tells_the_programmer_board_memory_and_file(programmer, bitstream, tmp_path, board, flash, options):
    argv = programmer("done", 0)
    program(BOARDS[board], bitstream, flash=flash, log=tmp_path / "new" / "program.log")
    assert argv.read_text().splitlines() == [*options, str(bitstream)]
    assert (tmp_path / "new" / "program.log").read_text() == "done\n"


def test_arguments_name_the_tool_and_the_file():
    assert arguments(BOARDS["ulx3s_85f"], Path("x.bit"), flash=False)[0] == "openFPGALoader"
    assert arguments(BOARDS["ulx3s_85f"], Path("x.bit"), flash=False)[-1] == "x.bit"


@pytest.mark.parametrize(
    ("board", "says", "message"),
    [
        (
            "ulx3s_85f",
            NO_FTDI,
            "no Radiona ULX3S, 85F found; log: {log} (hint: look for the USB port US1, an FTDI FT231X (USB 0403:6015))",
        ),
        (
            "orangecrab_85f",
            NO_DFU,
            "no OrangeCrab r0.2.1, 85F found; log: {log} (hint: look for the USB-C port with the button held while "
            "it is plugged in: the bootloader, a DFU device (USB 1209:5af0))",
        ),
        (
            "icebreaker",
            "unable to open ftdi device: -4 (usb_open() failed)",
            "no permission to use the cable of 1BitSquared iCEBreaker; log: {log} (hint: add yourself to the group "
            "plugdev, or install udev rules for the cable)",
        ),
    ],
)
def test_no_board_names_the_cable_to_look_for(programmer, bitstream, tmp_path, board, says, message):
    programmer(says, 1)
    log = tmp_path / "program.log"
    with pytest.raises(NielloError, match=f"^{re.escape(message.format(log=log))}$") as caught:
        program(BOARDS[board], bitstream, log=log)
    assert caught.value.exit_code == 1


def test_missing_library_names_the_line_that_installs_it(programmer, bitstream, tmp_path):
    programmer(NO_LIBRARY, 127)
    log = tmp_path / "program.log"
    message = (
        f"openFPGALoader: needs the library libusb-1.0.so.0, which is not installed; log: {log} "
        "(hint: sudo apt-get install libftdi1-2 libusb-1.0-0)"
    )
    with pytest.raises(ToolError, match=f"^{re.escape(message.replace('openFPGALoader:', f'{module.TOOL}:', 1))}$"):
        program(BOARDS["ulx3s_85f"], bitstream, log=log)
    with pytest.raises(ToolError, match="needs the library libusb-1.0.so.0, which is not installed"):
        scan()


def test_other_failures_show_the_programmers_own_line(programmer, bitstream, tmp_path):
    programmer("Open file: DONE\nError: IDCODE mismatch\nbye", 1)
    message = rf"^{re.escape(module.TOOL)}: Error: IDCODE mismatch; log: \S+$"
    with pytest.raises(ToolError, match=message):
        program(BOARDS["ulx3s_85f"], bitstream, log=tmp_path / "program.log")


def test_scan_lists_the_cables(programmer):
    programmer(
        "empty\nBus device vid:pid       probe_type manufacturer serial product\n"
        "  1    12  0x0403:0x6015 FTDI-FT231X    FER-RADIONA-EMARD K00219  ULX3S FPGA 85K v3.0.8\n",
        0,
    )
    assert scan() == [Probe("0403:6015", "FTDI-FT231X FER-RADIONA-EMARD K00219 ULX3S FPGA 85K v3.0.8")]


def test_scan_without_cables_is_empty(programmer):
    programmer("empty\nBus device vid:pid       probe_type manufacturer serial product\nNo USB devices found", 0)
    assert scan() == []


def test_programmer_of_the_wheel_answers_or_names_what_it_lacks():
    try:
        found = scan()
    except ToolError as error:
        assert error.hint == "sudo apt-get install libftdi1-2 libusb-1.0-0"
    else:
        assert all(re.fullmatch(r"[0-9a-f]{4}:[0-9a-f]{4}", probe.usb) for probe in found)
