"""cocotb bench of `pulse.classic`: protocol, latency, reset, registers and table, held against the golden model.

`NIELLO_CONFIG` and `NIELLO_PORTS` say what was built; `random` is seeded by cocotb.
"""

from __future__ import annotations

import itertools
import json
import os
from typing import Any, ClassVar

import cocotb
import numpy as np
from cocotb.triggers import ClockCycles

from hdl.common.registers import load_registers
from hdl.pulse.classic_config import TABLE_ENTRIES, ClassicConfig
from sim.pulse import classic_vectors
from sim.pulse.window_bench import WindowBench
from sim.pulse.windows import window_beats

CONFIG = ClassicConfig.parse(json.loads(os.environ["NIELLO_CONFIG"]))
REGISTERS = load_registers(*CONFIG.register_source)
BUSY = REGISTERS["status"]["busy"].mask


class Bench(WindowBench):
    """The classic estimators'."""

    MAP: ClassVar = REGISTERS
    CONFIG: ClassVar = CONFIG
    VECTORS: ClassVar = classic_vectors
    MEMORY: ClassVar = ("table_address", "table_data")
    FIRST: ClassVar = {"code_least": 1 << 15, "code_most": (1 << 15) - 1}


@cocotb.test()
async def constants_say_what_was_built(dut: Any) -> None:
    """Identity, shape and the settings' first values; everything else is 0 after reset."""
    bench = await Bench.start(dut)
    assert (await bench.read("identity")).to_bytes(4, "little") == b"CLAS"
    assert REGISTERS["shape"].decode(await bench.read("shape")) == {"samples": CONFIG.samples}
    await bench.first_values()


@cocotb.test()
@cocotb.parametrize(stall=[0, 0.3, 0.7])
async def records_match_the_model(dut: Any, stall: float) -> None:
    """Windows, tables and settings of all kinds, both streams stalled."""
    bench = await Bench.start(dut, stall)
    for _ in range(6):
        arrays = Bench.some(8)
        await bench.load(arrays)
        await bench.check(arrays)
    assert await bench.read("windows") == 48
    assert await bench.read("status") == 0


@cocotb.test()
@cocotb.parametrize(source=[0, 1], windows=["drawn", "silent"])
async def latency_is_what_the_config_says(dut: Any, source: int, windows: str) -> None:
    """Of windows that cross and of silent ones; where others wait, records follow each other in `window_cycles`."""
    bench = await Bench.start(dut)
    arrays = Bench.some(6, time_source=source)
    if windows == "silent":
        arrays["windows"][:] = 0
    await bench.load(arrays)
    await bench.check(arrays)
    offered, last = bench.watches["fit"].offered, bench.watches["window"].lasts[0]
    assert offered[0] - last == CONFIG.latency_cycles
    assert {after - before for before, after in itertools.pairwise(offered)} == {CONFIG.window_cycles}
    assert await bench.read("cycles") == offered[-1] - last
    await bench.clear()


@cocotb.test()
async def two_windows_are_kept_behind_those_that_wait(dut: Any) -> None:
    """A record that is not taken holds back the windows behind it, and loses none."""
    bench = await Bench.start(dut)
    arrays = Bench.some(8)
    await bench.load(arrays)
    bench.sinks["fit"].pause = True
    bench.send("window", window_beats(arrays["windows"]))
    await ClockCycles(dut.clk, 9 * (CONFIG.window_cycles + CONFIG.samples))
    assert 3 <= len(bench.watches["window"].lasts) <= 4
    assert await bench.read("status") == BUSY
    bench.sinks["fit"].pause = False
    await bench.results(arrays)
    assert await bench.read("status") == 0


@cocotb.test()
async def reset_in_mid_flight_leaves_no_trace(dut: Any) -> None:
    """Neither in the records that follow nor in the registers; the table stays, as a memory does."""
    bench = await Bench.start(dut, 0.2)
    await bench.interrupted(Bench.some(3, time_source=1, table_on=1), 3 * CONFIG.latency_cycles)


@cocotb.test()
@cocotb.parametrize(stall=[0, 0.4])
async def bad_windows_are_dropped_whole(dut: Any, stall: float) -> None:
    """And are told; those before and after are not disturbed."""
    bench = await Bench.start(dut, stall)
    await bench.between_bad_ones(Bench.some(7))


@cocotb.test()
async def every_entry_of_the_table_is_where_it_was_written(dut: Any) -> None:
    """Addresses count on and wrap; each phase of a crossing has an entry of its own."""
    bench = await Bench.start(dut)
    arrays = Bench.some(TABLE_ENTRIES)
    settings = dict.fromkeys(CONFIG.setting_names, 0) | {"time_source": 1, "table_on": 1, "delay": 1, "fraction": 128}
    arrays["settings"] = np.array(list(settings.values()), np.int64)
    # c is -128 codes at sample 1, and of such a height at sample 2 that it crosses in the middle of each phase in turn.
    heights = np.round(TABLE_ENTRIES / (np.arange(TABLE_ENTRIES) + 0.5) * 128 - 128)
    arrays["windows"][:] = 0
    arrays["windows"][:, 1] = 256
    arrays["windows"][:, 2] = 512 - 2 * heights
    arrays["windows"][:, 3:] = -(2**15)
    await bench.load(arrays)
    assert await bench.read("table_address") == 0
    start = 37
    await bench.write("table_address", start)
    for number in range(TABLE_ENTRIES):
        value = int(arrays["table"][(start + number) % TABLE_ENTRIES])
        await bench.write("table_data", value & 0xFFFF)
        assert await bench.read("table_address") == (start + number + 1) % TABLE_ENTRIES
    await bench.check(arrays)


@cocotb.test()
async def settings_that_change_harm_no_other_window(dut: Any) -> None:
    """What is written while a window is worked on may be in its record; the next has it whole."""
    bench = await Bench.start(dut)
    first = Bench.some(1)
    await bench.load(first)
    bench.send("window", window_beats(first["windows"]))
    await ClockCycles(dut.clk, CONFIG.samples + 10)
    assert await bench.read("status") == BUSY
    second = Bench.some(3)
    await bench.load(second)
    assert len(await bench.receive("fit", 1)) == 1
    assert await bench.read("status") == 0
    await bench.check(second)
