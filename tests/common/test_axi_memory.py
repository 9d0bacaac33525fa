"""The on-chip memory in Verilator, against bus models written by others."""

from __future__ import annotations

import pytest

from flows.verilog import emit
from hdl.common.axi_memory import AxiMemory
from sim.common.runner import build_bench, run_bench

DEEP = pytest.mark.deep


@pytest.mark.parametrize(
    ("address_bits", "data_bits"), [(12, 64), pytest.param(10, 32, marks=DEEP), pytest.param(13, 256, marks=DEEP)]
)
def test_axi_memory_serves_bursts_and_words(tmp_path, address_bits, data_bits):
    verilog = tmp_path / "memory.v"
    verilog.write_text(emit(AxiMemory(address_bits, data_bits), "memory"))
    build_bench(verilog, "memory", tmp_path / "build")
    env = {"NIELLO_ADDRESS_BITS": str(address_bits), "NIELLO_DATA_BYTES": str(data_bits // 8)}
    result = run_bench(
        tmp_path / "build", "memory", "sim.common.axi_memory_bench", tmp_path / "run", seed=data_bits, env=env
    )
    assert result.passed, result.summary()
    assert len(result.tests) == 4
