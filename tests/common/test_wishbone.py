"""Wishbone: its ports at the Verilog edge, and the way to AXI4-Lite in Verilator."""

from __future__ import annotations

import pytest

from flows.verilog import emit
from hdl.common.edge import ports
from hdl.common.wishbone import WishboneToAXI4Lite
from sim.common.runner import build_bench, run_bench

ADDRESS_BITS = 6


@pytest.fixture(scope="module")
def adapter():
    return WishboneToAXI4Lite(ADDRESS_BITS)


def test_wishbone_passes_transfers_to_axi(adapter, tmp_path):
    verilog = tmp_path / "adapter.v"
    verilog.write_text(emit(adapter, "adapter"))
    build_bench(verilog, "adapter", tmp_path / "build")
    result = run_bench(tmp_path / "build", "adapter", "sim.common.wishbone_bench", tmp_path / "run", seed=3)
    assert result.passed, result.summary()
    assert len(result.tests) == 4


def test_wishbone_has_the_standard_names_at_the_edge(adapter):
    found = [
        (port.name, port.direction, port.width, port.role) for port in ports(adapter) if port.interface == "wishbone"
    ]
    assert found == [
        ("s_wb_adr_i", "input", 6, "wb"),
        ("s_wb_dat_i", "input", 32, "wb"),
        ("s_wb_dat_o", "output", 32, "wb"),
        ("s_wb_sel_i", "input", 4, "wb"),
        ("s_wb_we_i", "input", 1, "wb"),
        ("s_wb_cyc_i", "input", 1, "wb"),
        ("s_wb_stb_i", "input", 1, "wb"),
        ("s_wb_ack_o", "output", 1, "wb"),
        ("s_wb_err_o", "output", 1, "wb"),
    ]
    assert {port.name.rsplit("_", 1)[0] for port in ports(adapter) if port.interface == "axi4-lite"} == {"m_axil"}
