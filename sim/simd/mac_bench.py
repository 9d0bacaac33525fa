"""cocotb bench of `simd.mac`: protocol, latency, throughput, reset and status bits, held against the golden model.

`NIELLO_CONFIG` and `NIELLO_PORTS` say what was built; `random` is seeded by cocotb.
"""

from __future__ import annotations

import json
import os
import random
from dataclasses import dataclass
from typing import Any, Self

import cocotb
import numpy as np
import numpy.typing as npt
from cocotb.triggers import ClockCycles

from hdl.simd.config import MacConfig
from hdl.simd.modes import MODES, STATUS, default_output
from sim.common.stimulus import packet_lengths
from sim.common.streams import Edge
from sim.common.vectors import Arrays
from sim.simd import mac_vectors
from sim.simd.mac_stimulus import special_codes
from sim.simd.mac_vectors import job_of

CONFIG = MacConfig.parse(json.loads(os.environ["NIELLO_CONFIG"]))
ROLES = ("op",) if CONFIG.core_only else ("job", "a", "b", *(("scale",) if CONFIG.block_modes else ()))
"""The input streams."""

OPERANDS = ("op",) if CONFIG.core_only else ("a", "b")
"""Those that carry a packet a dot product."""

TIMED_MODES = [mode for mode in CONFIG.modes if CONFIG.core_only or not MODES[mode].block]
"""Those whose beats have fixed times: a whole block takes a beat into its buffer before it is worked on."""

Results = list[tuple[int, int]]
"""Codes, each with its status."""


@dataclass
class Dots:
    """Dot products of unequal lengths.

    Attributes
    ----------
    arrays : `mac_vectors.inputs_of` the config; zeros behind a row's end
    lengths : int64, (n,), elements of each row
    """

    arrays: Arrays
    lengths: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.lengths)

    @property
    def beats(self) -> list[int]:
        return [int(count) for count in mac_vectors.beats_of_rows(self.arrays["job"], self.lengths)]

    def results(self) -> Results:
        """What the golden model says."""
        mac_vectors.check(CONFIG, self.arrays)
        found = mac_vectors.model_ragged(CONFIG, self.arrays, self.lengths)
        return list(zip(found["y"].tolist(), found["status"].tolist(), strict=True))


def rng() -> np.random.Generator:
    """A generator that follows cocotb's seed."""
    return np.random.default_rng(random.getrandbits(64))


def random_jobs(modes: list[str]) -> npt.NDArray[np.uint16]:
    """A job for each of these modes, with any output and either answer to an overflow."""
    choices = [(mode, random.choice(CONFIG.outputs), random.random() < 0.5) for mode in modes]
    return np.array(
        [job_of(mode, output, "inf" if infinity else "saturate") for mode, output, infinity in choices], np.uint16
    )


def random_dots(modes: list[str], beats: list[int]) -> Dots:
    """A dot product for each of these modes, so many beats long; the last beat may be short."""
    dense = np.array([MODES[mode].elements_per_beat for mode in modes])
    lengths = np.array(beats) * dense - rng().integers(0, dense)
    job = random_jobs(modes)
    arrays = mac_vectors.random_operands(CONFIG, rng(), job, int(lengths.max()))
    for operand in (arrays["a"], arrays["b"]):
        operand[np.arange(lengths.max()) >= lengths[:, None]] = 0
    return Dots({"job": job} | arrays, lengths)


def any_dots(count: int) -> Dots:
    """Dot products of 1 to 6 beats, in any modes."""
    return random_dots([random.choice(CONFIG.modes) for _ in range(count)], packet_lengths(rng(), count, 6))


class Bench(Edge):
    """The block with a bus model on each of its interfaces."""

    @classmethod
    async def start(cls, dut: Any, *, inputs: float = 0, y: float = 0) -> Self:
        """Reset the block; inputs and output are stalled with their probability in every cycle."""
        bench = cls(dut)
        await bench.reset()
        bench.stall(inputs, *ROLES)
        bench.stall(y, "y")
        return bench

    def give(self, dots: Dots) -> None:
        """Queue dot products on the inputs."""
        for role, beats in mac_vectors.pack_ragged(CONFIG, dots.arrays, dots.lengths).items():
            self.send(role, beats)

    async def results(self, count: int) -> Results:
        frames = await self.receive("y", count)
        return [(int.from_bytes(frame[:4], "little"), frame[4]) for frame in frames]

    async def check(self, dots: Dots) -> None:
        """Give dot products and compare the results with the golden model's."""
        self.give(dots)
        assert await self.results(len(dots)) == dots.results()


@cocotb.test()
@cocotb.parametrize(stalls=[(0, 0), (0.5, 0.5), (0.8, 0), (0, 0.8), (0.2, 0.6)])
async def results_match_the_model(dut: Any, stalls: tuple[float, float]) -> None:
    """Any modes, outputs and lengths, one after the other."""
    bench = await Bench.start(dut, inputs=stalls[0], y=stalls[1])
    await bench.check(any_dots(150))


