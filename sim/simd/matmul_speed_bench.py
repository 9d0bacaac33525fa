"""cocotb bench of `simd.matmul`'s speed: how busy the array is while the memory is hardly faster than it has to be.

For a config whose bus is wide enough: what a tile's operands take on it is less than its beats. `NIELLO_CONFIG` and
`NIELLO_PORTS` say what was built.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import cocotb

from hdl.simd.modes import MODES
from sim.simd.matmul_edge import CONFIG, Bench, generator
from sim.simd.matmul_stimulus import random_case
from sim.simd.matmul_traffic import traffic

SIZE = 128
SPARE = 1.1
"""Bandwidth of the memory over what is needed: words read, and words written, over the beats of the array."""

BUSY = 0.95
"""Share of a job's cycles, from start to done, in which the array takes operands."""


@cocotb.test()
@cocotb.parametrize(mode=[mode for mode in CONFIG.modes if MODES[mode].slot_bits == 8])
async def array_is_busy(dut: Any, mode: str) -> None:
    """A product of 128 x 128 x 128 elements of 8 bits; results in the same format if it is there."""
    bench = await Bench.start(dut)
    output = mode if mode in CONFIG.outputs else CONFIG.outputs[0]
    case = random_case(generator(), CONFIG, mode=mode, output=output, shape=(SIZE, SIZE, SIZE), has_bias=False)
    needed = traffic(CONFIG, case.job)
    rates = {"r": SPARE * needed.operand_words / needed.beats, "w": SPARE * needed.write_words / needed.beats}
    assert max(rates.values()) < 1, f"the bus is too narrow: {rates} words a cycle"
    for name, rate in rates.items():
        bench.channels[name].set_pause_generator(every(rate))
    await bench.run(case)
    beats, cycles = [await bench.read(name) for name in ("beats", "cycles")]
    found = f"{mode}: {beats} beats in {cycles} cycles, {beats / cycles:.4f}, at {rates['r']:.3f} words a cycle"
    cocotb.log.warning(found)  # the level that the log of a bench keeps
    assert beats == needed.beats
    assert beats >= BUSY * cycles, found


def every(rate: float) -> Iterator[bool]:
    """For ever: a pause in all but this share of the cycles, evenly."""
    moved = 0.0
    while True:
        moved += rate
        yield moved < 1
        moved -= int(moved)
