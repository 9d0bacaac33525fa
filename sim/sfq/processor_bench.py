"""cocotb bench of `sfq.processor`: protocol, latency, throughput, reset and registers, held against the golden model.

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
from hdl.sfq.cells import Cell, Reaction
from hdl.sfq.netlist import Instance, Netlist
from hdl.sfq.processor_config import ProcessorConfig
from hdl.sfq.processor_image import make_program, read_answers, run_words
from hdl.sfq.processor_words import Opcode, Status, word
from sim.common.beats import Beats
from sim.common.register_edge import RegisterEdge
from sim.common.vectors import Arrays
from sim.sfq import processor_vectors as vectors

CONFIG = ProcessorConfig.parse(json.loads(os.environ["NIELLO_CONFIG"]))
REGISTERS = load_registers(*CONFIG.register_source)
PULSES = 60
MOST_DELIVERIES = 400
"""Of a random case: some netlists with loops take more cycles than the bench waits."""


class Bench(RegisterEdge):
    """The block with a bus model on each of its interfaces."""

    MAP = REGISTERS

    @classmethod
    async def start(cls, dut: Any, *, words: float = 0, answers: float = 0) -> Bench:
        """Reset the block; each stream is stalled with its probability in every cycle."""
        bench = cls(dut)
        await bench.reset()
        bench.stall(words, "words")
        bench.stall(answers, "answers")
        return bench

    async def packet(self) -> Beats:
        """The answers of a run."""
        (frame,) = await self.receive("answers", 1)
        return Beats(np.frombuffer(frame, np.uint8).reshape(-1, 8))

    async def check(self, arrays: Arrays) -> None:
        """Run a netlist and compare the results with the golden model's."""
        self.send("words", vectors.pack(CONFIG, arrays)["words"])
        got, right = vectors.unpack(CONFIG, arrays, {"answers": await self.packet()}), vectors.model(CONFIG, arrays)
        for name, array in right.items():
            np.testing.assert_array_equal(got[name], array, name)


def random_case(pulses: int = PULSES) -> Arrays:
    """A netlist and its pulses."""
    while True:
        arrays = vectors.random_arrays(CONFIG, random.getrandbits(32), pulses)
        if vectors.operations(CONFIG, arrays) <= MOST_DELIVERIES:
            return arrays


def line(delay: int = 3, cells: int = 1) -> Netlist:
    """Cells that pass pulses on, one after the other: `w0` leads in."""
    cell = Cell("PASS", ("a",), ("q",), {"0": {"a": Reaction("0", {"q": delay})}})
    instances = tuple(Instance(f"u{n}", cell, {"a": f"w{n}", "q": f"w{n + 1}"}) for n in range(cells))
    return Netlist("line", instances, ("w0",), (f"w{cells}",))


@cocotb.test()
async def constants_say_what_was_built(dut: Any) -> None:
    """Identity and shape; everything else is 0 after reset."""
    bench = await Bench.start(dut)
    assert (await bench.read("identity")).to_bytes(4, "little") == b"PSFQ"
    shape = REGISTERS["shape"].decode(await bench.read("shape"))
    assert shape == {name: getattr(CONFIG, name) for name in shape}
    for register in ("status", "irq_enable", "control", "deliveries", "answers", "cycles"):
        assert await bench.read(register) == 0, register
    assert await bench.interrupt() == 0


@cocotb.test()
@cocotb.parametrize(stalls=[(0, 0), (0.5, 0.5), (0.8, 0), (0, 0.8)])
async def results_match_the_model(dut: Any, stalls: tuple[float, float]) -> None:
    """Random netlists, words and answers stalled."""
    bench = await Bench.start(dut, words=stalls[0], answers=stalls[1])
    for _ in range(3):
        await bench.check(random_case())


@cocotb.test()
async def latency_is_what_the_config_says(dut: Any) -> None:
    """From END to its answer, without pulses: `random_arrays` has one item less of them."""
    bench = await Bench.start(dut)
    for _ in range(3):
        await bench.check(random_case(1))
        assert bench.watches["answers"].offered[-1] - bench.watches["words"].taken[-1] == CONFIG.latency_cycles