@cocotb.test()
@cocotb.parametrize(mode=TIMED_MODES)
async def latency_is_what_the_config_says(dut: Any, mode: str) -> None:
    """From the cycle that takes the last beat to the first that offers the result, in every mode, of any length."""
    bench = await Bench.start(dut)
    await ClockCycles(dut.clk, 8)  # the accumulator is cleared after reset
    one = 1 if CONFIG.core_only or not CONFIG.block_modes else 2
    lengths = [one, one, 2, 5, one]
    for beats in lengths:
        await bench.check(random_dots([mode], [beats]))
        await ClockCycles(dut.clk, random.randint(0, 3))
    ends = map(max, *(bench.watches[role].lasts for role in OPERANDS), [0] * len(lengths))
    measured = [offer - end for offer, end in zip(bench.watches["y"].offered, ends, strict=True)]
    assert measured == [CONFIG.latency_in(mode)] * len(lengths)


@cocotb.test()
@cocotb.parametrize(mode=TIMED_MODES)
async def beats_follow_without_bubbles(dut: Any, mode: str) -> None:
    """Beats take the cycles that the config says, and no more but between blocks. A whole block takes the first into
    its buffer before."""
    bench = await Bench.start(dut)
    lengths = [1, 2, 3, 8, 20, 2]
    await bench.check(random_dots([mode] * len(lengths), lengths))
    steps = np.full(max(lengths), CONFIG.beat_cycles(mode))
    if MODES[mode].block:
        steps[:: MODES[mode].beats_per_block] += CONFIG.block_cycles - 1
    expected = np.cumsum(steps) - steps[0]
    for role in OPERANDS:
        taken = np.split(np.array(bench.watches[role].taken), np.cumsum(lengths)[:-1])
        for cycles in taken:
            steady = cycles if CONFIG.core_only else cycles[1:]
            assert (steady - steady[:1]).tolist() == expected[: len(steady)].tolist(), role


@cocotb.test()
@cocotb.parametrize(first=CONFIG.modes)
async def modes_change_from_one_dot_product_to_the_next(dut: Any, first: str) -> None:
    """After the last beat of one mode, full of large and special codes, comes the first of any other."""
    bench = await Bench.start(dut)
    element = MODES[first].element
    loud = random_dots([first] * len(CONFIG.modes), [3] * len(CONFIG.modes))
    specials = special_codes(element)
    if len(specials):
        loud.arrays["a"][:, 0] = rng().choice(specials, len(loud))
    quiet = random_dots(list(CONFIG.modes), [1] * len(CONFIG.modes))
    for index in range(len(CONFIG.modes)):
        for dots in (loud, quiet):
            one = slice(index, index + 1)
            arrays = {name: array[one] for name, array in dots.arrays.items()}
            await bench.check(Dots(arrays, dots.lengths[one]))


@cocotb.test()
async def long_dot_products_are_exact(dut: Any) -> None:
    """Many of the largest products, and one of the smallest that must not get lost."""
    bench = await Bench.start(dut)
    for mode in CONFIG.modes:
        dots = random_dots([mode], [100 if MODES[mode].block else 1000])
        element = MODES[mode].element
        largest = np.uint16(getattr(element, "max_code", (1 << (element.bits - 1)) - 1))
        dots.arrays["a"][:], dots.arrays["b"][:] = largest, largest
        dots.arrays["a"][:, -1] = 1
        dots.arrays["b"][:, -1] = 1
        dots.lengths[:] = dots.arrays["a"].shape[1]
        await bench.check(dots)


if CONFIG.core_only:

    @cocotb.test()
    async def stalled_result_holds_the_operands_back(dut: Any) -> None:
        """From the last beat until the result was taken, nothing else is; then all comes out."""
        bench = await Bench.start(dut)
        bench.sinks["y"].pause = True
        await ClockCycles(dut.clk, 2)
        dots = any_dots(4)
        bench.give(dots)
        await ClockCycles(dut.clk, 6 * (CONFIG.block_cycles + 16))
        assert len(bench.watches["op"].taken) == dots.beats[0]
        assert int(dut.s_axis_op_tready.value) == 0
        assert len(bench.watches["y"].offered) == 1
        bench.sinks["y"].pause = False
        assert await bench.results(4) == dots.results()
        starts = np.array(bench.watches["op"].taken)[np.cumsum(dots.beats[:-1])]
        assert (starts > np.array(bench.watches["y"].taken[:-1])).all()


