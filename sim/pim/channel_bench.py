"""cocotb bench of `pim.channel`, its device inside or a golden model of one at its port: data bit for bit, counts cycle
for cycle as in the golden models, stalls, reset, illegal instructions; the device judges every command.

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
from cocotb.utils import get_sim_time

from hdl.common.registers import load_registers
from hdl.pim.channel_config import ChannelConfig
from hdl.pim.commands import GB, LAST, Command, Instruction, Op, decode_program, encode_program
from sim.common.beats import Beats
from sim.common.register_edge import RegisterEdge
from sim.common.runner import CLOCK_PERIOD_NS
from sim.common.vectors import Arrays
from sim.pim import channel_vectors as vectors
from sim.pim.channel_model import Channel
from sim.pim.device_model import Device
from sim.pim.device_outside import OutsideDevice

CONFIG = ChannelConfig.parse(json.loads(os.environ["NIELLO_CONFIG"]))
REGISTERS = load_registers(*CONFIG.register_source)
COUNTERS = [
    name for name in (register.name for register in REGISTERS.registers) if name.startswith(("issued_", "stalls_"))
]
COUNTERS += ["row_hits", "cycles"]
START_CYCLES = 5
"""From the handshake of a program's first instruction to its cycle 1, where the channel is empty."""

SETTLE_CYCLES = 100
WHOLE = (1 << CONFIG.banks) - 1


class Bench(RegisterEdge):
    """The block, and beside it the golden model of its device."""

    MAP = REGISTERS

    @classmethod
    async def start(cls, dut: Any, stall: float = 0) -> Bench:
        bench = cls(dut)
        if not CONFIG.device:
            cocotb.start_soon(OutsideDevice(dut, bench.clock, dut.rst, CONFIG).run())
        await bench.reset()
        bench.stall(stall)
        return bench

    async def reset(self) -> None:
        await super().reset()
        # The memory outlives a reset; the first of a bench finds it as it was built, or as a test before left it.
        self.reset_ns = get_sim_time("ns")
        self.first = len(self.watches["program"].taken)

    def program(self, *instructions: Instruction) -> Arrays:
        """A program with random data; each answer is a packet."""
        marked = [Instruction(**vars(one) | {"flags": one.flags | LAST}) for one in instructions]
        count = vectors.beats_of(CONFIG, marked)
        shape = CONFIG.column_bits // 8
        data = {name: random.randbytes(count[name] * shape) for name in vectors.ROLES_IN}
        return {"program": encode_program(marked)} | {
            name: np.frombuffer(one, np.uint8).reshape(-1, shape) for name, one in data.items()
        }

    def filling(self) -> Arrays:
        """Writes the first rows of all banks, and all of the global buffer."""
        writes = [
            Instruction(Op.WR, bank_mask=1 << bank, row=row, count=CONFIG.columns)
            for row in range(min(4, CONFIG.rows))
            for bank in range(CONFIG.banks)
        ]
        buffers = [Instruction(Op.WR_GB, count=CONFIG.columns, flags=GB * bank) for bank in range(CONFIG.gb_banks)]
        return self.program(*writes, *buffers, Instruction(Op.EOC))

    def random_program(self, length: int = 30) -> Arrays:
        """Rows that were written alone, so that the device's memory need not be known from before."""
        found = decode_program(vectors.random_arrays(CONFIG, random.getrandbits(32), length)["program"])
        return self.program(*(Instruction(**vars(one) | {"row": one.row % min(4, CONFIG.rows)}) for one in found))

    async def check(self, device: Device, arrays: Arrays) -> None:
        """Runs a program and compares its answers with the golden model's."""
        for role, beats in vectors.pack(CONFIG, arrays).items():
            self.send(role, beats)
        right = vectors.run(device, CONFIG, arrays)
        for role, asks in (("read", Op.RD), ("result", Op.RD_MAC)):
            packets = sum(one.op == asks for one in vectors.obeyed(CONFIG, decode_program(arrays["program"])))
            got = b"".join(await self.receive(role, packets))
            assert got == right[role].tobytes(), role
        while not await self.read("status") & REGISTERS["status"]["ended"].mask:
            pass
        await self.write("status", REGISTERS["status"]["ended"].mask)
        assert not await self.read("device_status") & REGISTERS["device_status"]["timing"].mask

    async def fill(self) -> Device:
        """The golden model of the device, and the device, with the same contents."""
        device = Device(CONFIG)
        await self.check(device, self.filling())
        return device


@cocotb.test()
async def constants_say_what_was_built(dut: Any) -> None:
    """Identity and shape; no counter counts before a program."""
    bench = await Bench.start(dut)
    assert (await bench.read("identity")).to_bytes(4, "little") == b"PIMC"
    shape = REGISTERS["shape"].decode(await bench.read("shape"))
    assert shape == {name: getattr(CONFIG, name) for name in shape}
    for register in ("status", "irq_enable", "control", "program_cycles", *COUNTERS):
        assert await bench.read(register) == 0, register


@cocotb.test()
@cocotb.parametrize(stall=[0, 0.3, 0.7])
async def answers_match_the_model(dut: Any, stall: float) -> None:
    """Random programs, all streams stalled; the device finds no command illegal."""
    bench = await Bench.start(dut, stall)
    device = await bench.fill()
    for _ in range(4):
        await bench.check(device, bench.random_program())


