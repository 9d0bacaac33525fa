"""A Verilated design and our own C++ around it, compiled into one shared library.

No `make` here: Verilator's output is gathered into a few translation units, because every unit parses Verilator's
headers again (about half a second), which outweighs the model itself in most designs. Verilator's run-time library is a
unit of its own whose text and flags never change, so that ccache compiles it once a machine.
"""

from __future__ import annotations

import ctypes
import shutil
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from sim.common.verilator import JOBS, environment, run_tool, waiver_flags

Signature = tuple[Any, list[Any]]
"""The ctypes result and arguments of a function in a library."""

PREFIX = "Vmodel"
"""Class of the Verilated model. All libraries use it: their symbols are hidden, so that designs share a process."""

LIBRARY = "model.so"
UNIT_BYTES = 400_000
"""Generated C++ in one translation unit; beyond it, a second core and a bounded memory matter more than headers."""

COMPILE = (
    *("-std=c++17", "-fPIC", "-pthread", "-fvisibility=hidden", "-fno-gnu-unique", "-w", "-I.", "-DVERILATOR=1"),
    *("-DVM_COVERAGE=0", "-DVM_SC=0", "-DVM_TIMING=0", "-DVM_TRACE_FST=0", "-DVM_TRACE_VCD=0", "-DVL_USER_FATAL"),
)
RUNTIME = ("verilated.cpp", "verilated_threads.cpp")
SAIF_OPTION, SAIF_RUNTIME = "--trace-saif", "verilated_saif_c.cpp"


def build_library(
    verilog: Sequence[Path],
    top: str,
    glue: Mapping[str, str],
    build_dir: Path,
    *,
    arguments: Sequence[str] = (),
    optimise: str = "-O2",
    ccache_dir: Path | None = None,
) -> Path:
    """Compile module `top` of the `verilog` files together with `glue` into `build_dir`.

    Parameters
    ----------
    glue : mapping
        File name to text. Files ending in `.cpp` are compiled, in the given order, after the model in one unit; the
        others are there to be included. One of them defines `vl_fatal`, which must not return.
    arguments : sequence of str
        More Verilator options; with `--trace-saif` the model can count toggles.
    optimise : str
        The C++ compiler's level for the model.

    Returns
    -------
    Path
        The shared library. The folder may be renamed afterwards.

    Raises
    ------
    BuildError
        With the tool's own error line and the log's path.
    """
    build_dir.mkdir(parents=True, exist_ok=True)
    env, log = environment(ccache_dir), build_dir / "build.log"
    log.unlink(missing_ok=True)
    sources = []
    for number, source in enumerate(
        verilog
    ):  # copies, named relatively: no absolute path enters the C++ or ccache's key
        sources.append(f"source{number}{source.suffix}")
        shutil.copyfile(source, build_dir / sources[-1])
    options = ["-O3", "--x-assign", "fast", "--x-initial", "fast", "--no-timing", "--no-assert", "--quiet-stats"]
    command = ["verilator", "--cc", "--Mdir", ".", "--prefix", PREFIX, "--top-module", top, *options, *waiver_flags()]
    run_tool("verilator", [*command, *arguments, *sources], cwd=build_dir, log=log, env=env)
    for name, text in glue.items():
        (build_dir / name).write_text(text)
    saif = SAIF_OPTION in arguments
    units = _units(build_dir, [name for name in glue if name.endswith(".cpp")], optimise, saif)
    _compile(build_dir, units, env, saif)
    objects = [unit.replace(".cpp", ".o") for unit in units]
    link = [*_compiler(env), "-shared", "-pthread", "-Wl,-Bsymbolic", "-Wl,--build-id=none", "-o", LIBRARY, *objects]
    run_tool("c++", link, cwd=build_dir, log=log, env=env)
    return build_dir / LIBRARY


def load_library(library: Path, functions: Mapping[str, Signature]) -> ctypes.CDLL:
    """Load a library of `build_library`; `functions` maps each name to its ctypes result and arguments.

    Its symbols stay its own (RTLD_LOCAL), so that any number of designs lives in one process.
    """
    loaded = ctypes.CDLL(str(library.resolve()), mode=ctypes.DEFAULT_MODE)
    for name, (result, arguments) in functions.items():
        function = getattr(loaded, name)
        function.restype, function.argtypes = result, arguments
    return loaded


def _units(build_dir: Path, glue: Iterable[str], optimise: str, saif: bool) -> dict[str, str]:
    """Write the translation units; their names, each with its optimisation level."""
    fast: list[Path] = []
    slow: list[Path] = []
    for path in sorted(build_dir.glob(f"{PREFIX}*.cpp")):
        (slow if path.stem.endswith("__Slow") else fast).append(path)
    runtime = [*RUNTIME, SAIF_RUNTIME] if saif else [*RUNTIME]
    units: dict[str, tuple[str, list[str]]] = {"runtime.cpp": ("-O1", runtime)}
    if sum(path.stat().st_size for path in (*fast, *slow)) <= UNIT_BYTES:
        units["model.cpp"] = (optimise, [path.name for path in (*fast, *slow)] + list(glue))
    else:
        for kind, level, paths in (("fast", optimise, fast), ("slow", "-O0", slow)):
            for number, names in enumerate(_batches(paths)):
                units[f"{kind}{number}.cpp"] = (level, names)
        units["fast0.cpp"][1].extend(glue)
    for name, (_, included) in units.items():
        (build_dir / name).write_text("".join(f'#include "{part}"\n' for part in included))
    return {name: level for name, (level, _) in units.items()}


def _batches(paths: Iterable[Path]) -> list[list[str]]:
    batches: list[list[str]] = []
    filled = UNIT_BYTES
    for path in paths:
        size = path.stat().st_size
        if filled + size > UNIT_BYTES:
            batches.append([])
            filled = 0
        batches[-1].append(path.name)
        filled += size
    return batches


def _compile(build_dir: Path, units: Mapping[str, str], env: Mapping[str, str], saif: bool) -> None:
    traced = [f"-DVM_TRACE={saif:d}", f"-DVM_TRACE_SAIF={saif:d}"]
    include = f"-I{env['VERILATOR_ROOT']}/include"

    def compile_unit(unit: str) -> None:
        own_log = build_dir / unit.replace(".cpp", ".log")
        own_log.unlink(missing_ok=True)
        command = [
            *env["OBJCACHE"].split(),
            *_compiler(env),
            units[unit],
            *COMPILE,
            *traced,
            include,
            include + "/vltstd",
        ]
        run_tool("c++", [*command, "-c", unit, "-o", unit.replace(".cpp", ".o")], cwd=build_dir, log=own_log, env=env)

    with ThreadPoolExecutor(JOBS) as pool:
        list(pool.map(compile_unit, units))


def _compiler(env: Mapping[str, str]) -> list[str]:
    return env.get("CXX", "g++").split()
