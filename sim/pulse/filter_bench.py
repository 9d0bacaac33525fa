"""cocotb bench of `pulse.filter`: protocol, latency, reset, registers and bank, held against the golden model.

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
from hdl.pulse.config import FRACTION_BITS, PHASES, FilterConfig
from sim.common.beats import Beats
from sim.common.register_edge import StalledEdge
from sim.common.stimulus import last_flags
from sim.pulse.filter_vectors import model, pack, random_arrays, records, register_writes

CONFIG = FilterConfig.parse(json.loads(os.environ["NIELLO_CONFIG"]))
REGISTERS = load_registers(*CONFIG.register_source)
BAD_WINDOW, BAD_BANK, BUSY = (REGISTERS["status"][name].mask for name in ("bad_window", "bad_bank", "busy"))
COUNTERS = ("windows", "dropped", "cycles")


class Bench(StalledEdge):
    """The block with a bus model on each of its interfaces."""

    MAP = REGISTERS

    async def load(self, arrays: dict[str, Any]) -> None:
        """Settings and bank."""
        for address, words in register_writes(CONFIG, arrays):
            for word in words:
                await self.registers["csr"].write_dword(address, word)

    async def results(self, arrays: dict[str, Any]) -> None:
        """The records of windows that were sent are the golden model's."""
        want = model(CONFIG, arrays)
        beats = b"".join(await self.receive("fit", len(arrays["windows"])))
        got = records(np.frombuffer(beats, np.uint8).reshape(-1, CONFIG.record_bits // 8))
        for name, right in want.items():
            assert got[name].tolist() == right.tolist(), name

    async def check(self, arrays: dict[str, Any]) -> None:
        """Send windows, and compare."""
        self.send("window", pack(CONFIG, arrays)["window"])
        await self.results(arrays)


def some(count: int, **settings: int) -> dict[str, Any]:
    """Random windows, bank and settings, some of which are given."""
    arrays = random_arrays(CONFIG, random.getrandbits(32), count)
    for name, value in settings.items():
        arrays["settings"][CONFIG.setting_names.index(name)] = value
    return arrays


@cocotb.test()
async def constants_say_what_was_built(dut: Any) -> None:
    """Identity, shape and the settings' first values; everything else is 0 after reset."""
    bench = await Bench.start(dut)
    assert (await bench.read("identity")).to_bytes(4, "little") == b"FILT"
    assert REGISTERS["shape"].decode(await bench.read("shape")) == {
        "samples": CONFIG.samples,
        "taps": CONFIG.taps,
        "pre": CONFIG.pre,
        "width": CONFIG.shape,
    }
    first = {"passes": CONFIG.default_passes, "guess": CONFIG.pre << FRACTION_BITS, "chi_base": (1 << 32) - 1}
    first |= {"code_least": 1 << 15, "code_most": (1 << 15) - 1}
    others = ("status", "irq_enable", "control", "bank_address", "bank_data")
    for register in (*CONFIG.setting_names, *others, *COUNTERS):
        assert await bench.read(register) == first.get(register, 0), register


@cocotb.test()
@cocotb.parametrize(stall=[0, 0.3, 0.7])
async def records_match_the_model(dut: Any, stall: float) -> None:
    """Windows, banks and settings of all kinds, both streams stalled."""
    bench = await Bench.start(dut, stall)
    for _ in range(3):
        arrays = some(8)
        await bench.load(arrays)
        await bench.check(arrays)
    assert await bench.read("windows") == 24
    assert await bench.read("status") == 0


@cocotb.test()
@cocotb.parametrize(passes=[1, 2, CONFIG.most_passes])
async def latency_is_what_the_config_says(dut: Any, passes: int) -> None:
    """And a window in so many cycles while others wait: two are kept, the third comes in when a record is taken."""
    bench = await Bench.start(dut)
    arrays = some(4, passes=passes)
    await bench.load(arrays)
    await bench.check(arrays)
    latency = CONFIG.fit_cycles(passes)
    window, fit = bench.watches["window"], bench.watches["fit"]
    assert fit.offered[0] - window.lasts[0] == latency
    starts = window.taken[:: CONFIG.samples]
    assert starts[1] == window.lasts[0] + 1
    for number in (1, 2, 3):
        assert fit.offered[number] == max(fit.offered[number - 1], window.lasts[number]) + latency
    assert starts[2] == max(window.lasts[1], fit.taken[0]) + 1
    assert await bench.read("cycles") == 4 * latency
    await bench.command("clear_counters")
    for register in COUNTERS:
        assert await bench.read(register) == 0, register


@cocotb.test()
async def reset_in_mid_flight_leaves_no_trace(dut: Any) -> None:
    """Neither in the records that follow nor in the registers; the bank stays, as a memory does."""
    bench = await Bench.start(dut, 0.2)
    arrays = some(3)
    await bench.load(arrays)
    for _ in range(5):
        bench.send("window", pack(CONFIG, arrays)["window"])
        await ClockCycles(dut.clk, random.randint(3, 3 * CONFIG.fit_cycles(2)))
        for source in bench.sources.values():
            source.clear()
        await bench.reset()
        bench.sinks["fit"].clear()
        assert await bench.read("passes") == CONFIG.default_passes
        for name, value in zip(CONFIG.setting_names, arrays["settings"].tolist(), strict=True):
            await bench.write(name, value & REGISTERS[name]["value"].mask)
        await bench.check(arrays)
        assert await bench.read("windows") == 3
        assert await bench.read("status") == 0
    await ClockCycles(dut.clk, CONFIG.fit_cycles(CONFIG.most_passes))
    assert bench.sinks["fit"].empty()


@cocotb.test()
@cocotb.parametrize(stall=[0, 0.4])
async def bad_windows_are_dropped_whole(dut: Any, stall: float) -> None:
    """And are told; those before and after are not disturbed."""
    bench = await Bench.start(dut, stall)
    arrays = some(7)
    await bench.load(arrays)
    data = pack(CONFIG, arrays)["window"].data.reshape(-1, CONFIG.samples, 2)
    lengths = [1, CONFIG.samples - 1, CONFIG.samples + 1, 2 * CONFIG.samples, 1, 3 * CONFIG.samples + 5]
    for number, length in enumerate(lengths):
        bench.send("window", Beats(data[number], last_flags([CONFIG.samples])))
        bench.send("window", Beats(np.resize(data[number + 1], (length, 2)), last_flags([length])))
    bench.send("window", Beats(data[6], last_flags([CONFIG.samples])))
    await bench.results(arrays)
    assert [await bench.read(name) for name in ("windows", "dropped")] == [7, len(lengths)]
    assert await bench.read("status") == BAD_WINDOW
    assert await bench.interrupt() == 0
    await bench.write("irq_enable", BAD_WINDOW)
    assert await bench.interrupt() == 1
    await bench.write("status", BAD_WINDOW)
    assert (await bench.interrupt(), await bench.read("status")) == (0, 0)
    assert bench.sinks["fit"].empty()


@cocotb.test()
async def writes_to_no_coefficient_change_nothing(dut: Any) -> None:
    """Those beyond taps and rows; the address counts on over them, and such a write is told."""
    bench = await Bench.start(dut)
    arrays = some(2)
    await bench.load(arrays)
    beyond = [CONFIG.bank_address("templates", "z", phase) for phase in (0, PHASES - 1)]
    if not CONFIG.shape:
        beyond += [CONFIG.bank_address(memory, "c", 3, 1) for memory in ("weights", "templates")]
    beyond += [CONFIG.bank_address("weights", "a", 5) + tap for tap in range(CONFIG.taps, 1 << CONFIG.tap_bits)]
    for address in beyond:
        assert await bench.read("status") == 0
        await bench.write("bank_address", address)
        await bench.write("bank_data", 0x5A5A)
        assert await bench.read("bank_address") == address + 1
        assert await bench.read("status") == BAD_BANK
        await bench.write("irq_enable", BAD_BANK)
        assert await bench.interrupt() == 1
        await bench.write("status", BAD_BANK)
        assert await bench.interrupt() == 0
    await bench.check(arrays)


@cocotb.test()
async def a_bank_that_changes_harms_no_other_fit(dut: Any) -> None:
    """What is written while a window is fitted may be in that fit; the next has it whole."""
    bench = await Bench.start(dut)
    first = some(1, passes=CONFIG.most_passes)
    await bench.load(first)
    bench.send("window", pack(CONFIG, first)["window"])
    await ClockCycles(dut.clk, CONFIG.samples + 10)
    assert await bench.read("status") == BUSY
    second = some(3)
    await bench.load(second)
    assert len(await bench.receive("fit", 1)) == 1
    assert await bench.read("status") == 0
    await bench.check(second)
