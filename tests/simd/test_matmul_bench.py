"""The cocotb bench of simd.matmul, tried on a stand-in for the gateware: it passes, and every fault is caught."""

import json

import pytest

from flows.verilog import port_table
from hdl.simd.config import MatmulConfig
from hdl.simd.matmul import build
from sim.common.runner import build_bench, run_bench

pytestmark = pytest.mark.deep
TOP = "niello_stand_in"
PARAMS = {
    "int8": {"modes": ["int8"], "outputs": ["int8", "fp4"], "rows": 2, "columns": 2, "bus_bits": 32, "depth_beats": 16},
    "mixed": {"modes": ["p16_1", "e5m2", "int4"], "outputs": ["e5m2", "fp16"], "rows": 3, "columns": 4}
    | {"bus_bits": 128, "depth_beats": 16},
}
FAULTS = {
    "no relu": ["results_match_the_model/pauses=0"],
    "columns swapped": ["every_output_of_every_mode_matches_the_model/mode=e5m2"],
    "keeps operands": ["jobs_read_their_memory_anew/pauses=0"],
    "status outlives reset": ["reset_in_mid_flight_leaves_no_trace"],
    "start while busy": ["start_while_busy_is_ignored"],
    "K of p16_1 unbounded": ["bad_jobs_are_refused"],
    "a_stride": ["bad_jobs_are_refused"],
    "bias_address": ["bad_jobs_are_refused"],
    "bias exponent unbounded": ["bad_jobs_are_refused"],
    "no interrupt for bad jobs": ["bad_jobs_are_refused"],
    "any write clears all": ["status_collects_and_interrupts"],
    "beats twice": ["counters_count_and_clear/mode=int4"],
    "reads again": ["operands_are_read_no_more_than_needed/size=1"],
    "reads too far": ["edges_of_panels_match_the_model/size=0"],
    "writes a byte too much": ["edges_of_panels_match_the_model/size=2"],
    "does not wait for answers": ["results_match_the_model/pauses=0.8"],
    "two IDs": ["results_match_the_model/pauses=0"],
    "withdraws requests": ["results_match_the_model/pauses=0.5"],
    "changes requests": ["results_match_the_model/pauses=0.5"],
    "changes data": ["results_match_the_model/pauses=0.5"],
    "changes strobes": ["results_match_the_model/pauses=0.5"],
    "DECERR unseen": ["bus_errors_end_the_job/area=c/response=3"],
}


@pytest.fixture(scope="module")
def shells(tmp_path_factory):
    """Folders of built shells, by the name of their parameters."""
    folders = {}

    def of(name):
        if name not in folders:
            folder = folders[name] = tmp_path_factory.mktemp("shell")
            ports = port_table(build(MatmulConfig.parse(PARAMS[name])))
            table = {"top": TOP, "clock": "clk", "reset": "rst", "ports": ports}
            (folder / "ports.json").write_text(json.dumps(table))
            # All of them inputs, so that Python can drive those too that the block would.
            inputs = ", ".join(f"input [{port['width'] - 1}:0] {port['name']}" for port in ports)
            (folder / "shell.v").write_text(f"module {TOP}({inputs});\nendmodule\n")
            build_bench(folder / "shell.v", TOP, folder / "build")
        return folders[name]

    return of


def run(folder, name, work, fault="", tests=None):
    options = {"seed": 7, "config": PARAMS[name], "ports": folder / "ports.json", "env": {"NIELLO_FAULT": fault}}
    return run_bench(folder / "build", TOP, "tests.simd.matmul_stand_in", work, tests=tests, **options)


@pytest.mark.parametrize("name", PARAMS)
def test_matmul_bench_passes_on_a_stand_in(shells, name, tmp_path):
    result = run(shells(name), name, tmp_path)
    assert result.passed, result.summary()
    assert len(result.tests) == 35 + 2 * len(PARAMS[name]["modes"])


@pytest.mark.parametrize("fault", FAULTS)
def test_matmul_bench_catches_every_fault(shells, fault, tmp_path):
    result = run(shells("mixed"), "mixed", tmp_path, fault, FAULTS[fault])
    assert [test.name for test in result.failures] == FAULTS[fault]