@cocotb.test()
async def reset_in_mid_flight_leaves_no_trace(dut: Any) -> None:
    """Neither of sums nor of special operands, in whatever stage they were."""
    bench = await Bench.start(dut, inputs=0.3, y=0.3)
    for _ in range(20):
        bench.give(any_dots(10))
        await ClockCycles(dut.clk, random.randint(5, 60))
        for source in bench.sources.values():
            source.clear()
        await bench.reset()
        bench.sinks["y"].clear()
        await bench.check(any_dots(8))
    await ClockCycles(dut.clk, 200)
    assert bench.sinks["y"].empty()


# Mode, a, b, output or None for the default, code, names of the status bits. Overflow saturates but in the last two.
CASES: list[tuple[str, list[int], list[int], str | None, int, tuple[str, ...]]] = [
    ("p4_1", [0x8], [0x0], None, 0x8, ("nar",)),
    ("p8_0", [0x40, 0x80], [0x40, 0x40], None, 0x80, ("nar",)),
    ("p16_1", [0x8000, 0x7FFF], [0x4000, 0x7FFF], None, 0x8000, ("nar",)),
    ("p8_0", [0x80], [0x40], "fp4", 0x0, ("nar",)),
    ("p8_0", [0x80], [0x40], "e5m2", 0x7E, ("nar",)),
    ("e4m3", [0x7F], [0x00], None, 0x7F, ("nan",)),
    ("e4m3", [0xFF], [0x38], "p8_0", 0x80, ("nan",)),
    ("e4m3", [0x7F], [0x38], "int32", 0, ("nan",)),
    ("e5m2", [0x7C], [0xBC], None, 0xFC, ("inf",)),
    ("e5m2", [0x7C], [0x00], None, 0x7E, ("nan",)),
    ("e5m2", [0x7C, 0x7C], [0x3C, 0xBC], None, 0x7E, ("nan",)),
    ("e5m2", [0x7C, 0x7D], [0x3C, 0x3C], None, 0x7E, ("nan",)),
    ("e5m2", [0xFC], [0x3C], "e4m3", 0xFE, ("inf", "overflow")),
    ("e5m2", [0xFC], [0x3C], "int8", 0x80, ("inf", "overflow")),
    ("e5m2", [0xFC], [0x3C], "p8_0", 0x80, ("inf",)),
    ("fp4", [0x7], [0x7], None, 0x7, ("overflow",)),
    ("fp4", [0x1], [0x1], None, 0x0, ("underflow",)),
    ("fp4", [0x1, 0x1], [0x1, 0x1], None, 0x1, ()),
    ("fp4", [0x9], [0x1], None, 0x8, ("underflow",)),
    ("fp4", [0x1, 0x9], [0x1, 0x1], None, 0x0, ()),
    ("p4_1", [0x7], [0xA], None, 0x9, ("overflow",)),
    ("p8_0", [0x7F], [0x7F], None, 0x7F, ("overflow",)),
    ("p8_0", [0x01], [0xFF], None, 0xFF, ("underflow",)),
    ("p16_1", [0x7FFF, 0x7FFF, 0x0001], [0x7FFF, 0x8001, 0x0001], None, 0x0001, ("underflow",)),
    ("int4", [0x8], [0x8], None, 64, ()),
    ("int4", [0x8, 0x8], [0x8, 0x8], "int8", 127, ("overflow",)),
    ("int8", [0x80, 0x80], [0x7F, 0x7F], None, 0x1_0000_0000 - 2 * 128 * 127, ()),
    ("int8", [0x01, 0xFE], [0x01, 0x01], "fp32", 0xBF800000, ()),
    ("e4m3", [0x01], [0x81], None, 0x80, ("underflow",)),
    ("e4m3", [0x7E], [0xFE], None, 0xFE, ("overflow",)),
    ("e5m2", [0x7B], [0x7B], None, 0x7B, ("overflow",)),
    ("e5m2", [0x7B], [0xFB], None, 0xFC, ("overflow",)),
    ("int8", [0x7F] * 8, [0x7F] * 8, "fp16", 0x7C00, ("overflow",)),
]


@cocotb.test()
async def status_says_what_happened(dut: Any) -> None:
    """Each bit, in every mode that can set it, next to the code that goes with it."""
    bench = await Bench.start(dut)
    cases = [(*case, "inf" if index >= len(CASES) - 2 else "saturate") for index, case in enumerate(CASES)]
    for mode, a, b, named, code, names, overflow in cases:
        output = named or default_output(MODES[mode])
        if mode in CONFIG.modes and output in CONFIG.outputs:
            job = np.array([job_of(mode, output, "inf" if overflow == "inf" else "saturate")], np.uint16)
            arrays = mac_vectors.random_operands(CONFIG, rng(), job, len(a))
            arrays |= {"job": job, "a": np.array([a], np.uint16), "b": np.array([b], np.uint16)}
            bench.give(Dots(arrays, np.array([len(a)])))
            status = sum(1 << STATUS.index(name) for name in names)
            assert await bench.results(1) == [(code, status)], (mode, a, b, output)
