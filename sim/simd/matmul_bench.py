"""cocotb bench of `simd.matmul`: results, registers, bus, errors and reset, held against the golden model.

`NIELLO_CONFIG` and `NIELLO_PORTS` say what was built; `random` is seeded by cocotb. Memory is full of noise before a
job, and every byte of it is compared afterwards; `BusWatch` holds every test to AXI4's rules.
"""

from __future__ import annotations

import dataclasses
import random
from typing import Any

import cocotb
import numpy as np
from cocotb.triggers import ClockCycles
from cocotb.utils import get_sim_time

from hdl.simd.modes import MODES, OUTPUT_FORMATS, STATUS
from sim.common.runner import CLOCK_PERIOD_NS
from sim.simd.matmul_edge import BIT, CONFIG, REGISTERS, Bench, generator
from sim.simd.matmul_memory import register_values
from sim.simd.matmul_model import BIAS_EXPONENTS, most_depth
from sim.simd.matmul_stimulus import Case, chunk_elements, fill, random_case
from sim.simd.matmul_traffic import traffic

SLVERR, DECERR = 2, 3
RESULT_BITS = [BIT[name] for name in STATUS]
SETTLED_CYCLES = 300
"""After which a block that does nothing has nothing in mind."""

WHOLE_BEATS = [mode for mode in CONFIG.modes if mode != "p16_1"]
"""Modes whose beats are whole words of 32 bits."""


def status_word(case: Case) -> int:
    """What the status register says after a job."""
    return BIT["done"] | sum(mask for place, mask in enumerate(RESULT_BITS) if case.status >> place & 1)


def panels(rows: int, columns: int, k: int) -> tuple[int, int, int]:
    """M, N, K of so many panels."""
    return rows * CONFIG.rows, columns * CONFIG.columns, k


@cocotb.test()
async def constants_say_what_was_built(dut: Any) -> None:
    """Identity and parameters; everything else is 0 after reset."""
    bench = await Bench.start(dut)
    assert (await bench.read("identity")).to_bytes(4, "little") == b"MATM"
    assert await bench.read("shape") == CONFIG.rows | CONFIG.columns << 8 | CONFIG.bus_bytes << 16
    codes = [sum(1 << code for code in built) for built in (mode_codes(), output_codes())]
    assert await bench.read("formats") == codes[0] | codes[1] << 16
    assert await bench.read("depth") == CONFIG.depth_beats
    await bench.write("irq_enable", 0)
    for register in REGISTERS.registers[4:]:
        assert await bench.read(register.name) == 0, register.name
    assert not int(dut.irq.value)


def mode_codes() -> set[int]:
    """Codes of what is built."""
    return {MODES[mode].code for mode in CONFIG.modes}


def output_codes() -> set[int]:
    """Codes of what is built."""
    return {OUTPUT_FORMATS.index(output) for output in CONFIG.outputs}


@cocotb.test()
@cocotb.parametrize(mode=CONFIG.modes)
async def every_output_of_every_mode_matches_the_model(dut: Any, mode: str) -> None:
    """Small jobs: panels that are not whole, a few beats."""
    bench = await Bench.start(dut)
    for output in CONFIG.outputs:
        shape = (CONFIG.rows + 1, CONFIG.columns + 1, random.randint(1, 3 * MODES[mode].elements_per_beat))
        await bench.run(random_case(generator(), CONFIG, mode=mode, output=output, shape=shape))


@cocotb.test()
@cocotb.parametrize(pauses=[0, 0.2, 0.5, 0.8])
async def results_match_the_model(dut: Any, pauses: float) -> None:
    """Any formats, shapes, exponents and layouts, one after the other, with buses that rest."""
    bench = await Bench.start(dut, pauses)
    for _ in range(round(25 * (1 - pauses))):
        await bench.run(random_case(generator(), CONFIG))


