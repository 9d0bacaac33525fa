"""cocotb bench of a whole `simd.mac`: registers, interrupt, unequal operands and jobs that cannot be. A bare core has
none of these, and for it this bench no tests."""

from __future__ import annotations

import random
from typing import Any

import cocotb
import numpy as np
from cocotb.triggers import ClockCycles, RisingEdge

from hdl.simd.modes import MODES, OUTPUT_FORMATS, STATUS_BAD_JOB
from sim.common.beats import Beats
from sim.common.register_edge import RegisterEdge
from sim.simd.mac_bench import CONFIG, Bench, Dots, any_dots, random_dots
from sim.simd.mac_vectors import job_of, pack_ragged

REGISTERS = CONFIG.registers
LONGEST_WAIT_CYCLES = 2000


class Control(RegisterEdge, Bench):
    """A whole block, its registers by name."""

    if REGISTERS is not None:
        MAP = REGISTERS

    async def status(self) -> set[str]:
        """The names of the bits that are set."""
        assert REGISTERS is not None
        return {name for name, value in REGISTERS["status"].decode(await self.read("status")).items() if value}

    def give_bad(self, job: int, beats: int) -> None:
        """Queue a dot product under any job."""
        self.send("job", Beats(np.array([[job & 0xFF, job >> 8]], np.uint8)))
        for role in "ab":
            last = np.arange(beats) == beats - 1
            self.send(role, Beats(np.frombuffer(random.randbytes(4 * beats), np.uint8).reshape(-1, 4), last))


def mask(*names: str) -> int:
    """Bits of the status and interrupt registers."""
    assert REGISTERS is not None
    return REGISTERS["status"].encode(dict.fromkeys(names, 1))


def unbuilt_jobs() -> list[int]:
    """Jobs that name a mode, an output or both that the block has not got."""
    modes = [code for code in range(16) if code not in {MODES[name].code for name in CONFIG.modes}]
    outputs = [code for code in range(16) if code not in {OUTPUT_FORMATS.index(name) for name in CONFIG.outputs}]
    good = job_of(CONFIG.modes[0], CONFIG.outputs[0])
    found = [good & ~0xF | code for code in modes] + [good & ~0xF0 | code << 4 for code in outputs]
    return found + ([modes[0] | outputs[0] << 4] if modes and outputs else [])


def cut(dots: Dots, role: str) -> tuple[dict[str, Beats], Dots]:
    """Traffic in which one operand of every row ends early by some beats, and the rows that it amounts to."""
    traffic = pack_ragged(CONFIG, dots.arrays, dots.lengths)
    ends = np.cumsum(dots.beats)
    keep, last = np.ones(ends[-1], bool), np.zeros(ends[-1], bool)
    amounts = {name: array.copy() for name, array in dots.arrays.items()}
    for row, (end, beats) in enumerate(zip(ends, dots.beats, strict=True)):
        left = random.randint(1, beats - 1)
        keep[end - beats + left : end] = False
        last[end - beats + left - 1] = True
        dense = MODES[mode_of(int(dots.arrays["job"][row]))].elements_per_beat
        amounts[role][row, left * dense :] = 0
    traffic[role] = Beats(traffic[role].data[keep], last[keep])
    return traffic, Dots(amounts, dots.lengths)


def mode_of(job: int) -> str:
    """The name of a job's mode."""
    return next(name for name, mode in MODES.items() if mode.code == job & 0xF)


