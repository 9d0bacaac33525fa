"""cocotb bench of `simd.dot`: protocol, latency, throughput, reset and registers, held against the golden model.

`NIELLO_CONFIG` and `NIELLO_PORTS` say what was built; `random` is seeded by cocotb.
"""

from __future__ import annotations

import json
import os
import random
from typing import Any

import cocotb
import numpy as np
import numpy.typing as npt
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, FallingEdge, RisingEdge, Timer, with_timeout
from cocotbext.axi import AxiLiteBus, AxiLiteMaster, AxiStreamBus, AxiStreamSink

from hdl.common.registers import load_registers
from hdl.simd.config import DotConfig
from sim.common.beats import Beats
from sim.common.register_edge import RegisterEdge
from sim.common.runner import CLOCK_PERIOD_NS
from sim.common.stimulus import integers, last_flags, packet_lengths
from sim.simd.dot_model import dot_packets

CONFIG = DotConfig.parse(json.loads(os.environ["NIELLO_CONFIG"]))
REGISTERS = load_registers(*CONFIG.register_source)
OVERFLOW, LENGTH_MISMATCH, BUSY = (REGISTERS["status"][name].mask for name in ("overflow", "length_mismatch", "busy"))

Packets = list[npt.NDArray[np.int8]]
"""One operand of some vectors, each int8 (beats, lanes)."""


def as_beats(packets: Packets) -> Beats:
    """The traffic of one operand's stream."""
    return Beats(np.concatenate(packets).view(np.uint8), last_flags([len(packet) for packet in packets]))


def random_packets(lengths: list[int]) -> Packets:
    """Packets of these lengths, extreme values among them."""
    rng = np.random.default_rng(random.getrandbits(64))
    values = integers(rng, CONFIG.element_bits, (sum(lengths), CONFIG.lanes)).astype(np.int8)
    return np.split(values, np.cumsum(lengths)[:-1])


def random_lengths(count: int) -> list[int]:
    """Beats of each of `count` vectors."""
    return packet_lengths(np.random.default_rng(random.getrandbits(64)), count, 6)


class Bench(RegisterEdge):
    """The block with a bus model on each of its interfaces."""

    MAP = REGISTERS

    @classmethod
    async def start(cls, dut: Any, *, a: float = 0, b: float = 0, y: float = 0) -> Bench:
        """Reset the block; each stream is stalled with its probability in every cycle."""
        bench = cls(dut)
        await bench.reset()
        for role, probability in {"a": a, "b": b, "y": y}.items():
            bench.stall(probability, role)
        return bench

    async def results(self, count: int) -> list[int]:
        return [int.from_bytes(frame, "little", signed=True) for frame in await self.receive("y", count)]

    async def check(self, a: Packets, b: Packets) -> None:
        """Send vectors and compare the results with the golden model's."""
        self.send("a", as_beats(a))
        self.send("b", as_beats(b))
        assert await self.results(len(a)) == dot_packets(CONFIG, a, b).y.tolist()


async def offered(dut: Any) -> None:
    """Waits for the first cycle that offers a result, 1000 cycles at most."""
    for _ in range(1000):
        await RisingEdge(dut.clk)
        if int(dut.m_axis_y_tvalid.value):
            return
    raise AssertionError("no result is offered")


@cocotb.test()
async def constants_say_what_was_built(dut: Any) -> None:
    """Identity and shape; everything else is 0 after reset."""
    bench = await Bench.start(dut)
    assert (await bench.read("identity")).to_bytes(4, "little") == b"DOT8"
    assert await bench.read("shape") == CONFIG.lanes | CONFIG.latency_cycles << 8
    for register in ("status", "irq_enable", "control", "vectors", "beats", "cycles"):
        assert await bench.read(register) == 0, register
    assert await bench.interrupt() == 0