@cocotb.test()
@cocotb.parametrize(size=["one", "panel", "panel_and_one", "all_but_one"])
async def edges_of_panels_match_the_model(dut: Any, size: str) -> None:
    """M and N around the array's size, in all pairs with its other sizes; K of one element, and around a chunk."""
    bench = await Bench.start(dut, 0.2)
    rows, columns = (
        {"one": 1, "panel": built, "panel_and_one": built + 1, "all_but_one": max(1, 2 * built - 1)}
        for built in (CONFIG.rows, CONFIG.columns)
    )
    for other in columns.values():
        mode = random.choice(CONFIG.modes)
        chunk = chunk_elements(CONFIG, mode)
        k = random.choice([1, chunk - 1, chunk, chunk + 1, 2 * chunk, 2 * chunk + 1])
        await bench.run(random_case(generator(), CONFIG, mode=mode, shape=(rows[size], other, k)))


@cocotb.test()
@cocotb.parametrize(dimension=["m", "n", "k"])
async def long_jobs_match_the_model(dut: Any, dimension: str) -> None:
    """Hundreds of rows or of columns, or the greatest depth of the narrowest mode; a single one of all else."""
    bench = await Bench.start(dut)
    mode = min(CONFIG.modes, key=lambda name: MODES[name].slot_bits)
    length = most_depth(MODES[mode]) if dimension == "k" else random.randint(257, 300)
    m, n, k = (length if name == dimension else 1 for name in "mnk")
    await bench.run(random_case(generator(), CONFIG, mode=mode, shape=(m, n, k)))


@cocotb.test()
@cocotb.parametrize(exponent=["bias_exponent", "scale_exponent"])
async def exponents_reach_their_ends(dut: Any, exponent: str) -> None:
    """Both ends, and what is beside them, of either exponent, with a bias."""
    bench = await Bench.start(dut)
    values = {"bias_exponent": (-56, -55, -1, 0, 1, 31, 32), "scale_exponent": (-64, -63, -1, 0, 1, 62, 63)}
    for value in values[exponent]:
        fixed: dict[str, Any] = {"bias_exponent": 0, "scale_exponent": 0, "has_bias": True, exponent: value}
        await bench.run(random_case(generator(), CONFIG, shape=panels(1, 1, 5), **fixed))