if not CONFIG.core_only:

    @cocotb.test()
    async def status_gathers_what_the_results_say(dut: Any) -> None:
        """Of every result, until the bits are cleared; and `busy` until the last is given."""
        bench = await Control.start(dut)
        for dots in (any_dots(5), random_dots(list(CONFIG.modes), [3] * len(CONFIG.modes))):
            results = dots.results()
            bench.sinks["y"].pause = True
            bench.give(dots)
            await ClockCycles(dut.clk, 10)
            assert "busy" in await bench.status()
            bench.sinks["y"].pause = False
            assert await bench.results(len(dots)) == results
            seen = 0
            for _, status in results:
                seen |= status
            assert await bench.read("status") == seen
            await bench.write("status", 0xFFFF_FFFF)
            assert await bench.status() == set()

    @cocotb.test()
    @cocotb.parametrize(shorter=["a", "b"])
    async def shorter_operands_continue_with_zeros(dut: Any, shorter: str) -> None:
        """Whichever ends first; what follows is in step."""
        bench = await Control.start(dut, inputs=0.3, y=0.3)
        dots = random_dots([random.choice(CONFIG.modes) for _ in range(20)], [random.randint(2, 6) for _ in range(20)])
        traffic, amounts = cut(dots, shorter)
        for role, beats in traffic.items():
            bench.send(role, beats)
        assert await bench.results(20) == amounts.results()
        assert "length_mismatch" in await bench.status()
        await bench.write("status", 0xFFFF_FFFF)
        await bench.check(any_dots(5))
        assert "length_mismatch" not in await bench.status()

    @cocotb.test()
    async def jobs_that_cannot_be_give_zero_and_say_so(dut: Any) -> None:
        """Among good ones, which they do not disturb."""
        bench = await Control.start(dut, inputs=0.2, y=0.2)
        for job in unbuilt_jobs():
            before, after = any_dots(1), any_dots(1)
            bench.give(before)
            bench.give_bad(job, random.randint(1, 4))
            bench.give(after)
            refused = (0, STATUS_BAD_JOB)
            assert await bench.results(3) == [*before.results(), refused, *after.results()], hex(job)
            assert "bad_job" in await bench.status()
            await bench.write("status", mask("bad_job"))
            assert "bad_job" not in await bench.status()

    @cocotb.test()
    async def interrupt_follows_its_bit(dut: Any) -> None:
        """When enabled, no later than the result that it is about, until the bit is cleared."""
        bench = await Control.start(dut)
        await bench.write("irq_enable", mask("length_mismatch", "bad_job"))
        bench.give_bad(unbuilt_jobs()[0], 2)
        for _ in range(LONGEST_WAIT_CYCLES):
            await RisingEdge(dut.clk)
            if dut.m_axis_y_tvalid.value:
                break
        assert int(dut.irq.value) == 1
        await bench.write("status", mask("length_mismatch"))
        assert int(dut.irq.value) == 1, "another bit was cleared"
        await bench.write("status", mask("bad_job"))
        await ClockCycles(dut.clk, 2)
        assert int(dut.irq.value) == 0
        await bench.write("irq_enable", 0)
        bench.give_bad(unbuilt_jobs()[0], 1)
        await bench.results(2)
        assert int(dut.irq.value) == 0, "not enabled"

    @cocotb.test()
    async def counters_count_and_clear(dut: Any) -> None:
        """Results, beats, and cycles with a dot product in flight."""
        bench = await Control.start(dut)
        await ClockCycles(dut.clk, 8)  # the accumulator is cleared after reset
        one = random_dots([CONFIG.modes[0]], [7])
        await bench.check(one)
        assert [await bench.read(name) for name in ("results", "beats")] == [1, 7]
        # The cycle that takes the first beat is not counted, the one that gives the last result is.
        # Before the first beat, a core with block formats looks at the job.
        assert await bench.read("cycles") == 7 - 1 + CONFIG.latency_cycles + bool(CONFIG.block_modes)
        dots = any_dots(20)
        await bench.check(dots)
        assert [await bench.read(name) for name in ("results", "beats")] == [21, 7 + sum(dots.beats)]
        assert REGISTERS is not None
        await bench.write("control", REGISTERS["control"]["clear_counters"].mask)
        assert [await bench.read(name) for name in ("results", "beats", "cycles")] == [0, 0, 0]

    @cocotb.test()
    async def constants_say_what_was_built(dut: Any) -> None:
        """Identity, formats and latency."""
        bench = await Control.start(dut)
        assert (await bench.read("identity")).to_bytes(4, "little") == b"MACX"
        formats = await bench.read("formats")
        assert {name for name, mode in MODES.items() if formats >> mode.code & 1} == set(CONFIG.modes)
        assert {name for code, name in enumerate(OUTPUT_FORMATS) if formats >> 16 + code & 1} == set(CONFIG.outputs)
        assert await bench.read("latency") == CONFIG.latency_cycles
