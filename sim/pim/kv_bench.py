"""cocotb bench of `pim.kv`: protocol, latency, reset, registers and what cannot be done, held against the golden model.

What flash answers is queued beforehand: the block takes it when it expects it. `NIELLO_CONFIG` and `NIELLO_PORTS` say
what was built; `random` is seeded by cocotb.
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
from hdl.pim.kv_config import KvConfig, KvOp
from sim.common.beats import Beats
from sim.common.register_edge import StalledEdge
from sim.pim import flash_vectors, kv_model, kv_vectors
from sim.pim.kv_model import KvCommand, KvResult

CONFIG = KvConfig.parse(json.loads(os.environ["NIELLO_CONFIG"]))
REGISTERS = load_registers(*CONFIG.register_source)
COUNTERS = ("tokens", "queries", "programmed_pages", "read_pages", "read_bytes", "cycles")
STATUS = {name: REGISTERS["status"][name].mask for name in ("bad_command", "bad_head", "bad_query", "full", "bad_page")}
APPEND, QUERY = KvCommand(KvOp.APPEND), KvCommand(KvOp.QUERY, 0, 1, 1, 1 << 20)


class Bench(StalledEdge):
    """The block with a bus model on each of its interfaces."""

    MAP = REGISTERS

    def give(self, commands: list[KvCommand]) -> KvResult:
        """Send commands with random data, and flash's answers; what must come of them."""
        data = kv_vectors.random_data(CONFIG, np.random.default_rng(random.getrandbits(64)), commands)
        found = kv_model.run(CONFIG, commands, data)
        for role, beats in (kv_vectors.packed(commands, data) | {"flash_q": kv_vectors.answers(CONFIG, found)}).items():
            if len(beats):
                self.send(role, beats)
        return found

    async def check(self, commands: list[KvCommand]) -> KvResult:
        """Send commands to an empty cache, and compare all that comes."""
        found = self.give(commands)
        for want in found.outputs:
            (got,) = await self.receive("y", 1)
            assert np.frombuffer(got, "<i2").tolist() == want.tolist()
        for command in found.flash:
            (word,) = await self.receive("flash_command", 1)
            assert flash_vectors.command_of(int.from_bytes(word, "little")) == command
        assert b"".join(await self.receive("flash_data", len(found.flash_data))) == found.flash_data.tobytes()
        return found

    async def idle(self) -> None:
        """Wait until no command is being done."""
        while await self.read("status") & REGISTERS["status"]["busy"].mask:
            await ClockCycles(self.clock, 20)


def some_commands(count: int) -> list[KvCommand]:
    """Random commands, bad ones among them."""
    return kv_vectors.random_commands(CONFIG, np.random.default_rng(random.getrandbits(64)), count, queries=0.4)


@cocotb.test()
async def constants_say_what_was_built(dut: Any) -> None:
    """Identity and shape; everything else is 0 after reset."""
    bench = await Bench.start(dut)
    assert (await bench.read("identity")).to_bytes(4, "little") == b"KVFL"
    tokens_log2 = CONFIG.max_tokens.bit_length() - 1
    assert await bench.read("shape") == CONFIG.heads | CONFIG.head_dim << 8 | CONFIG.r_max << 16 | tokens_log2 << 24
    assert await bench.read("choice") == CONFIG.k_max | CONFIG.group_tokens << 16
    assert await bench.read("capacity") == CONFIG.slots
    for register in ("status", "irq_enable", "control", *COUNTERS):
        assert await bench.read(register) == 0, register


@cocotb.test()
@cocotb.parametrize(stall=[0, 0.3, 0.7])
async def outputs_and_flash_match_the_model(dut: Any, stall: float) -> None:
    """Commands of all kinds, bad ones among them, every stream stalled."""
    bench = await Bench.start(dut, stall)
    await bench.check([*[APPEND] * (CONFIG.group_tokens - 2), *some_commands(40), APPEND, QUERY])


@cocotb.test()
async def latency_is_what_the_config_says(dut: Any) -> None:
    """Of a query of one token."""
    bench = await Bench.start(dut)
    await bench.check([APPEND, QUERY])
    assert bench.watches["y"].offered[0] - bench.watches["data"].taken[-1] == CONFIG.latency_cycles


