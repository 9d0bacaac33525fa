"""The steps of a block's road that need no board: what each depends on, and what it does."""

from __future__ import annotations

import functools
import importlib.metadata
import os
import platform
import shlex
import shutil
from pathlib import Path
from typing import Any

from flows.errors import NielloError, ToolError
from flows.load import Design
from flows.paths import ROOT, build_root, shown
from flows.store import Result, Step, digest_files

RANDOM_SEED = 1
RANDOM_ITEMS = 10_000
STALL_PROBABILITY = 0.25


def elaborate(design: Design) -> Step:
    """Verilog, ports, register header and FuseSoC core of a block, and, if it has any, its power domains as UPF and its
    registers as pages."""

    def action(out: Path) -> dict[str, Any]:
        from flows.verilog import load_amaranth, write_rtl

        load_amaranth()
        from flows.register_docs import html

        files = write_rtl(design, out)
        if design.config.register_source is not None:
            html(*design.config.register_source, out / "registers")
        return {"verilog_lines": files["v"].read_text().count("\n"), "latency_cycles": design.config.latency_cycles}

    inputs = {
        "config": design.config_sha256,
        "sources": _digest(
            [*design.block.gateware_sources(), *_flow("verilog", "identifiers", "register_docs", "upf")]
        ),
        "versions": versions(
            "amaranth", "pyosys", "systemrdl-compiler", "peakrdl-cheader", "peakrdl-html", *design.config.packages
        ),
    }
    return Step("elaborate", design.name, inputs, action)


def lint(design: Design, rtl: Result) -> Step:
    """Verilator's lint of the generated Verilog: every warning is an error, but those that the file itself waives."""

    def action(out: Path) -> dict[str, Any]:
        from flows.tools import run_tool
        from sim.common.verilator import environment

        argv = ["verilator", "--lint-only", "-Wall", "--top-module", design.top]
        log = out / "lint.log"
        run_tool([*argv, str(rtl[f"{design.name}.v"])], cwd=out, log=log, env=environment(), timeout_s=300)
        return {"warnings": log.read_text().count("%Warning")}

    inputs = {
        "verilog": rtl.outputs[f"{design.name}.v"],
        "versions": versions("verilator"),
        "flow": _digest(_flow("steps")),
    }
    return Step("lint", design.name, inputs, action)


def build_bench(design: Design, rtl: Result) -> Step:
    """The design compiled for cocotb, once for all benches and seeds."""

    def action(out: Path) -> dict[str, Any]:
        from flows.engines import simulation_errors
        from sim.common.runner import build_bench as build

        if any(char.isspace() for char in str(out)):
            hint = "NIELLO_BUILD names another build folder"
            raise NielloError(f"GNU make cannot build in a path with a blank: {shown(out.parent)}", hint=hint)
        with simulation_errors():
            build(rtl[f"{design.name}.v"], design.top, out, ccache_dir=ccache_dir())
        return {}

    inputs = {
        "verilog": rtl.outputs[f"{design.name}.v"],
        "versions": versions("verilator", "cocotb"),
        "compiler": compiler(),
        "runner": _digest(_sim_common("runner", "cocotb_job", "verilator")),
    }
    return Step("bench-build", design.name, inputs, action)


def run_bench(design: Design, rtl: Result, built: Result, *, seed: int = RANDOM_SEED) -> Step:
    """The block's cocotb bench: protocol, stalls, reset in mid-flight, registers, latency."""

    def action(out: Path) -> dict[str, Any]:
        from sim.common.runner import run_bench as run

        result = run(
            built.path,
            design.top,
            design.block.bench,
            out,
            seed=seed,
            config=design.config.model_dump(mode="json"),
            ports=rtl[f"{design.name}.ports.json"],
        )
        if not result.passed:
            raise ToolError("bench", result.summary().split("; log:")[0], result.log)
        return {"tests": len(result.tests), "cycles": result.cycles, "seed": seed}

    inputs = {
        "build": built.digest,
        "ports": rtl.outputs[f"{design.name}.ports.json"],
        "config": design.config_sha256,
        "bench": _digest(design.block.simulation_sources()),
        "versions": versions("cocotb", "cocotbext-axi", "numpy"),
        "seed": seed,
    }
    return Step("bench", design.name, inputs, action)


