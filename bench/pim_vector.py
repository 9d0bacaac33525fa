"""What `pim.vector` computes how exactly, how long it takes, and what it takes on an ECP5."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import scipy.special
from amaranth.hdl import Module
from amaranth.lib import wiring

from bench.common import made, say
from bench.ecp5 import LFE5U_85F, routed, synthesised
from bench.pim_device import AIM_MHZ, SEED, placed
from flows.verilog import emit
from hdl.common.arithmetic import register
from hdl.pim.vector_arithmetic import VectorArithmetic
from hdl.pim.vector_config import VectorConfig
from sim.pim.vector_model import VectorUnit
from sim.pim.vector_programs import VectorHost, VectorProgram, gelu, layer_norm, softmax

DESIGNS = ("pim_vector", "pim_vector_small")
LENGTH = 512
CLOCK_TARGET = ">= 50"


class Lane(wiring.Component):
    """One lane's arithmetic between registers, as in the unit."""

    def __init__(self) -> None:
        self._unit = VectorArithmetic()
        super().__init__(dict(self._unit.signature.members))

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.submodules.unit = unit = self._unit
        for name in ("op", "a", "b"):
            m.d.comb += getattr(unit, name).eq(register(m, getattr(self, name), f"{name}_in"))
        m.d.comb += self.result.eq(register(m, unit.result, "out"))
        return m


def figures() -> dict[str, Any]:
    """Errors and cycles."""
    return {"errors": accuracy(), "cycles": cycles()}


def accuracy() -> dict[str, Any]:
    """Errors of the programs against float64: of what is stored in ulp of bf16, and relative in fp32."""
    rng = np.random.default_rng(1)
    host = VectorHost(VectorUnit(VectorConfig(lanes=8, words=16384)))
    every = (np.arange(1 << 16, dtype=np.uint32) << 16).view(np.float32)
    every = every[np.isfinite(every) & (np.abs(every) >= 2.0**-126)]  # each finite bf16
    got = np.concatenate([host.gelu(part) for part in np.array_split(every, 64)])
    exact = every.astype(np.float64)
    inner = 2 * np.sqrt(2 / np.pi) * exact * (1 + 0.044715 * np.minimum(exact * exact, 1e30))
    errors = {"gelu, every bf16": _errors(got, exact * scipy.special.expit(inner))}
    rows = [rng.standard_normal(LENGTH).astype(np.float32) * scale for scale in (0.1, 1, 4, 20) for _ in range(20)]
    want = [scipy.special.softmax(row.astype(np.float64)) for row in rows]
    errors[f"softmax of {LENGTH}"] = _errors(np.concatenate([host.softmax(row) for row in rows]), np.concatenate(want))
    ones, zeros = np.ones(LENGTH, np.float32), np.zeros(LENGTH, np.float32)
    shifted = [row.astype(np.float64) for row in rows]
    want = [(row - row.mean()) / np.sqrt(row.var() + 1e-5) for row in shifted]
    got = np.concatenate([host.layer_norm(row, ones, zeros) for row in rows])
    errors[f"LayerNorm of {LENGTH}"] = _errors(got, np.concatenate(want))
    for name, found in errors.items():
        for kind, value in found.items():
            in_millionths = kind.startswith("relative")
            say(f"{name}: {kind}", value * 1e6 if in_millionths else value, "1e-6" * in_millionths, "none")
    return errors


def cycles() -> dict[str, int]:
    """Cycles of the programs on vectors of 512 that are there already, loads and stores not among them."""
    config = VectorConfig(lanes=8, words=8192)
    values, found = np.linspace(-4, 4, LENGTH).astype(np.float32), {}
    functions: dict[str, Any] = {
        "softmax": softmax,
        "LayerNorm": lambda p, x: layer_norm(p, x, p.load32(values), p.load32(values)),
        "GELU": gelu,
    }
    for name, function in functions.items():
        program = VectorProgram(config)
        function(program, program.load32(values))
        instructions, data = program.finish()
        moved = VectorUnit(config).run([one for one in instructions if one.op == 2], data).cycles
        found[name] = VectorUnit(config).run(instructions, data).cycles - moved
        say(f"{name} of {LENGTH}, 8 lanes", found[name], "cycles", "none")
    return found


def area() -> dict[str, Any]:
    """Of a lane's arithmetic and of each named design alone: cells, and the clock after place and route, out of
    context, on an LFE5U-85F-6."""
    figures_of: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        found = synthesised(emit(Lane(), "niello_lane"), "niello_lane", Path(folder))
        figures_of["lane"] = found | {"fmax_mhz": routed(Path(folder), LFE5U_85F, AIM_MHZ, SEED)}
    say("a lane's arithmetic: LUT4 + 2 CCU2C + 4 DPR16X4", found["lut"], "", "none")
    say("a lane's arithmetic: clock", figures_of["lane"]["fmax_mhz"], "MHz", CLOCK_TARGET)
    for name in DESIGNS:
        design, (rtl,) = made(name, "elaborate")
        found = figures_of[name] = placed(rtl[f"{name}.v"], design.top)
        say(f"{name}: LUT4 + 2 CCU2C + 4 DPR16X4", found["lut"], "", "none")
        for kind in ("ff", "bram", "dsp"):
            say(f"{name}: {kind}", found[kind], "", "none")
        say(f"{name}: clock", found["fmax_mhz"], "MHz", CLOCK_TARGET)
    return figures_of


def _errors(got: Any, want: Any) -> dict[str, float]:
    """Largest and mean, where neither is below 2**-100: relative of fp32, and in ulp of bf16 as it is stored."""
    seen = (np.abs(want) > 2.0**-100) & (np.abs(want) < 3e38)
    got, want = got[seen].astype(np.float64), want[seen]
    relative = np.abs(got / want - 1)
    stored = got.astype(np.float32).astype(ml_dtypes.bfloat16).astype(np.float64)
    ulp = np.abs(stored - want) / np.exp2(np.floor(np.log2(np.abs(want))) - 7)
    return {
        "relative, largest": float(relative.max()),
        "relative, mean": float(relative.mean()),
        "ulp of bf16, largest": float(ulp.max()),
        "ulp of bf16, mean": float(ulp.mean()),
    }
