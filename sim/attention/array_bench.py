"""cocotb bench of `attention.array`: results, registers, bus, errors and reset, held against the golden model.

`NIELLO_CONFIG` and `NIELLO_PORTS` say what was built; `random` is seeded by cocotb. Memory is full of noise before a
list, and every byte of it is compared afterwards; `BusWatch` holds every test to AXI4's rules.
"""

from __future__ import annotations

import random
from typing import Any

import cocotb
import numpy as np
from cocotb.triggers import ClockCycles

from sim.attention.array_edge import BIT, CONFIG, Bench, generator
from sim.attention.array_stimulus import Case, random_case

SETTLED_CYCLES = 300
"""After which a block that does nothing has nothing in mind."""

CLEARED = ("status", "irq_enable", "list_address", "list_length", "cycles", "macs", "words_read", "jobs", "span")


@cocotb.test()
async def constants_say_what_was_built(dut: Any) -> None:
    """Identity and parameters."""
    bench = await Bench.start(dut)
    assert (await bench.read("identity")).to_bytes(4, "little") == b"ATTN"
    shape = CONFIG.rows | CONFIG.lanes << 8 | CONFIG.subtiles << 16 | CONFIG.bus_bytes << 24
    assert await bench.read("shape") == shape
    assert await bench.read("numbers") == CONFIG.dim | CONFIG.p_bits << 16 | CONFIG.guard_bits << 20
    assert await bench.read("window") == 0xFFFFFFFF


@cocotb.test()
@cocotb.parametrize(pauses=[0, 0.2, 0.5, 0.8])
async def results_match_the_model(dut: Any, pauses: float) -> None:
    """Any rows, ranges of keys, masks, scales and layouts, one list after the other, with buses that rest."""
    bench = await Bench.start(dut, pauses)
    for _ in range(round(12 * (1 - pauses))):
        await bench.run(random_case(generator(), CONFIG))


@cocotb.test()
async def counters_count_and_clear(dut: Any) -> None:
    """Jobs, words of both directions, and cycles of the array, as the scheduler predicts them."""
    bench = await Bench.start(dut)
    for _ in range(6):
        case = random_case(generator(), CONFIG)
        await bench.run(case)
        found = {name: await bench.read(name) for name in ("jobs", "macs", "words_read", "words_written")}
        cost = case.cost
        assert found == {
            "jobs": cost.jobs,
            "macs": cost.mac_cycles,
            "words_read": cost.words_read,
            "words_written": cost.words_written,
        }
        assert bench.watch.words == {"r": cost.words_read, "w": cost.words_written}
        cycles, span = await bench.read("cycles"), await bench.read("span")
        assert cost.mac_cycles <= span <= cycles
        await ClockCycles(dut.clk, 20)
        assert await bench.read("cycles") == cycles, "nothing runs"
    await bench.command("clear_counters")
    for name in ("jobs", "macs", "words_read", "words_written", "cycles", "span"):
        assert await bench.read(name) == 0, name


@cocotb.test()
async def reset_in_mid_flight_leaves_no_trace(dut: Any) -> None:
    """Neither in the results of the next list nor in registers."""
    bench = await Bench.start(dut, 0.3)
    for _ in range(6):
        await bench.begin(random_case(generator(), CONFIG))
        await ClockCycles(dut.clk, random.choice([0, 1, 2, random.randint(3, 60), random.randint(60, 900)]))
        await bench.reset()
        for register in CLEARED:
            assert await bench.read(register) == 0, register
        await bench.write("irq_enable", BIT["done"])
        await bench.run(random_case(generator(), CONFIG, chains=1))


@cocotb.test()
async def start_while_busy_is_ignored(dut: Any) -> None:
    """One list, and nothing after it."""
    bench = await Bench.start(dut)
    for _ in range(3):
        case = random_case(generator(), CONFIG, chains=2)
        await bench.begin(case)
        for _ in range(3):
            assert await bench.read("status") & BIT["busy"]
            await bench.command("start")
        await bench.finish(case)
        bench.check_memory(case)
        await bench.check_status(case.status)
        await ClockCycles(dut.clk, SETTLED_CYCLES)
        assert await bench.read("status") == 0
        assert await bench.read("jobs") == case.cost.jobs


