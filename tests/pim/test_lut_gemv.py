"""`pim.lut_gemv` in Verilator: the cocotb bench, and jobs in bulk against the golden model."""

from __future__ import annotations

import numpy as np
import pytest

from hdl.pim.lut_gemv import LutGemv
from hdl.pim.lut_gemv_config import LutGemvConfig
from sim.common.harness import HarnessError
from sim.pim import lut_gemv_model, lut_gemv_vectors

STALLS = [(0.0, 0.0), (0.4, 0.4), (0.7, 0.1), (0.1, 0.7)]
DESIGNS = {
    "cache": {"group": 4, "tables": 2, "depth": 16},
    "eager": {"group": 3, "tables": 2, "depth": 16, "pattern_cache": False},
    "weights": {"group": 4, "tables": 4, "depth": 64, "side": "weight"},
    "wide": {"group": 6, "tables": 3, "depth": 32},
    "pairs": {"group": 2, "tables": 16, "depth": 256, "pattern_cache": False, "side": "weight"},
}


pytestmark = pytest.mark.deep


@pytest.fixture(scope="module")
def block():
    def of(name):
        params = DESIGNS[name]
        config = LutGemvConfig.parse(params)
        return params, config, LutGemv(config)

    return of


def many_arrays(config, count):
    """Batches of many shapes, until there are so many results."""
    given, results = [], 0
    while results < count:
        given.append(lut_gemv_vectors.random_arrays(config, 100 + len(given), 1 + len(given) % 7))
        results += lut_gemv_vectors.expected_beats(config, given[-1])["y"]
    return given


@pytest.mark.parametrize(("stall_in", "stall_out"), STALLS)
@pytest.mark.parametrize("built", DESIGNS, indirect=True)
def test_lut_gemv_matches_the_model(built, stall_in, stall_out):
    given = many_arrays(built.config, 10_000)
    jobs = [job for arrays in given for job, _ in lut_gemv_vectors.jobs(built.config, arrays)]
    want = [lut_gemv_model.run(built.config, job) for job in jobs]
    harness = built.harness()
    count = sum(len(job.index) for job in jobs)
    options = {"stall_in": stall_in, "stall_out": stall_out, "seed": 3}
    result = harness.run(lut_gemv_vectors.packed(built.config, jobs), {"y": count}, **options)
    np.testing.assert_array_equal(result.outputs["y"].data.view("<u4")[:, 0], np.concatenate([one.y for one in want]))
    np.testing.assert_array_equal(
        np.flatnonzero(result.outputs["y"].last), np.cumsum([len(job.index) for job in jobs]) - 1
    )
    cost = lut_gemv_model.total_cost(built.config, jobs)
    registers = built.config.registers
    read = {name: harness.read(registers[name].offset_bytes) for name in ("results", "lookups", "waits")}
    assert read == {"results": count, "lookups": cost.lookups, "waits": cost.waits}
    assert registers["status"].decode(harness.read(registers["status"].offset_bytes)) == {
        "overflow": 0,
        "bad_job": 0,
        "nonfinite": any(one.nonfinite for one in want),
        "busy": 0,
    }
    if not stall_in and not stall_out:
        assert result.cycles == cost.cycles + built.config.latency_cycles


@pytest.mark.parametrize("built", DESIGNS, indirect=True)
def test_lut_gemv_bench_passes(built, tmp_path):
    assert len(built.bench_tests("sim.pim.lut_gemv_bench", tmp_path)) == 18


@pytest.mark.parametrize("built", ["cache"], indirect=True)
def test_lut_gemv_forgets_everything_at_reset(built):
    arrays = lut_gemv_vectors.random_arrays(built.config, 9, 20)
    harness = built.harness()
    for reset_at in (2, 9, 40, 133):
        result = harness.run(
            lut_gemv_vectors.pack(built.config, arrays),
            lut_gemv_vectors.expected_beats(built.config, arrays),
            seed=reset_at,
            reset_at=reset_at,
            stall_out=0.5,
        )
        got = lut_gemv_vectors.unpack(built.config, arrays, result.outputs)
        np.testing.assert_array_equal(got["y"], lut_gemv_vectors.model(built.config, arrays)["y"])


@pytest.mark.parametrize("built", ["cache"], indirect=True)
@pytest.mark.parametrize(("module", "operator", "other"), [("subsettable", "|", "&"), ("sequence", "+", "|")])
def test_lut_gemv_mutants_are_caught(built, module, operator, other, tmp_path):
    given = many_arrays(built.config, 1000)
    jobs = [job for arrays in given for job, _ in lut_gemv_vectors.jobs(built.config, arrays)]
    want = np.concatenate([lut_gemv_model.run(built.config, job).y for job in jobs])
    mutant = built.mutant(module, operator, other, tmp_path)
    with pytest.raises((HarnessError, AssertionError)):
        got = mutant.run(lut_gemv_vectors.packed(built.config, jobs), {"y": len(want)}).outputs["y"]
        np.testing.assert_array_equal(got.data.view("<u4")[:, 0], want)


@pytest.mark.parametrize("built", ["cache"], indirect=True)
def test_lut_gemv_handshakes_do_not_wait_for_each_other_within_a_cycle(built):
    inputs = [f"s_axis_{role}_tvalid" for role in ("table", "index", "scale")]
    inputs += ["s_axis_table_tlast", "m_axis_y_tready"]
    inputs += ["s_axil_arvalid", "s_axil_awvalid", "s_axil_wvalid", "s_axil_rready", "s_axil_bready"]
    built.assert_handshakes_independent(inputs)
