"""The `yosys` command on top of pyosys, whose wheel has the library but no program.

Takes what Amaranth, amaranth.build and SymbiYosys use of Yosys' command line:

    yosys [-V] [-q] [-Q] [-T] [-l LOG] [-s SCRIPT] [-p COMMANDS] [-o FILE] [FILE ... | -]

Files are read first, then scripts and commands run in the order given, then `-o` is written; `-` is a script on
standard input. An error inside libyosys ends the process it happens in, so the work is done in a forked child and
the parent reports: it prints the log from its `ERROR:` line to standard error and returns a non-zero code.

Run as a program through `flows/bin/yosys`; this file imports nothing of ours, so that it starts fast from anywhere.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import sys
import tempfile
import time
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from types import FrameType

READERS = {".v": "read_verilog", ".sv": "read_verilog -sv", ".il": "read_rtlil", ".json": "read_json"}
WRITERS = {".v": "write_verilog", ".sv": "write_verilog -sv", ".il": "write_rtlil", ".json": "write_json"}
WRITERS |= {".blif": "write_blif", ".edif": "write_edif", ".aig": "write_aiger", ".smt2": "write_smt2"}


class UsageError(ValueError):
    """A command line that this shim does not take."""


@dataclass
class Options:
    """A parsed command line."""

    version: bool = False
    quiet: bool = False
    log: str | None = None
    output: str | None = None
    files: list[str] = field(default_factory=list)
    steps: list[str] = field(default_factory=list)
    """Lines of the script: `-s` and `-p`, in order."""


def parse(argv: list[str]) -> Options:
    """The options in `argv`, the program's name left off. Short options may be joined with their value, and
    with -q -Q -T before them (`-pstat`, `-ql LOG`).

    Raises
    ------
    UsageError
        For an unknown option, one without its value, or a script that cannot be read.
    """
    options = Options()
    rest = list(argv)
    while rest:
        argument = rest.pop(0)
        joined = len(argument) - len(argument[1:].lstrip("qQT")) - 1 if argument.startswith("-") else 0
        options.quiet = options.quiet or "q" in argument[1 : 1 + joined]
        if joined and joined == len(argument) - 1:
            continue
        argument = argument[:1] + argument[1 + joined :]
        flag, value = argument[:2], argument[2:]
        if argument == "-" or not argument.startswith("-"):
            options.files.append(argument)
        elif flag in ("-l", "-s", "-p", "-o"):
            if not value and not rest:
                raise UsageError(f"option {flag} needs a value")
            value = value or rest.pop(0)
            if flag == "-l":
                options.log = value
            elif flag == "-o":
                options.output = value
            else:
                options.steps.append(_script_text(value) if flag == "-s" else value)
        elif argument == "-V":
            options.version = True
        else:
            raise UsageError(f"unknown option {argument}")
    return options


def quote(path: str) -> str:
    """A file name as one word of a Yosys script."""
    return f'"{path}"' if any(c in path for c in " ;#\t") else path


def script(options: Options, standard_input: str) -> str:
    """The Yosys script that does what the options say.

    Raises
    ------
    UsageError
        For a file whose ending names no format, or a script that cannot be read.
    """
    lines = []
    for name in options.files:
        if name == "-":
            lines.append(standard_input)
        elif Path(name).suffix in READERS:
            lines.append(f"{READERS[Path(name).suffix]} {quote(name)}")
        else:
            lines.append(_script_text(name))
    lines += options.steps
    if options.output:
        writer = WRITERS.get(Path(options.output).suffix)
        if writer is None:
            raise UsageError(f"no format is known for {options.output}; known: {' '.join(WRITERS)}")
        lines.append(f"{writer} {quote(options.output)}")
    return "\n".join(lines) + "\n"


def _script_text(name: str) -> str:
    # Read here because Yosys' own `script` command takes no file name with a blank in it.
    try:
        return Path(name).read_text()
    except OSError as error:
        raise UsageError(f"cannot read script file {name}: {error.strerror}") from None


def run_script(text: str, log: Path, *, echo: bool) -> int:
    """Run a script in a forked child, all messages to `log` and, with `echo`, to standard output as they come.

    Returns the exit code, 128 + n for signal n.
    """
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            from pyosys import libyosys

            with tempfile.TemporaryFile("w+") as file:
                file.write(text)
                file.flush()
                libyosys.Pass.call(libyosys.Design(), f"tee -q -o {quote(str(log))} script /dev/fd/{file.fileno()}")
            ctypes.CDLL(None).fflush(None)  # what libyosys has written to standard output; os._exit would lose it
            code = 0
        except (ImportError, OSError, RuntimeError) as error:
            log.write_text(f"ERROR: {type(error).__name__}: {error}\n")
        finally:
            os._exit(code)

    def forward(number: int, _frame: FrameType | None) -> None:
        os.kill(child, number)

    before = {number: signal.signal(number, forward) for number in (signal.SIGTERM, signal.SIGINT)}
    status = _wait(child, log) if echo else os.waitpid(child, 0)[1]
    for number, handler in before.items():
        signal.signal(number, handler)
    return 128 + os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.waitstatus_to_exitcode(status)


def _wait(child: int, log: Path) -> int:
    """Wait for the child, copying what it adds to its log to standard output; returns its wait status."""
    shown, ended, status = 0, 0, 0
    while not ended:
        ended, status = os.waitpid(child, os.WNOHANG)
        if log.exists():
            with log.open("rb") as file:
                file.seek(shown)
                shown += sys.stdout.buffer.write(file.read())
                sys.stdout.buffer.flush()
        if not ended:
            time.sleep(0.02)
    return status


def main(argv: list[str]) -> int:
    """The program: `argv` without its name; returns the exit code."""
    try:
        options = parse(argv)
        if options.version:
            print(f"Yosys {metadata.version('pyosys')} (pyosys)")
            return 0
        text = script(options, sys.stdin.read() if "-" in options.files else "")
    except (UsageError, metadata.PackageNotFoundError) as error:
        print(f"ERROR: {error}", file=sys.stderr)
        return 1
    folder = Path(tempfile.mkdtemp(prefix="yosys_"))
    try:
        log = Path(options.log) if options.log else folder / "log"
        code = run_script(text, log, echo=not options.quiet)
        if code:
            messages = log.read_text(errors="replace") if log.exists() else ""
            error_at = messages.rfind("ERROR:")
            line_at = messages.rfind("\n", 0, error_at) + 1  # the line may begin with a file's name and line number
            print(messages[line_at:].rstrip() if error_at >= 0 else f"ERROR: exit code {code}", file=sys.stderr)
        return code
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
