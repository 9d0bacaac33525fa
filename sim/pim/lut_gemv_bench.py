"""cocotb bench of `pim.lut_gemv`: protocol, latency, reset and registers, held against the golden model.

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
from hdl.pim.lut_gemv_config import RESULT_FORMATS, LutGemvConfig
from sim.common.register_edge import StalledEdge
from sim.common.stimulus import integers
from sim.pim import lut_gemv_model
from sim.pim.lut_gemv_model import LutJob
from sim.pim.lut_gemv_vectors import packed, random_scales

CONFIG = LutGemvConfig.parse(json.loads(os.environ["NIELLO_CONFIG"]))
REGISTERS = load_registers(*CONFIG.register_source)
OVERFLOW, BAD_JOB, NONFINITE, BUSY = (
    REGISTERS["status"][name].mask for name in ("overflow", "bad_job", "nonfinite", "busy")
)
ONE = 0x3F80_0000
"""1.0 in fp32."""


def random_job(**given: Any) -> LutJob:
    """A job of any format, width and size, extreme values among them; `given` fields are as they are given."""
    rng = np.random.default_rng(random.getrandbits(64))
    n, k = int(rng.integers(1, min(CONFIG.depth, 12), endpoint=True)), int(rng.integers(1, 3 * CONFIG.elements + 1))
    bits = given.get("index_bits", int(rng.integers(2, 9)))
    fields = {
        "table": integers(rng, 8, (k,)).astype(np.int8),
        "index": integers(rng, bits, (n, k)).astype(np.int8),
        "index_bits": bits,
        "kind": RESULT_FORMATS[int(rng.integers(3))],
    } | given
    return LutJob(**{"scale": random_scales(rng, len(fields["index"]))} | fields)


class Bench(StalledEdge):
    """The block with a bus model on each of its interfaces."""

    MAP = REGISTERS

    def give(self, jobs: list[LutJob], *roles: str) -> None:
        for role, beats in packed(CONFIG, jobs).items():
            if len(beats) and role in (roles or ("table", "index", "scale")):
                self.send(role, beats)

    async def results(self, jobs: int) -> list[list[int]]:
        """A packet a job, as codes."""
        return [np.frombuffer(packet, "<u4").tolist() for packet in await self.receive("y", jobs)]

    async def check(self, jobs: list[LutJob]) -> None:
        """Send jobs and compare the results with the golden model's."""
        self.give(jobs)
        assert await self.results(len(jobs)) == [lut_gemv_model.run(CONFIG, job).y.tolist() for job in jobs]

    async def sticky(self, mask: int) -> None:
        """This status bit alone is set, raises the interrupt if enabled, and goes when it is cleared."""
        assert await self.read("status") & ~BUSY == mask
        await self.write("irq_enable", (OVERFLOW | BAD_JOB | NONFINITE) ^ mask)
        await ClockCycles(self.clock, 2)
        assert int(self.dut.irq.value) == 0, "other bits are enabled"
        await self.write("irq_enable", mask)
        await ClockCycles(self.clock, 2)
        assert int(self.dut.irq.value) == 1
        await self.write("status", mask)
        await ClockCycles(self.clock, 2)
        assert int(self.dut.irq.value) == 0
        await self.write("irq_enable", 0)


@cocotb.test()
async def constants_say_what_was_built(dut: Any) -> None:
    """Identity and shape; everything else is 0 after reset."""
    bench = await Bench.start(dut)
    assert (await bench.read("identity")).to_bytes(4, "little") == b"LUTG"
    assert REGISTERS["shape"].decode(await bench.read("shape")) == {
        "group": CONFIG.group,
        "tables": CONFIG.tables,
        "weight_side": CONFIG.side == "weight",
        "pattern_cache": CONFIG.pattern_cache,
        "depth": CONFIG.depth,
    }
    for register in ("status", "irq_enable", "control", "results", "lookups", "waits", "cycles"):
        assert await bench.read(register) == 0, register