@cocotb.test()
async def an_empty_list_is_done_at_once(dut: Any) -> None:
    """No memory is touched."""
    bench = await Bench.start(dut)
    await bench.write("list_length", 0)
    await bench.command("start")
    await ClockCycles(dut.clk, 30)
    assert int(dut.irq.value)
    assert await bench.read("status") == BIT["done"]
    assert not any(bench.watch.requests.values())


@cocotb.test()
@cocotb.parametrize(pauses=[0, 0.4])
async def bad_jobs_are_left_out(dut: Any, pauses: float) -> None:
    """One wrong thing in each; the list's other jobs are done as if it were not there."""
    bench = await Bench.start(dut, pauses)
    seen = 0
    for _ in range(8):
        case = random_case(generator(), CONFIG, chains=1, bad=0.7)
        seen += case.length - len(case.jobs)
        await bench.run(case)
    assert seen > 5


@cocotb.test()
async def nothing_beyond_the_window_is_touched(dut: Any) -> None:
    """The status says so; outputs below the window are not to be used, but nothing else changes."""
    bench = await Bench.start(dut, 0.2)
    done = 0
    while done < 4:
        case = random_case(generator(), CONFIG, chains=1, inside=random.random())
        await bench.begin(case)
        await bench.finish(case)
        word = await bench.read("status")
        assert word & BIT["done"]
        assert bool(word & BIT["outside"]) == ("outside" in case.status)
        changed = np.flatnonzero(bench.memory.content != case.before)
        assert np.isin(changed, outputs_of(case)).all()
        assert (changed < case.window).all()
        await bench.write("status", word)
        done += "outside" in case.status


def outputs_of(case: Case) -> Any:
    """The addresses of all bytes of O."""
    return np.concatenate([area.places().reshape(-1) for area in case.writes])


@cocotb.test()
@cocotb.parametrize(part=["q", "k", "v", "o", "list"])
async def bus_errors_end_the_list(dut: Any, part: str) -> None:
    """The memory ends in the middle of what is needed: the list ends, says so, and the next one is right."""
    bench = await Bench.start(dut, random.choice([0, 0.3]))
    for _ in range(3):
        case = random_case(generator(), CONFIG, chains=1)
        job = case.jobs[-1]
        await bench.begin(case)
        bench.memory.broken_from = case.list_address if part == "list" else job[f"{part}_address"]
        await bench.finish(case)
        word = await bench.read("status")
        assert word & BIT["bus_error"], f"status is {word:#x}"
        assert word & BIT["done"]
        await bench.write("status", word)
        changed = np.flatnonzero(bench.memory.content != case.before)
        assert np.isin(changed, outputs_of(case)).all(), "bytes outside of O"
        await bench.run(random_case(generator(), CONFIG, chains=1))


@cocotb.test()
async def status_collects_and_interrupts(dut: Any) -> None:
    """Bits stay over several lists until each is cleared; each raises `irq` only where it is enabled."""
    bench = await Bench.start(dut)
    wanted: set[str] = set()
    while not wanted >= {"bad_job", "empty_row"}:
        await bench.write("irq_enable", BIT["done"])
        case = random_case(generator(), CONFIG, chains=1, bad=0.4)
        await bench.begin(case)
        await bench.finish(case)
        wanted |= case.status
        word = await bench.read("status")
        assert word == sum(BIT[name] for name in wanted)
        for name, mask in BIT.items():
            if name != "busy":
                await bench.write("irq_enable", mask)
                await ClockCycles(dut.clk, 2)
                assert int(dut.irq.value) == (name in wanted), f"{wanted}, enabled {name}"
        await bench.write("status", BIT["done"])
        wanted.discard("done")
    for name in sorted(wanted):
        await bench.write("status", BIT[name])
        wanted.discard(name)
        assert await bench.read("status") == sum(BIT[each] for each in wanted)
