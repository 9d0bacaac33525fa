"""cocotb bench of `pim.device`: random commands with injected errors, illegal ones, resets, against the golden model.

`NIELLO_CONFIG` and `NIELLO_PORTS` say what was built; `random` is seeded by cocotb.
"""

from __future__ import annotations

import json
import os
import random
from collections.abc import Mapping
from typing import Any

import cocotb
import numpy as np
import numpy.typing as npt
from cocotb.triggers import ClockCycles, RisingEdge

from hdl.common.registers import load_registers
from hdl.pim.commands import Command
from hdl.pim.device_config import DeviceConfig
from hdl.pim.violations import Violation
from sim.common.register_edge import RegisterEdge
from sim.pim import device_vectors
from sim.pim.device_model import Device

CONFIG = DeviceConfig.parse(json.loads(os.environ["NIELLO_CONFIG"]))
REGISTERS = load_registers(*CONFIG.register_source)
STATUS = REGISTERS["device_status"]
WORD_BITS = min(64, CONFIG.column_bits)
CODE_BITS = WORD_BITS + {16: 6, 32: 7, 64: 8}.get(WORD_BITS, 5)
ALL = (1 << CONFIG.banks) - 1
SETTLE_CYCLES = CONFIG.device_latency_cycles + 8
"""From a command to everything that it does."""

Row = Mapping[str, Any]


def arrays_of(rows: list[Row]) -> dict[str, npt.NDArray[Any]]:
    """Commands as `device_vectors.INPUTS`."""
    return device_vectors.from_rows(CONFIG, rows)


def filling() -> dict[str, npt.NDArray[Any]]:
    """Commands that open and write every column that random commands work on, the global buffer, and close again."""
    rows: list[Row] = []
    for row in range(min(4, CONFIG.rows)):
        for bank in range(CONFIG.banks):
            rows.append({"command": Command.ACT, "bank": bank, "row": row})
            for col in range(min(8, CONFIG.columns)):
                rows.append({"command": Command.WR, "bank": bank, "col": col})
        rows.append({"command": Command.PREA})
    for gb in range(CONFIG.gb_banks):
        rows += [{"command": Command.WRGB, "col": col, "flags": gb} for col in range(CONFIG.columns)]
    arrays = arrays_of(rows)
    arrays["data"] = device_vectors.random_arrays(CONFIG, random.getrandbits(32), len(rows))["data"]
    return arrays


class Bench(RegisterEdge):
    """The block, and its golden model beside it."""

    MAP = REGISTERS

    model: Device

    @classmethod
    async def start(cls, dut: Any, *, command: float = 0, answer: float = 0) -> Bench:
        """Reset the block; each stream is stalled with its probability in every cycle. Memory may hold anything that
        was there before, so that what is used is written."""
        bench = cls(dut)
        await bench.reset()
        bench.model = Device(CONFIG)
        await bench.check(filling())
        bench.stall(command, "command")
        bench.stall(answer, "answer")
        return bench

    async def check(self, arrays: Mapping[str, Any]) -> None:
        """Send commands and compare the answers with the golden model's."""
        right = device_vectors.run(self.model, CONFIG, arrays)
        self.send("command", device_vectors.pack(CONFIG, arrays)["command"])
        got = await self.receive("answer", len(right))
        assert [bytes(answer) for answer in right] == [bytes(frame) for frame in got]
        await self.settle()
        assert self.sinks["answer"].empty(), "an answer that nobody asked for"

    async def settle(self) -> None:
        """Until everything that was sent has done what it does."""
        while not self.sources["command"].idle():
            await RisingEdge(self.clock)
        await ClockCycles(self.clock, SETTLE_CYCLES)

    async def inject(self, bank: int, word: int, mask: int) -> None:
        """Let the next write of a bank be wrong, in the block and in the model."""
        self.model.inject(bank, mask, word)
        await self.write("inject_low", mask & 0xFFFFFFFF)
        await self.write("inject_high", mask >> 32 & 0xFFFFFFFF)
        await self.write("inject", mask >> 64 | bank << 8 | word << 12 | 1 << 16)

    async def check_status(self) -> None:
        """Status bits, counters and addresses are the model's."""
        status = await self.read("device_status")
        assert {name.upper() for name, bit in STATUS.decode(status).items() if bit} == set(self.model.status)
        assert await self.read("ecc_corrected") == self.model.corrected
        assert await self.read("ecc_detected") == self.model.detected
        if self.model.first_error is not None:
            address = REGISTERS["ecc_address"].decode(await self.read("ecc_address"))
            names = ("bank", "row", "column", "word")
            assert tuple(address[name] for name in names) == tuple(self.model.first_error)
        if self.model.first_illegal is not None:
            violation = REGISTERS["violation"].decode(await self.read("violation"))
            command, reason = self.model.first_illegal
            assert (violation["command"], violation["rule"]) == (command, Violation[reason])