@cocotb.test()
@cocotb.parametrize(stall=[0, 0.3, 0.7])
async def results_match_the_model(dut: Any, stall: float) -> None:
    """Jobs of all widths and formats, every stream stalled."""
    bench = await Bench.start(dut, stall)
    await bench.check([random_job() for _ in range(25)])


@cocotb.test()
async def latency_is_what_the_config_says(dut: Any) -> None:
    """One vector of one plane whose pattern is in the tables; each plane and each sum to be made adds a cycle."""
    bench = await Bench.start(dut)
    table = np.arange(1, CONFIG.elements + 1).astype(np.int8)
    several = CONFIG.group - 1 if CONFIG.pattern_cache else 0
    cases = [([1] + [0] * (CONFIG.elements - 1), 0), ([3] * 1 + [0] * (CONFIG.elements - 1), 1)]
    cases.append(([1] * CONFIG.group + [0] * (CONFIG.elements - CONFIG.group), several))
    for number, (vector, more) in enumerate(cases):
        kind = RESULT_FORMATS[number]
        job = LutJob(table, np.array([vector], np.int8), 8, kind, np.array([ONE], np.uint32))
        bench.give([job], "table", "scale")
        await ClockCycles(dut.clk, 4 + (0 if CONFIG.pattern_cache else CONFIG.fill_cycles))
        bench.give([job], "index")
        assert await bench.results(1) == [lut_gemv_model.run(CONFIG, job).y.tolist()]
        measured = bench.watches["y"].offered[-1] - bench.watches["index"].taken[-1]
        assert measured == CONFIG.latency_cycles + more


@cocotb.test()
async def jobs_take_the_cycles_of_the_model(dut: Any) -> None:
    """From the header's cycle on, nothing stalling; lookups and waits are those of the model, too."""
    bench = await Bench.start(dut)
    jobs = [random_job() for _ in range(12)]
    await bench.check(jobs)
    cost = lut_gemv_model.total_cost(CONFIG, jobs)
    table, y = bench.watches["table"], bench.watches["y"]
    assert y.offered[-1] - table.taken[0] == cost.cycles + CONFIG.latency_cycles - 1
    assert [await bench.read(name) for name in ("lookups", "waits")] == [cost.lookups, cost.waits]
    assert await bench.read("results") == sum(len(job.index) for job in jobs)
    assert await bench.read("cycles") == cost.cycles + CONFIG.latency_cycles - 2
    await bench.write("control", REGISTERS["control"]["clear_counters"].mask)
    for register in ("results", "lookups", "waits", "cycles"):
        assert await bench.read(register) == 0, register


@cocotb.test()
async def reset_in_mid_flight_leaves_no_trace(dut: Any) -> None:
    """Neither in the results that follow nor in the registers."""
    bench = await Bench.start(dut, 0.3)
    for _ in range(6):
        bench.give([random_job() for _ in range(8)])
        await ClockCycles(dut.clk, random.randint(5, 120))
        for source in bench.sources.values():
            source.clear()
        await bench.reset()
        bench.sinks["y"].clear()
        jobs = [random_job(kind="int32") for _ in range(3)]
        await bench.check(jobs)
        assert await bench.read("status") == 0
        assert await bench.read("results") == sum(len(job.index) for job in jobs)
    await ClockCycles(dut.clk, 50)
    assert bench.sinks["y"].empty()


@cocotb.test()
async def results_wait_for_their_scale_alone(dut: Any) -> None:
    """A job before one whose scales are late is given all the same."""
    bench = await Bench.start(dut)
    early, late = random_job(kind="int32"), random_job(kind="fp32")
    bench.give([early, late], "table", "index")
    assert await bench.results(1) == [lut_gemv_model.run(CONFIG, early).y.tolist()]
    await ClockCycles(dut.clk, 60)
    assert bench.sinks["y"].empty()
    bench.give([late], "scale")
    assert await bench.results(1) == [lut_gemv_model.run(CONFIG, late).y.tolist()]


