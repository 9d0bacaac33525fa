"""cocotb bench of `sfq.network`: protocol, latency, throughput, reset, bad packets and registers.

`NIELLO_CONFIG` and `NIELLO_PORTS` say what was built; `random` is seeded by cocotb.
"""

from __future__ import annotations

import json
import os
import random
from itertools import pairwise
from typing import Any

import cocotb
import numpy as np
from cocotb.triggers import ClockCycles
from numpy.typing import NDArray

from hdl.common.registers import load_registers
from hdl.sfq.network_config import StochasticConfig
from hdl.sfq.network_packets import Packet
from sim.common.register_edge import RegisterEdge
from sim.common.vectors import Arrays
from sim.sfq import network_vectors as vectors
from sim.sfq.network_model import Program, run

CONFIG = StochasticConfig.parse(json.loads(os.environ["NIELLO_CONFIG"]))
REGISTERS = load_registers(*CONFIG.register_source)
BAD_PACKET, COUNT_SATURATED, BUSY = (
    REGISTERS["status"][name].mask for name in ("bad_packet", "count_saturated", "busy")
)
UNKNOWN_KIND = 7

Words = NDArray[np.uint32]
Window = NDArray[np.uint8]
"""Pulses of a window, (slots, rails)."""


def random_program() -> Arrays:
    """What the block can be loaded with; the windows beside it are not used."""
    return vectors.random_arrays(CONFIG, random.getrandbits(16), 1)


def program_packets(arrays: Arrays) -> list[Words]:
    """The packets that load it."""
    return vectors.pack_program(CONFIG, arrays)


def random_window(slots: int) -> Window:
    """Few pulses, or many, or all."""
    rng = np.random.default_rng(random.getrandbits(32))
    return np.asarray(rng.random((slots, CONFIG.rails)) < rng.choice([0.2, 0.6, 1.0]), np.uint8)


def empty() -> Words:
    """A window without a slot."""
    return np.array([Packet.WINDOW], np.uint32)


class Bench(RegisterEdge):
    """The block with a bus model on each of its interfaces, and what it is loaded with."""

    MAP = REGISTERS

    program: Program

    @classmethod
    async def start(cls, dut: Any, *, x: float = 0, y: float = 0) -> Bench:
        """Reset the block; each stream is stalled with its probability in every cycle."""
        bench = cls(dut)
        await bench.reset()
        bench.stall(x, "x")
        bench.stall(y, "y")
        return bench

    def load(self) -> None:
        """Send a random program."""
        arrays = random_program()
        self.program = vectors.program_of(arrays)
        self.send("x", vectors.beats_of(program_packets(arrays)))

    def counts(self, windows: list[Window]) -> list[list[int]]:
        """What the model says of the next windows."""
        found = []
        for window in windows:
            counts, states = run(CONFIG, self.program, window[None])
            self.program = Program(self.program.thresholds, self.program.neurons, states)
            found.append(counts[0].tolist())
        return found

    async def results(self, count: int) -> list[list[int]]:
        size = CONFIG.count_bits // 8
        frames = await self.receive("y", count)
        return [[int.from_bytes(f[i : i + size], "little") for i in range(0, len(f), size)] for f in frames]

    async def check(self, windows: list[Window]) -> None:
        """Send windows and compare the counts with the model's."""
        self.send("x", vectors.beats_of([vectors.window_packet(CONFIG, one) for one in windows]))
        assert await self.results(len(windows)) == self.counts(windows)


@cocotb.test()
async def constants_say_what_was_built(dut: Any) -> None:
    """Identity and shape; everything else is 0 after reset."""
    bench = await Bench.start(dut)
    assert (await bench.read("identity")).to_bytes(4, "little") == b"SFQN"
    assert await bench.read("shape") == CONFIG.lanes | CONFIG.neurons << 8
    assert await bench.read("synapses") == CONFIG.synapses
    assert await bench.read("slot_cycles") == CONFIG.slot_cycles
    for register in ("status", "irq_enable", "control", "windows", "slots", "cycles"):
        assert await bench.read(register) == 0, register


@cocotb.test()
@cocotb.parametrize(stalls=[(0, 0), (0.5, 0.5), (0.8, 0), (0, 0.8)])
async def counts_match_the_model(dut: Any, stalls: tuple[float, float]) -> None:
    """Windows of 1 to 9 slots, some programs among them, x and y stalled."""
    bench = await Bench.start(dut, x=stalls[0], y=stalls[1])
    for _ in range(4):
        bench.load()
        await bench.sources["x"].wait()
        await bench.check([random_window(random.randint(1, 9)) for _ in range(5)])
    assert await bench.read("status") == 0


@cocotb.test()
async def latency_is_what_the_config_says(dut: Any) -> None:
    """From the cycle that takes a window's last word to the first that offers its counts."""
    bench = await Bench.start(dut)
    bench.load()
    for slots in (1, 1, 2, 5):
        await bench.check([random_window(slots)])
        await ClockCycles(dut.clk, random.randint(0, 3))
    ends = bench.watches["x"].lasts[2:]
    measured = [offer - end for offer, end in zip(bench.watches["y"].offered, ends, strict=True)]
    assert measured == [CONFIG.latency_cycles] * 4


@cocotb.test()
async def slots_follow_without_bubbles(dut: Any) -> None:
    """A slot's last word is taken every `slot_cycles`."""
    bench = await Bench.start(dut)
    bench.load()
    await bench.check([random_window(12)])
    words = bench.watches["x"].taken[-12 * CONFIG.slot_words :]
    ends = words[CONFIG.slot_words - 1 :: CONFIG.slot_words]
    assert [b - a for a, b in pairwise(ends)] == [CONFIG.slot_cycles] * 11