@cocotb.test()
async def constants_say_what_was_built(dut: Any) -> None:
    """Identity and shape; everything else is 0 after reset."""
    bench = await Bench.start(dut)
    assert (await bench.read("identity")).to_bytes(4, "little") == b"PIMD"
    shape = REGISTERS["shape"].decode(await bench.read("shape"))
    assert shape == {"banks": CONFIG.banks, "lanes": CONFIG.lanes, "latency_cycles": CONFIG.device_latency_cycles}
    for register in ("device_status", "ecc_corrected", "ecc_detected", "ecc_address", "violation", "inject"):
        assert await bench.read(register) == 0, register


@cocotb.test()
@cocotb.parametrize(stalls=[(0, 0), (0.4, 0.4), (0, 0.8)])
async def random_commands_match_the_model(dut: Any, stalls: tuple[float, float]) -> None:
    """4,000 commands, and after every hundred another write to be stored wrong in one, two or three bits."""
    bench = await Bench.start(dut, command=stalls[0], answer=stalls[1])
    for _ in range(40):
        if CONFIG.ecc:
            wrong = random.sample(range(CODE_BITS), random.choice([1, 1, 2, 2, 3]))
            word = random.randrange(CONFIG.column_bits // WORD_BITS)
            await bench.inject(random.randrange(CONFIG.banks), word, sum(1 << bit for bit in wrong))
        await bench.check(device_vectors.random_arrays(CONFIG, random.getrandbits(32), 100))
        await bench.check(arrays_of([{"command": Command.PREA, "flags": 4 * k} for k in range(CONFIG.row_buffers)]))
        await bench.check_status()
    assert {"TIMING"} < set(bench.model.status), "commands went wrong and more"


@cocotb.test()
async def answers_come_after_the_latency_of_the_config(dut: Any) -> None:
    """From the cycle that takes RD or RDMAC to the first that offers its answer."""
    bench = await Bench.start(dut)
    for command in (Command.RD, Command.RDMAC):
        rows: list[Row] = [{"command": Command.ACT, "bank": 0, "row": 0}] if command == Command.RD else []
        await bench.check(arrays_of([*rows, {"command": command, "bank": 0, "bank_mask": ALL}]))
        taken, offered = bench.watches["command"].taken[-1], bench.watches["answer"].offered[-1]
        assert offered - taken == CONFIG.latency_cycles, command


@cocotb.test()
async def reset_drops_what_is_under_way(dut: Any) -> None:
    """Rows are closed, accumulators and registers 0, no answer comes late; then all works as after the first reset."""
    bench = await Bench.start(dut)
    for _ in range(6):
        await bench.inject(0, 0, 3)
        rows: list[Row] = [{"command": Command.ACT, "bank": bank, "row": 0} for bank in range(CONFIG.banks)]
        busy: list[Row] = [
            {"command": Command.MAC, "bank_mask": ALL},
            {},
            {"command": Command.RD},
            {"command": Command.RDMAC},
        ]
        bench.send("command", device_vectors.pack(CONFIG, arrays_of(rows + busy * 8))["command"])
        await ClockCycles(bench.clock, random.randrange(CONFIG.banks + 4, CONFIG.banks + 40))
        bench.sources["command"].clear()
        await bench.reset()
        bench.sinks["answer"].clear()
        await ClockCycles(bench.clock, SETTLE_CYCLES)
        assert bench.sinks["answer"].empty()
        bench.model = Device(CONFIG)
        for register in ("device_status", "ecc_corrected", "ecc_detected", "inject"):
            assert await bench.read(register) == 0, register
        closed: list[Row] = [{"command": Command.RD}, {"command": Command.RDMAC, "bank_mask": ALL}]
        await bench.check(arrays_of(closed))
        await bench.check(filling())
        await bench.check(device_vectors.random_arrays(CONFIG, random.getrandbits(32), 300))
        await bench.check_status()


ILLEGAL: dict[str, tuple[Violation, list[Row]]] = {
    "read_of_a_closed_bank": (Violation.NOT_OPEN, [{"command": Command.RD}]),
    "write_of_a_closed_bank": (Violation.NOT_OPEN, [{"command": Command.WR}]),
    "mac_on_a_closed_bank": (Violation.NOT_OPEN, [{"command": Command.MACB}]),
    "mac_on_banks_one_closed": (
        Violation.NOT_OPEN,
        [*({"command": Command.ACT, "bank": bank} for bank in range(CONFIG.banks - 1)),
         {"command": Command.MAC, "bank_mask": ALL}],
    ),
    "second_activation": (Violation.ALREADY_OPEN, [{"command": Command.ACT}, {"command": Command.ACT}]),
    "refresh_of_an_open_row": (Violation.REFRESH_OPEN, [{"command": Command.ACT}, {"command": Command.REF}]),
    "no_such_command": (Violation.UNKNOWN, [{"command": 14}]),
    "no_bank": (Violation.UNKNOWN, [{"command": Command.RDMAC}]),
}  # fmt: skip


@cocotb.test()
@cocotb.parametrize(case=list(ILLEGAL))
async def illegal_command_is_told_and_ignored(dut: Any, case: str) -> None:
    """The first is kept until its bit is cleared; nothing answers; what comes after is as if it had not been there."""
    rule, rows = ILLEGAL[case]
    bench = await Bench.start(dut)
    await bench.check(arrays_of(rows))
    assert await bench.read("device_status") == STATUS["timing"].mask
    violation = REGISTERS["violation"].decode(await bench.read("violation"))
    assert (violation["command"], violation["rule"]) == (rows[-1]["command"], rule)
    await bench.check(arrays_of([{"command": 15}]))
    assert REGISTERS["violation"].decode(await bench.read("violation")) == violation, "the first stays"
    await bench.write("device_status", STATUS["timing"].mask)
    assert await bench.read("device_status") == 0
    await bench.check(arrays_of([{"command": 15}]))
    assert REGISTERS["violation"].decode(await bench.read("violation"))["command"] == 15
    await bench.check(device_vectors.random_arrays(CONFIG, random.getrandbits(32), 200))


@cocotb.test()
async def fields_that_a_command_does_not_use_do_not_count(dut: Any) -> None:
    """Of WRMAC the bank, row, column and row buffer, of RD the mask and the row."""
    bench = await Bench.start(dut)
    wild = {"bank": 15, "row": 0x3FFF, "col": 63, "flags": 5}
    rows: list[Row] = [
        {"command": Command.WRMAC, "bank_mask": ALL, **wild, "data": np.arange(CONFIG.bias_bits // 8, dtype=np.uint8)},
        {"command": Command.RDMAC, "bank_mask": ALL, **wild},
        {"command": Command.ACT, "bank": 0, "col": 63, "flags": 7},
        {"command": Command.RD, "bank": 0, "bank_mask": 0, "row": 0x3FFF, "flags": 7},
    ]
    await bench.check(arrays_of(rows))
    assert await bench.read("device_status") & STATUS["timing"].mask == 0


@cocotb.test()
async def counters_stop_at_their_largest_value(dut: Any) -> None:
    """Software sets a counter near its end; it stays there, and starts again from 0."""
    if not CONFIG.ecc:
        return
    bench = await Bench.start(dut)
    await bench.inject(0, 0, 1)
    act, write, read = ({"command": command, "bank": 0} for command in (Command.ACT, Command.WR, Command.RD))
    await bench.write("ecc_corrected", 0xFFFE)
    await bench.check(arrays_of([act, write, read, read, read]))
    assert await bench.read("ecc_corrected") == 0xFFFF
    await bench.write("ecc_corrected", 0)
    await bench.check(arrays_of([read, read]))
    assert await bench.read("ecc_corrected") == 2
