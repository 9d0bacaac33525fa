"""cocotb bench of `pim.vector`: protocol, cycles, reset and registers, held against the golden model.

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
from hdl.pim.vector_config import (
    LAST,
    LOADS,
    PAIR_OPS,
    Illegal,
    VectorConfig,
    VectorInstruction,
    VectorOp,
    encode_vector_program,
)
from sim.common.register_edge import StalledEdge
from sim.pim.vector_model import VectorUnit, beats_of
from sim.pim.vector_vectors import model, pack, random_arrays

CONFIG = VectorConfig.parse(json.loads(os.environ["NIELLO_CONFIG"]))
REGISTERS = load_registers(*CONFIG.register_source)
END = VectorInstruction(VectorOp.END)
COUNTERS = ("instructions", "cycles")


class Bench(StalledEdge):
    """The block with a bus model on each of its interfaces."""

    MAP = REGISTERS

    def give(self, arrays: dict[str, Any]) -> None:
        for role, beats in pack(CONFIG, arrays).items():
            if len(beats):
                self.send(role, beats)

    def instructions(self, *program: VectorInstruction) -> None:
        """A program, END behind it, and zeros for what it loads."""
        beats = sum(beats_of(CONFIG, one) for one in program if one.op in LOADS)
        data = np.zeros((beats, CONFIG.lanes), np.uint16)
        self.give({"program": encode_vector_program([*program, END]), "data": data})

    async def check(self, seed: int, items: int) -> None:
        """Run a random program and compare what it stores with the golden model's."""
        arrays = random_arrays(CONFIG, seed, items)
        self.give(arrays)
        want = model(CONFIG, arrays)["q"]
        taken = 0
        while taken < len(want):
            (packet,) = await self.receive("q", 1)
            got = np.frombuffer(packet, "<u2").reshape(-1, CONFIG.lanes)
            assert got.tolist() == want[taken : taken + len(got)].tolist()
            taken += len(got)

    async def ended(self) -> None:
        """Waits for END, and clears its bit."""
        mask = REGISTERS["status"]["ended"].mask
        while not await self.read("status") & mask:
            pass
        await self.write("status", mask)


@cocotb.test()
async def constants_say_what_was_built(dut: Any) -> None:
    """Identity and shape; everything else is 0 after reset."""
    bench = await Bench.start(dut)
    assert (await bench.read("identity")).to_bytes(4, "little") == b"VECU"
    shape = REGISTERS["shape"].decode(await bench.read("shape"))
    assert shape == {"lanes": CONFIG.lanes, "words": CONFIG.words}
    for register in ("status", "irq_enable", "control", "skipped", *COUNTERS):
        assert await bench.read(register) == 0, register


@cocotb.test()
@cocotb.parametrize(stall=[0, 0.6])
async def results_match_the_model(dut: Any, stall: float) -> None:
    """A random program, every stream stalled."""
    bench = await Bench.start(dut, stall)
    await bench.check(random.getrandbits(32), 60)


@cocotb.test()
async def instructions_take_the_cycles_of_the_config(dut: Any) -> None:
    """Each op alone, of several lengths."""
    bench = await Bench.start(dut)
    for op in VectorOp:
        for n in (1, CONFIG.lanes, CONFIG.lanes + 1, 5 * CONFIG.lanes):
            if n > CONFIG.words:
                continue
            await bench.write("control", REGISTERS["control"]["clear_counters"].mask)
            flags = (1 if op in PAIR_OPS else 0) | LAST
            bench.instructions(VectorInstruction(op, n=n, flags=flags))
            await bench.ended()
            await ClockCycles(dut.clk, 8 + 4 * n)
            await bench.write("status", REGISTERS["status"]["ended"].mask)
            assert await bench.read("cycles") == CONFIG.cycles(op, n) + 2, (op, n)
            assert await bench.read("instructions") == 2


@cocotb.test()
async def latency_is_what_the_config_says(dut: Any) -> None:
    """From a STORE at the port to its first beat."""
    bench = await Bench.start(dut)
    bench.instructions(VectorInstruction(VectorOp.STORE, n=1, flags=LAST))
    await bench.receive("q", 1)
    assert bench.watches["q"].offered[-1] - bench.watches["program"].taken[0] == CONFIG.latency_cycles


@cocotb.test()
async def reset_in_mid_flight_leaves_no_trace(dut: Any) -> None:
    """Neither in the results that follow nor in the registers."""
    bench = await Bench.start(dut, 0.3)
    for _ in range(2):
        bench.give(random_arrays(CONFIG, random.getrandbits(32), 20))
        await ClockCycles(dut.clk, random.randint(5, 300))
        for source in bench.sources.values():
            source.clear()
        await bench.reset()
        bench.sinks["q"].clear()
        assert [await bench.read(name) for name in ("status", *COUNTERS)] == [0, 0, 0]
        await bench.check(random.getrandbits(32), 10)


@cocotb.test()
async def illegal_instructions_are_told(dut: Any) -> None:
    """Each reason sets its bit, with the first one's index, and raises the interrupt if it is enabled."""
    bench = await Bench.start(dut)
    cases = {
        Illegal.UNKNOWN: VectorInstruction(63),
        Illegal.ADDRESS: VectorInstruction(VectorOp.COPY, d=CONFIG.words - CONFIG.lanes, n=CONFIG.lanes + 1),
        Illegal.OVERLAP: VectorInstruction(VectorOp.COPY, d=CONFIG.lanes, n=CONFIG.lanes + 1),
    }
    if CONFIG.lanes > 1:
        cases[Illegal.ALIGNMENT] = VectorInstruction(VectorOp.COPY, d=1)
    for reason, one in cases.items():
        assert VectorUnit(CONFIG).run([one]).illegal == [(0, reason)], "the case is what its name says"
        await bench.write("control", REGISTERS["control"]["clear_counters"].mask)
        mask = REGISTERS["status"][reason.name.lower()].mask
        bench.instructions(VectorInstruction(VectorOp.COPY), one, VectorInstruction(VectorOp.COPY), one)
        await bench.ended()
        assert await bench.read("status") == mask
        assert await bench.read("skipped") == 1
        await bench.write("irq_enable", mask)
        await ClockCycles(dut.clk, 2)
        assert int(dut.irq.value) == 1
        await bench.write("status", mask)
        await ClockCycles(dut.clk, 2)
        assert int(dut.irq.value) == 0
        await bench.write("irq_enable", 0)
