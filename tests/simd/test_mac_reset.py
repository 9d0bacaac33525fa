"""The shortest reset there is, one cycle, while beats are in flight."""

import pytest
from amaranth.hdl import ResetInserter, Signal
from amaranth.sim import Simulator

from hdl.simd.config import MacConfig
from hdl.simd.mac import build
from hdl.simd.modes import MODES, OUTPUT_FORMATS

ONE = {"p8_0": 0x40, "p16_1": 0x4000}


def operation(mode, a, b):
    return a | b << 32 | (MODES[mode].code | OUTPUT_FORMATS.index(mode) << 4) << 64


@pytest.mark.parametrize("mode", ONE)
@pytest.mark.parametrize("wait_cycles", range(1, 5))
def test_mac_nothing_in_flight_outlives_a_reset_of_one_cycle(mode, wait_cycles):
    config = MacConfig(modes=("p8_0", "p16_1"), outputs=("p8_0", "p16_1"), core_only=True)
    core, reset = build(config), Signal()

    async def bench(ctx):
        ctx.set(core.y.ready, 1)
        await ctx.tick().repeat(10)
        ctx.set(core.op.payload.data, operation(mode, ONE[mode] + 3, ONE[mode] + 5))
        ctx.set(core.op.valid, 1)
        await ctx.tick().repeat(6)
        ctx.set(core.op.valid, 0)
        await ctx.tick().repeat(wait_cycles)
        ctx.set(reset, 1)
        await ctx.tick()
        ctx.set(reset, 0)
        ctx.set(core.op.payload.data, operation(mode, ONE[mode], ONE[mode]))
        ctx.set(core.op.payload.last, 1)
        ctx.set(core.op.valid, 1)
        await ctx.tick().until(core.op.ready)
        ctx.set(core.op.valid, 0)
        assert await ctx.tick().sample(core.y.payload).until(core.y.valid) == (ONE[mode],)

    simulator = Simulator(ResetInserter(reset)(core))
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
