"""cocotb bench of `pim.dispatch`: protocol, latency, reset and registers, held against the golden model.

`NIELLO_CONFIG` and `NIELLO_PORTS` say what was built; `random` is seeded by cocotb.
"""

from __future__ import annotations

import json
import os
import random
from typing import Any

import cocotb
import numpy as np
import numpy.typing as npt
from cocotb.triggers import ClockCycles

from hdl.common.registers import load_registers
from hdl.pim.dispatch_config import MOST_DEVICES, NO_DEVICE, DispatchConfig
from sim.common.register_edge import RegisterEdge
from sim.pim.dispatch_model import dispatch
from sim.pim.dispatch_vectors import RESULT_BYTES, pack, random_arrays

CONFIG = DispatchConfig.parse(json.loads(os.environ["NIELLO_CONFIG"]))
REGISTERS = load_registers(*CONFIG.register_source)
SATURATED, BUSY = (REGISTERS["status"][name].mask for name in ("saturated", "busy"))
Tokens = npt.NDArray[np.uint16]


class Bench(RegisterEdge):
    """The block with a bus model on each of its interfaces, and the table that its registers hold."""

    MAP = REGISTERS

    table: list[tuple[int, int]]

    @classmethod
    async def start(cls, dut: Any, stall: float = 0) -> Bench:
        """Reset the block; both streams are stalled with this probability in every cycle."""
        bench = cls(dut)
        await bench.reset()
        bench.stall(stall)
        bench.table = CONFIG.table
        return bench

    async def check(self, tokens: Tokens) -> None:
        """Send layers and compare with the golden model."""
        self.send("tokens", pack(CONFIG, {"tokens": tokens})["tokens"])
        device, time, _ = dispatch(self.table, tokens)
        for row, packet in enumerate(await self.receive("y", len(tokens))):
            beats = np.frombuffer(packet, np.uint8).reshape(-1, RESULT_BYTES)
            assert beats[:, 0].tolist() == device[row].tolist()
            assert np.ascontiguousarray(beats[:, 1:]).view("<u4")[:, 0].tolist() == time[row].tolist()

    async def set_table(self, table: list[tuple[int, int]]) -> None:
        for device, (read, token) in enumerate(table):
            await self.write(f"read_{device}", read)
            await self.write(f"token_{device}", token)
        self.table = table


def layers(count: int) -> Tokens:
    """Random layers."""
    return random_arrays(CONFIG, random.getrandbits(32), count)["tokens"]


@cocotb.test()
async def constants_say_what_was_built(dut: Any) -> None:
    """Identity, shape and the table; everything else is 0 after reset."""
    bench = await Bench.start(dut)
    assert (await bench.read("identity")).to_bytes(4, "little") == b"DISP"
    assert await bench.read("shape") == CONFIG.devices
    for device, times in enumerate(CONFIG.table):
        assert (await bench.read(f"read_{device}"), await bench.read(f"token_{device}")) == times
    counters = [f"experts_{device}" for device in range(MOST_DEVICES)]
    for register in ("status", "irq_enable", "control", "idle_experts", "cycles", *counters):
        assert await bench.read(register) == 0, register


@cocotb.test()
@cocotb.parametrize(stall=[0, 0.3, 0.7])
async def devices_match_the_model(dut: Any, stall: float) -> None:
    """With the built table and with others, both streams stalled."""
    bench = await Bench.start(dut, stall)
    await bench.check(layers(8))
    for _ in range(6):
        bits = random.randint(4, 32)
        await bench.set_table([(random.getrandbits(bits), random.getrandbits(bits)) for _ in range(CONFIG.devices)])
        await bench.check(layers(4))
    await bench.set_table([(77, 3)] * CONFIG.devices)  # all equal
    await bench.check(layers(2))


@cocotb.test()
async def latency_is_what_the_config_says(dut: Any) -> None:
    """And one expert a cycle after that."""
    bench = await Bench.start(dut)
    tokens = layers(5)
    await bench.check(tokens)
    taken, offered = bench.watches["tokens"].taken, bench.watches["y"].offered
    first = taken[0]
    assert taken == list(range(first, first + tokens.size))
    assert offered == [cycle + CONFIG.latency_cycles for cycle in taken]
    assert await bench.read("cycles") == tokens.size + CONFIG.latency_cycles - 1


@cocotb.test()
async def reset_in_mid_flight_leaves_no_trace(dut: Any) -> None:
    """Neither in the layers that follow nor in the registers: the table is the built one."""
    bench = await Bench.start(dut, 0.3)
    for _ in range(5):
        await bench.set_table([(random.getrandbits(20), random.getrandbits(9)) for _ in range(CONFIG.devices)])
        bench.send("tokens", pack(CONFIG, {"tokens": layers(4)})["tokens"])
        await ClockCycles(dut.clk, random.randint(3, 60))
        for source in bench.sources.values():
            source.clear()
        await bench.reset()
        bench.sinks["y"].clear()
        bench.table = CONFIG.table
        tokens = layers(2)
        await bench.check(tokens)
        device, _, _ = dispatch(bench.table, tokens)
        counts = [await bench.read(f"experts_{number}") for number in range(CONFIG.devices)]
        assert counts == [int((device == number).sum()) for number in range(CONFIG.devices)]
        assert await bench.read("idle_experts") == (device == NO_DEVICE).sum()
    await ClockCycles(dut.clk, 50)
    assert bench.sinks["y"].empty()
    await bench.write("control", 1)
    assert await bench.read("idle_experts") == 0


@cocotb.test()
async def times_that_do_not_fit_are_told(dut: Any) -> None:
    """Where they fit on no device; the bit raises the interrupt if enabled, and goes when cleared."""
    bench = await Bench.start(dut)
    most = np.array([[65535, 1, 0]], np.uint16)
    await bench.set_table([(1, 1 << 31), *[(5, 65537)] * (CONFIG.devices - 1)])
    await bench.check(most)
    assert await bench.read("status") == 0, "65535 * 65537 is the largest time there is"
    await bench.set_table([(1, 1 << 31), *[(5, 65538)] * (CONFIG.devices - 1)])
    await bench.check(most)
    assert await bench.read("status") == SATURATED
    assert int(dut.irq.value) == 0
    await bench.write("irq_enable", SATURATED)
    await ClockCycles(dut.clk, 2)
    assert int(dut.irq.value) == 1
    await bench.write("status", SATURATED)
    await ClockCycles(dut.clk, 2)
    assert (int(dut.irq.value), await bench.read("status")) == (0, 0)
