"""What the device finds wrong with a command, one after the other."""

from amaranth.sim import Simulator

from hdl.pim.commands import Command
from hdl.pim.device_config import DeviceConfig
from hdl.pim.device_rows import OpenRows
from hdl.pim.violations import Violation
from sim.pim import device_vectors
from sim.pim.device_model import Device

CONFIG = DeviceConfig(profile="pimgpt", banks=4, rows=16, lanes=8, dtype="int8")
FIELDS = ("command", "bank", "bank_mask", "row", "col", "gb", "acc", "buf")


def test_every_command_is_judged_as_by_the_model():
    """Random commands, codes and fields beyond the config among them."""
    rows, told = OpenRows(CONFIG), set()

    async def bench(ctx):
        arrays, model = device_vectors.random_arrays(CONFIG, 1, 2000), Device(CONFIG)
        for index in range(2000):
            one = {name: values[index : index + 1] for name, values in arrays.items()}
            model.first_illegal = None
            device_vectors.run(model, CONFIG, one)
            flags = int(one["flags"][0])
            given = one | {"gb": [flags & 1], "acc": [flags >> 1 & 1], "buf": [flags >> 2 & 1]}
            for name in FIELDS:
                port = getattr(rows, name)
                ctx.set(port, int(given[name][0]) & ((1 << len(port)) - 1))
            if given["command"][0] != Command.NOP:
                right = Violation[model.first_illegal[1]] if model.first_illegal else 0
                assert ctx.get(rows.violation) == right, {name: int(given[name][0]) for name in FIELDS}
                told.add(right)
                ctx.set(rows.obeyed, right == 0)
            else:
                ctx.set(rows.obeyed, 0)
            await ctx.tick()

    simulator = Simulator(rows)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    assert told == {0, Violation.UNKNOWN, Violation.NOT_OPEN, Violation.ALREADY_OPEN, Violation.REFRESH_OPEN}
