"""cocotb bench of `pulse.soc`: what its processor and the host do with the channel; `channel_bench` is for the channel.

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

from hdl.pulse.channel_config import FRONT_BASE, FRONT_BYTES, HISTOGRAM_BASE
from hdl.pulse.histogram_config import SOURCES
from hdl.soc.config import IO_BASE, SYSTEM_BASE, ProcessorConfig
from sim.pulse.channel_bench import CHANNELS, CONFIG, REGISTERS, SAMPLES, Bench, by_the_clock
from sim.pulse.channel_vectors import model, pack, register_writes
from sim.soc.monitor_edge import REQUEST_CYCLES, SLOWER, MonitorEdge

CORE = ProcessorConfig.parse(json.loads(os.environ["NIELLO_CONFIG"]).get("processor", {}))
PROCESSOR = CORE.registers
JUMP_TO_ITSELF = 0x0000006F
FREE = 0x1000
"""An address of memory that the monitor leaves alone."""


class SocBench(Bench, MonitorEdge):
    """The block with a bus model on each of its interfaces, and the monitor at its console."""

    slower = SLOWER.get(CORE.core, 1)


def events(count: int) -> dict[str, Any]:
    """So many triggers of each channel, as far apart as its fits are long."""
    return by_the_clock(count, CHANNELS * CONFIG.latency_cycles * CONFIG.front.lanes + 4 & -4)


@cocotb.test()
async def the_processor_sets_the_channel_up(dut: Any) -> None:
    """A host loads the bank; all settings of the front end come by the processor. The records are the model's."""
    bench = await SocBench.start(dut)
    arrays = events(5)
    for address, words in register_writes(CONFIG, arrays):
        for word in words:
            if address < FRONT_BASE:
                await bench.registers["csr"].write_dword(address, word)
            else:
                await bench.poke(IO_BASE + address, word)
    assert await bench.peek(IO_BASE + REGISTERS["identity"].offset_bytes) == await bench.read("identity")
    bench.send("samples", pack(CONFIG, arrays)["samples"])
    await bench.results(arrays, model(CONFIG, arrays))
    assert await bench.peek(IO_BASE + REGISTERS["records"].offset_bytes) == 5 * CHANNELS
    await bench.fault(IO_BASE + FRONT_BASE + CHANNELS * FRONT_BYTES)


@cocotb.test()
async def the_processor_reads_the_histogram(dut: Any) -> None:
    """Of times' fractions in four bins, as many as there are records; where there is none it finds nothing."""
    bench = await SocBench.start(dut)
    if CONFIG.histogram is None:
        await bench.fault(IO_BASE + HISTOGRAM_BASE)
        return

    def at(name: str) -> int:
        return IO_BASE + REGISTERS[f"histogram_{name}"].offset_bytes

    arrays = events(5)
    await bench.load(arrays)
    for name, value in (("run", 1), ("source", SOURCES.index("fraction")), ("shift", 14)):
        await bench.poke(at(name), value)
    bench.send("samples", pack(CONFIG, arrays)["samples"])
    want = model(CONFIG, arrays)
    await bench.results(arrays, want)
    quarters = np.bincount((want["time"] & 0xFFFF) >> 14, minlength=4)
    assert [await bench.peek(at("data")) for _ in range(5)] == [*quarters.tolist(), 0]
    assert await bench.peek(at("accepted")) == 5 * CHANNELS


@cocotb.test()
async def a_hang_costs_no_event(dut: Any) -> None:
    """Records come while the processor hangs, as they do without; the watchdog brings it back."""
    bench = await SocBench.start(dut)
    arrays = events(20)
    await bench.load(arrays)
    cycles = 25_000 * bench.slower
    watchdog, status = (SYSTEM_BASE + PROCESSOR[name].offset_bytes for name in ("watchdog", "status"))
    await bench.poke(FREE, JUMP_TO_ITSELF)
    await bench.poke(watchdog, cycles)
    await bench.ask("g", FREE)
    bench.send("samples", pack(CONFIG, arrays)["samples"])
    await bench.results(arrays, model(CONFIG, arrays))
    assert await bench.read_each("lost") == CHANNELS * [0]
    await ClockCycles(dut.clk, cycles)
    assert await bench.peek(status) == PROCESSOR["status"]["watchdog"].mask
    assert await bench.peek(IO_BASE + REGISTERS["records"].offset_bytes) == 20 * CHANNELS


@cocotb.test()
async def host_and_processor_share_the_registers(dut: Any) -> None:
    """Each sees what the other wrote, and what it wrote itself, while both write."""
    bench = await SocBench.start(dut)
    mine, its = REGISTERS["front0_threshold"].offset_bytes, REGISTERS["front0_period"].offset_bytes
    for _ in range(5):
        ours, theirs = random.getrandbits(24), random.getrandbits(24)
        asked = cocotb.start_soon(bench.poke(IO_BASE + its, theirs))
        while not asked.done():
            await bench.write("front0_threshold", ours)
            assert await bench.read("front0_threshold") == ours
        assert await bench.read("front0_period") == theirs
        assert await bench.peek(IO_BASE + mine) == ours


@cocotb.test()
async def an_interrupt_of_the_channel_reaches_the_processor(dut: Any) -> None:
    """A lost trigger."""
    bench = await SocBench.start(dut)
    bench.sinks["record"].pause = True
    arrays = by_the_clock(4 * CONFIG.front.events, SAMPLES + CONFIG.front.lanes + 7 & -4)
    await bench.load(arrays)
    await bench.write("front0_irq_enable", REGISTERS["front0_irq_enable"]["lost"].mask)
    pending = PROCESSOR["irq_pending"]
    where = SYSTEM_BASE + PROCESSOR["irq_pending"].offset_bytes
    assert await bench.peek(where) == pending["transmit"].mask
    bench.send("samples", pack(CONFIG, arrays)["samples"])
    await ClockCycles(dut.clk, REQUEST_CYCLES * bench.slower)
    assert await bench.peek(where) == pending["transmit"].mask | pending["io"].mask
    assert await bench.peek(IO_BASE + REGISTERS["front0_lost"].offset_bytes) == await bench.read("front0_lost") > 0
