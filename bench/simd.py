"""The figures of `simd.mac`: speed of its golden model, results held against it, cycles, area; and the speed of the
golden model of `simd.matmul`.

    .venv/bin/python bench/simd.py [NAME ...] [--script PATH/synth_compare.py] [--picture docs/mac_activity.svg]

All of them, or: model matmul wrong netlist cycles activity area. Area needs the synthesis script, which maps Verilog to
cells and FPGAs and prints JSON; without `--script` it is left out. `activity` prints a table, and draws it if a picture
is named. Prints a line a figure, with its target, and one JSON object at the end. Model and harness run on one core.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from bench import mac_activity
from bench.common import Benches, made, one_core, run, say, timed
from flows.steps import HARNESS_LIBRARY
from hdl.simd.modes import MODES, default_output
from sim.common.formats import Overflow
from sim.common.harness import Harness
from sim.simd import mac_model, mac_vectors, matmul_model

QUAD, QUAD_FPGA, FULL = "mac_quad_core", "mac_quad_fpga_core", "mac_full_core"
EIGHT_BITS = ("p8_0", "int8", "e4m3", "e5m2")
DOTS, NETLIST_DOTS, LONGEST, MOST_BLOCKS = 100_000, 1_000, 40, 5
NETLIST_HARNESS = "netlist-harness-ecp5"
LONG_BEATS = 4096
LONG_SHARE = 0.99  # of a long dot product's cycles that must take a beat


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="figures; all of them if none is named")
    parser.add_argument("--script", type=Path, help="synthesis script, for the figure `area`")
    parser.add_argument("--picture", type=Path, help="SVG file that the figure `activity` is drawn into")
    arguments = parser.parse_args()
    script = arguments.script
    if script is None and "area" in arguments.names:
        parser.error("area needs --script")
    benches: Benches = {"model": model, "matmul": matmul, "wrong": wrong, "netlist": netlist, "cycles": cycles}
    benches = {**benches, "activity": lambda: activity(arguments.picture)}
    run({**benches, "area": lambda: area(script.resolve())} if script else benches, arguments.names)


def model() -> dict[str, Any]:
    """Multiplications a second of the golden model in the single formats of 8 bits, any codes; the best of three."""
    rng = np.random.default_rng(1)
    rates = {}
    for mode in EIGHT_BITS:
        a, b = (rng.integers(256, size=(4096, 256), dtype=np.uint8) for _ in range(2))
        rates[mode] = _rate(lambda mode=mode, a=a, b=b: mac_model.dot(mode, a, b), a.size)
        say(f"golden model, {mode}, one core", rates[mode] / 1e6, "M MAC/s", "at least 10")
    return {"model_macs_per_s": rates}


def matmul() -> dict[str, Any]:
    """Multiplications a second of the golden model of `simd.matmul`, 128 x 128 x 128 any codes; the best of three."""
    rng = np.random.default_rng(1)
    rates = {}
    for mode in (*EIGHT_BITS, "p16_1"):
        codes = 1 << MODES[mode].slot_bits
        a, b = (rng.integers(codes, size=(128, 128)).astype(np.uint16) for _ in range(2))
        bias = rng.integers(-(1 << 31), 1 << 31, 128).astype(np.int32)
        rates[mode] = _rate(lambda mode=mode, a=a, b=b, bias=bias: matmul_model.matmul(mode, a, b, bias=bias), 128**3)
        say(f"golden model of simd.matmul, {mode}, one core", rates[mode] / 1e6, "M MAC/s", "at least 10")
    return {"matmul_model_macs_per_s": rates}


def _rate(call: Callable[[], Any], multiplications: int) -> int:
    """Multiplications a second of a call on one core, the best of three; one before makes the tables."""
    call()
    seconds = []
    for _ in range(3):
        with one_core():
            start = time.perf_counter()
            call()
            seconds.append(time.perf_counter() - start)
    return round(multiplications / min(seconds))


def wrong() -> dict[str, Any]:
    """Results that differ from the model's, of random dot products in each mode, of 1 to 40 elements or 1 to 5 blocks,
    at full speed."""
    return {name: _wrong_of(name, *_harness_of(name), DOTS) for name in (QUAD, FULL)}


def netlist() -> dict[str, Any]:
    """The same of what Yosys makes of the Verilog for the default board, fewer of them."""
    figures = {}
    for name in (QUAD, FULL):
        design, (rtl, library) = made(name, "elaborate", NETLIST_HARNESS)
        ports = rtl[f"{name}.ports.json"]
        figures[name] = _wrong_of(f"netlist of {name}", design, ports, library[HARNESS_LIBRARY], NETLIST_DOTS)
    return figures


def _wrong_of(name: str, design: Any, ports: Path, library: Path, dots: int) -> dict[str, Any]:
    """Wrong results of a Verilated engine in each of its modes."""
    figures = {}
    for mode in design.config.modes:
        rng = np.random.default_rng([2, MODES[mode].code])
        overflows: tuple[Overflow, ...] = ("saturate", "inf")
        jobs = [mac_vectors.job_of(mode, output, how) for output in design.config.outputs for how in overflows]
        job = rng.choice(np.array(jobs, np.uint16), dots)
        block = MODES[mode].block
        longest = MOST_BLOCKS * block.block_length if block else LONGEST
        lengths = rng.integers(1, longest, dots, endpoint=True)
        arrays = {"job": job} | mac_vectors.random_operands(design.config, rng, job, longest)
        behind = np.arange(longest) >= lengths[:, None]
        arrays["a"][behind] = arrays["b"][behind] = 0
        mac_vectors.check(design.config, arrays)
        right = mac_vectors.model_ragged(design.config, arrays, lengths)
        traffic = mac_vectors.pack_ragged(design.config, arrays, lengths)
        with one_core(), Harness(library, ports) as harness:
            start = time.perf_counter()
            result = harness.run(traffic, {"y": dots}, stall_in=0, stall_out=0)
            rate = round(int(lengths.sum()) / (time.perf_counter() - start))
        got = mac_vectors.unpack(design.config, arrays, result.outputs)
        differing = int(((got["y"] != right["y"]) | (got["status"] != right["status"])).sum())
        say(f"{name}, {mode}: wrong of {dots}", differing, "", "0")
        say(f"{name}, {mode}: harness, one core", rate / 1e6, "M MAC/s", "none")
        figures[mode] = {"dots": dots, "wrong": differing, "harness_macs_per_s": rate}
    return figures


def cycles() -> dict[str, Any]:
    """Multiplications a cycle of one long dot product: from its first beat to its result, both included."""
    figures: dict[str, Any] = {}
    for name in (QUAD, FULL):
        design, ports, library = _harness_of(name)
        for mode in design.config.modes:
            lanes = MODES[mode].elements_per_beat
            job = np.array([mac_vectors.job_of(mode, _output(design.config, mode))], np.uint16)
            operands = mac_vectors.random_operands(design.config, np.random.default_rng(3), job, LONG_BEATS * lanes)
            traffic = mac_vectors.pack(design.config, {"job": job, **operands})
            with Harness(library, ports) as harness:
                taken = harness.run(traffic, {"y": 1}, stall_in=0, stall_out=0).cycles
            rate = LONG_BEATS * lanes / taken
            target = "none" if MODES[mode].block else f"at least {lanes * LONG_SHARE:.2f}"
            say(f"{name}, {mode}: {LONG_BEATS} beats, {taken} cycles", rate, "MAC/cycle", target)
            figures.setdefault(name, {})[mode] = {"cycles": taken, "macs_per_cycle": round(rate, 4)}
    return figures


def activity(drawn: Path | None) -> dict[str, Any]:
    """Toggles a cycle by part and mode, from Verilator's SAIF files; of the largest design also as a picture."""
    figures = {name: mac_activity.activity(name) for name in (QUAD, FULL)}
    for name, of_design in figures.items():
        mac_activity.say_table(name, of_design)
    if drawn:
        drawn.write_text(mac_activity.picture(FULL, figures[FULL]))
    return figures