def build_harness(design: Design, rtl: Result, *, netlist: Result | None = None, family: str = "") -> Step:
    """The design (or its synthesised netlist) as a shared library for bulk vectors."""

    def action(out: Path) -> dict[str, Any]:
        from flows.engines import simulation_errors
        from sim.common.harness import build_harness as build

        with simulation_errors():
            ports = rtl[f"{design.name}.ports.json"]
            library = build(sources, ports, out, optimise=optimise, extra_args=extra_args, ccache_dir=ccache_dir())
        if library.name != HARNESS_LIBRARY:
            library.rename(out / HARNESS_LIBRARY)
        return {}

    sources, optimise, extra_args = [rtl[f"{design.name}.v"]], "-O2", []
    if netlist is not None:
        # Yosys computes one bit of an output port from another: to Verilator, which sees one signal, that is a loop.
        extra_args = ["-Wno-UNOPTFLAT"]
        optimise = "-O0"  # much more C++, for far fewer vectors
        sources = [netlist[f"{design.top}.netlist.v"], netlist[f"{design.top}.cells.v"]]
    inputs = {
        "sources": [digest_files([source], relative_to=source.parent) for source in sources],
        "ports": rtl.outputs[f"{design.name}.ports.json"],
        "versions": versions("verilator"),
        "compiler": compiler(),
        "options": [optimise, *extra_args],
        "glue": _digest([*_sim_common("harness", "verilate", "verilator", "design_ports"), *HARNESS_GLUE]),
    }
    name = "harness" if netlist is None else f"netlist-harness-{family}"
    return Step(name, design.name, inputs, action, files=(HARNESS_LIBRARY,))


HARNESS_LIBRARY = "harness.so"
HARNESS_GLUE = tuple(
    ROOT / "sim" / "common" / name for name in ("harness.cpp", "harness_activity.h", "harness_memory.h")
)


def run_vectors(design: Design, rtl: Result, harness: Result) -> Step:
    """Random vectors, extreme values among them, with random stalls: the Verilog against the golden model.

    And without stalls, for the measured latency and operations per cycle.
    """

    def action(out: Path) -> dict[str, Any]:
        from flows.engines import check_against_model, measure, read_ports

        ports = read_ports(rtl[f"{design.name}.ports.json"])
        checked = check_against_model(
            design, harness[HARNESS_LIBRARY], ports, out, RANDOM_SEED, RANDOM_ITEMS, STALL_PROBABILITY
        )
        return checked | measure(design, harness[HARNESS_LIBRARY], ports)

    inputs = {
        "library": harness.digest,
        "source": harness.key,
        "config": design.config_sha256,
        "model": _digest([*design.block.simulation_sources(), *_flow("engines")]),
        "versions": versions("numpy"),
        "vectors": [RANDOM_SEED, RANDOM_ITEMS, STALL_PROBABILITY],
    }
    return Step("vectors", design.name, inputs, action)


def netlist(design: Design, rtl: Result, family: str, *, dsp: bool) -> Step:
    """The block alone, synthesised for an FPGA family: its figures, and a netlist to simulate."""

    def action(out: Path) -> dict[str, Any]:
        from flows.synth import netlist as synthesise

        return synthesise(rtl[f"{design.name}.v"], design.top, family, out, dsp=dsp)

    inputs = {
        "verilog": rtl.outputs[f"{design.name}.v"],
        "family": family,
        "dsp": dsp,
        "versions": versions("pyosys"),
        "flow": _digest(_flow("synth", "simcells", "yosys_shim")),
    }
    return Step(f"netlist-{family}", design.name, inputs, action)


@functools.cache
def versions(*packages: str) -> dict[str, str]:
    """Versions of Python and of installed packages, without running anything."""
    found = {"python": platform.python_version()}
    for package in packages:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            raise NielloError(f"the package {package} is not installed", hint="make setup") from None
    return found


@functools.cache
def compiler() -> str:
    """Identity of the C++ compiler: a new one, even in the same place, builds anew."""
    words = shlex.split(os.environ.get("CXX") or "g++")
    path = shutil.which(words[-1] if words[0].endswith("ccache") else words[0])
    if path is None:
        raise NielloError("no C++ compiler on PATH", hint="apt install g++")
    status = Path(path).stat()
    return f"{' '.join(words)} {Path(path).resolve()} {status.st_size} {int(status.st_mtime)}"


def ccache_dir() -> Path:
    """C++ objects of all designs share one cache below the build folder."""
    return build_root() / ".ccache"


def _digest(paths: list[Path]) -> str:
    return digest_files(paths, relative_to=ROOT)


def _flow(*modules: str) -> list[Path]:
    return [ROOT / "flows" / f"{module}.py" for module in modules]


def _sim_common(*modules: str) -> list[Path]:
    return [ROOT / "sim" / "common" / f"{module}.py" for module in modules]
