"""cocotb bench of `pim.flash`: every cycle of its bus held to the rules of flash, its data to the golden model.

`NIELLO_CONFIG` and `NIELLO_PORTS` say what was built; `random` is seeded by cocotb.
"""

from __future__ import annotations

import json
import os
import random
from typing import Any

import cocotb
import numpy as np
from cocotb.triggers import ClockCycles, RisingEdge

from hdl.common.registers import load_registers
from hdl.pim.flash_config import FlashConfig, FlashOp
from sim.common.register_edge import RegisterEdge
from sim.pim import flash_model
from sim.pim.flash_model import Command
from sim.pim.flash_rules import FlashRules
from sim.pim.flash_vectors import packed, random_commands, random_data

CONFIG = FlashConfig.parse(json.loads(os.environ["NIELLO_CONFIG"]))
REGISTERS = load_registers(*CONFIG.register_source)
BAD_COMMAND, BUSY = (REGISTERS["status"][name].mask for name in ("bad_command", "busy"))


class Bench(RegisterEdge):
    """The block with a bus model on each of its interfaces, and a watch on the flash bus."""

    MAP = REGISTERS

    @classmethod
    async def start(cls, dut: Any, stall: float = 0) -> Bench:
        """Reset the block; all streams are stalled with this probability in every cycle."""
        bench = cls(dut)
        await bench.reset()
        bench.stall(stall)
        bench.rules = FlashRules(CONFIG)
        cocotb.start_soon(bench.watch())
        return bench

    rules: FlashRules

    async def watch(self) -> None:
        """Hold every cycle of the bus to the rules; an `IllegalUse` here fails the test."""
        while True:
            await RisingEdge(self.clock)
            if int(self.dut.rst.value):
                self.rules = FlashRules(CONFIG)
                continue
            bus = (self.dut.bus_use, self.dut.bus_plane, self.dut.bus_byte, self.dut.plane_busy)
            self.rules.step(*(int(signal.value) for signal in bus))

    def give(self, commands: list[Command]) -> flash_model.FlashResult:
        """Send commands and random data; what they must give."""
        data = random_data(CONFIG, np.random.default_rng(random.getrandbits(64)), commands)
        for role, beats in packed(commands, data).items():
            if len(beats):
                self.send(role, beats)
        return flash_model.run(CONFIG, commands, data)

    async def check(self, commands: list[Command]) -> None:
        """Send commands; what comes back is what the model says, and what the rules' own dies hold."""
        want = self.give(commands)
        reads = [one for one, done in zip(commands, want.done, strict=True) if done and one.op <= FlashOp.READ_SLICE]
        for command, packet in zip(reads, want.packets, strict=True):
            (got,) = await self.receive("q", 1)
            assert got == packet.tobytes(), command
            offset = command.offset if command.op == FlashOp.READ_SLICE else 0
            assert got == self.rules.take(command.plane, offset, len(packet)), command


def some_commands(count: int) -> list[Command]:
    """Random commands, bad ones among them."""
    return random_commands(CONFIG, np.random.default_rng(random.getrandbits(64)), count)


@cocotb.test()
async def constants_say_what_was_built(dut: Any) -> None:
    """Identity and shape; everything else is 0 after reset."""
    bench = await Bench.start(dut)
    assert (await bench.read("identity")).to_bytes(4, "little") == b"FLAS"
    assert await bench.read("shape") == CONFIG.dies | CONFIG.planes << 8 | CONFIG.block_pages << 16
    assert await bench.read("pages") == CONFIG.pages | CONFIG.page_bytes << 16
    assert await bench.read("columns") == CONFIG.columns
    for register in ("status", "irq_enable", "control", "commands", "bus_cycles", "busy_cycles", "cycles"):
        assert await bench.read(register) == 0, register


@cocotb.test()
@cocotb.parametrize(stall=[0, 0.3, 0.7])
async def bus_keeps_the_rules_and_data_match_the_model(dut: Any, stall: float) -> None:
    """Commands of all kinds, bad ones among them, every stream stalled."""
    bench = await Bench.start(dut, stall)
    await bench.check(some_commands(120))


@cocotb.test()
async def latency_is_what_the_config_says(dut: Any) -> None:
    """A read of an idle plane."""
    bench = await Bench.start(dut)
    for _ in range(3):
        await bench.check([Command(FlashOp.READ, CONFIG.plane_count - 1, 0)])
        measured = bench.watches["q"].offered[-CONFIG.page_bytes] - bench.watches["command"].taken[-1]
        assert measured == CONFIG.latency_cycles
        await ClockCycles(dut.clk, random.randint(0, 5))


