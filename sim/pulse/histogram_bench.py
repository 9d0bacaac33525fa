"""cocotb bench of `pulse.histogram`: records, bins, what software sees meanwhile, held against the golden model.

`NIELLO_CONFIG` and `NIELLO_PORTS` say what was built; `random` is seeded by cocotb.
"""

from __future__ import annotations

import itertools
import json
import os
import random
from typing import Any

import cocotb
import numpy as np
from cocotb.triggers import ClockCycles

from hdl.common.registers import load_registers
from hdl.pulse.histogram_config import HistogramConfig
from sim.common.beats import Beats
from sim.common.register_edge import StalledEdge
from sim.pulse.histogram_model import COUNTERS, count
from sim.pulse.histogram_vectors import fields, model, pack, random_arrays, register_writes
from sim.pulse.settings import settings_of

CONFIG = HistogramConfig.parse(json.loads(os.environ["NIELLO_CONFIG"]))
REGISTERS = load_registers(*CONFIG.register_source)
CLEARING, FULL = (REGISTERS["status"][name].mask for name in ("clearing", "full"))
MOST = (1 << CONFIG.count_bits) - 1


class Bench(StalledEdge):
    """The block with a bus model on each of its interfaces."""

    MAP = REGISTERS

    async def cleared(self) -> None:
        """All bins are at zero, sooner or later."""
        while await self.read("status") & CLEARING:
            pass

    async def load(self, arrays: dict[str, Any]) -> None:
        """Bins to zero, and settings."""
        for address, words in register_writes(CONFIG, arrays):
            for word in words:
                await self.registers["csr"].write_dword(address, word)
        await self.cleared()

    async def passed(self, arrays: dict[str, Any]) -> None:
        """All records come back as they were."""
        got = b"".join(await self.receive("counted", len(arrays["records"])))
        assert got == arrays["records"].tobytes()

    async def results(self, arrays: dict[str, Any]) -> None:
        """Counters and bins are the golden model's."""
        want = model(CONFIG, arrays)
        assert [await self.read(name) for name in COUNTERS] == want["counters"].tolist()
        await self.write("bin", 0)
        assert [await self.read("data") for _ in range(CONFIG.bins)] == want["bins"].tolist()

    async def check(self, arrays: dict[str, Any]) -> None:
        """Settings, records, and what becomes of them."""
        await self.load(arrays)
        self.send("record", pack(CONFIG, arrays)["record"])
        await self.passed(arrays)
        await self.results(arrays)


def some(items: int, **settings: int) -> dict[str, Any]:
    """So many records, with settings some of which are given."""
    arrays = random_arrays(CONFIG, random.getrandbits(32), items)
    for name, value in settings.items():
        arrays["settings"][CONFIG.setting_names.index(name)] = value
    return arrays


def alike(items: int) -> dict[str, Any]:
    """Records of the same energy, all in one bin."""
    everything = {"run": 1, "source": 0, "flags_mask": 0, "flags_value": 0, "channel_mask": 0, "channel_value": 0}
    arrays = some(1, **everything, shift=0)
    arrays["records"] = np.repeat(arrays["records"], items, axis=0)
    where = random.randrange(CONFIG.bins)
    arrays["settings"][CONFIG.setting_names.index("low")] = int(fields(arrays["records"])["energy"][0]) - where
    return arrays


@cocotb.test()
async def constants_say_what_was_built(dut: Any) -> None:
    """Identity and shape; everything else is 0 when the bins are cleared after reset, and nothing is counted."""
    bench = await Bench.start(dut)
    assert (await bench.read("identity")).to_bytes(4, "little") == b"HIST"
    shape = {"bin_bits": CONFIG.bin_bits, "count_bits": CONFIG.count_bits}
    assert REGISTERS["shape"].decode(await bench.read("shape")) == shape
    assert await bench.read("status") == CLEARING
    await bench.cleared()
    for name in ("status", "irq_enable", "control", *CONFIG.setting_names, *COUNTERS, "bin"):
        assert await bench.read(name) == 0, name
    records = some(5)["records"]
    bench.send("record", Beats(records))
    await bench.passed({"records": records})
    assert [await bench.read(name) for name in COUNTERS] == [0, 5, 0, 0]
    assert [await bench.read("data") for _ in range(CONFIG.bins + 1)] == (CONFIG.bins + 1) * [0]
    assert await bench.read("bin") == 1


@cocotb.test()
@cocotb.parametrize(stall=[0, 0.3, 0.7])
async def bins_match_the_model(dut: Any, stall: float) -> None:
    """Settings and records of all kinds, both streams stalled."""
    bench = await Bench.start(dut, stall)
    for _ in range(4):
        await bench.check(some(100))


