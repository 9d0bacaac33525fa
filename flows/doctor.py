"""What is installed, what is missing, and the command that mends it."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import subprocess
import sys
from dataclasses import asdict, dataclass
from typing import Any

from rich.table import Table

from flows.paths import build_root
from flows.progress import console
from flows.tools import EXTRA_PACKAGES, PACKAGES, PROGRAMMER_LIBRARIES, command


@dataclass(frozen=True)
class Finding:
    """One thing looked at. `needed`: nothing works without it; `mend`: the command that puts it right."""

    what: str
    found: str | None
    needed: bool
    mend: str = ""


def examine() -> dict[str, Any]:
    """Looks at everything, shows a table, and returns the findings as plain data; `ok` if nothing needed is missing."""
    findings = [_python(), *_programs(), *_tools(), _programmer_libraries(), _serial_access(), _build_folder()]
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    for column in ("", "what", "found", "mend"):
        table.add_column(column, overflow="fold")
    for finding in findings:
        mark = "[green]✓[/]" if finding.found else ("[red]✗[/]" if finding.needed else "[yellow]–[/]")
        table.add_row(mark, finding.what, finding.found or "missing", "" if finding.found else finding.mend)
    console().print(table)
    ok = all(finding.found for finding in findings if finding.needed)
    return {"ok": ok, "findings": [asdict(finding) for finding in findings]}


def _python() -> Finding:
    return Finding("python", f"{platform.python_version()} ({sys.executable})", True)


def _programs() -> list[Finding]:
    reasons = {"g++": "the simulator's models and the event kernel", "make": "the build", "perl": "Verilator"}
    return [
        Finding(f"{name}, for {reason}", shutil.which(name), True, f"sudo apt-get install {name}")
        for name, reason in reasons.items()
    ]


def _tools() -> list[Finding]:
    found = []
    for tool, package in PACKAGES.items():
        extra = next((name for name, packages in EXTRA_PACKAGES.items() if package in packages), None)
        try:
            version = f"{importlib.metadata.version(package)} ({package})"
        except importlib.metadata.PackageNotFoundError:
            version = None
        mend = f"make setup EXTRAS={extra}" if extra else "make setup"
        found.append(Finding(f"{tool}{f', for {extra}' if extra else ''}", version, extra is None, mend))
    return found


def _programmer_libraries() -> Finding:
    """The programmer's wheel links against libraries of the system; only starting it tells whether they are there."""
    answer = None
    if shutil.which("true") and not _missing_tool("openFPGALoader"):
        done = subprocess.run([*command("openFPGALoader"), "--Version"], capture_output=True, text=True, check=False)
        answer = "there" if done.returncode == 0 else None
    return Finding("libftdi1 and libusb, to program boards", answer, False, PROGRAMMER_LIBRARIES)


def _missing_tool(name: str) -> bool:
    try:
        importlib.metadata.version(PACKAGES[name])
    except importlib.metadata.PackageNotFoundError:
        return True
    return False


def _serial_access() -> Finding:
    """Serial ports belong to a group on Debian-like systems."""
    from serial.tools.list_ports import comports

    ports = [port.device for port in comports()]
    closed = [port for port in ports if not os.access(port, os.R_OK | os.W_OK)]
    if closed:
        return Finding("serial ports", None, False, f"sudo usermod -aG dialout $USER, then log in again ({closed[0]})")
    return Finding("serial ports", ", ".join(ports) or None, False, "plug in a board")


def _build_folder() -> Finding:
    folder = build_root()
    place = folder if folder.exists() else folder.parent
    if not os.access(place, os.W_OK):
        return Finding("build folder", None, True, f"make {place} writable, or name another one with NIELLO_BUILD")
    free_gb = shutil.disk_usage(place).free / 1e9
    return Finding("build folder", f"{folder}, {free_gb:.0f} GB free" if free_gb >= 1 else None, True, "free some disk")
