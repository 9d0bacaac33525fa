"""Parts of `pulse.cnn` that have a meaning of their own."""

import random
import zlib

from amaranth.sim import Simulator

from hdl.pulse.cnn_crc import Crc32


def checksums(steps):
    """What a `Crc32` says after each (clear, add, word)."""
    dut = Crc32()
    seen = []

    async def drive(ctx):
        for clear, add, word in steps:
            ctx.set(dut.clear, clear)
            ctx.set(dut.add, add)
            ctx.set(dut.word, word)
            await ctx.tick()
            seen.append(ctx.get(dut.crc))

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(drive)
    simulator.run()
    return seen


def test_crc_is_that_of_zlib():
    rng = random.Random(1)
    steps = [(int(rng.random() < 0.05), int(rng.random() < 0.7), rng.getrandbits(32)) for _ in range(500)]
    expected, data = [], b""
    for clear, add, word in steps:
        data = (b"" if clear else data) + (word.to_bytes(4, "little") if add else b"")
        expected.append(zlib.crc32(data))
    assert checksums(steps) == expected