@cocotb.test()
async def latency_is_what_the_config_says(dut: Any) -> None:
    """Of records that are accepted or not; each is taken when the one before was given."""
    bench = await Bench.start(dut)
    arrays = some(40)
    await bench.load(arrays)
    bench.send("record", pack(CONFIG, arrays)["record"])
    await bench.passed(arrays)
    taken, offered = bench.watches["record"].taken, bench.watches["counted"].offered
    assert {after - before for before, after in zip(taken, offered, strict=True)} == {CONFIG.latency_cycles}
    assert {after - before for before, after in itertools.pairwise(taken)} == {CONFIG.latency_cycles + 1}


@cocotb.test()
async def bins_can_be_read_at_any_time(dut: Any) -> None:
    """While records come: `data` has at least those that were offered before the read, and no other than were taken."""
    bench = await Bench.start(dut)
    arrays = some(300)
    await bench.load(arrays)
    settings, records = settings_of(CONFIG, arrays), fields(arrays["records"])
    bench.send("record", pack(CONFIG, arrays)["record"])
    taken, offered = bench.watches["record"].taken, bench.watches["counted"].offered
    fallen = [count(CONFIG, settings, records[:number]).bins for number in range(len(records) + 1)]
    popular = np.argsort(fallen[-1])[::-1][:4].tolist()
    seen = 0
    while len(offered) < len(records):
        place = random.choice(popular)
        await bench.write("bin", place)
        for step in range(random.randrange(1, 4)):
            least = len(offered)
            got = await bench.read("data")
            possible = [int(each[(place + step) % CONFIG.bins]) for each in fallen[least : len(taken) + 1]]
            assert got in possible, f"{got} of {possible}"
            seen += got > 0
    assert seen or not fallen[-1].any()
    await bench.passed(arrays)
    await bench.results(arrays)


@cocotb.test()
async def the_bin_that_is_looked_at_is_never_late(dut: Any) -> None:
    """A read that begins when a record is offered has it."""
    bench = await Bench.start(dut)
    arrays = alike(min(60, MOST))
    await bench.load(arrays)
    where = int(np.flatnonzero(model(CONFIG, arrays)["bins"])[0])
    bench.send("record", pack(CONFIG, arrays)["record"])
    offered = bench.watches["counted"].offered
    while len(offered) < len(arrays["records"]):
        await bench.write("bin", where)
        await ClockCycles(dut.clk, random.randrange(CONFIG.latency_cycles + 2))
        least = len(offered)
        assert least <= await bench.read("data") <= len(offered) + 1
    await bench.passed(arrays)


@cocotb.test()
async def a_full_bin_stays_full_and_is_told(dut: Any) -> None:
    """With an interrupt, where counts of the build can be filled in a moment; others are not told to be full."""
    bench = await Bench.start(dut)
    arrays = alike(258)
    for items in (255, 258):
        await bench.check(arrays | {"records": arrays["records"][:items]})
        assert await bench.read("status") == (FULL if items > MOST else 0)
    assert await bench.interrupt() == 0
    await bench.write("irq_enable", FULL)
    assert await bench.interrupt() == (MOST < 258)
    await bench.write("status", FULL)
    assert (await bench.interrupt(), await bench.read("status")) == (0, 0)


@cocotb.test()
async def records_wait_while_bins_are_cleared(dut: Any) -> None:
    """Those before are gone from bins and counters, those after are counted; none is lost."""
    bench = await Bench.start(dut)
    for _ in range(5):
        arrays = some(30)
        await bench.load(arrays)
        records = arrays["records"]
        bench.send("record", Beats(records))
        await ClockCycles(dut.clk, random.randrange(20 * (CONFIG.latency_cycles + 1)))
        await bench.command("clear")
        assert await bench.read("status") & CLEARING
        taken = len(bench.watches["record"].taken)
        await bench.cleared()
        await bench.passed(arrays)
        late = arrays | {"records": records[-(len(records) - taken % len(records)) :]}
        await bench.results(late)
        bench.watches["record"].taken.clear()


@cocotb.test()
async def reset_in_mid_flight_leaves_no_trace(dut: Any) -> None:
    """Neither in bins nor in registers."""
    bench = await Bench.start(dut, 0.2)
    for _ in range(4):
        arrays = some(50)
        await bench.load(arrays)
        bench.send("record", pack(CONFIG, arrays)["record"])
        await ClockCycles(dut.clk, random.randrange(50 * CONFIG.latency_cycles))
        bench.sources["record"].clear()
        await bench.reset()
        bench.sinks["counted"].clear()
        await bench.cleared()
        for name in ("status", *CONFIG.setting_names, *COUNTERS, "bin"):
            assert await bench.read(name) == 0, name
        await bench.write("bin", CONFIG.bins - 3)
        assert [await bench.read("data") for _ in range(CONFIG.bins)] == CONFIG.bins * [0]
        await bench.check(arrays)