@cocotb.test()
async def empty_windows_count_nothing(dut: Any) -> None:
    """A window of a first word alone has counts of 0, and the next windows are as if it had not been."""
    bench = await Bench.start(dut)
    bench.load()
    window = random_window(3)
    bench.send("x", vectors.beats_of([empty(), empty(), vectors.window_packet(CONFIG, window), empty()]))
    none = [0] * CONFIG.outputs
    assert await bench.results(4) == [none, none, *bench.counts([window]), none]
    offers, ends = bench.watches["y"].offered, bench.watches["x"].lasts[2:]
    assert offers[0] - ends[0] == 3


@cocotb.test()
async def reset_forgets_what_is_in_flight(dut: Any) -> None:
    """Wherever it comes, a program and windows sent afterwards are right."""
    bench = await Bench.start(dut)
    for cycles in (1, 5, 30, 31, 32, 33, 34, 60, 61, 62, 63, 64, 65, 150):
        bench.load()
        bench.send("x", vectors.beats_of([vectors.window_packet(CONFIG, random_window(4))]))
        await ClockCycles(dut.clk, cycles)
        bench.sources["x"].clear()
        await bench.reset()
        bench.sinks["y"].clear()
        bench.load()
        await bench.check([random_window(2), random_window(1)])


@cocotb.test()
async def bad_packets_are_told_and_do_nothing(dut: Any) -> None:
    """A kind that there is not, words beyond a memory, a slot cut short; the next windows are right."""
    bench = await Bench.start(dut)
    bench.load()
    unknown = np.array([UNKNOWN_KIND], np.uint32)
    surplus = np.array([0x1234, 0x5678], np.uint32)
    packets = [unknown, np.concatenate([unknown, surplus])]
    arrays = random_program()
    packets += [np.concatenate([packet, surplus]) for packet in program_packets(arrays)]
    await bench.write("irq_enable", BAD_PACKET)
    for packet in packets:
        assert int(dut.irq.value) == 0
        bench.send("x", vectors.beats_of([packet]))
        await ClockCycles(dut.clk, 20 + len(packet) + 4 * (CONFIG.synapses + CONFIG.neurons))
        assert await bench.read("status") == BAD_PACKET
        assert int(dut.irq.value) == 1
        await bench.write("status", BAD_PACKET)
        await ClockCycles(dut.clk, 2)
    bench.program = vectors.program_of(arrays)
    await bench.check([random_window(3)])
    if CONFIG.slot_words > 1:
        window = random_window(3)
        bench.send("x", vectors.beats_of([vectors.window_packet(CONFIG, window)[:-1]]))
        assert await bench.results(1) == bench.counts([window[:-1]])
        assert await bench.read("status") == BAD_PACKET
        await bench.check([random_window(3)])


@cocotb.test()
async def programs_may_be_short(dut: Any) -> None:
    """What a packet leaves out stays as it was."""
    bench = await Bench.start(dut)
    arrays, others = random_program(), random_program()
    bench.send("x", vectors.beats_of(program_packets(arrays)))
    neurons = program_packets(others)[1][: 1 + 2]  # the first neuron alone
    bench.send("x", vectors.beats_of([neurons, np.array([Packet.SYNAPSES], np.uint32)]))
    arrays["neurons"][0] = others["neurons"][0]
    bench.program = vectors.program_of(arrays)
    await bench.check([random_window(6)])
    assert await bench.read("status") == 0


@cocotb.test()
async def counts_saturate_and_say_so(dut: Any) -> None:
    """Neurons that always fire, in a window longer than a count of 8 bits."""
    if CONFIG.count_bits > 8:
        return
    bench = await Bench.start(dut)
    arrays = random_program()
    arrays["neurons"][:] = [0, 0, 0, -1]
    bench.program = vectors.program_of(arrays)
    bench.send("x", vectors.beats_of(program_packets(arrays)))
    most = (1 << CONFIG.count_bits) - 1
    for slots, status in ((most - 1, 0), (most, 0), (most + 1, COUNT_SATURATED), (most + 9, COUNT_SATURATED)):
        window = random_window(slots)
        bench.send("x", vectors.beats_of([vectors.window_packet(CONFIG, window)]))
        await ClockCycles(dut.clk, slots * CONFIG.slot_cycles)
        assert await bench.results(1) == bench.counts([window]) == [[min(slots, most)] * CONFIG.outputs]
        assert await bench.read("status") == status
        await bench.write("status", COUNT_SATURATED)


@cocotb.test()
async def counters_count_and_clear(dut: Any) -> None:
    """Windows, slots, and cycles with a slot in flight."""
    bench = await Bench.start(dut)
    bench.load()
    await bench.check([random_window(slots) for slots in (3, 1, 4)])
    assert [await bench.read(name) for name in ("windows", "slots")] == [3, 8]
    # The cycle that takes a slot's last word is not counted; a window takes one more to give its counts.
    assert await bench.read("cycles") == 8 * (CONFIG.slot_cycles - 1) + 3
    await bench.write("control", REGISTERS["control"]["clear_counters"].mask)
    assert [await bench.read(name) for name in ("windows", "slots", "cycles")] == [0, 0, 0]


@cocotb.test()
async def busy_while_a_slot_or_a_result_is_in_flight(dut: Any) -> None:
    """Until the result is taken."""
    bench = await Bench.start(dut)
    bench.load()
    bench.sinks["y"].pause = True
    bench.send("x", vectors.beats_of([vectors.window_packet(CONFIG, random_window(2))]))
    await ClockCycles(dut.clk, 50 + 4 * (CONFIG.synapses + CONFIG.neurons) + 3 * CONFIG.slot_cycles)
    assert await bench.read("status") == BUSY
    bench.sinks["y"].pause = False
    await ClockCycles(dut.clk, 4)
    assert await bench.read("status") == 0