@cocotb.test()
async def planes_work_at_the_same_time(dut: Any) -> None:
    """A read of every plane takes little longer than one; two of one plane overlap array and bus."""
    bench = await Bench.start(dut)
    for planes in ([0], list(range(CONFIG.plane_count)), [0, 0, 0]):
        commands = [Command(FlashOp.READ, plane, 0) for plane in planes]
        await bench.check(commands)
        taken = bench.watches["command"].taken[-len(commands)]
        last = bench.watches["q"].lasts[-1]
        assert last - taken == flash_model.cycles(CONFIG, commands, np.ones(len(commands), np.bool_))
        await ClockCycles(dut.clk, 10)


@cocotb.test()
async def reset_in_mid_flight_leaves_no_trace(dut: Any) -> None:
    """Neither in what follows nor in the registers, and flash is erased."""
    bench = await Bench.start(dut, 0.3)
    for _ in range(5):
        bench.give(some_commands(40))
        await ClockCycles(dut.clk, random.randint(5, 5 * CONFIG.read_cycles))
        for source in bench.sources.values():
            source.clear()
        await bench.reset()
        bench.sinks["q"].clear()
        await bench.check([Command(FlashOp.READ, 0, page) for page in range(2)])
        assert await bench.read("status") == 0
        assert await bench.read("commands") == 2
    await ClockCycles(dut.clk, 2 * CONFIG.erase_cycles)
    assert bench.sinks["q"].empty()


@cocotb.test()
@cocotb.parametrize(
    bad=[
        Command(0, 0, 0),
        Command(6, 0, 0),
        Command(FlashOp.READ, CONFIG.plane_count, 0),
        Command(FlashOp.PROGRAM, 0, CONFIG.pages),
        Command(FlashOp.READ_COMPUTE, 255, 0),
        Command(FlashOp.READ_SLICE, 0, 0, 0, 0),
        Command(FlashOp.READ_SLICE, 0, 0, 1, CONFIG.page_bytes),
        Command(FlashOp.PROGRAM, 0, CONFIG.pages - 1),
    ]
)
async def bad_commands_are_told_and_do_nothing(dut: Any, bad: Command) -> None:
    """The commands around it are not disturbed; the bit raises the interrupt if enabled, and goes when cleared."""
    bench = await Bench.start(dut)
    good = [Command(FlashOp.PROGRAM, 0, 0), Command(FlashOp.READ_COMPUTE, 0, 0)]
    await bench.check([good[0], bad, good[1]])
    assert await bench.read("status") & ~BUSY == BAD_COMMAND
    assert int(dut.irq.value) == 0
    await bench.write("irq_enable", BAD_COMMAND)
    await ClockCycles(dut.clk, 2)
    assert int(dut.irq.value) == 1
    await bench.write("status", BAD_COMMAND)
    await ClockCycles(dut.clk, 2)
    assert int(dut.irq.value) == 0
    await bench.check([Command(FlashOp.READ_COMPUTE, 0, 1)])
    assert await bench.read("status") == 0


@cocotb.test()
async def sums_of_extremes_are_exact(dut: Any) -> None:
    """-128 times -128, -128 times 127, in every row."""
    bench = await Bench.start(dut)
    for weight, element in ((-128, -128), (-128, 127), (127, 127)):
        commands = [Command(FlashOp.ERASE, 0, 0), Command(FlashOp.PROGRAM, 0, 0), Command(FlashOp.READ_COMPUTE, 0, 0)]
        data = np.repeat(np.array([weight, element], np.int8), [CONFIG.page_bytes, CONFIG.columns]).view(np.uint8)
        for role, beats in packed(commands, data).items():
            bench.send(role, beats)
        (got,) = await bench.receive("q", 1)
        assert set(np.frombuffer(got, "<i4").tolist()) == {weight * element * CONFIG.columns}
        assert got == bench.rules.take(0, 0, CONFIG.sum_bytes)


@cocotb.test()
async def counters_count_and_clear(dut: Any) -> None:
    """Commands, and cycles of the bus: its bytes of commands, data and results."""
    bench = await Bench.start(dut)
    await bench.check(
        [Command(FlashOp.PROGRAM, 0, 0), Command(FlashOp.READ, 0, 0), Command(FlashOp.READ_COMPUTE, 0, 0)]
    )
    bytes_moved = 3 * 7 + 2 * CONFIG.page_bytes + CONFIG.columns + CONFIG.sum_bytes
    assert [await bench.read(name) for name in ("commands", "bus_cycles")] == [3, bytes_moved]
    busy, cycles = [await bench.read(name) for name in ("busy_cycles", "cycles")]
    assert CONFIG.program_cycles + CONFIG.read_cycles < busy < cycles
    await bench.write("control", REGISTERS["control"]["clear_counters"].mask)
    for register in ("commands", "bus_cycles", "busy_cycles", "cycles"):
        assert await bench.read(register) == 0, register
