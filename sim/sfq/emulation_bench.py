"""cocotb bench of `sfq.emulation`: protocol, latency, clocks, reset and registers, held against the event model.

`NIELLO_CONFIG` and `NIELLO_PORTS` say what was built; `random` is seeded by cocotb.
"""

from __future__ import annotations

import json
import os
import random
from typing import Any

import cocotb
import numpy as np
from cocotb.triggers import ClockCycles

from hdl.common.registers import load_registers
from hdl.sfq.config import EmulationConfig
from sim.common.beats import Beats
from sim.common.register_edge import RegisterEdge
from sim.common.vectors import Arrays
from sim.sfq import emulation_vectors as vectors

CONFIG = EmulationConfig.parse(json.loads(os.environ["NIELLO_CONFIG"]))
REGISTERS = load_registers(*CONFIG.register_source)
STATUS = REGISTERS["status"]
FEW, MANY = 12, 80
"""Pulses of a run."""


class Bench(RegisterEdge):
    """The block with a bus model on each of its interfaces."""

    MAP = REGISTERS

    @classmethod
    async def start(cls, dut: Any, *, stimulus: float = 0, capture: float = 0) -> Bench:
        """Reset the block; each stream is stalled with its probability in every cycle."""
        bench = cls(dut)
        await bench.reset()
        bench.stall(stimulus, "stimulus")
        bench.stall(capture, "capture")
        return bench

    async def check(self, arrays: Arrays) -> None:
        """Send a run and compare what is captured with the model's."""
        self.send("stimulus", vectors.pack(CONFIG, arrays)["stimulus"])
        frame = (await self.receive("capture", 1))[0]
        data = np.frombuffer(frame, np.uint8).reshape(-1, CONFIG.capture_bits // 8)
        last = np.arange(len(data)) == len(data) - 1
        got = vectors.unpack(CONFIG, arrays, {"capture": Beats(data, last)})
        for name, right in vectors.model(CONFIG, arrays).items():
            assert got[name].tolist() == right.tolist(), name


def arrays_of(pulses: int) -> Arrays:
    """A run of so many random pulses."""
    return vectors.random_arrays(CONFIG, random.getrandbits(32), pulses)


@cocotb.test()
async def constants_say_what_was_built(dut: Any) -> None:
    """Identity and sizes; everything else is as reset leaves it."""
    bench = await Bench.start(dut)
    netlist = CONFIG.plan.netlist
    assert (await bench.read("identity")).to_bytes(4, "little") == b"SFQE"
    assert REGISTERS["size"].decode(await bench.read("size")) == {
        "cells": len(netlist.instances),
        "checks": len(CONFIG.plan.checks),
    }
    assert await bench.read("wires") == len(netlist.inputs) | len(netlist.outputs) << 16
    assert await bench.read("control") == REGISTERS["control"]["run"].mask
    for register in ("status", "irq_enable", "first_check", "first_time_low", "first_time_high", "steps", "cycles"):
        assert await bench.read(register) == 0, register


@cocotb.test()
@cocotb.parametrize(stalls=[(0, 0), (0.5, 0.5), (0.8, 0), (0, 0.8)])
async def runs_match_the_model(dut: Any, stalls: tuple[float, float]) -> None:
    """One run after the other, each from the beginning."""
    bench = await Bench.start(dut, stimulus=stalls[0], capture=stalls[1])
    for pulses in (1, FEW, MANY, FEW):
        await bench.check(arrays_of(pulses))
    await ClockCycles(dut.clk, 20)
    assert bench.sinks["capture"].empty()
    assert REGISTERS["status"].decode(await bench.read("status")) | {"violation": 0} == dict.fromkeys(
        ("violation", "slot_overflow", "time_overflow", "time_order", "busy"), 0
    )


@cocotb.test()
async def latency_is_what_the_config_says(dut: Any) -> None:
    """Of runs that end at once."""
    bench = await Bench.start(dut)
    for _ in range(4):
        await bench.check(arrays_of(1))
        await ClockCycles(dut.clk, random.randint(0, 3))
    assert bench.latencies("stimulus", "capture") == [CONFIG.latency_cycles] * 4


@cocotb.test()
async def reset_in_mid_flight_leaves_no_trace(dut: Any) -> None:
    """Neither in the run that follows nor in the registers."""
    bench = await Bench.start(dut, stimulus=0.3, capture=0.3)
    for _ in range(6):
        bench.send("stimulus", vectors.pack(CONFIG, arrays_of(MANY))["stimulus"])
        await ClockCycles(dut.clk, random.randint(5, 120))
        bench.sources["stimulus"].clear()
        await bench.reset()
        bench.sinks["capture"].clear()
        assert await bench.read("status") == 0
        await bench.check(arrays_of(FEW))


@cocotb.test()
async def halted_emulation_waits(dut: Any) -> None:
    """While `control.run` is 0, no step is made; nothing is lost."""
    bench = await Bench.start(dut)
    await bench.write("control", 0)
    arrays = arrays_of(FEW)
    bench.send("stimulus", vectors.pack(CONFIG, arrays)["stimulus"])
    await ClockCycles(dut.clk, 60)
    assert bench.watches["capture"].offered == [] and await bench.read("steps") == 0
    assert await bench.read("status") == STATUS["busy"].mask
    bench.sources["stimulus"].clear()
    await bench.reset()
    await bench.check(arrays)


@cocotb.test()
async def violation_raises_the_interrupt(dut: Any) -> None:
    """Only when enabled, and until that very bit is cleared; the registers tell the first."""
    bench = await Bench.start(dut)
    arrays = arrays_of(MANY)
    first = vectors.model(CONFIG, arrays)["violation_time"][:1].tolist()
    await bench.check(arrays)
    assert await bench.read("status") == (STATUS["violation"].mask if first else 0)
    assert int(dut.irq.value) == 0, "not enabled"
    await bench.write("irq_enable", STATUS["violation"].mask)
    await ClockCycles(dut.clk, 2)
    assert int(dut.irq.value) == len(first)
    assert await bench.read("first_time_low") == (first[0] // CONFIG.step_ticks if first else 0)
    await bench.write("status", STATUS["violation"].mask)
    await ClockCycles(dut.clk, 2)
    assert int(dut.irq.value) == 0