@cocotb.test()
async def counts_match_the_model(dut: Any) -> None:
    """Every counter of one program from reset, and its cycles."""
    for _ in range(4):
        bench = await Bench.start(dut)
        arrays = bench.random_program(40)
        program = decode_program(arrays["program"])
        for role, beats in vectors.pack(CONFIG, arrays).items():
            if role != "program":
                bench.send(role, beats)
        await ClockCycles(bench.clock, 40)
        at = round((get_sim_time("ns") - bench.reset_ns) / CLOCK_PERIOD_NS)
        bench.send("program", vectors.pack(CONFIG, arrays)["program"])
        while not await bench.read("status") & REGISTERS["status"]["ended"].mask:
            pass
        await ClockCycles(bench.clock, 4)
        run = Channel(CONFIG).run(program, start=at + START_CYCLES)
        assert await bench.read("program_cycles") == run.cycles
        got = {name: await bench.read(name) for name in COUNTERS}
        right = {f"issued_{one.name.lower()}": run.issued.get(one, 0) for one in Command if one != Command.NOP}
        right |= {f"stalls_{cause}": cycles for cause, cycles in run.counters.stall_cycles.items()}
        right |= {"row_hits": run.row_hits, "cycles": run.end - run.start + 1, "stalls_input": 0, "stalls_output": 0}
        assert got == right
        bench.sinks["read"].clear()
        bench.sinks["result"].clear()
        await bench.write("control", REGISTERS["control"]["clear_counters"].mask)
        await bench.write("status", REGISTERS["status"]["ended"].mask)


@cocotb.test()
async def what_is_missing_is_counted(dut: Any) -> None:
    """A WR_GB without its columns waits for them; an RD whose answers nobody takes, for room."""
    bench = await Bench.start(dut)
    await bench.fill()
    columns = Instruction(Op.WR_GB, count=2)
    bench.send("program", vectors.pack(CONFIG, bench.program(columns, Instruction(Op.EOC)))["program"])
    await ClockCycles(bench.clock, 200)
    assert await bench.read("stalls_input") > 150
    assert await bench.read("status") & REGISTERS["status"]["busy"].mask
    bench.send("load", Beats(np.zeros((2, CONFIG.column_bits // 8), np.uint8)))
    bench.sinks["read"].pause = True
    reads = [Instruction(Op.RD, bank_mask=1, row=0, count=CONFIG.columns) for _ in range(8)]
    bench.send("program", vectors.pack(CONFIG, bench.program(*reads, Instruction(Op.EOC)))["program"])
    await ClockCycles(bench.clock, 600)
    assert await bench.read("stalls_output") > 100
    bench.sinks["read"].pause = False
    assert len(await bench.receive("read", 8)) == 8


@cocotb.test()
async def illegal_instructions_are_skipped_and_told(dut: Any) -> None:
    """The first one's place stays; the interrupt comes where it is enabled; what follows works."""
    bench = await Bench.start(dut)
    device = await bench.fill()
    good = Instruction(Op.RD, bank_mask=1, row=0, count=3)
    wrong = [
        Instruction(0),
        Instruction(10),
        Instruction(Op.RD, bank_mask=3),
        Instruction(Op.MAC_ABK, bank_mask=0),
        Instruction(Op.WR_GB, col=CONFIG.columns - 1, count=2),
        Instruction(Op.WR_GB, count=256),
    ]
    if CONFIG.rows < 1 << 14:
        wrong.append(Instruction(Op.RD, bank_mask=1, row=CONFIG.rows))
    for one in wrong:
        await bench.write("irq_enable", REGISTERS["irq_enable"]["illegal"].mask)
        await bench.check(device, bench.program(good, good, one, good, one, Instruction(Op.EOC)))
        assert await bench.read("status") == REGISTERS["status"]["illegal"].mask, one
        assert await bench.read("illegal_instruction") == 2
        assert int(dut.irq.value) == 1
        await bench.write("status", REGISTERS["status"]["illegal"].mask)
        await ClockCycles(bench.clock, 2)
        assert int(dut.irq.value) == 0
    elsewhere = Instruction(Op.RD, bank_mask=1, ch_mask=0xFF & ~(1 << CONFIG.channel))
    await bench.check(device, bench.program(elsewhere, good, Instruction(Op.EOC)))
    assert await bench.read("status") == 0, "an instruction of another channel is none of ours"


@cocotb.test()
async def reset_in_mid_flight_leaves_no_trace(dut: Any) -> None:
    """Neither in what follows nor in the registers; only memory and global buffer stay, which are written anew."""
    bench = await Bench.start(dut, 0.2)
    for _ in range(4):
        for role, beats in vectors.pack(CONFIG, bench.random_program()).items():
            bench.send(role, beats)
        await ClockCycles(bench.clock, random.randint(20, 1500))
        for source in bench.sources.values():
            source.clear()
        await bench.reset()
        for sink in bench.sinks.values():
            sink.clear()
        assert [await bench.read(name) for name in ("status", *COUNTERS)] == [0] * (1 + len(COUNTERS))
        device = await bench.fill()
        await bench.check(device, bench.random_program())
