"""`pim.dispatch`: the model against rooflines in fractions, and the gateware in Verilator against the model."""

from __future__ import annotations

import re
from fractions import Fraction

import numpy as np
import pytest

from flows.load import load_design
from hdl.common.config import ConfigError
from hdl.pim.dispatch import Dispatch
from hdl.pim.dispatch_config import DispatchConfig
from sim.common.harness import Harness, HarnessError
from sim.pim import dispatch_vectors
from sim.pim.dispatch_model import dispatch

GOOD = {"bytes_per_cycle": [1024, 4096], "ops_per_cycle": [307200, 32768], "expert_bytes": 1 << 20}
BUILDS = {
    "two": GOOD,
    "four": {"bytes_per_cycle": [64, 256, 100, 1], "ops_per_cycle": [4096, 300, 777, 50], "expert_bytes": 12345,
             "weight_bytes": 1},
}  # fmt: skip


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"bytes_per_cycle": [5]}, "params.bytes_per_cycle must be a list, not [5] (a list)"),
        ({"ops_per_cycle": [1, 2, 3]},
         "params: bytes_per_cycle and ops_per_cycle must name as many devices, not 2 and 3"),
        ({"ops_per_cycle": [0, 2]}, "params: ops_per_cycle[0] must be in 1..4194304, not 0"),
        ({"expert_bytes": 1 << 24, "bytes_per_cycle": [1, 1]},
         "params: device 0 must do an expert or a token of it in less than 2^24 cycles"),
    ],
)  # fmt: skip
def test_dispatch_config_refuses(changed, message):
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}$"):
        DispatchConfig.parse(GOOD | changed)


@pytest.mark.parametrize("name", BUILDS)
def test_dispatch_takes_the_least_roofline(name):
    """With exact fractions of cycles; the table is rounded up to 1/256."""
    config = DispatchConfig.parse(BUILDS[name])
    tokens = np.concatenate([np.arange(1, 3000, 7), [65535]]).astype(np.uint16)
    device, time, saturated = dispatch(config.table, tokens)
    assert not saturated.any()
    operations = Fraction(2 * config.expert_bytes, config.weight_bytes)
    for count, chosen, taken in zip(tokens.tolist(), device.tolist(), time.tolist(), strict=True):
        exact = [
            max(Fraction(config.expert_bytes, bandwidth), count * operations / peak)
            for bandwidth, peak in zip(config.bytes_per_cycle, config.ops_per_cycle, strict=True)
        ]
        most = Fraction(count + 1, 256)
        assert 0 <= Fraction(taken, 256) - exact[chosen] <= most
        assert exact[chosen] <= min(exact) + most


def test_dispatch_breaks_even_at_32_operations_a_byte():
    """Four times the bandwidth and 8 operations a byte against an xPU that is bound by its memory: bf16, so that an
    operation a byte is a token."""
    config = load_design("dispatch_duplex").config
    tokens = np.arange(0, 100, dtype=np.uint16)
    device, time, _ = dispatch(config.table, tokens)
    assert device.tolist() == [255] + [1] * 31 + [0] * 68  # at 32 both take as long
    assert (time[1:9] == time[1]).all()  # up to 8 the memory under logic is the bound
    assert (np.diff(time[8:32].astype(int)) > 0).all()
    assert (time[32:] == 4 * int(time[1])).all()


@pytest.fixture(scope="module")
def block():
    def of(name):
        config = DispatchConfig.parse(BUILDS[name])
        return BUILDS[name], config, Dispatch(config)

    return of


@pytest.mark.parametrize(("stall_in", "stall_out"), [(0.0, 0.0), (0.4, 0.4), (0.7, 0.1), (0.1, 0.7)])
@pytest.mark.parametrize("built", ["two", pytest.param("four", marks=pytest.mark.deep)], indirect=True)
def test_dispatch_matches_the_model(built, stall_in, stall_out):
    harness = built.harness()
    rng = np.random.default_rng(3)
    arrays = {"tokens": np.where(rng.random((400, 32)) < 0.5, rng.integers(0, 90, (400, 32)),
                                 rng.integers(0, 1 << 16, (400, 32))).astype(np.uint16)}  # fmt: skip
    result = harness.run(dispatch_vectors.pack(built.config, arrays), {"y": 400 * 32}, stall_in=stall_in,
                         stall_out=stall_out, seed=3)  # fmt: skip
    got = dispatch_vectors.unpack(built.config, arrays, result.outputs)
    want = dispatch_vectors.model(built.config, arrays)
    for name in want:
        np.testing.assert_array_equal(got[name], want[name])
    assert (np.flatnonzero(result.outputs["y"].last) == np.arange(31, 400 * 32, 32)).all()
    if not stall_in and not stall_out:
        assert result.cycles == 400 * 32 + built.config.latency_cycles
    registers = built.config.registers
    counts = [harness.read(registers[f"experts_{device}"].offset_bytes) for device in range(built.config.devices)]
    assert counts == [(want["device"] == device).sum() for device in range(built.config.devices)]


@pytest.mark.deep
@pytest.mark.parametrize("built", BUILDS, indirect=True)
def test_dispatch_bench_passes(built, tmp_path):
    assert len(built.bench_tests("sim.pim.dispatch_bench", tmp_path)) == 7


@pytest.mark.deep
@pytest.mark.parametrize("built", ["two"], indirect=True)
def test_dispatch_mutant_is_caught(built, tmp_path):
    arrays = dispatch_vectors.random_arrays(built.config, 1, 20)
    want = dispatch_vectors.model(built.config, arrays)
    verilog = built.verilog.read_text()
    assert " < " in verilog
    mutated = tmp_path / "mutated.v"
    mutated.write_text(verilog.replace(" < ", " <= "))
    mutant = Harness(built.library(mutated, tmp_path / "harness"), built.ports)
    with pytest.raises((HarnessError, AssertionError)):
        outputs = mutant.run(dispatch_vectors.pack(built.config, arrays), {"y": arrays["tokens"].size}).outputs
        np.testing.assert_array_equal(dispatch_vectors.unpack(built.config, arrays, outputs)["device"], want["device"])
