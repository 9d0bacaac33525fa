"""Programs of the compiler on the device's golden model, against numpy; how many cycles they take."""

from random import Random

import ml_dtypes
import numpy as np
import pytest

from flows.paths import build_root
from hdl.pim.channel_config import ChannelConfig
from hdl.pim.commands import Instruction, Op, encode_program
from sim.pim.burst import Burst
from sim.pim.channel_model import Channel
from sim.pim.device_model import Device
from sim.pim.gemv import Gemv

TWO = {"gb_banks": 2, "accumulators": 2, "overlap": True}
AIM = {"base": "aim", "mode_switch_cycles": 0}
CONFIGS = {
    "serial": {"profile": "aim"},
    "overlap": {"profile": "pimgpt", **TWO},
    "two_rows": {"profile": "pimgpt", **TWO, "row_buffers": 2},
    "one_buffer_bank": {"profile": "pimgpt", **TWO, "gb_banks": 1},
}


def ended(plan):
    return [*plan.program.instructions, Instruction(Op.EOC)]


def cycles_of(config, plan):
    with Burst(config, build_root() / "pim") as burst:
        return int(burst.run(encode_program(ended(plan))).cycles[0])


def holds_its_order(plan):
    """The program never overwrites what a later MAC needs, or reads what is not whole: a scoreboard of tiles."""
    buffers, accumulators, inputs, results = {}, {}, iter(plan.program.inputs), iter(plan.program.results)
    for one in plan.program.instructions:
        for column in range(one.col, one.col + one.count):
            if one.op == Op.WR_GB:
                buffers[one.gb, column] = next(inputs)
            elif one.op == Op.MAC_ABK:
                (block, at) = buffers[one.gb, column]
                accumulators.setdefault(one.acc, []).append((block, at))
        if one.op == Op.RD_MAC:
            block, _ = next(results)
            assert accumulators.pop(one.acc) == [(block, at) for at in range(plan.work[block].columns)]
    assert not accumulators and next(inputs, None) is None and next(results, None) is None


@pytest.mark.parametrize("dtype", ["bf16", "int8"])
@pytest.mark.parametrize("name", CONFIGS)
def test_gemv_by_programs_is_the_gemv_in_the_declared_order(name, dtype):
    random = np.random.default_rng(len(name))
    for outputs, inputs in [(1, 1), (9, 17), (40, 61), (33, 100), (70, 48), (5, 130)]:
        channels = int(random.integers(1, 4))
        config = ChannelConfig.parse(CONFIGS[name] | {"banks": 4, "columns": 8, "lanes": 4, "dtype": dtype})
        plan = Gemv(config, outputs, inputs, channels=channels, row=7)
        holds_its_order(plan)
        weights, vector = random.normal(size=(outputs, inputs)), random.normal(size=inputs)
        if dtype == "bf16":
            weights, vector = (one.astype(ml_dtypes.bfloat16).view(np.uint16) for one in (weights, vector))
        else:
            weights, vector = ((one * 40).clip(-128, 127).astype(np.int8) for one in (weights, vector))
        devices = []
        for channel in range(channels):
            device = Device(config)
            for row, contents in plan.contents(weights, channel).items():
                device.fill(row, contents)
            devices.append(device)
        got = plan.run(devices, vector)
        assert np.array_equal(got, plan.direct(weights, vector))
        if dtype == "int8":
            assert np.array_equal(got, weights.astype(int) @ vector.astype(int))


@pytest.mark.parametrize(("params", "most"), [({}, 29_100), ({"row_buffers": 2}, 17_000)])
def test_large_gemv_hides_buffer_and_readout(params, most):
    config = ChannelConfig.parse({"profile": AIM, **TWO, **params})
    assert cycles_of(config, Gemv(config, 4096, 4096, channels=8)) <= most


def test_large_gemv_of_the_peer_in_serial_order():
    """37,120 cycles in aim_simulator, which writes a bias for every tile; without them it must be less."""
    config = ChannelConfig.parse({"profile": "aim"})
    assert cycles_of(config, Gemv(config, 4096, 4096, channels=8)) < 37_120


@pytest.mark.parametrize("refresh", [False, True])
def test_programs_take_as_long_in_the_golden_model_of_the_channel(refresh):
    random = Random(5)
    for name, params in CONFIGS.items():
        config = ChannelConfig.parse({**params, "refresh": refresh})
        plan = Gemv(config, random.randint(1, 600), random.randint(1, 3000))
        assert cycles_of(config, plan) == Channel(config).run(ended(plan), commands=False).cycles, name
