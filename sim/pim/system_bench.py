"""cocotb bench of `pim.system`, against the golden models: results under stalls, order between the units, reset,
registers of both units behind one port.

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
from hdl.pim.commands import Instruction, Op
from hdl.pim.system_config import SystemConfig, SystemInstruction, decode_system_program, encode_system_program
from hdl.pim.vector_config import LAST, LINK, VectorInstruction, VectorOp
from sim.common.beats import Beats
from sim.common.register_edge import StalledEdge
from sim.pim import system_vectors
from sim.pim.system_model import System

CONFIG = SystemConfig.parse(json.loads(os.environ["NIELLO_CONFIG"]))
REGISTERS = load_registers(*CONFIG.register_source)
END = VectorInstruction(VectorOp.END)
LANES = CONFIG.vector.lanes


class Bench(StalledEdge):
    """The block with a bus model on each of its interfaces."""

    MAP = REGISTERS

    def give(self, arrays: dict[str, Any]) -> None:
        for role, beats in system_vectors.pack(CONFIG, arrays).items():
            if len(beats):
                self.send(role, beats)

    def instructions(self, *program: SystemInstruction, data: Any = None) -> None:
        """A program, with the beats of its loads from the host."""
        words = encode_system_program(program).astype("<u8").view(np.uint8).reshape(-1, 8)
        self.send("program", Beats(words))
        if data is not None:
            self.send("data", Beats(np.ascontiguousarray(data, np.uint16).view(np.uint8).reshape(-1, 2 * LANES)))

    async def check(self, seed: int, items: int) -> None:
        """Run a random program and compare what it stores with the golden model's."""
        arrays = system_vectors.random_arrays(CONFIG, seed, items)
        self.give(arrays)
        want = System(CONFIG).run(decode_system_program(arrays["program"]), arrays["data"])
        got = b"".join(await self.receive("q", sum(want.last), timeout_cycles=200_000))
        assert got == np.array(want.beats).tobytes()
        await self.ended()
        assert not await self.read("channel_device_status") & REGISTERS["channel_device_status"]["timing"].mask

    async def ended(self) -> None:
        """Waits for END, and clears its bit."""
        mask = REGISTERS["vector_status"]["ended"].mask
        while not await self.read("vector_status") & mask:
            pass
        await self.write("vector_status", mask)


@cocotb.test()
async def constants_say_what_was_built(dut: Any) -> None:
    """Identities and shapes of all three; an address between them answers an error."""
    bench = await Bench.start(dut)
    names = {"identity": b"PIMS", "channel_identity": b"PIMC", "vector_identity": b"VECU"}
    for register, name in names.items():
        assert (await bench.read(register)).to_bytes(4, "little") == name
    assert await bench.read("shape") == CONFIG.link_beats
    shape = REGISTERS["channel_shape"].decode(await bench.read("channel_shape"))
    assert shape == {name: getattr(CONFIG.channel, name) for name in shape}
    shape = REGISTERS["vector_shape"].decode(await bench.read("vector_shape"))
    assert shape == {name: getattr(CONFIG.vector, name) for name in shape}
    for register in ("status", "control", "channel_words", "vector_words", "cycles", "channel_status", "vector_status"):
        assert await bench.read(register) == 0, register
    outside = REGISTERS["cycles"].offset_bytes + 0x20
    assert (await bench.registers["csr"].read(outside, 4)).resp == 3
    assert (await bench.registers["csr"].write(outside, b"\0\0\0\0")).resp == 3


@cocotb.test()
@cocotb.parametrize(stall=[0, 0.6])
async def results_match_the_model(dut: Any, stall: float) -> None:
    """Random programs of both units, every stream stalled."""
    bench = await Bench.start(dut, stall)
    await bench.check(random.getrandbits(32), 25)


