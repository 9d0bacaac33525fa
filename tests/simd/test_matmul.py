"""`simd.matmul` in Verilator: the cocotb bench against the golden model, and how busy the array is."""

from __future__ import annotations

import pytest

from hdl.simd import matmul
from hdl.simd.config import MatmulConfig
from hdl.simd.modes import OUTPUT_FORMATS, SINGLE_MODES

DEEP = pytest.mark.deep
SMALL, ODD, ONE, WIDE = "small", "odd", "one", "wide"
CONFIGS = {
    SMALL: {"modes": ["int4", "p8_0"], "outputs": ["p8_0", "e5m2", "fp4", "int32"], "rows": 2, "columns": 2}
    | {"bus_bits": 32, "depth_beats": 16, "technology": "fpga"},
    ODD: {"modes": list(SINGLE_MODES), "outputs": list(OUTPUT_FORMATS), "rows": 3, "columns": 4}
    | {"bus_bits": 128, "depth_beats": 32},
    ONE: {"modes": ["p16_1", "e5m2"], "outputs": ["p16_1", "e5m2", "bf16"], "rows": 1, "columns": 1}
    | {"bus_bits": 64, "depth_beats": 16},
    WIDE: {"modes": ["int8", "p8_0"], "outputs": ["int8", "p8_0", "int32"], "rows": 4, "columns": 4}
    | {"bus_bits": 256, "depth_beats": 64},
}
HANDSHAKES = [
    *(f"m_axi_{name}" for name in ("awready", "wready", "bvalid", "arready", "rvalid", "rlast")),
    *(f"s_axil_{name}" for name in ("awvalid", "wvalid", "bready", "arvalid", "rready")),
]
PAYLOADS = ["m_axi_rdata", "m_axi_rresp", "m_axi_bresp", "s_axil_awaddr", "s_axil_wdata", "s_axil_wstrb"]
PAYLOADS += ["s_axil_araddr"]


@pytest.fixture(scope="module")
def block():
    def of(name):
        config = MatmulConfig.parse(CONFIGS[name])
        return CONFIGS[name], config, matmul.build(config)

    return of


QUICK = [
    "constants_say_what_was_built",
    "results_match_the_model/pauses=0.2",
    "start_while_busy_is_ignored",
    "bad_jobs_are_refused",
    "status_collects_and_interrupts",
]


@pytest.mark.parametrize("built", [SMALL], indirect=True)
def test_matmul_bench_passes_in_short(built, tmp_path):
    assert len(built.bench_tests("sim.simd.matmul_bench", tmp_path, QUICK)) == len(QUICK)


@DEEP
@pytest.mark.parametrize("built", [SMALL, ODD, ONE, WIDE], indirect=True)
def test_matmul_bench_passes(built, tmp_path):
    assert len(built.bench_tests("sim.simd.matmul_bench", tmp_path)) == 35 + 2 * len(built.config.modes)


@DEEP
@pytest.mark.parametrize("built", [WIDE], indirect=True)
def test_matmul_array_is_busy_while_memory_keeps_up(built, tmp_path):
    assert len(built.bench_tests("sim.simd.matmul_speed_bench", tmp_path)) == 2


@DEEP
@pytest.mark.parametrize("built", [SMALL], indirect=True)
def test_matmul_handshakes_do_not_wait_for_each_other_within_a_cycle(built):
    """No input reaches an output without a register between, as AXI asks (IHI 0022, A3.2.1)."""
    built.assert_handshakes_independent(HANDSHAKES, data=PAYLOADS)
