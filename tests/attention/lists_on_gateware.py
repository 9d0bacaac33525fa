"""Lists of jobs on `attention.array` in Verilator: begun, or done and held to the golden model and the scheduler."""

import numpy as np

from sim.attention.array_stimulus import random_case
from sim.common.harness_device import HarnessDevice


def begin(built, harness, case, **memory):
    """Starts a list with its memory."""
    registers = built.config.registers
    device = HarnessDevice(harness, **memory)
    device.load(case.before)
    values = {"status": 0xFFFF, "irq_enable": registers["status"]["done"].mask}
    values |= {"list_address": case.list_address, "list_length": case.length, "window": case.window}
    for name, value in values.items():
        device.write_register(registers[name].offset_bytes, value)
    for command in ("clear_counters", "start"):
        device.write_register(registers["control"].offset_bytes, registers["control"][command].mask)
    return device


def run(built, harness, case, **memory):
    """A list from start to end: memory, status and counters as the model and the scheduler say."""
    registers = built.config.registers
    device = begin(built, harness, case, **memory)
    device.wait()
    found = device.unload(range(len(case.before)))
    np.testing.assert_array_equal(found, case.after)
    word = device.read_register(registers["status"].offset_bytes)
    assert {field.name for field in registers["status"].fields if word & field.mask} == case.status
    names = ("jobs", "macs", "words_read", "words_written")
    cost, counted = case.cost, [device.read_register(registers[name].offset_bytes) for name in names]
    assert counted == [cost.jobs, cost.mac_cycles, cost.words_read, cost.words_written]


def random_runs(built, seeds, mutant=None, bad=0.0):
    """Lists of so many seeds on the gateware, or on a mutant of it: the cases."""
    rng, cases = np.random.default_rng(11), []
    with mutant or built.harness() as harness:
        for seed in range(seeds):
            cases.append(case := random_case(rng, built.config, bad=bad))
            stall = float(rng.choice([0, 0.3, 0.8]))
            run(built, harness, case, stall=stall, seed=seed, latency_cycles=int(rng.integers(0, 65)))
    return cases
