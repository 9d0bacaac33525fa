"""Two managers on one AXI4-Lite subordinate, in Verilator."""

from __future__ import annotations

import pytest

from flows.verilog import emit
from hdl.common.axi_arbiter import AxiArbiter
from sim.common.runner import build_bench, run_bench

ADDRESS_BITS = 8


def bench(tmp_path, change=lambda verilog: verilog):
    path = tmp_path / "arbiter.v"
    path.write_text(change(emit(AxiArbiter(ADDRESS_BITS), "arbiter")))
    build_bench(path, "arbiter", tmp_path / "build")
    env = {"NIELLO_ADDRESS_BITS": str(ADDRESS_BITS)}
    return run_bench(tmp_path / "build", "arbiter", "sim.common.axi_arbiter_bench", tmp_path / "run", seed=5, env=env)


def test_arbiter_serves_both_managers(tmp_path):
    result = bench(tmp_path)
    assert result.passed, result.summary()
    assert len(result.tests) == 3


@pytest.mark.deep
@pytest.mark.parametrize(("right", "wrong"), [("= ~ owner;", "= owner;"), (" & ", " | "), ("= ! owner;", "= owner;")])
def test_arbiter_mutants_are_caught(tmp_path, right, wrong):
    def change(verilog):
        places = verilog.split(right)
        middle = len(places) // 2
        return right.join(places[:middle]) + wrong + right.join(places[middle:])

    assert not bench(tmp_path, change).passed