@cocotb.test()
@cocotb.parametrize(stalls=[(0, 0, 0), (0.5, 0.5, 0.5), (0.8, 0, 0), (0, 0.8, 0), (0, 0, 0.8), (0.2, 0.7, 0.4)])
async def results_match_the_model(dut: Any, stalls: tuple[float, float, float]) -> None:
    """Vectors of 1 to 6 beats, a, b and y stalled."""
    bench = await Bench.start(dut, **dict(zip("aby", stalls, strict=True)))
    lengths = random_lengths(120)
    await bench.check(random_packets(lengths), random_packets(lengths))


@cocotb.test()
@cocotb.parametrize(late=["a", "b", "neither"])
async def latency_is_what_the_config_says(dut: Any, late: str) -> None:
    """From the cycle that takes a vector's last beat, of the later operand, to the first that offers its result."""
    bench = await Bench.start(dut)
    for beats in (1, 1, 2, 5):
        packets = {role: random_packets([beats]) for role in "ab"}
        if late != "neither":
            bench.send("b" if late == "a" else "a", as_beats(packets["b" if late == "a" else "a"]))
            await ClockCycles(dut.clk, 8)
            bench.send(late, as_beats(packets[late]))
            await bench.results(1)
        else:
            await bench.check(packets["a"], packets["b"])
        await ClockCycles(dut.clk, random.randint(0, 3))
    ends = map(max, bench.watches["a"].lasts, bench.watches["b"].lasts)
    measured = [offer - end for offer, end in zip(bench.watches["y"].offered, ends, strict=True)]
    assert measured == [CONFIG.latency_cycles] * 4


@cocotb.test()
@cocotb.parametrize(beats=[1, 2, 7])
async def vectors_follow_without_bubbles(dut: Any, beats: int) -> None:
    """N beats on end take N cycles, and the results come at the same pace."""
    bench = await Bench.start(dut)
    vectors = 60
    await bench.check(random_packets([beats] * vectors), random_packets([beats] * vectors))
    for role, count, pitch in (("a", beats * vectors, 1), ("b", beats * vectors, 1), ("y", vectors, beats)):
        taken = bench.watches[role].taken
        assert taken == [taken[0] + pitch * index for index in range(count)], role


@cocotb.test()
async def operands_may_arrive_apart(dut: Any) -> None:
    """The early operand waits in its buffer; nothing is lost."""
    bench = await Bench.start(dut)
    a, b = random_packets([1, 3]), random_packets([1, 3])
    bench.send("a", as_beats(a))
    await ClockCycles(dut.clk, 40)
    assert len(bench.watches["a"].taken) == 1, "its buffer holds one beat"
    assert bench.watches["y"].offered == []
    assert await bench.read("status") == BUSY
    bench.send("b", as_beats(b))
    assert await bench.results(2) == dot_packets(CONFIG, a, b).y.tolist()
    assert await bench.read("status") == 0


@cocotb.test()
@cocotb.parametrize(beats=[1, 10])
async def stalled_result_holds_the_operands_back(dut: Any, beats: int) -> None:
    """Every stage fills, then nothing more is taken, and nothing is lost."""
    bench = await Bench.start(dut)
    bench.sinks["y"].pause = True
    await ClockCycles(dut.clk, 2)
    a, b = random_packets([beats] * 12), random_packets([beats] * 12)
    bench.send("a", as_beats(a))
    bench.send("b", as_beats(b))
    await ClockCycles(dut.clk, 150)
    # Three results, two in the output slice and one in the accumulator; a beat in every stage before it.
    assert len(bench.watches["a"].taken) == 3 * beats + CONFIG.latency_cycles - 2
    assert await bench.read("status") == BUSY
    bench.sinks["y"].pause = False
    assert await bench.results(12) == dot_packets(CONFIG, a, b).y.tolist()


@cocotb.test()
async def reset_in_mid_flight_leaves_no_trace(dut: Any) -> None:
    """Neither in the results that follow nor in the registers."""
    bench = await Bench.start(dut, a=0.3, b=0.3, y=0.3)
    for _ in range(8):
        for role in "ab":
            bench.send(role, as_beats(random_packets(random_lengths(20))))
        await ClockCycles(dut.clk, random.randint(5, 60))
        for source in bench.sources.values():
            source.clear()
        await bench.reset()
        bench.sinks["y"].clear()
        lengths = random_lengths(10)
        await bench.check(random_packets(lengths), random_packets(lengths))
        assert await bench.read("status") == 0
        assert await bench.read("vectors") == len(lengths)
        assert await bench.read("beats") == sum(lengths)
    await ClockCycles(dut.clk, 50)
    assert bench.sinks["y"].empty()


