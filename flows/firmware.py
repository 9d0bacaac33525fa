"""`niello firmware`: C for the processor into an image, by whichever RISC-V compiler is there."""

from __future__ import annotations

import hashlib
import shutil
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import hdl.soc
from flows.errors import BadInput, NielloError
from flows.output import check_output
from flows.register_docs import c_header
from flows.tools import run_tool
from hdl.soc.config import WORD_BYTES
from hdl.soc.image import write_image

FOLDER = Path(hdl.soc.__file__).parent / "firmware"
REGISTERS = FOLDER.parent / "system.rdl"
SHARED = ("start.S", "link.ld", "assert.h")
"""What every firmware is built with, besides its C file and the registers' header."""

MOST_BYTES = 65536
COMPILE_SECONDS = 120.0

GCC = "riscv64-unknown-elf-gcc"
GCC_OPTIONS = (
    "-march=rv32i_zicsr", "-mabi=ilp32", "-mstrict-align", "-std=gnu11", "-Os", "-ffreestanding", "-nostdlib", "-Wall",
    "-Wextra", "-Werror", "-Wl,--no-warn-rwx-segments",
)  # fmt: skip
ZIG_OPTIONS = ("-target", "riscv32-freestanding-none", "-mcpu", "generic_rv32", "-O", "ReleaseSmall", "-fcompiler-rt")

NO_COMPILER = f"install {GCC} (Debian: sudo apt-get install gcc-riscv64-unknown-elf), or pip install ziglang"


def names() -> list[str]:
    """The firmware that there is source of."""
    return sorted(path.stem for path in FOLDER.glob("*.c"))


def sources_digest(name: str) -> str:
    """Of all that an image depends on, but for the compiler."""
    digest = hashlib.sha256()
    for path in (FOLDER / f"{name}.c", *(FOLDER / file for file in SHARED), REGISTERS):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def comment(name: str) -> str:
    """The first line of an image of these sources."""
    return f"firmware {name}, sources {sources_digest(name)}"


def build_firmware(name: str, out: Path | None) -> dict[str, Any]:
    """Compile, link, and write the image.

    Raises
    ------
    BadInput
        If there is no such firmware.
    NielloError
        If there is no compiler, it fails, or the image is longer than any memory.
    """
    if name not in names():
        raise BadInput(f"there is no firmware {name}", hint=f"there is {', '.join(names())}")
    path = FOLDER / f"{name}.hex" if out is None else out
    check_output(path)
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        c_header(REGISTERS, {}, work / "system.h")
        compiler = _compile(name, work)
        content = _binary(work / f"{name}.elf")
    if len(content) > MOST_BYTES:
        raise NielloError(f"firmware {name} is {len(content)} bytes long; at most {MOST_BYTES}")
    padded = content + bytes(-len(content) % WORD_BYTES)
    words = [int.from_bytes(padded[at : at + WORD_BYTES], "little") for at in range(0, len(padded), WORD_BYTES)]
    write_image(path, words, comment(name))
    return {"firmware": name, "compiler": compiler, "bytes": len(content), "sources": sources_digest(name)}


def _compile(name: str, work: Path) -> str:
    """The linked file, `<name>.elf`; which compiler made it."""
    files = [FOLDER / "start.S", FOLDER / f"{name}.c"]
    includes = ["-I", str(work), "-I", str(FOLDER)]
    out = work / f"{name}.elf"
    gcc = shutil.which(GCC)
    argv: list[str | Path]
    if gcc:
        argv = [gcc, *GCC_OPTIONS, *includes, "-T", FOLDER / "link.ld", *files, "-lgcc", "-o", out]
    elif find_spec("ziglang"):
        start = [sys.executable, "-m", "ziglang", "build-exe"]
        argv = [*start, *ZIG_OPTIONS, *includes, *files, "--script", FOLDER / "link.ld", f"-femit-bin={out}"]
    else:
        raise NielloError("there is no compiler for RISC-V", hint=NO_COMPILER)
    run_tool(argv, cwd=work, log=work / "compile.log", timeout_s=COMPILE_SECONDS, description=f"compiling {name}")
    return GCC if gcc else "zig"


def _binary(elf: Path) -> bytes:
    """What an ELF file of 32 bits loads, from address 0 on."""
    content = elf.read_bytes()

    def field(at: int, size: int) -> int:
        return int.from_bytes(content[at : at + size], "little")

    memory = bytearray()
    first, size, count = field(28, 4), field(42, 2), field(44, 2)
    for at in range(first, first + size * count, size):
        kind, offset, _, address, bytes_here = (field(at + 4 * place, 4) for place in range(5))
        if kind == 1 and bytes_here:  # PT_LOAD, at its load address
            memory.extend(bytes(max(0, address + bytes_here - len(memory))))
            memory[address : address + bytes_here] = content[offset : offset + bytes_here]
    return bytes(memory)