@cocotb.test()
@cocotb.parametrize(
    header=[
        (1, "int32", 3, 2, "int32", 3),
        (0, "bf16", 2, 2, "bf16", 2),
        (9, "fp32", 1, 8, "fp32", 1),
        (15, "int32", 2, 8, "int32", 2),
        (4, "code 3", 3, 4, "fp32", 3),
        (4, "int32", 0, 4, "int32", 1),
        (4, "int32", CONFIG.depth + 1, 4, "int32", CONFIG.depth),
    ]
)
async def bad_headers_are_taken_for_the_nearest(dut: Any, header: tuple[int, str, int, int, str, int]) -> None:
    """And are told; the job after is not disturbed."""
    bits, kind, count, bits_taken, kind_taken, count_taken = header
    bench = await Bench.start(dut)
    rng = np.random.default_rng(random.getrandbits(64))
    index = integers(rng, bits_taken, (count_taken, CONFIG.elements)).astype(np.int8)
    scale = np.full(count_taken, ONE, np.uint32)
    job = random_job(index_bits=bits_taken, index=index, kind=kind_taken, scale=scale, table=index[0])
    beats = packed(CONFIG, [job])
    code = RESULT_FORMATS.index(kind) if kind in RESULT_FORMATS else 3
    beats["table"].data[0, :4] = list((bits | code << 4 | count << 16).to_bytes(4, "little"))
    for role, traffic in beats.items():
        if len(traffic):
            bench.send(role, traffic)
    assert await bench.results(1) == [lut_gemv_model.run(CONFIG, job).y.tolist()]
    await bench.sticky(BAD_JOB)
    await bench.check([random_job(kind="int32")])
    assert await bench.read("status") == 0


@cocotb.test()
async def header_without_a_table_gives_nothing(dut: Any) -> None:
    """It is told, and the job after is not disturbed."""
    bench = await Bench.start(dut)
    job = random_job(kind="int32")
    bench.send("table", packed(CONFIG, [job])["table"].first(1))
    await ClockCycles(dut.clk, 30)
    await bench.sticky(BAD_JOB)
    await bench.check([job])
    assert await bench.read("status") == 0


@cocotb.test()
async def results_that_are_not_finite_are_told(dut: Any) -> None:
    """An infinity, a NaN, and not the largest number that there is."""
    bench = await Bench.start(dut)
    ones = {"table": np.array([1], np.int8), "index": np.array([[1]], np.int8), "index_bits": 2}
    for kind, scale, nonfinite in (
        ("fp32", 0x7F7FFFFF, False),
        ("bf16", 0x7F7F0000, False),
        ("bf16", 0x7F7FFFFF, True),
        ("fp32", 0xFF800000, True),
        ("bf16", 0x7F800001, True),
    ):
        await bench.check([random_job(kind=kind, scale=np.array([scale], np.uint32), **ones)])
        if nonfinite:
            await bench.sticky(NONFINITE)
        assert await bench.read("status") == 0


@cocotb.test()
async def overflow_wraps_and_is_told(dut: Any) -> None:
    """At the first group too much and not before: of -128 * -128 each."""
    bench = await Bench.start(dut)
    groups = 2**31 // (CONFIG.elements * 128 * 128)
    if groups > 6000:  # a table so small takes minutes to get there
        return
    low = np.full(groups * CONFIG.elements, -128, np.int8)
    exactly = low.copy()
    exactly[-1] = -127
    spare = 2**31 - groups * CONFIG.elements * 2**14  # 0 where the elements divide 2^17
    for table, overflows in ((exactly, False), (low, spare == 0)):
        job = LutJob(table, low[None], 8, "int32", np.zeros(1, np.uint32))
        assert lut_gemv_model.run(CONFIG, job).overflow is overflows
        bench.give([job])
        for _ in range(groups // 1000 + 1):
            await ClockCycles(dut.clk, 2500)
        assert await bench.results(1) == [lut_gemv_model.run(CONFIG, job).y.tolist()]
        if overflows:
            await bench.sticky(OVERFLOW)
        assert await bench.read("status") == 0