@cocotb.test()
@cocotb.parametrize(stall=[0, 0.5])
async def ragged_vectors_continue_with_zeros(dut: Any, stall: float) -> None:
    """Either operand may end first; the vectors that follow are in step."""
    bench = await Bench.start(dut, a=stall, b=stall, y=stall)
    await bench.check(random_packets(random_lengths(100)), random_packets(random_lengths(100)))
    assert await bench.read("status") == LENGTH_MISMATCH
    await bench.write("status", LENGTH_MISMATCH)
    equal = random_lengths(20)
    await bench.check(random_packets(equal), random_packets(equal))
    assert await bench.read("status") == 0


@cocotb.test()
@cocotb.parametrize(longer=["a", "b"])
async def length_mismatch_raises_the_interrupt(dut: Any, longer: str) -> None:
    """Only when enabled, and until that very bit is cleared."""
    bench = await Bench.start(dut)
    packets = {role: random_packets([4 if role == longer else 2]) for role in "ab"}
    await bench.check(packets["a"], packets["b"])
    assert await bench.read("status") == LENGTH_MISMATCH
    assert await bench.interrupt() == 0, "not enabled"
    await bench.write("irq_enable", OVERFLOW)
    assert await bench.interrupt() == 0, "another bit is enabled"
    await bench.write("irq_enable", LENGTH_MISMATCH)
    assert await bench.interrupt() == 1
    await bench.write("status", OVERFLOW)
    assert await bench.interrupt() == 1, "another bit was cleared"
    await bench.write("status", LENGTH_MISMATCH)
    assert await bench.interrupt() == 0
    assert await bench.read("status") == 0


@cocotb.test()
async def length_mismatch_is_told_once_a_vector(dut: Any) -> None:
    """A bit cleared while the longer operand still goes on stays clear."""
    bench = await Bench.start(dut)
    bench.send("a", as_beats(random_packets([2])))
    bench.send("b", as_beats(random_packets([200])))
    await ClockCycles(dut.clk, 40)
    assert await bench.read("status") == LENGTH_MISMATCH | BUSY
    await bench.write("status", LENGTH_MISMATCH)
    await bench.results(1)
    assert len(bench.watches["b"].taken) == 200
    assert await bench.read("status") == 0


@cocotb.test()
async def interrupt_comes_no_later_than_its_result(dut: Any) -> None:
    """Who reads status when the result is there knows of it."""
    bench = await Bench.start(dut)
    await bench.write("irq_enable", OVERFLOW | LENGTH_MISMATCH)
    bench.send("a", as_beats(random_packets([1])))
    bench.send("b", as_beats(random_packets([2])))
    await offered(dut)
    assert int(dut.irq.value) == 1


@cocotb.test()
async def counters_count_and_clear(dut: Any) -> None:
    """Vectors, beats, and cycles with a vector in flight."""
    bench = await Bench.start(dut)
    lengths = random_lengths(30)
    await bench.check(random_packets(lengths), random_packets(lengths))
    assert await bench.read("vectors") == 30
    assert await bench.read("beats") == sum(lengths)
    # The cycle that takes the first beat is not counted, the one that gives the last result is.
    assert await bench.read("cycles") == sum(lengths) - 1 + CONFIG.latency_cycles
    await bench.write("control", REGISTERS["control"]["clear_counters"].mask)
    for register in ("vectors", "beats", "cycles"):
        assert await bench.read(register) == 0, register
    await bench.check(random_packets([5]), random_packets([3]))
    assert [await bench.read(name) for name in ("vectors", "beats")] == [1, 5], "a beat against zeros counts"