@cocotb.test()
async def reset_in_mid_flight_leaves_no_trace(dut: Any) -> None:
    """Neither in what follows nor in the registers; no head has tokens."""
    bench = await Bench.start(dut, 0.3)
    for _ in range(5):
        bench.give([*[APPEND] * CONFIG.group_tokens, *some_commands(30)])
        await ClockCycles(dut.clk, random.randint(5, 4000))
        for source in bench.sources.values():
            source.clear()
        await bench.reset()
        for sink in bench.sinks.values():
            sink.clear()
        await bench.check([APPEND, APPEND, QUERY])
        await bench.idle()
        assert await bench.read("status") == 0
        assert [await bench.read(name) for name in COUNTERS[:5]] == [2, 1, 0, 0, 0]
    await ClockCycles(dut.clk, 1000)
    assert all(sink.empty() for sink in bench.sinks.values())


@cocotb.test()
@cocotb.parametrize(
    bad=[
        (KvCommand(0), "bad_command"),
        (KvCommand(9), "bad_command"),
        (KvCommand(KvOp.APPEND, CONFIG.heads), "bad_head"),
        (KvCommand(KvOp.QUERY, 255, 1, 1), "bad_head"),
        (KvCommand(KvOp.QUERY, 0, CONFIG.r_max + 1, 1), "bad_query"),
        (KvCommand(KvOp.QUERY, 0, 1, CONFIG.k_max + 1), "bad_query"),
    ]
)
async def bad_commands_are_told_and_do_nothing(dut: Any, bad: tuple[KvCommand, str]) -> None:
    """The commands around it are not disturbed; the bit raises the interrupt if enabled, and goes when cleared."""
    bench = await Bench.start(dut)
    command, name = bad
    await bench.check([APPEND, command, QUERY, command, APPEND, QUERY])
    await bench.idle()
    assert await bench.read("status") == STATUS[name]
    assert int(dut.irq.value) == 0
    await bench.write("irq_enable", STATUS[name])
    await ClockCycles(dut.clk, 2)
    assert int(dut.irq.value) == 1
    await bench.write("status", STATUS[name])
    await ClockCycles(dut.clk, 2)
    assert (int(dut.irq.value), await bench.read("status")) == (0, 0)


@cocotb.test()
async def token_without_a_place_is_told(dut: Any) -> None:
    """Where the head has all it may have, or flash is full; other heads go on, and CLEAR makes room."""
    bench = await Bench.start(dut)
    most = min(CONFIG.max_tokens, CONFIG.slots * CONFIG.group_tokens + CONFIG.group_tokens - 1)
    found = await bench.check([*[APPEND] * (most + 1), QUERY, KvCommand(KvOp.CLEAR), APPEND, QUERY])
    assert (found.done.count(False), found.refusals) == (1, {"full"})
    await bench.idle()
    assert await bench.read("status") == STATUS["full"]


@cocotb.test()
@cocotb.parametrize(early=[True, False])
async def packet_of_another_length_is_told(dut: Any, early: bool) -> None:
    """The first ends with its first byte, or with the last packet. Bytes are counted: what comes out is right where
    they are as many as they should be."""
    bench = await Bench.start(dut)
    commands = [*[APPEND] * CONFIG.group_tokens, QUERY]
    data = kv_vectors.random_data(CONFIG, np.random.default_rng(random.getrandbits(64)), commands)
    found = kv_model.run(CONFIG, commands, data)
    answers = kv_vectors.answers(CONFIG, found).data
    last = np.zeros(len(answers), np.bool_)
    last[-1] = True
    last[0] = early
    for role, beats in (kv_vectors.packed(commands, data) | {"flash_q": Beats(answers, last)}).items():
        bench.send(role, beats)
    (got,) = await bench.receive("y", 1)
    assert np.frombuffer(got, "<i2").tolist() == found.outputs[0].tolist()
    await bench.idle()
    assert await bench.read("status") == STATUS["bad_page"]


@cocotb.test()
async def counters_count_and_clear(dut: Any) -> None:
    """Tokens, queries, pages, bytes and cycles."""
    bench = await Bench.start(dut)
    found = await bench.check([*[APPEND] * (CONFIG.group_tokens + 1), QUERY])
    await bench.idle()
    reading = found.readings[0]
    counts = [await bench.read(name) for name in COUNTERS[:5]]
    pages = CONFIG.group_pages
    assert counts == [CONFIG.group_tokens + 1, 1, pages, sum(reading.pages), sum(reading.bytes)]
    assert await bench.read("cycles") > 2 * CONFIG.head_dim * CONFIG.group_tokens + pages * CONFIG.page_bytes
    await bench.write("control", REGISTERS["control"]["clear_counters"].mask)
    for register in COUNTERS:
        assert await bench.read(register) == 0, register