@cocotb.test()
async def a_load_waits_for_the_channel_and_the_channel_for_a_store(dut: Any) -> None:
    """WR_GB before its columns are there, RD_MAC's answer taken by a LOAD that came before it: the order of words does
    not matter, what they move does."""
    bench = await Bench.start(dut)
    everywhere = (1 << CONFIG.channel.banks) - 1
    n = CONFIG.channel.result_beats * CONFIG.channel.lanes
    wanted = VectorInstruction(VectorOp.LOAD, n=n, flags=LINK)
    bias = Instruction(Op.WR_BIAS, bank_mask=everywhere)
    answer = Instruction(Op.RD_MAC, bank_mask=everywhere, flags=8)
    bench.instructions(bias, answer)
    await ClockCycles(bench.clock, 300)
    assert await bench.read("channel_stalls_input") > 250, "the channel waits for its biases"
    codes = np.resize(np.array([0x3F80, 0x4000, 0xC040], np.uint16), -(-n // LANES) * LANES)
    load, store = VectorInstruction(VectorOp.LOAD, n=n), VectorInstruction(VectorOp.STORE, n=n, flags=LINK | LAST)
    bench.instructions(load, store, wanted, VectorInstruction(VectorOp.STORE, n=n, flags=LAST), END, data=codes)
    (got,) = await bench.receive("q", 1)
    banks = CONFIG.channel.banks
    right = np.zeros(len(codes), np.uint16)
    right[:banks] = codes[:banks]
    assert np.frombuffer(got, "<u2").tolist() == right.tolist()


@cocotb.test()
async def latency_is_what_the_config_says(dut: Any) -> None:
    """From a STORE at the port to its first beat."""
    bench = await Bench.start(dut)
    bench.instructions(VectorInstruction(VectorOp.STORE, n=1, flags=LAST))
    await bench.receive("q", 1)
    assert bench.watches["q"].offered[-1] - bench.watches["program"].taken[0] == CONFIG.latency_cycles


@cocotb.test()
async def what_waits_is_told(dut: Any) -> None:
    """A LOAD of what never comes: the vector unit is busy; reset ends it."""
    bench = await Bench.start(dut)
    bench.instructions(VectorInstruction(VectorOp.LOAD, n=1, flags=LINK), *[END] * (CONFIG.queue_depth + 8))
    await ClockCycles(bench.clock, 60)
    status = REGISTERS["status"].decode(await bench.read("status"))
    assert status == {"busy": 1, "waits": 1}
    before = await bench.read("cycles")
    assert await bench.read("cycles") > before
    bench.sources["program"].clear()
    await bench.reset()
    assert await bench.read("status") == await bench.read("cycles") == 0


@cocotb.test()
async def illegal_instructions_are_told_by_their_unit(dut: Any) -> None:
    """Each raises the interrupt where it is enabled, and what follows works."""
    bench = await Bench.start(dut)
    bench.instructions(Instruction(0), VectorInstruction(31), VectorInstruction(VectorOp.STORE, n=1, flags=LAST), END)
    await bench.receive("q", 1)
    await bench.ended()
    for register, field in (("channel_status", "illegal"), ("vector_status", "unknown")):
        mask = REGISTERS[register][field].mask
        assert await bench.read(register) & mask
        enable = register.replace("status", "irq_enable")
        await bench.write(enable, REGISTERS[enable][field].mask)
        await ClockCycles(dut.clk, 2)
        assert int(dut.irq.value) == 1
        await bench.write(register, mask)
        await ClockCycles(dut.clk, 2)
        assert int(dut.irq.value) == 0
    assert (await bench.read("channel_words"), await bench.read("vector_words")) == (1, 3)
    await bench.write("control", REGISTERS["control"]["clear_counters"].mask)
    assert (await bench.read("channel_words"), await bench.read("vector_words")) == (0, 0)


@cocotb.test()
async def reset_in_mid_flight_leaves_no_trace(dut: Any) -> None:
    """Neither in the results that follow nor in the links; only memories stay, which programs set anew."""
    bench = await Bench.start(dut, 0.3)
    for _ in range(3):
        bench.give(system_vectors.random_arrays(CONFIG, random.getrandbits(32), 20))
        await ClockCycles(dut.clk, random.randint(100, 4000))
        for source in bench.sources.values():
            source.clear()
        await bench.reset()
        bench.sinks["q"].clear()
        assert [await bench.read(name) for name in ("status", "vector_words", "channel_words", "cycles")] == [0] * 4
        await bench.check(random.getrandbits(32), 8)
