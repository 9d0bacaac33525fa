"""Lists of jobs of every kind on `attention.array` in Verilator, against the golden model."""

import numpy as np
import pytest

from hdl.attention.array import Array
from hdl.attention.config import ArrayConfig
from sim.attention.array_stimulus import random_case
from sim.common.harness import HarnessError
from sim.common.harness_device import HarnessDevice

pytestmark = pytest.mark.deep
CONFIGS = {
    "small": {"rows": 4, "lanes": 4, "dim": 8, "subtiles": 4, "bus_bits": 32, "linear": True},
    "three": {"rows": 4, "lanes": 8, "dim": 16, "subtiles": 2, "bus_bits": 32, "softmax_units": 3, "linear": True},
    "parts": {"rows": 4, "lanes": 8, "dim": 24, "subtiles": 8, "bus_bits": 32, "linear": True},
    "packed": {
        "rows": 8,
        "lanes": 8,
        "dim": 32,
        "subtiles": 2,
        "bus_bits": 64,
        "linear": True,
        "formats": ["int4", "int2"],
    },
}


@pytest.fixture(scope="module")
def block():
    def of(name):
        config = ArrayConfig.parse(CONFIGS[name])
        return CONFIGS[name], config, Array(config)

    return of


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
    """Lists of so many seeds on the gateware, or on a mutant of it."""
    rng = np.random.default_rng(11)
    with mutant or built.harness() as harness:
        for seed in range(seeds):
            case = random_case(rng, built.config, bad=bad)
            stall = float(rng.choice([0, 0.3, 0.8]))
            run(built, harness, case, stall=stall, seed=seed, latency_cycles=int(rng.integers(0, 65)))


@pytest.mark.parametrize("built", CONFIGS, indirect=True)
def test_any_list_matches_the_model(built):
    random_runs(built, 300)


@pytest.mark.parametrize("built", ["small", "packed"], indirect=True)
def test_bad_jobs_are_left_out(built):
    random_runs(built, 200, bad=0.6)


@pytest.mark.parametrize("built", ["small"], indirect=True)
def test_reset_in_mid_flight_leaves_no_trace(built):
    rng = np.random.default_rng(12)
    with built.harness() as harness:
        for seed in range(60):
            begin(built, harness, random_case(rng, built.config), stall=0.2, seed=seed)
            harness.step(int(rng.choice([1, rng.integers(2, 60), rng.integers(60, 3000)])))
            harness.reset()
            run(built, harness, random_case(rng, built.config), stall=0.2, seed=seed)


MUTANTS = [
    ("loader", "+", "-"),
    ("passes__walk", "&", "|"),
    ("passes__walk__layers", "+", "-"),
    ("layer_outputs", "&", "|"),
    ("layers", "+", "-"),
    ("write_port", "&", "|"),
]


@pytest.mark.parametrize(("module", "operator", "other"), MUTANTS)
@pytest.mark.parametrize("built", ["small"], indirect=True)
def test_mutants_of_linear_layers_are_caught(built, module, operator, other, tmp_path):
    with built.mutant(module, operator, other, tmp_path) as mutant, pytest.raises((AssertionError, HarnessError)):
        random_runs(built, 100, mutant)
