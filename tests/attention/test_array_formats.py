"""Formats of keys and values in the gateware: random lists of jobs in Verilator, against the golden model."""

import numpy as np
import pytest

from hdl.attention.array import Array
from hdl.attention.config import ArrayConfig
from sim.attention.array_stimulus import random_case
from sim.common.harness_device import HarnessDevice
from sim.common.memory_job import MemoryJob, run_job

pytestmark = pytest.mark.deep
BLOCKS = ["mxint8", "mxint4", "mxfp4", "nvfp4", "mxfp6", "bfp12"]
CONFIGS = {
    "packed": {"rows": 2, "lanes": 4, "dim": 16, "subtiles": 2, "bus_bits": 32, "formats": ["int4"]},
    "blocks": {"rows": 2, "lanes": 16, "dim": 64, "subtiles": 2, "bus_bits": 64, "formats": ["int4", *BLOCKS]},
    "narrow": {"rows": 2, "lanes": 4, "dim": 64, "subtiles": 2, "bus_bits": 32, "formats": BLOCKS},
    "wide": {"rows": 2, "lanes": 32, "dim": 128, "subtiles": 2, "bus_bits": 256, "formats": ["mxfp6", "mxint4"]},
}


@pytest.fixture(scope="module")
def block():
    def of(name):
        config = ArrayConfig.parse(CONFIGS[name])
        return CONFIGS[name], config, Array(config)

    return of


def random_lists(built, count):
    """Status bits and formats that came, once lists of jobs have left the golden model's memory, status and counts."""
    rng = np.random.default_rng(12)
    registers, seen = built.config.registers, set()
    with built.harness() as harness:
        for seed in range(count):
            case = random_case(rng, built.config, bad=0.1)
            harness.write(registers["control"].offset_bytes, registers["control"]["clear_counters"].mask)
            given = {"list_address": case.list_address, "list_length": case.length, "window": case.window}
            memory = {"stall": float(rng.choice([0, 0.3, 0.8])), "latency_cycles": int(rng.integers(0, 65))}
            job = MemoryJob(case.before, given, range(len(case.before)))
            result = run_job(HarnessDevice(harness, seed=seed, **memory), registers, job)
            np.testing.assert_array_equal(result.content, case.after)
            status = {name for name, value in registers["status"].decode(result.status).items() if value}
            assert status == case.status
            for name, wanted in (("macs", case.cost.mac_cycles), ("words_read", case.cost.words_read)):
                assert harness.read(registers[name].offset_bytes) == wanted, name
            seen |= status | {(name, job[name]) for job in case.jobs for name in ("k_format", "v_format")}
    return seen


@pytest.mark.parametrize("built", CONFIGS, indirect=True)
def test_lists_of_any_formats_match_the_model(built):
    seen = random_lists(built, 150)
    formats = built.config.built_formats.values()
    assert seen >= {(name, each.code) for each in formats for name in ("k_format", "v_format")}
    assert ("exponent_clipped" in seen) == built.config.has_blocks


@pytest.mark.parametrize("built", ["packed", "blocks"], indirect=True)
def test_array_bench_passes_with_formats(built, tmp_path):
    names = ["results_match_the_model", "reset_in_mid_flight_leaves_no_trace", "bad_jobs_are_left_out"]
    assert built.bench_tests("sim.attention.array_bench", tmp_path, names)