def area(script: Path) -> dict[str, Any]:
    """Standard cells (Nangate 45 nm) and FPGA cells of the Verilog, by the script's recipes, and ECP5's clock."""
    bound: dict[str, dict[str, float]] = {
        QUAD: {
            "area": 9000, "delay": 0.85, "area x delay": 9000, "p8_0": 2500, "fp4": 1200, "p4_1": 1200,
        },
        QUAD_FPGA: {"LUT4_total": 2400, "DSP_MULT18": 4, "fmax": 100, "LUT_total": 1600},
        FULL: {"area": 11500},
    }  # fmt: skip
    figures: dict[str, Any] = {}
    for name, bounds in bound.items():
        design, (rtl,) = made(name, "elaborate")
        macs = {mode: MODES[mode].elements_per_beat for mode in design.config.modes}
        found = _synthesised(script, rtl[f"{name}.v"], design.top, macs)

        def tell(
            what: str, value: Any, unit: str, key: str = "", name: str = name, bounds: Mapping[str, float] = bounds
        ) -> None:
            most = bounds.get(key)
            bounded = f"{'at least' if key == 'fmax' else 'at most'} {most}"
            say(f"{name}: {what}", value, unit, "none" if most is None else bounded)

        cells, speed = found["nangate45"], found["nangate45"]["speed"]
        delay_ns = speed["abc_delay_ps"] / 1000
        tell("area, area recipe", cells["area"]["area_um2"], "um2", "area")
        tell("area, speed recipe", speed["area_um2"], "um2")
        tell("delay, speed recipe", delay_ns, "ns", "delay")
        tell("area x delay, speed recipe", speed["area_um2"] * delay_ns, "um2 ns", "area x delay")
        for mode, per_mac in cells["per_op"].items():
            tell(f"area x delay per MAC a cycle, {mode}", per_mac["adp_um2_ns"], "um2 ns", mode)
        for stage, kinds in {"ecp5": ("LUT4_total", "FF", "DSP_MULT18"), "xcup": ("LUT_total", "FF", "DSP")}.items():
            for kind in kinds:
                tell(f"{stage} {kind}", found[stage][kind], "", kind)
        tell("ecp5 clock, median of 3 seeds", found["ecp5_pnr"].get("fmax_median"), "MHz", "fmax")
        figures[name] = {key: found[key] for key in ("nangate45", "ecp5", "xcup", "ecp5_pnr", "macs_per_cycle")}
    return figures


def _synthesised(script: Path, verilog: Path, top: str, macs: dict[str, int]) -> dict[str, Any]:
    """What the script says of a module, given its multiplications a cycle by mode."""
    options = ["--top", top, "--stages", "nangate45,ecp5,xcup", "--pnr"]
    options += ["--ops", ",".join(f"{mode}={count}" for mode, count in macs.items())]
    # The place and route that the script calls is the one beside this Python.
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    _, text = timed([sys.executable, str(script), *options, str(verilog)], cwd=verilog.parent, env=environment)
    found: dict[str, Any] = json.loads(text)
    return found


def _harness_of(name: str) -> tuple[Any, Path, Path]:
    """A design, its ports and its harness."""
    design, (rtl, harness) = made(name, "elaborate", "harness")
    return design, rtl[f"{name}.ports.json"], harness[HARNESS_LIBRARY]


def _output(config: Any, mode: str) -> str:
    """The mode's default output if the design has it, else its first."""
    output = default_output(MODES[mode])
    return output if output in config.outputs else str(config.outputs[0])


if __name__ == "__main__":
    main()