@cocotb.test()
async def reset_in_mid_flight_leaves_no_trace(dut: Any) -> None:
    """Neither in the results that follow nor in the registers."""
    bench = await Bench.start(dut, words=0.2, answers=0.2)
    for _ in range(4):
        bench.send("words", vectors.pack(CONFIG, random_case())["words"])
        await ClockCycles(dut.clk, random.randint(100, 3000))
        bench.sources["words"].clear()
        await bench.reset()
        bench.sinks["answers"].clear()
        assert [await bench.read(name) for name in ("status", "deliveries", "answers", "cycles")] == [0] * 4
        await bench.check(random_case())


@cocotb.test()
async def a_stalled_answer_holds_everything(dut: Any) -> None:
    """Whatever else is there waits; nothing is lost."""
    bench = await Bench.start(dut)
    bench.sinks["answers"].pause = True
    await ClockCycles(dut.clk, 2)
    program, times = make_program(line(), CONFIG), list(range(0, 2000, 100))
    bench.send("words", vectors.beats_of(run_words(program, {"w0": times})))
    await ClockCycles(dut.clk, 1000)
    assert len(bench.watches["answers"].taken) == 0
    assert await bench.read("status") == REGISTERS["status"]["busy"].mask
    bench.sinks["answers"].pause = False
    found = read_answers(program, vectors.words_of(await bench.packet()))
    assert found.pulses == {"w1": [time + 3 for time in times]}
    await ClockCycles(dut.clk, 2)
    assert await bench.read("status") == 0


@cocotb.test()
async def a_lone_pulse_takes_twelve_cycles_a_cell(dut: Any) -> None:
    """As the docstring of `Processor` counts: 6 for the tick, 2 to gather the pulse, 4 to deliver it."""
    bench = await Bench.start(dut)
    lengths, cells = [], (4, 10)
    for count in cells:
        program = make_program(line(cells=count), CONFIG)
        await bench.write("control", REGISTERS["control"]["clear_counters"].mask)
        bench.send("words", vectors.beats_of(run_words(program, {"w0": [5]})))
        assert read_answers(program, vectors.words_of(await bench.packet())).pulses == {f"w{count}": [5 + 3 * count]}
        await ClockCycles(dut.clk, 2)
        lengths.append(await bench.read("cycles"))
        assert await bench.read("deliveries") == count + 1, "the output's pin takes one, too"
    assert lengths[1] - lengths[0] == 12 * (cells[1] - cells[0])


@cocotb.test()
async def registers_count_and_tell(dut: Any) -> None:
    """Status bits stay until they are cleared; the interrupt follows those that are enabled."""
    bench = await Bench.start(dut)
    program = make_program(line(), CONFIG)
    bench.send("words", vectors.beats_of([word(Opcode.STATE, 1 << 39), *run_words(program, {"w0": [1, 2]})]))
    found = read_answers(program, vectors.words_of(await bench.packet()))
    assert found.finish.status == Status.BAD_WORD
    await ClockCycles(dut.clk, 2)
    bad_word = REGISTERS["status"]["bad_word"].mask
    assert [await bench.read(name) for name in ("status", "answers", "deliveries")] == [bad_word, 3, 4]
    assert await bench.interrupt() == 0, "not enabled"
    await bench.write("irq_enable", REGISTERS["irq_enable"]["queue_full"].mask)
    assert await bench.interrupt() == 0, "another bit is enabled"
    await bench.write("irq_enable", REGISTERS["irq_enable"]["bad_word"].mask)
    assert await bench.interrupt() == 1
    await bench.write("status", bad_word)
    assert await bench.interrupt() == 0
    assert await bench.read("status") == 0
    await bench.write("control", REGISTERS["control"]["clear_counters"].mask)
    assert [await bench.read(name) for name in ("answers", "deliveries", "cycles")] == [0, 0, 0]