@cocotb.test()
@cocotb.parametrize(pauses=[0, 0.5])
async def jobs_read_their_memory_anew(dut: Any, pauses: float) -> None:
    """The same job again and again, its registers not even written, on other operands."""
    bench = await Bench.start(dut, pauses)
    shape = panels(1, 1, CONFIG.depth_beats // 2)  # what could be kept from job to job: a chunk and a panel
    case = random_case(generator(), CONFIG, shape=shape, has_bias=True, relu=False, scale_exponent=0)
    await bench.run(case)
    for _ in range(4):
        case = fill(generator(), case.job, case.base, len(case.before))
        bench.memory.fill(case.before, case.base)
        await bench.command("start")
        await bench.finish(case.job)
        await bench.check(case)


@cocotb.test()
async def reset_in_mid_flight_leaves_no_trace(dut: Any) -> None:
    """Neither in the results of the next job nor in registers."""
    bench = await Bench.start(dut, 0.3)
    for _ in range(12):
        case = random_case(generator(), CONFIG)
        bench.memory.fill(case.before, case.base)
        await bench.begin(case.job)
        await ClockCycles(dut.clk, random.choice([0, 1, 2, random.randint(3, 60), random.randint(60, 600)]))
        await bench.reset()
        for register in ("status", "irq_enable", "format", "exponents", "m", "n", "k", "cycles", "beats", "jobs"):
            assert await bench.read(register) == 0, register
        await bench.write("irq_enable", BIT["done"])
        await bench.run(random_case(generator(), CONFIG, shape=panels(1, 1, random.randint(1, 40))))
        assert await bench.read("jobs") == 1


@cocotb.test()
async def start_while_busy_is_ignored(dut: Any) -> None:
    """One job, and nothing after it."""
    bench = await Bench.start(dut)
    for _ in range(4):
        case = random_case(generator(), CONFIG, shape=panels(2, 2, 3 * chunk_elements(CONFIG, CONFIG.modes[0])))
        bench.memory.fill(case.before, case.base)
        await bench.write("control", REGISTERS["control"]["clear_counters"].mask)
        await bench.begin(case.job)
        for _ in range(4):
            assert await bench.read("status") & BIT["busy"]
            await bench.command("start")
            await ClockCycles(dut.clk, random.randint(0, 20))
        assert await bench.read("status") & BIT["busy"], "the job was long enough"
        await bench.finish(case.job)
        await bench.check(case)
        await ClockCycles(dut.clk, SETTLED_CYCLES)
        assert await bench.read("status") == 0
        assert await bench.read("jobs") == 1


def bad_words() -> list[dict[str, int]]:
    """Register words that make a good job, `GOOD`, one that cannot be."""
    word = CONFIG.bus_bytes
    registers = register_values(CONFIG, dataclasses.replace(GOOD, has_bias=True))
    wrong: list[dict[str, int]] = [{name: 0} for name in ("m", "n", "k")]
    if most_depth(MODES[GOOD.mode]) < (1 << 16) - 1:
        wrong += [{"k": most_depth(MODES[GOOD.mode]) + 1}, {"k": (1 << 16) - 1}]
    for name in ("a_address", "a_stride", "b_address", "b_stride", "c_address", "c_stride", "bias_address"):
        wrong += [{name: registers[name] + offset} for offset in {1, word // 2, word - 1}]
    for name, built in (("mode", mode_codes()), ("output_format", output_codes())):
        field = REGISTERS["format"][name]
        rest = registers["format"] & ~field.mask
        wrong += [{"format": rest | field.encode(code)} for code in range(16) if code not in built]
    field = REGISTERS["exponents"]["bias"]
    rest = registers["exponents"] & ~field.mask
    for exponent in (BIAS_EXPONENTS[0] - 1, BIAS_EXPONENTS[-1] + 1, -128, 127):
        wrong.append({"exponents": rest | field.encode(exponent & 0xFF)})
    return wrong


# Of the mode with a bound of its own on K, if it is there.
GOOD = random_case(
    np.random.default_rng(0),
    CONFIG,
    mode="p16_1" if "p16_1" in CONFIG.modes else CONFIG.modes[0],
    shape=panels(2, 2, 9),
    has_bias=True,
    bias_exponent=0,
).job


@cocotb.test()
async def bad_jobs_are_refused(dut: Any) -> None:
    """Every kind: told at once, no memory touched, no job counted, and good ones go on as if nothing had been."""
    bench = await Bench.start(dut)
    case = random_case(generator(), CONFIG, mode=GOOD.mode, shape=panels(1, 1, 7))
    for index, words in enumerate(bad_words()):
        bench.memory.fill(case.before, case.base)
        await bench.begin(dataclasses.replace(GOOD, has_bias=True), **words)
        await ClockCycles(dut.clk, 30)
        found = await bench.read("status")
        assert found == BIT["done"] | BIT["bad_job"], f"{words} of {GOOD}: status is {found:#x}"
        assert int(dut.irq.value)
        await bench.write("status", BIT["done"])
        await bench.check_single("bad_job")
        assert not any(bench.watch.requests.values()), f"{words} of {GOOD}: {bench.watch.requests}"
        assert (bench.memory.content == case.before).all()
        assert await bench.read("jobs") == index // 8
        if index % 8 == 7:
            await bench.run(case)
    await ClockCycles(dut.clk, SETTLED_CYCLES)
    assert bench.watch.idle


@cocotb.test()
@cocotb.parametrize(area=["a", "b", "bias", "c"], response=[SLVERR, DECERR])
async def bus_errors_end_the_job(dut: Any, area: str, response: int) -> None:
    """The memory ends in the middle of what is needed: so the job ends, says so, and the next one is right."""
    bench = await Bench.start(dut, random.choice([0, 0.3]))
    bench.error_response = response
    for part in (0, 0.5, 1):
        case = random_case(generator(), CONFIG, has_bias=True)
        found = case.job.areas[area]
        bench.memory.fill(case.before, case.base)
        bench.memory.broken_from = found.address + int(part * (found.rows - 1)) * found.stride_bytes
        if part == 1:  # the last word alone
            bench.memory.broken_from += (found.row_bytes - 1) // CONFIG.bus_bytes * CONFIG.bus_bytes
        await bench.begin(case.job)
        await bench.finish(case.job)
        word = await bench.read("status")
        assert word & ~sum(RESULT_BITS) == BIT["done"] | BIT["bus_error"], f"{case.job}: status is {word:#x}"
        await bench.write("status", word & ~BIT["bus_error"])
        await bench.check_single("bus_error")
        changed = np.flatnonzero(bench.memory.content != case.before)
        assert np.isin(changed, case.job.areas["c"].places() - case.base).all(), f"{case.job}: bytes outside of C"
        await bench.run(random_case(generator(), CONFIG, shape=panels(1, 1, 5)))


@cocotb.test()
async def status_collects_and_interrupts(dut: Any) -> None:
    """Bits stay over several jobs until each is cleared; each raises `irq` only where it is enabled."""
    bench = await Bench.start(dut)
    word = 0
    for _ in range(6):
        await bench.write("irq_enable", BIT["done"])
        case = random_case(generator(), CONFIG, shape=panels(2, 1, 4))
        bench.memory.fill(case.before, case.base)
        await bench.begin(case.job)
        await bench.finish(case.job)
        word |= status_word(case)
        assert await bench.read("status") == word
        for mask in [BIT["done"], *RESULT_BITS, BIT["bus_error"], BIT["bad_job"]]:
            await bench.write("irq_enable", mask)
            await ClockCycles(dut.clk, 2)
            assert int(dut.irq.value) == bool(word & mask), f"{word:#x}, enabled {mask:#x}"
        await bench.write("status", BIT["done"])
        word &= ~BIT["done"]
        assert await bench.read("status") == word
    for mask in RESULT_BITS:
        await bench.write("status", mask)
        word &= ~mask
        assert await bench.read("status") == word


@cocotb.test()
@cocotb.parametrize(mode=CONFIG.modes)
async def counters_count_and_clear(dut: Any, mode: str) -> None:
    """Jobs; beats, each cycle in which the array takes operands; cycles, no fewer than beats nor more than it took."""
    bench = await Bench.start(dut, random.choice([0, 0.4]))
    beats = jobs = cycles = most = 0
    for _ in range(4):
        case = random_case(generator(), CONFIG, mode=mode)
        began = get_sim_time("ns")
        await bench.run(case)
        most += round((get_sim_time("ns") - began) / CLOCK_PERIOD_NS)
        jobs, beats = jobs + 1, beats + traffic(CONFIG, case.job).beats
        assert [await bench.read(name) for name in ("jobs", "beats")] == [jobs, beats], f"{case.job}"
        before, cycles = cycles, await bench.read("cycles")
        assert cycles - before >= traffic(CONFIG, case.job).beats
        assert cycles <= most
        await ClockCycles(dut.clk, 20)
        assert await bench.read("cycles") == cycles, "nothing runs"
    await bench.write("control", REGISTERS["control"]["clear_counters"].mask)
    for name in ("jobs", "beats", "cycles"):
        assert await bench.read(name) == 0, name


@cocotb.test()
@cocotb.parametrize(size=[(1, 1, 0.7), (2, 3, 0.7), (3, 2, 1.0), (2, 1, 0.7), (2, 2, 2.3), (1, 2, 1.5), (2, 1, 2.0)])
async def operands_are_read_no_more_than_needed(dut: Any, size: tuple[int, int, float]) -> None:
    """Panels of rows and of columns, chunks of K: what is loaded already is not loaded again, nor anything at edges."""
    bench = await Bench.start(dut)
    for mode in WHOLE_BEATS:
        k = round(size[2] * chunk_elements(CONFIG, mode))
        m, n, _ = panels(size[0], size[1], k)
        shape = (max(1, m - random.randrange(CONFIG.rows)), max(1, n - random.randrange(CONFIG.columns)), k)
        case = random_case(generator(), CONFIG, mode=mode, shape=shape, has_bias=False)
        await bench.run(case)
        wanted = traffic(CONFIG, case.job)
        assert bench.watch.words == {"r": wanted.operand_words, "w": wanted.write_words}, f"{case.job}"
