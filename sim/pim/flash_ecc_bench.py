"""cocotb bench of `pim.flash_ecc`: protocol, latency, reset and counters, held against the golden model.

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
from hdl.pim.flash_ecc_config import FlashEccConfig
from sim.common.register_edge import StalledEdge
from sim.pim import flash_ecc_model
from sim.pim.flash_ecc_vectors import model, pack, random_arrays

CONFIG = FlashEccConfig.parse(json.loads(os.environ["NIELLO_CONFIG"]))
REGISTERS = load_registers(*CONFIG.register_source)
DECODES = CONFIG.direction == "decode"
COUNTERS = ("corrected", "dropped", "repaired", "zeroed")


class Bench(StalledEdge):
    """The block with a bus model on each of its interfaces."""

    MAP = REGISTERS

    async def check(self, arrays: dict[str, Any]) -> None:
        """Send pages and compare what they become with the golden model's."""
        self.send("d", pack(CONFIG, arrays)["d"])
        for want in model(CONFIG, arrays)["q"]:
            (got,) = await self.receive("q", 1, timeout_cycles=32 * CONFIG.page_bytes)
            assert got == want.tobytes()


def pages(count: int) -> dict[str, Any]:
    """Random pages, with errors where they are decoded."""
    return random_arrays(CONFIG, random.getrandbits(32), count)


@cocotb.test()
async def constants_say_what_was_built(dut: Any) -> None:
    """Identity and shape; everything else is 0 after reset."""
    bench = await Bench.start(dut)
    assert (await bench.read("identity")).to_bytes(4, "little") == b"FECC"
    assert REGISTERS["shape"].decode(await bench.read("shape")) == {
        "page_bytes": CONFIG.page_bytes,
        "code_bytes": CONFIG.code_bytes,
        "encodes": not DECODES,
    }
    assert await bench.read("protected_weights") == CONFIG.protected
    for register in ("status", "control", "page_count", "cycles", *COUNTERS):
        assert await bench.read(register) == 0, register


@cocotb.test()
@cocotb.parametrize(stall=[0, 0.3, 0.7])
async def pages_match_the_model(dut: Any, stall: float) -> None:
    """Pages of all kinds, both streams stalled; the counters say what was done."""
    bench = await Bench.start(dut, stall)
    arrays = pages(6)
    await bench.check(arrays)
    assert await bench.read("page_count") == 6
    want = [0] * len(COUNTERS)
    if DECODES:
        found = [
            flash_ecc_model.decode(CONFIG, code, page)
            for code, page in zip(arrays["code"], arrays["page"], strict=True)
        ]
        want = [sum(getattr(one, name) for one in found) for name in COUNTERS]
    assert [await bench.read(name) for name in COUNTERS] == want
    await bench.registers["csr"].write_dword(REGISTERS["control"].offset_bytes, 1)
    for name in ("page_count", "cycles", *COUNTERS):
        assert await bench.read(name) == 0


@cocotb.test()
async def latency_is_what_the_config_says(dut: Any) -> None:
    """From a page's last byte: until it is there repaired, or the code's first byte is."""
    bench = await Bench.start(dut)
    for _ in range(2):
        await bench.check(pages(1))
        d, q = bench.watches["d"].taken, bench.watches["q"].offered
        assert q[-1 if DECODES else -CONFIG.code_bytes] - d[-1] == CONFIG.latency_cycles
        await ClockCycles(dut.clk, random.randint(0, 5))


@cocotb.test()
async def reset_in_mid_flight_leaves_no_trace(dut: Any) -> None:
    """Neither in the pages that follow nor in the counters."""
    bench = await Bench.start(dut, 0.2)
    for _ in range(5):
        bench.send("d", pack(CONFIG, pages(2))["d"])
        await ClockCycles(dut.clk, random.randint(3, 3 * CONFIG.page_bytes))
        for source in bench.sources.values():
            source.clear()
        await bench.reset()
        bench.sinks["q"].clear()
        await bench.check(pages(1))
        assert await bench.read("page_count") == 1
    await ClockCycles(dut.clk, 50)
    assert bench.sinks["q"].empty()


@cocotb.test()
async def bytes_pass_without_bubbles(dut: Any) -> None:
    """A page that is decoded goes through at a byte a cycle."""
    bench = await Bench.start(dut)
    await bench.check(pages(2))
    assert await bench.read("cycles") >= 2 * CONFIG.page_bytes
    if DECODES:
        taken = np.array(bench.watches["q"].taken[: CONFIG.page_bytes])
        assert (np.diff(taken) == 1).all()
