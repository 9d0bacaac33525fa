"""Loading a bitstream into a board through openFPGALoader."""

from __future__ import annotations

import re
import tempfile
from dataclasses import dataclass
from pathlib import Path

from boards.board import Board
from flows.errors import BadInput, NielloError, ToolError
from flows.tools import PROGRAMMER_LIBRARIES, Run, error_line, run_tool

TOOL = "openFPGALoader"
TIMEOUT_S = 300.0

_NO_DEVICE = re.compile(
    r"device not found|No DFU compatible device|[Nn]o (?:such )?device|[Cc]able not found|no USB device", re.IGNORECASE
)
_NO_ACCESS = re.compile(r"LIBUSB_ERROR_ACCESS|[Pp]ermission denied|usb_open\(\) failed|unable to open ftdi device: -4")
_PROBE = re.compile(r"^\s*\d+\s+\d+\s+((?:0x)?[0-9a-fA-F]{4}:(?:0x)?[0-9a-fA-F]{4})[ \t]+(.*)$", re.MULTILINE)


@dataclass(frozen=True)
class Probe:
    """One cable that the programmer sees on USB: `vendor:product`, and the rest of its line."""

    usb: str
    description: str


def arguments(board: Board, bitstream: Path, *, flash: bool) -> list[str]:
    """openFPGALoader's argv for a board. Where the board's only way is flash, that is taken without being asked for.

    Raises
    ------
    BadInput
        If flash is asked for and the board has no such way.
    """
    programmer = board.programmer
    way = programmer.flash if flash or programmer.sram is None else programmer.sram
    if way is None:
        raise BadInput(f"{board.name} has no flash that the programmer can write", hint="leave out --flash")
    return [TOOL, *way, str(bitstream)]


def program(board: Board, bitstream: Path, *, flash: bool = False, log: Path) -> Run:
    """Loads a bitstream: into the FPGA's memory, where it lasts until power goes, or with `flash` for good.

    Raises
    ------
    NielloError
        If no such board is found: names the cable to look for.
    ToolError
        If the programmer, or a library of the system that it needs, is missing, or it fails otherwise.
    BadInput
        If there is no such way to program the board.
    """
    argv = arguments(board, bitstream.absolute(), flash=flash)
    log.parent.mkdir(parents=True, exist_ok=True)
    run = run_tool(argv, cwd=log.parent, log=log, timeout_s=TIMEOUT_S, check=False)
    text = log.read_text(errors="replace")
    if run.returncode == 0:
        return run
    _refuse_missing_library(text, log)
    if _NO_ACCESS.search(text):
        hint = "add yourself to the group plugdev, or install udev rules for the cable"
        raise NielloError(f"no permission to use the cable of {board.title}; log: {log}", hint=hint)
    if _NO_DEVICE.search(text):
        hint = f"look for {board.programmer.cable} (USB {', '.join(board.programmer.usb)})"
        raise NielloError(f"no {board.title} found; log: {log}", hint=hint)
    raise ToolError(TOOL, error_line(TOOL, text, run.returncode), log)


def scan() -> list[Probe]:
    """The cables that the programmer sees on USB now.

    Raises
    ------
    ToolError
        If the programmer, or a library of the system that it needs, is missing.
    """
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "scan.log"
        run_tool([TOOL, "--scan-usb"], cwd=Path(folder), log=log, timeout_s=30, check=False)
        text = log.read_text(errors="replace")
        _refuse_missing_library(text, None)
        rows = re.findall(
            r"^\s*\d+\s+\d+\s+(?:0x)?([0-9a-fA-F]{4}:(?:0x)?[0-9a-fA-F]{4})[ \t]+(.*)$", text, re.MULTILINE
        )
        return [Probe(usb.lower().replace("0x", ""), " ".join(rest.split())) for usb, rest in rows]


def _refuse_missing_library(text: str, log: Path | None) -> None:
    missing = re.search(r"error while loading shared libraries: (\S+):", text)
    if missing:
        raise ToolError(TOOL, f"needs the library {missing[1]}, which is not installed", log, hint=PROGRAMMER_LIBRARIES)