BEATS_TO_TOP = -(-(2**31) // (CONFIG.lanes * 128 * 128))  # of (-128) * (-128), to reach 2**31
BEATS_TO_BOTTOM = 2**31 // (CONFIG.lanes * 128 * 127) + 1  # of (-128) * 127, to pass -2**31
OVERFLOW_CASES = {
    "largest_that_fits": (False, [(-128, -128, BEATS_TO_TOP - 1)]),
    "at_the_last_beat": (True, [(-128, -128, BEATS_TO_TOP)]),
    "at_the_last_but_one": (True, [(-128, -128, BEATS_TO_TOP + 1)]),
    "lowest_that_fits": (False, [(-128, 127, BEATS_TO_BOTTOM - 1)]),
    "below": (True, [(-128, 127, BEATS_TO_BOTTOM)]),
    "and_back_in_range": (True, [(-128, -128, BEATS_TO_TOP), (-128, 127, 2)]),
    "only_by_what_is_not_valid": (False, [(-128, -128, BEATS_TO_TOP - 1), (0, 0, 1)]),
}


@cocotb.test()
@cocotb.parametrize(case=list(OVERFLOW_CASES))
async def overflow_wraps_and_is_told(dut: Any, case: str) -> None:
    """The result is exact modulo 2**32 and the bit says so, at the first beat too much and not before.

    An overflow takes tens of thousands of beats; Python sleeps through them, so nothing else drives or watches a and b.
    """
    overflows, pieces = OVERFLOW_CASES[case]
    Clock(dut.clk, CLOCK_PERIOD_NS, "ns").start()
    dut.s_axis_a_tvalid.value = dut.s_axis_b_tvalid.value = 0
    y = AxiStreamSink(AxiStreamBus.from_prefix(dut, "m_axis_y"), dut.clk, dut.rst)
    csr = AxiLiteMaster(AxiLiteBus.from_prefix(dut, "s_axil"), dut.clk, dut.rst)
    dut.rst.value = 1
    await ClockCycles(dut.clk, 3)
    dut.rst.value = 0
    await csr.write_dword(REGISTERS["irq_enable"].offset_bytes, OVERFLOW)

    await FallingEdge(dut.clk)
    *before, (a, b, beats) = pieces
    for *elements, count, last in [*((*piece, 0) for piece in before), (a, b, beats - 1, 0), (a, b, 1, 1)]:
        if last:  # a pause in the vector; what stands on TDATA meanwhile counts for nothing
            dut.s_axis_a_tvalid.value = dut.s_axis_b_tvalid.value = 0
            await ClockCycles(dut.clk, 2 * CONFIG.latency_cycles)
            assert await csr.read_dword(REGISTERS["status"].offset_bytes) & BUSY
            await FallingEdge(dut.clk)
        if count:
            for role, element in zip("ab", elements, strict=True):
                beat = np.full(CONFIG.lanes, element, np.int8)
                getattr(dut, f"s_axis_{role}_tdata").value = int.from_bytes(beat.tobytes(), "little")
                getattr(dut, f"s_axis_{role}_tlast").value = last
                getattr(dut, f"s_axis_{role}_tvalid").value = 1
            await Timer(count * CLOCK_PERIOD_NS, "ns")
    dut.s_axis_a_tvalid.value = dut.s_axis_b_tvalid.value = 0

    sides = ([np.full((count, CONFIG.lanes), (a, b)[side], np.int8) for a, b, count in pieces] for side in (0, 1))
    expected = dot_packets(CONFIG, *([np.concatenate(side)] for side in sides))
    assert expected.overflow.tolist() == [overflows], "the case is what its name says"
    await offered(dut)
    assert int(dut.irq.value) == overflows, "when the result is offered"
    frame = await with_timeout(y.recv(), 100 * CLOCK_PERIOD_NS, "ns")
    assert np.frombuffer(bytes(frame.tdata), "<i4").tolist() == expected.y.tolist()
    assert await csr.read_dword(REGISTERS["status"].offset_bytes) == (OVERFLOW if overflows else 0)
    assert await csr.read_dword(REGISTERS["beats"].offset_bytes) == sum(count for _, _, count in pieces), "every cycle"
